"""The export to MuJoCo: what loads, what it weighs, and that MuJoCo performs the same motion with the same controls."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from akd_cli import track as command
from schemas.errors import InputError
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.track import Track
from stages.track.body import GRAVITY, Body
from stages.track.mjcf import FRAME, HELP, depth_first, export, stepped
from stages.track.params import Params
from stages.track.softness import Softness, inverse_weights
from stages.track.stage import run
from stages.track.world import World

from .beasts import make_rig, quadruped, random_tree, trot

mujoco = pytest.importorskip("mujoco")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "track.md"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rig, Motion, Track]:
    rig = quadruped()
    motion = trot(rig, frames=49, fps=24.0)
    track = run(rig, motion, Params(iterations=60))
    path = tmp_path_factory.mktemp("export") / "track.xml"
    assert export(path, rig, motion, track) == [path, path.with_suffix(".npz")]
    return path, rig, motion, track


def test_mujoco_performs_two_seconds_of_the_trot(exported: tuple[Path, Rig, Motion, Track]) -> None:
    from .replay import replay

    played = replay(exported[0])
    assert len(played.joints) == 49
    assert played.error < 0.015
    assert played.worst[0] < 0.04


def test_the_model_is_the_simulated_body(exported: tuple[Path, Rig, Motion, Track]) -> None:
    path, rig, motion, track = exported
    model = mujoco.MjModel.from_xml_path(str(path))
    assert [model.body(i).name for i in range(1, model.nbody)] == [rig.joint_names[j] for j in depth_first(rig.parents)]
    assert model.nu == 3 * (rig.joint_count - 1) + len(HELP)
    assert model.opt.timestep == pytest.approx(track.time_step)
    assert model.body_subtreemass[1] == pytest.approx(track.report["mass"], rel=1e-6)
    data, reference = mujoco.MjData(model), np.load(path.with_suffix(".npz"))
    data.qpos = reference["qpos"][0]
    mujoco.mj_kinematics(model, data)
    assert np.abs(data.xpos[1] @ FRAME - track.root_positions[0]).max() < 1e-6
    # the motion's forward is the model's +x
    assert reference["qpos"][-1, 0] - reference["qpos"][0, 0] == pytest.approx(track.root_positions[-1, 2] - track.root_positions[0, 2], abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_inverse_weights_are_those_of_mujoco(seed: int, tmp_path: Path) -> None:
    rig = random_tree(seed, 5)
    rig.positions[:, 1] -= 4
    rig.cuboid_centers[:, 1] -= 4
    motion = trot(rig, frames=3)
    path = tmp_path / "tree.xml"
    export(path, rig, motion, run(rig, motion, Params(iterations=0, substeps=4)))
    model = mujoco.MjModel.from_xml_path(str(path))
    points, hinges = inverse_weights(stepped(Body.from_rig(rig, density=Params().density), Params(), float(model.opt.timestep)))
    order = depth_first(rig.parents)
    np.testing.assert_allclose(points[order], model.body_invweight0[1:, 0], rtol=1e-4)
    np.testing.assert_allclose(hinges[order[1:]].ravel(), model.dof_invweight0[6:], rtol=1e-4)


def test_the_page_replays_it_in_fewer_than_fifteen_lines(exported: tuple[Path, Rig, Motion, Track], monkeypatch: pytest.MonkeyPatch) -> None:
    snippet = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert snippet is not None
    code = snippet[1]
    assert code.count("\n") < 15
    monkeypatch.chdir(exported[0].parent)
    space: dict[str, object] = {}
    exec(code, space)
    track = exported[3]
    root = np.asarray(space["data"].qpos[:3]) @ FRAME  # type: ignore[attr-defined]
    assert np.abs(root - track.root_positions[-1]).max() < 0.05


def test_names_that_xml_cannot_hold_are_told_apart(tmp_path: Path) -> None:
    rig = quadruped()
    rig.joint_names[1:4] = ["a\x01", "a_", 'b<"&']
    motion = trot(rig, frames=2)
    path = tmp_path / "odd.xml"
    export(path, rig, motion, run(rig, motion, Params(iterations=0, substeps=4)))
    model = mujoco.MjModel.from_xml_path(str(path))
    assert {"a_", "a__", 'b<"&'} <= {model.body(i).name for i in range(1, model.nbody)}


def test_the_command_writes_both_files_beside_the_track(exported: tuple[Path, Rig, Motion, Track], tmp_path: Path) -> None:
    _, rig, motion, track = exported
    job = SimpleNamespace(path=lambda name: tmp_path / name, load={"rig": rig, "distill": motion, "track": track}.get)
    assert [path.name for path in command.export_as(job)] == ["track.xml", "track.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["track.npz", "track.xml"]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match="urdf"):
        command.track(export="urdf")


@pytest.mark.parametrize("height", [0.2, 2.0])
def test_a_foot_feels_the_same_ground_in_mujoco(height: float, tmp_path: Path) -> None:
    """A box that rests on four corners sinks as deep, and one that lands bounces as high."""
    table = [("box", -1, (0, 0.55 * height, 0), (0, 0, 0), (0.3 * height, 0.5 * height, 0.3 * height), "other")]
    rig = make_rig("box", [*table, ("knob", 0, (0, height, 0), (0, 0.02 * height, 0), (0.02 * height,) * 3, "other")])
    motion = trot(rig, frames=13, speed=0.0, lift=0.0)
    track = run(rig, motion, Params(iterations=0, grounding="none", stance=0))
    path = tmp_path / "box.xml"
    export(path, rig, motion, track)
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    for _ in range(round(0.75 / model.opt.timestep)):
        mujoco.mj_step(model, data)
    depth = 0.5 * height - data.qpos[2]
    assert 0 < depth == pytest.approx(0.5 * height - track.root_positions[-1, 1], rel=0.25)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_contacts_push_as_the_simulator_s_do_over_depth(scale: float) -> None:
    """MuJoCo's law, f = k r d^2 / ((1 - d) A D^2) with impedance d(r), against the kernel's spring."""
    body = Body.from_rig(quadruped(scale))
    world, step = World.of(body, friction=0.8, upright=1.7), 0.009 * min(body.time, 0.25)
    soft = Softness.of(body, world, step, body.gains(1.25, 0.17)[0])
    for shares in (0.05, 0.25, 1.0):
        load = shares * body.mass * GRAVITY
        depth = (load + np.sqrt(load**2 + 4 * world.contact_stiffness * load * world.contact_ease)) / (2 * world.contact_stiffness)
        k, _, least, most, width, _, power = soft.contacts.T
        impedance = least + (most - least) * (1 - (1 - np.minimum(depth / width, 1)) ** power)
        force = k * depth * impedance**2 / ((1 - impedance) * inverse_weights(body)[0] * most**2)
        assert np.abs(np.log(force / load)).max() < np.log(1.8)


def test_ice_can_be_exported(tmp_path: Path) -> None:
    rig = quadruped()
    motion = trot(rig, frames=3)
    path = tmp_path / "ice.xml"
    export(path, rig, motion, run(rig, motion, Params(iterations=0, substeps=8, friction=0.0)))
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_step(model, data, 100)
    assert np.isfinite(data.qpos).all()
