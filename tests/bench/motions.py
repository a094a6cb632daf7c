"""What tracking makes of distilled motions and of artists' clips: `python -m tests.bench.motions --out FOLDER`.

Distils eight motions with the built-in prior into workspaces under FOLDER (what is there and fresh is taken), reads six clips that
were made to run on the spot, tracks all of them, lets `akd evaluate`'s judge look at their feet and MuJoCo replay the exports. The
files are found by AKD_TEST_ASSETS. `--repeats 3` runs each again with controls smoothed by 1 and 2 % more, which should not matter:
where the results differ, the optimisation is chaotic.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from schemas.motion import Motion
from schemas.rig import Rig
from stages.asset.stage import run as asset_stage
from stages.body.animation import motions
from stages.evaluate.feet import stance_slide
from stages.evaluate.trajectory import path_speed, trajectory_of
from stages.rig.stage import run as rig_stage
from stages.track.mjcf import export
from stages.track.params import Params
from stages.track.stage import run
from tests.track.beasts import quadruped, trot
from tests.track.replay import replay

DISTILLED = {"tiger": "tiger", "KhronosFox": "fox", "KnightCharacter": "knight", "Trex": "t-rex"}
CLIPS = {"Wolf": ("Walk", "Gallop"), "Horse": ("Walk", "Gallop"), "KnightCharacter": ("Walking", "Run")}
HEADS = (
    "motion", "h m", "RMSE / moved cm", "foot slide m/s", "by `akd evaluate`", "floating mm", "penetration mm", "all steps mm", "torque M g h",
    "help left", "mean M g h", "MuJoCo rms / worst cm", "s",
)  # fmt: skip


def distilled(folder: Path, assets: Path) -> Iterator[tuple[str, Rig, Motion]]:
    """The eight motions, made where they are missing."""
    for name, noun in DISTILLED.items():
        source = name if name == "tiger" else str(assets / f"{name}.glb")
        for verb in ("walking", "running"):
            prompt, place = f"a {noun} {verb}", folder / name
            subprocess.run([sys.executable, "-m", "akd_cli", "distill", source, "--prompt", prompt, "-w", str(place), "-q"], check=True, stdout=sys.stderr)
            made = place / "motions" / prompt.replace(" ", "-") / "distill.h5"
            yield f"{noun} {verb}", Rig.load(place / "rig.h5"), Motion.load(made)


def clips(assets: Path) -> Iterator[tuple[str, Rig, Motion]]:
    """The artists' clips, 30 frames a second."""
    for name, wanted in CLIPS.items():
        path = assets / f"{name}.glb"
        asset = asset_stage(path)
        rig = rig_stage(asset)
        found = {re.split(r"[|_]", full)[-1]: motion for full, motion in motions(path, rig, asset, 30.0).items()}
        for clip in wanted:
            yield f"{name} {clip}", rig, found[clip]


def trots() -> Iterator[tuple[str, Rig, Motion]]:
    """The trot of tests/track/beasts.py, 2 to 20 s long."""
    rig = quadruped()
    for seconds in (2, 5, 10, 20):
        yield f"trot of {seconds} s", rig, trot(rig, frames=24 * seconds + 1, fps=24.0)


def judged(rig: Rig, motion: Motion) -> float:
    """Mean speed of standing feet by the stances that `akd evaluate` finds. [m/s]"""
    seen = trajectory_of(rig, motion)
    speed = path_speed(seen.root, seen.fps)
    return stance_slide(seen, speed) * (speed if speed > 0.05 * seen.height else 1.0)


def measure(rig: Rig, motion: Motion, params: Params) -> dict[str, float]:
    """Track a motion, and what became of it."""
    began = time.process_time()
    track = run(rig, motion, params)
    seconds, report = time.process_time() - began, track.report
    with tempfile.TemporaryDirectory() as folder:
        played = replay(export(Path(folder) / "track.xml", rig, motion, track)[0])
    feet, unit = report["feet"], report["torque_unit"]
    slid, floated, sunk = ({when: feet[f"{name}_{when}"] for when in ("before", "after")} for name in ("slide", "floating", "penetration"))
    return {
        "height": report["height"], "rmse": 100 * report["corner_rmse"], "moved": 100 * report["corner_rmse_moved"],
        "slide_before": slid["before"], "slide": slid["after"], "judged_before": judged(rig, motion), "judged": judged(rig, track),
        "floating_before": 1e3 * floated["before"], "floating": 1e3 * floated["after"],
        "penetration_before": 1e3 * sunk["before"], "penetration": 1e3 * sunk["after"], "deepest": 1e3 * report["penetration_max_steps"],
        "torque": report["torque_max"] / unit, "help_left": report["help_left"], "help_mean": report["help_mean"],
        "replay": 100 * played.error, "replay_worst": 100 * played.worst[0], "failed": float(report["failed"]), "seconds": seconds,
    }  # fmt: skip


def row(name: str, f: dict[str, float]) -> str:
    """A line of the table."""
    cells = (
        name + (" FAILED" if f["failed"] else ""), f"{f['height']:.2f}", f"{f['rmse']:.1f} / {f['moved']:.1f}", f"{f['slide_before']:.2f} -> {f['slide']:.2f}",
        f"{f['judged_before']:.2f} -> {f['judged']:.2f}", f"{f['floating_before']:.0f} -> {f['floating']:.1f}",
        f"{f['penetration_before']:.0f} -> {f['penetration']:.1f}", f"{f['deepest']:.1f}",
        f"{f['torque']:.2f}", f"{f['help_left']:.2f}", f"{f['help_mean']:.3f}",
        f"{f['replay']:.1f} / {f['replay_worst']:.1f}", f"{f['seconds']:.1f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the workspaces")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each motion")
    parser.add_argument("--only", choices=("distilled", "clips", "trots"), help="some of the motions; trots are not among all")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the stage track")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    args = parser.parse_args()
    assets = Path(os.environ.get("AKD_TEST_ASSETS", ""))
    if args.only != "trots" and not (assets / "KhronosFox.glb").exists():
        sys.exit("AKD_TEST_ASSETS must name the folder with KhronosFox.glb and the other files; nothing was run")
    chosen = {name: type(getattr(Params(), name))(value) for name, value in (each.split("=", 1) for each in args.set)}
    params, figures = Params(**chosen), {}
    print(f"| {' | '.join(HEADS)} |\n| --- |{' ---: |' * (len(HEADS) - 1)}")
    sources = {"distilled": lambda: distilled(args.out, assets), "clips": lambda: clips(assets), "trots": trots}
    for wanted in (args.only,) if args.only else ("distilled", "clips"):
        for name, rig, motion in sources[wanted]():
            for repeat in range(args.repeats):
                found = measure(rig, motion, dataclasses.replace(params, smoothness=params.smoothness * (1 + 0.01 * repeat)))
                print(row(name if not repeat else f"{name}, again", found), flush=True)
                figures[f"{name}, {repeat}" if repeat else name] = found
    if args.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
