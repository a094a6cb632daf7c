"""Bone heat against artists' weights, and its seconds with either solver, on the models of $AKD_TEST_ASSETS.

python -m tests.bench.skin --json [--repeats N] [--vertices N]

Per model: the share of welded vertices whose largest weight is on the artist's joint, the mean L1 distance to his
weights, and the median CPU seconds of the whole stage. The solvers (cholespy, the peer scipy's SuperLU) alternate on the
same systems; a refined built-in tiger of about --vertices vertices shows how they grow.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 (after the thread counts are set)

SOLVERS = ("cholespy", "scipy")


def alternate(asset: Any, rig: Any, repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Median CPU seconds of the skin stage by solver, and the last report."""
    from stages.skin.params import Params
    from stages.skin.stage import run

    seconds: dict[str, list[float]] = {solver: [] for solver in SOLVERS}
    for _ in range(repeats):
        for solver in SOLVERS:
            clock = time.process_time()
            skin = run(asset, rig, Params(solver=solver))
            seconds[solver].append(time.process_time() - clock)
    return {solver: statistics.median(values) for solver, values in seconds.items()}, skin.report


def models(folder: Path, repeats: int) -> dict[str, float]:
    """Figures of every rigged model in `folder`."""
    from schemas.errors import AkdError
    from stages.asset.stage import run as make_asset
    from stages.rig.stage import run as make_rig

    figures: dict[str, float] = {}
    rows = []
    for path in sorted(folder.glob("*.glb")):
        try:
            asset = make_asset(path)
            rig = make_rig(asset)
        except AkdError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        seconds, report = alternate(asset, rig, repeats)
        rows.append((report["artist_dominant"], report["artist_l1"], seconds["cholespy"], seconds["scipy"]))
        print(f"{path.stem:24s} dominant {rows[-1][0]:.3f}  L1 {rows[-1][1]:.3f}  {rows[-1][2]:.3f} s  scipy {rows[-1][3]:.3f} s", file=sys.stderr)
        figures |= {f"dominant_{asset.name}": rows[-1][0], f"l1_{asset.name}": rows[-1][1], f"seconds_{asset.name}": round(rows[-1][2], 4)}
    if rows:
        dominant, l1, ours, peer = np.mean(rows, 0)
        figures |= {"models": len(rows), "dominant_mean": round(dominant, 4), "l1_mean": round(l1, 4)}
        figures |= {"seconds_mean": round(ours, 4), "seconds_mean_scipy": round(peer, 4), "scipy_over_cholespy": round(peer / ours, 3)}
    return figures


def refined(vertices: int, repeats: int) -> dict[str, float]:
    """Seconds on a tiger subdivided to at least `vertices` welded vertices."""
    import trimesh

    from stages.asset.stage import run as make_asset
    from stages.rig.stage import run as make_rig
    from stages.skin.heat import bone_heat

    asset = make_asset("tiger")
    rig = make_rig(asset)
    points, faces = asset.welded()
    while len(points) < vertices:
        points, faces = trimesh.remesh.subdivide(points, faces)
    seconds: dict[str, list[float]] = {solver: [] for solver in SOLVERS}
    for _ in range(repeats):
        for solver in SOLVERS:
            clock = time.process_time()
            bone_heat(points, faces, rig.positions, rig.tails, solver=solver)
            seconds[solver].append(time.process_time() - clock)
    ours, peer = (statistics.median(seconds[solver]) for solver in SOLVERS)
    return {"refined_vertices": len(points), "refined_seconds": round(ours, 3), "refined_seconds_scipy": round(peer, 3), "refined_ratio": round(peer / ours, 3)}


def main() -> None:
    """Print one flat JSON object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON (always done; kept for uniformity)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vertices", type=int, default=20000)
    options = parser.parse_args()
    folder = os.environ.get("AKD_TEST_ASSETS", "")
    figures = models(Path(folder), options.repeats) if folder and Path(folder).is_dir() else {}
    if not figures:
        print("set AKD_TEST_ASSETS to a folder with rigged .glb models for the agreement figures", file=sys.stderr)
    print(json.dumps(figures | refined(options.vertices, options.repeats)))


if __name__ == "__main__":
    main()
