"""What control costs and keeps: loops, long clips and paths of the built-in prior, on bodies that it was not trained on.

`python -m tests.bench.control [--json] [--out DIR] [--arms plain,loop,long,path] [--bodies 100001,100002,100003]`

Every arm makes walk, run and jump on every body with one seed (the path only the walk). Feet, phases, the gap of the loop and
the distance to the path are those of the evaluate stage or computed here from the written motion, not those of the run's own
report. Trials in DIR are not computed again. One thread. Without `--json` it prints one Markdown row for each arm.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.bench.ablation import agreement

GAITS = ("walking", "running", "jumping")
SECONDS = 4
ARMS: dict[str, dict[str, Any]] = {"plain": {}, "loop": {"loop": True}, "long": {"frames": 16 * SECONDS + 1}, "path": {"frames": 16 * SECONDS + 1}}
WALKED = 1.2 * SECONDS
"""How far the walk's start motion gets, which is the length of the curve. [hip heights]"""


def quarter_turn(rig: Any, length: float) -> np.ndarray:
    """Points on a quarter of a circle to the character's left, from where its root stands. [m, (7, 2)]"""
    radius, angles = 2 * length / math.pi, np.linspace(0, 0.5 * math.pi, 7)
    return rig.positions[0, [0, 2]] + radius * np.stack([1 - np.cos(angles), np.sin(angles)], 1)


def cut(motion: Any, start: int, frames: int) -> Any:
    """A part of a motion."""
    rows = slice(start, start + frames)
    parts = {name: getattr(motion, name)[rows] for name in ("angles", "root_positions", "root_rotations")}
    return dataclasses.replace(motion, **parts)


def repeated(motion: Any, frames: int = 17) -> Any:
    """A loop gone on with to so many frames, on the spot: for what looks at the legs against the body."""
    rows = np.arange(frames) % motion.frame_count
    return dataclasses.replace(motion, **{name: getattr(motion, name)[rows] for name in ("angles", "root_positions", "root_rotations")})


def off_circle(rig: Any, motion: Any, length: float) -> tuple[float, float]:
    """Distance of the root from the circle of `quarter_turn`, and of its heading from the tangent: root mean squares. [m, rad]"""
    from stages.body import quaternion

    x, z = (motion.root_positions[:, [0, 2]] - rig.positions[0, [0, 2]]).T.astype(np.float64)
    radius = 2 * length / math.pi
    along = np.clip(np.arctan2(z, radius - x), 0, 0.5 * math.pi)  # angle on the circle
    away = np.hypot(x - radius * (1 - np.cos(along)), z - radius * np.sin(along))
    turns = quaternion.to_matrix(torch.as_tensor(motion.root_rotations, dtype=torch.float64)).numpy()
    yaw = np.arctan2(turns[:, 0, 2], turns[:, 2, 2])
    return float(np.sqrt((away**2).mean())), float(np.sqrt(((yaw - along) ** 2).mean()))


def seam_jump(motion: Any, seams: list[int]) -> float:
    """Largest second difference of a joint angle within two frames of where windows meet, over the largest elsewhere; 1 is no seam."""
    bends = np.abs(np.diff(motion.angles, 2, axis=0)).max((1, 2))  # entry k belongs to frame k + 1
    near = np.zeros(len(bends), bool)
    for seam in seams:
        near[max(seam - 3, 0) : seam + 2] = True
    return float(bends[near].max() / bends[~near].max()) if near.any() and not near.all() else math.nan


