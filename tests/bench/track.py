"""Benchmark of the simulator and the stage track: `python -m tests.bench.track --json`.

The same 17-bone body, dropped on its feet, is stepped by ours and by MuJoCo alternately in one process; figures are
medians of process time on one thread. `optimise_s` is one real run of 200 iterations over a 17-frame clip.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from stages.track.body import Body
from stages.track.params import Params
from stages.track.simulator import Simulator
from stages.track.stage import run
from tests.track.beasts import quadruped, trot
from tests.track.oracle import mjcf

_STEPS = 480


def measure(repeats: int) -> dict[str, float | int | str | bool]:
    """Step both engines `repeats` times over 480 steps, then run the stage."""
    import mujoco

    torch.set_num_threads(1)
    rig = quadruped()
    body = Body.from_rig(rig)
    began = time.process_time()
    simulator = Simulator(body, steps=_STEPS, time_step=0.002, hold=4, upright=1.7, clip=0.02)
    simulator.start(rig.positions[0], [0, 0, 0, 1], np.zeros((17, 3)))
    bones = len(body.parents)
    inputs = (torch.zeros(simulator.knots, 1, bones, 3), torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, bones, 3))
    simulator.forward(*inputs)
    first = time.process_time() - began
    stiffness, damping = body.gains(Params().gain, Params().damping)
    model = mujoco.MjModel.from_xml_string(mjcf(body, contact=True, stiffness=stiffness, damping=damping))
    data = mujoco.MjData(model)
    times: dict[str, list[float]] = {"forward": [], "backward": [], "mujoco": []}
    for repeat in range(repeats):
        with _Clock(times["forward"]):
            simulator.forward(*inputs)
        with _Clock(times["backward"]):
            simulator.zero_grad()
            simulator.grad.joint[-1] = 1.0
            simulator.backward()
        mujoco.mj_resetData(model, data)
        data.qpos[:7] = [*rig.positions[0], 1, 0, 0, 0]
        with _Clock(times["mujoco"]):
            for _ in range(_STEPS):
                mujoco.mj_step(model, data)
        print(f"{repeat + 1}/{repeats}", file=sys.stderr)
    motion = trot(rig)
    wall, cpu = time.perf_counter(), time.process_time()
    track = run(rig, motion, Params())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    step = {name: 1e6 * statistics.median(values) / _STEPS for name, values in times.items()}
    return {
        "name": "track", "bones": bones, "steps": _STEPS, "repeats": repeats, "mujoco_contacts": int(data.ncon),
        "first_launch_cpu_s": first, "forward_us": step["forward"], "backward_us": step["backward"], "mujoco_step_us": step["mujoco"],
        "forward_speedup_over_mujoco": step["mujoco"] / step["forward"],
        "optimise_iterations": track.report["iterations"], "optimise_frames": motion.frame_count, "optimise_substeps": track.report["substeps"],
        "optimise_cpu_s": cpu, "optimise_wall_s": wall, "corner_rmse_m": track.report["corner_rmse"],
        "corner_rmse_start_m": track.report["corner_rmse_before"], "failed": track.report["failed"],
    }  # fmt: skip


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
    args = parser.parse_args()
    figures = measure(args.repeats)
    print(json.dumps(figures) if args.json else "\n".join(f"{key:30s} {value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
