"""Benchmark of the simulator and the stage track: `python -m tests.bench.track --json`.

The same 17-bone body, dropped on its feet, is stepped by ours, by MuJoCo and, where it is installed, by Newton in one
process; figures are medians of process time on one thread, in microseconds a step. Then the stage tracks the 2 s trot of
tests/track/beasts.py for 200 iterations, three times: with feet that stay put and carry the body as far as they reach (the
default), with the feet and the way of the motion, and with feet that stay put on the way of the motion; MuJoCo replays each
from its export.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from stages.track.body import Body
from stages.track.mjcf import export
from stages.track.params import Params
from stages.track.simulator import Simulator
from stages.track.stage import run
from tests.bench import _newton
from tests.track.beasts import quadruped, random_tree, trot
from tests.track.oracle import mjcf
from tests.track.replay import replay

_STEPS, _TIME_STEP = 480, 0.002
_BONES, _LENGTHS, _WORLDS = (10, 30, 100), (120, 480, 1920), (1, 4, 16)


def measure(repeats: int, newton: bool = True) -> dict[str, Any]:
    """All figures; `repeats` runs of each engine."""
    torch.set_num_threads(1)
    rig = quadruped()
    body = Body.from_rig(rig)
    stiffness, damping = body.gains(Params().gain, Params().damping)
    text = mjcf(body, contact=True, stiffness=stiffness, damping=damping)
    step = _side_by_side(body, text, repeats)
    figures: dict[str, Any] = {
        "name": "track", "bones": len(body.parents), "steps": _STEPS, "repeats": repeats,
        "us_per_step_forward": step["forward"], "us_per_step_backward": step["backward"], "us_per_mj_step": step["mujoco"],
        "ratio_to_mj_step": step["mujoco"] / step["forward"],
    }  # fmt: skip
    if newton:
        figures |= _newton.measure(text, body.height, _TIME_STEP, 3)
    theirs = figures.get("newton_featherstone_forward_us"), figures.get("newton_featherstone_backward_us")
    ours = step["forward"] + step["backward"]
    figures["ratio_newton_featherstone"] = sum(theirs) / ours if None not in theirs else None
    return figures | _scaling() | _tracking()


def _side_by_side(body: Body, text: str, repeats: int) -> dict[str, float]:
    """Microseconds a step: ours forward and backward, and mj_step, alternately."""
    import mujoco

    simulator = _dropped(body, _STEPS)
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    times: dict[str, list[float]] = {"forward": [], "backward": [], "mujoco": []}
    for repeat in range(repeats):
        _forward_backward(simulator, times)
        mujoco.mj_resetData(model, data)
        data.qpos[:7] = [0, body.height, 0, 1, 0, 0, 0]
        with _Clock(times["mujoco"]):
            for _ in range(_STEPS):
                mujoco.mj_step(model, data)
        print(f"{repeat + 1}/{repeats}", file=sys.stderr)
    return {name: 1e6 * statistics.median(values) / _STEPS for name, values in times.items()}


def _scaling() -> dict[str, float]:
    """Microseconds a step and world, forward and backward together, over bones, steps and worlds."""
    cases = {f"bones_{count}": (Body.from_rig(random_tree(0, count)), 240, 1) for count in _BONES}
    dog = Body.from_rig(quadruped())
    cases |= {f"steps_{steps}": (dog, steps, 1) for steps in _LENGTHS} | {f"worlds_{worlds}": (dog, 240, worlds) for worlds in _WORLDS}
    figures = {}
    for name, (body, steps, worlds) in cases.items():
        simulator, times = _dropped(body, steps, worlds), {"forward": [], "backward": []}
        for _ in range(4):
            _forward_backward(simulator, times)
        figures[f"us_per_step_{name}"] = 1e6 * sum(statistics.median(values[1:]) for values in times.values()) / steps / worlds
    return figures


def _tracking() -> dict[str, Any]:
    """The stage on the 2 s trot."""
    rig = quadruped()
    motion = trot(rig, frames=49, fps=24.0)
    figures: dict[str, Any] = {}
    for name, params in (("", Params()), ("_own_feet", Params(stance=0.0, slip=0.0, travel="given")), ("_own_way", Params(travel="given"))):
        began = time.process_time()
        track = run(rig, motion, params)
        seconds, report = time.process_time() - began, track.report
        figures |= {
            f"seconds_200_iterations{name}": seconds, f"corner_rmse_cm{name}": 100 * report["corner_rmse"],
            f"corner_rmse_moved_cm{name}": 100 * report["corner_rmse_moved"], f"penetration_mean_mm{name}": 1e3 * report["after"]["penetration_mean"],
            f"penetration_max_mm{name}": 1e3 * report["penetration_max_steps"], f"slide_m_s{name}": report["stance_slide"],
            f"foot_slide_before_m_s{name}": report["feet"]["slide_before"], f"foot_slide_after_m_s{name}": report["feet"]["slide_after"],
            f"torque_max_mgh{name}": report["torque_max"] / report["torque_unit"], f"failed{name}": report["failed"],
            f"help_left{name}": report["help_left"], f"help_mean_mgh{name}": report["help_mean"],
        }  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            played = replay(export(Path(folder) / "track.xml", rig, motion, track)[0])
        figures |= {f"mjcf_replay_error_cm{name}": 100 * played.error, f"mjcf_replay_worst_cm{name}": 100 * played.worst[0]}
    return figures


def _dropped(body: Body, steps: int, worlds: int = 1) -> Simulator:
    """A simulator of the body standing at rest."""
    simulator = Simulator(body, steps=steps, time_step=_TIME_STEP, hold=4, worlds=worlds, upright=1.7, clip=0.02)
    simulator.start(np.array([0, body.height, 0]), np.array([0, 0, 0, 1]), np.zeros((len(body.parents), 3)))
    return simulator


def _forward_backward(simulator: Simulator, times: dict[str, list[float]]) -> None:
    """Add the process times of one run. [s]"""
    bones, worlds = len(simulator.body.parents), simulator.worlds
    inputs = (torch.zeros(simulator.knots, worlds, bones, 3), torch.zeros(worlds, 3), torch.zeros(worlds, 3), torch.zeros(worlds, bones, 3))
    with _Clock(times["forward"]):
        simulator.forward(*inputs)
    with _Clock(times["backward"]):
        simulator.zero_grad()
        simulator.grad.joint[-1] = 1.0
        simulator.backward()


class _Clock:
    """Appends the process time of a block. [s]"""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def __enter__(self) -> None:
        self.began = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.values.append(time.process_time() - self.began)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--repeats", type=int, default=15, help="runs of each engine")
    parser.add_argument("--no-newton", action="store_true", help="leave Newton out: it compiles its kernels for a minute")
    args = parser.parse_args()
    figures = measure(args.repeats, not args.no_newton)
    print(json.dumps(figures) if args.json else "\n".join(f"{key:40s} {value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