def trial(prior: Any, arm: str, number: int, gait: str) -> dict[str, Any]:
    """Distil one gait on one body and measure the motion."""
    from schemas.motion import Motion
    from stages.distill.params import Params
    from stages.distill.priors.embedded import bodies, data
    from stages.distill.stage import run
    from stages.distill.start import default_speed
    from stages.evaluate.gait import analyse, phases_right
    from stages.evaluate.loop import loop_gap
    from stages.rig.axes import limits

    body = bodies.random_body(number, "quadruped")
    body.rig.limits = limits(body.rig.roles, along=body.rig.tails - body.rig.positions).astype(np.float32)
    prompt, flags = f"an animal {gait}", dict(ARMS[arm])
    length = default_speed(body.rig, prompt)[0] * SECONDS
    if arm == "path":
        flags["path"] = " ".join(f"{x:.5f},{z:.5f}" for x, z in quarter_turn(body.rig, length))
    begin = time.process_time()
    motion = run(body.rig, bodies.as_splat(body), prompt, Params(device="cpu", **flags), prior=prior)
    cpu = time.process_time() - begin
    figures, gap = analyse(body.rig, motion), loop_gap(motion)
    shown = data.clip_of(body, gait, np.random.default_rng(0))
    truth = Motion(
        name="", prompt="", fps=motion.fps, joint_names=motion.joint_names,
        angles=shown.angles, root_positions=shown.root_positions, root_rotations=shown.root_rotations,
    )  # fmt: skip
    starts = motion.report.get("windows", {"starts": [0]})["starts"]
    longer = repeated(motion) if arm == "loop" else motion
    whole = [start for start in starts if 0 <= start <= longer.frame_count - 17]
    seconds = [analyse(body.rig, cut(motion, 16 * k, 17)) for k in range(SECONDS)] if motion.frame_count > 16 * SECONDS else []
    row = {
        "arm": arm, "body": number, "gait": gait, "got": figures["gait"], "label": figures["label"], "right": figures["gait"] == gait,
        "phases_right": phases_right(figures, gait), "seconds_right": [found["gait"] == gait for found in seconds],
        "seconds_phases": [phases_right(found, gait) for found in seconds],
        "agreement": [round(agreement(body.rig, cut(longer, start, 17), truth), 3) for start in whole],
        "slide": figures["slide"], "penetration": figures["penetration"], "period": figures["period"], "frames": motion.frame_count,
        "gap": dataclasses.asdict(gap) if gap else {}, "cpu_seconds": round(cpu, 2),
    }  # fmt: skip
    if seconds:
        row["seam"] = seam_jump(motion, [start + 8 for start in starts if 0 < start + 8 < motion.frame_count])
    if arm == "path":
        away, turned = off_circle(body.rig, motion, length)
        row |= {"off_path_m": away, "off_path_lengths": away / body.rig.length, "off_heading": turned, "path_m": length}
    return row


def totals(rows: list[dict[str, Any]], arm: str) -> dict[str, float]:
    """The figures of one arm, flat."""
    if not rows:
        return {}
    found: dict[str, float] = {"trials": len(rows), "right": sum(r["right"] for r in rows), "phases_right": sum(r["phases_right"] for r in rows)}
    found["agreement"] = float(np.mean([np.mean(r["agreement"]) for r in rows if r["agreement"]] or [math.nan]))
    for name in ("slide", "penetration", "cpu_seconds"):
        found[name] = float(np.mean([r[name] for r in rows]))
    if arm in ("plain", "loop"):
        for name in ("pose", "pose_inside", "velocity", "velocity_inside", "height", "root_velocity"):
            found[f"gap_{name}"] = float(np.mean([r["gap"][name] for r in rows]))
    else:
        found["seconds"] = sum(len(r["seconds_right"]) for r in rows)
        found["seconds_right"] = sum(map(sum, (r["seconds_right"] for r in rows)))
        found["seconds_phases_right"] = sum(map(sum, (r["seconds_phases"] for r in rows)))
        found["seam_jump"] = float(np.nanmean([r["seam"] for r in rows]))
    for name in ("off_path_m", "off_path_lengths", "off_heading"):
        if name in rows[0]:
            found[name] = float(np.mean([r[name] for r in rows]))
    return {f"{arm}_{name}": round(value, 4) for name, value in found.items() if not math.isnan(value)}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one flat JSON object on the last line")
    parser.add_argument("--out", type=Path, help="folder for the trials, which are then not computed again")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--bodies", default="100001,100002,100003")
    options = parser.parse_args()
    torch.set_num_threads(1)
    from stages.distill.priors.embedded.prior import EmbeddedPrior

    log = options.out / "trials.jsonl" if options.out else None
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in log.read_text().splitlines()] if log and log.exists() else []
    prior, figures = EmbeddedPrior(), {}
    for arm in options.arms.split(","):
        rows = []
        for number in map(int, options.bodies.split(",")):
            for gait in GAITS if arm != "path" else GAITS[:1]:
                known = [r for r in done if (r["arm"], r["body"], r["gait"]) == (arm, number, gait)] or [trial(prior, arm, number, gait)]
                rows.append(known[0])
                if log and known[0] not in done:
                    with log.open("a") as file:
                        file.write(json.dumps(known[0]) + "\n")
                print(f"{arm} {number} {gait}: {known[0]['got'] or known[0]['label']}, {known[0]['cpu_seconds']:.0f} CPU s", file=sys.stderr, flush=True)
        figures |= totals(rows, arm)
        if not options.json:
            print(f"| {arm} | " + ", ".join(f"{name.removeprefix(arm + '_')} {value:g}" for name, value in totals(rows, arm).items()) + " |", flush=True)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
