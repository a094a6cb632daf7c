"""Seconds of every stage, peak memory and the time of `akd --help`, each command a process of its own as a user runs it.

python -m tests.bench.pipeline --json [--asset tiger] [--prompt "a tiger walking"] [--distill-iterations N] ...
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

STAGES = ("asset", "rig", "skin", "splat", "distill", "track", "render")


def timed(arguments: list[str]) -> tuple[float, str]:
    """Seconds of wall time and stdout of one `akd` process. Its stderr is passed on."""
    clock = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", "from akd_cli.app import main; main()", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - clock, result.stdout


def measure(asset: str, prompt: str, iterations: dict[str, int | None]) -> dict[str, float]:
    """Run every stage in a temporary workspace."""
    figures: dict[str, float] = {"help_seconds": statistics.median(timed(["--help"])[0] for _ in range(5))}
    with tempfile.TemporaryDirectory() as folder:
        total = 0.0
        for stage in STAGES:
            source = [asset] if stage == "asset" else ["--prompt", prompt] if stage == "distill" else []
            count = iterations.get(stage)
            limit = [] if count is None else ["--iterations", str(count)]
            print(f"{stage} ...", file=sys.stderr)
            seconds, out = timed([stage, *source, *limit, "--workspace", folder, "--json", "--quiet"])
            figures[f"seconds_{stage}"] = round(seconds, 3)
            figures[f"seconds_{stage}_alone"] = json.loads(out)["seconds"]  # without starting Python and libraries
            total += seconds
        figures["seconds_total"] = round(total, 3)
        figures["seconds_status"] = round(timed(["status", "--workspace", folder, "--json"])[0], 3)
    # of the largest of the processes above
    figures["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1)
    figures["processors"] = len(os.sched_getaffinity(0))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line of stdout")
    parser.add_argument("--asset", default="tiger")
    parser.add_argument("--prompt", default="a tiger walking")
    for stage in ("splat", "distill", "track"):
        parser.add_argument(f"--{stage}-iterations", type=int, default=None, help="default: the stage's own")
    options = parser.parse_args()
    iterations = {stage: getattr(options, f"{stage}_iterations") for stage in ("splat", "distill", "track")}
    figures = measure(options.asset, options.prompt, iterations)
    if options.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:24} {value:10.3f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
