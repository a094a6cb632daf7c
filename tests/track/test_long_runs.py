"""Ten thousand steps on the built-in bodies and on artists' skeletons; AKD_SEEDS=8 for as many random controls of each."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from schemas.rig import Rig
from stages.asset.library import NAMES
from stages.asset.stage import run as asset_stage
from stages.rig.stage import run as rig_stage
from stages.track.body import Body
from stages.track.params import Params
from stages.track.simulator import Simulator

# the rigged models; those that `akd rig` must rig lie in a folder below
FOLDER = os.environ.get("AKD_TEST_ASSETS", "")
FILES = sorted(Path(FOLDER).glob("*.glb")) if FOLDER else []
SEEDS = int(os.environ.get("AKD_SEEDS", "1"))


def _stay_finite(rig: Rig) -> None:
    """All runs of a body."""
    for seed in range(SEEDS):
        _stays_finite(rig, seed)


def _stays_finite(rig: Rig, seed: int) -> None:
    """10,000 steps under random controls, from standing; 1,000 at a time."""
    body, params = Body.from_rig(rig), Params()
    count = rig.joint_count
    simulator = Simulator(
        body, steps=1000, time_step=0.009 * body.time, hold=50, gain=params.gain, damping=params.damping, upright=params.upright,
        effort=params.effort, gradients=False,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    simulator.start([0, body.height, 0], Rotation.from_matrix(body.frames[0]).as_quat(), np.zeros((count, 3)))
    velocity, spin, rate = torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, count, 3)
    up = simulator.physics.up
    for _ in range(10):
        simulator.forward(0.6 * torch.randn(simulator.control.shape, generator=generator), velocity, spin, rate)
        last = {name: getattr(simulator, name)[-1].clone() for name in ("position", "rotation", "angle", "velocity", "spin", "rate")}
        assert all(torch.isfinite(value).all() for value in last.values()), (rig.name, seed)
        simulator.start(last["position"][0].numpy(), last["rotation"][0].numpy(), last["angle"][0].numpy())
        simulator.physics.up = up
        velocity, spin, rate = last["velocity"], last["spin"], last["rate"]
    assert last["velocity"].abs().max() * body.time < 20 * body.height
    assert -body.height < float(last["position"][0, 1]) < 10 * body.height


@pytest.mark.parametrize("name", NAMES)
def test_built_in_bodies_stay_finite(name: str) -> None:
    _stay_finite(rig_stage(asset_stage(name)))


@pytest.mark.skipif(not FILES, reason="AKD_TEST_ASSETS names no folder with models")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_artists_bodies_stay_finite(path: Path) -> None:
    _stay_finite(rig_stage(asset_stage(path)))
