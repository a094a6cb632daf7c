"""Rasterizer on the CPU: milliseconds per frame, forward and backward, and against a dense composite in torch.

python -m tests.bench.raster --json [--repeats N] [--threads N]

Times are CPU time of this process over frames (wall time when --threads is above 1). The peer is the image model written
directly in torch (tests/view/dense_oracle.py, float32), on a scene small enough for its memory, alternating with ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

SIZES = ((3000, 64, 48, 17), (5000, 128, 128, 8), (10_000, 128, 128, 8), (10_000, 256, 256, 4), (100_000, 720, 480, 1))
PEER = (1000, 64, 48, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="accepted for symmetry: the last line is always JSON")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["NUMBA_NUM_THREADS"] = str(options.threads)
    import torch

    from stages.view.camera import orbit
    from stages.view.rasterize import render
    from tests.view import dense_oracle

    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter

    def fast(*arguments):
        return torch.cat(render(*arguments), -1)

    def measure(function, inputs, camera) -> float:
        leaves = [t.clone().requires_grad_() for t in inputs]
        start = clock()
        function(*leaves, camera).square().sum().backward()
        return 1e3 * (clock() - start) / camera.frames

    def setting(count: int, width: int, height: int, frames: int):
        # the kernels cover a solid of constant size: more of them are smaller ones
        inputs = dense_oracle.random_scene(frames, count, 0.02 * (10_000 / count) ** 0.5, 0, torch.float32)
        return inputs, orbit(torch.zeros(frames, 3), azimuth=0.3, elevation=0.2, distance=2.5, focal=1.2, width=width, height=height)

    results: dict[str, float] = {"threads": options.threads}
    start = time.perf_counter()
    measure(fast, *setting(100, 32, 32, 1))
    results["first_call_s"] = time.perf_counter() - start
    for size in SIZES:
        scene = setting(*size)
        measure(fast, *scene)
        name = f"ms_{size[0]}_kernels_{size[1]}x{size[2]}"
        results[name] = statistics.median(measure(fast, *scene) for _ in range(options.repeats))
        print(f"{name}: {results[name]:.2f}", file=sys.stderr)
    scene, pairs = setting(*PEER), []
    for _ in range(options.repeats + 1):
        pairs.append((measure(fast, *scene), measure(dense_oracle.render, *scene)))
    ours, peer = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    results |= {"peer_ms_ours": ours, "peer_ms_dense_torch": peer, "peer_ratio": peer / ours}
    print(f"{PEER[0]} kernels at {PEER[1]} x {PEER[2]}: ours {ours:.2f} ms, dense torch {peer:.1f} ms", file=sys.stderr)
    print(json.dumps({key: round(float(value), 4) for key, value in results.items()}))


if __name__ == "__main__":
    main()
