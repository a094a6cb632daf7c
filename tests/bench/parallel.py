"""Seconds of a step of distillation, by processes and views: what `torchrun` gains on one machine's cores.

python -m tests.bench.parallel --json [--steps 24] [--rounds 3]

Every process has one thread. The built-in prior, asked at every step, and the built-in tiger. All cases are measured in every
round and the smallest median counts, because other work on the machine only adds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CASES = ((1, 2), (2, 2), (1, 4), (2, 4))
"""(processes, views)"""


def worker(views: int, steps: int) -> None:
    """What each process does; the first prints the median seconds of a step."""
    import torch

    from stages.distill import parallel
    from stages.distill.loop import Distillation
    from stages.distill.params import Params, resolve
    from stages.distill.priors import registry
    from tests.bench.distill import body

    torch.set_num_threads(1)
    world = parallel.start("cpu")
    rig, splat = body("tiger")
    prior = registry.load_prior("embedded")
    settings = resolve(Params(views=views, refresh=1, speed=1.0, device="cpu", iterations=1000), prior.spec)
    run = Distillation(rig, splat, "a tiger walking", settings, prior, "cpu", world)
    seconds = []
    for _ in range(steps + 2):  # the first two compile and fill caches
        began = time.perf_counter()
        run.step()
        run.iteration += 1
        seconds.append(time.perf_counter() - began)
    if world.rank == 0:
        print(statistics.median(seconds[2:]))
    parallel.stop()


def measure(processes: int, views: int, steps: int) -> float:
    """Median seconds of a step."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "tests.bench.parallel", "--worker", str(views), "--steps", str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one flat object on the last line of stdout, also without this")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker, options.steps)
    best = dict.fromkeys(CASES, float("inf"))
    for _ in range(options.rounds):
        for case in CASES:
            best[case] = min(best[case], measure(*case, options.steps))
            print(case, round(best[case], 4), file=sys.stderr, flush=True)
    figures = {f"seconds_step_{processes}_processes_{views}_views": round(value, 4) for (processes, views), value in best.items()}
    for views in sorted({views for _, views in CASES}):
        figures[f"speedup_{views}_views"] = round(best[1, views] / best[2, views], 2)
    print(json.dumps(figures))
    return None


if __name__ == "__main__":
    main()
