"""Inverse kinematics: its equations against finite differences, poses found again, and feet that are planted by poses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from schemas.rig import Rig
from stages.track import inverse
from stages.track.body import Body
from stages.track.feet import corrections, feet_of, plant, schedule
from stages.track.objective import Target

from .beasts import quadruped, random_tree, trees, trot


def _drawn(body: Body, seed: int, frames: int = 2, bend: float = 0.3) -> inverse.Poses:
    rng = np.random.default_rng(seed)
    angles = bend * rng.normal(size=(frames, len(body.parents), 3))
    angles[:, 0] = 0
    return inverse.Poses(rng.normal(size=(frames, 3)), Rotation.random(frames, rng=rng).as_matrix(), angles)


def _corners(body: Body, poses: inverse.Poses) -> np.ndarray:
    placed = inverse.place(body, poses)
    return placed.joints[:, :, None] + body.corners @ placed.turns.swapaxes(-1, -2)


@pytest.mark.parametrize("rig", [quadruped(), random_tree(0, 9)], ids=["dog", "tree"])
def test_normal_equations_are_those_of_finite_differences(rig: Rig) -> None:
    body, rng = Body.from_rig(rig), np.random.default_rng(1)
    poses, size, step = _drawn(body, 0), 3 + 3 * len(body.parents), 1e-6
    weights, wanted = rng.uniform(0.5, 2, (2, len(body.parents))), rng.normal(size=(2, len(body.parents), 4, 3))
    placed = inverse.place(body, poses)
    matrix, pull = inverse.normal_equations(body, placed, wanted, weights)
    columns = []
    for way in np.eye(size):
        ahead, back = (inverse.place(body, poses.moved(np.tile(sign * step * way, (2, 1)), body)).boxes for sign in (1, -1))
        columns.append(((ahead - back) / (2 * step)).reshape(2, -1))
    jacobian, each = np.stack(columns, -1), np.repeat(weights, 12, 1)
    np.testing.assert_allclose(matrix, np.einsum("frd,fr,fre->fde", jacobian, each, jacobian), atol=1e-7 * np.abs(matrix).max())
    away = (wanted - placed.boxes).reshape(2, -1)
    np.testing.assert_allclose(pull, np.einsum("frd,fr->fd", jacobian, each * away), atol=1e-7 * np.abs(pull).max())


@settings(max_examples=20)
@given(trees(), st.integers(0, 2**16))
def test_a_pose_is_found_again_from_its_corners(rig: Rig, seed: int) -> None:
    body = Body.from_rig(rig)
    there, rng = _drawn(body, seed), np.random.default_rng(seed)
    turned = Rotation.from_rotvec(0.2 * rng.normal(size=(2, 3))).as_matrix() @ there.turn
    begin = inverse.Poses(there.root + 0.05, turned, np.clip(there.angles + 0.1 * rng.normal(size=there.angles.shape), *np.moveaxis(body.limits, -1, 0)))
    wanted, weights = _corners(body, there), np.ones((2, len(body.parents)))

    def away(joints: np.ndarray, turns: np.ndarray) -> float:
        return float(np.sqrt(((joints[:, :, None] + body.corners @ turns.swapaxes(-1, -2) - wanted) ** 2).sum(-1).mean()))

    before = inverse.place(body, begin)
    joints, turns, angles = inverse.fit(body, begin, wanted, weights)
    # not exactly: joints also hold on to where they were, which small bones feel
    assert away(joints, turns) < 0.2 * away(before.joints, before.turns)
    assert (angles >= body.limits[..., 0] - 1e-9).all()
    assert (angles <= body.limits[..., 1] + 1e-9).all()


def test_locked_axes_stay_and_limits_hold() -> None:
    rig = quadruped()
    knee = rig.joint_names.index("left_fore_lower")
    rig.limits[knee] = [[-0.1, 0.1], [0, 0], [0, 0]]
    body = Body.from_rig(rig)
    poses = inverse.Poses(np.tile(rig.positions[0], (1, 1)).astype(float), body.frames[:1], np.zeros((1, rig.joint_count, 3)))
    bent = poses.angles.copy()
    bent[0, knee] = [0.8, 0.3, -0.3]
    _, _, angles = inverse.fit(body, poses, _corners(body, inverse.Poses(poses.root, poses.turn, bent)), np.ones((1, rig.joint_count)))
    assert angles[0, knee, 0] == pytest.approx(0.1)
    np.testing.assert_array_equal(angles[0, knee, 1:], 0)


def test_the_target_is_a_pose_whose_standing_feet_are_planted() -> None:
    rig = quadruped()
    motion, body = trot(rig, frames=49, fps=24.0), Body.from_rig(rig)
    target = Target.from_motion(rig, motion, body, stance=4.0)
    own = target.joint[:, :, None] + (target.turn[:, :, None] @ np.array(body.corners, np.float32)[None, ..., None])[..., 0]
    np.testing.assert_allclose(own, target.corners, atol=1e-5)
    here, later = target.contacts.points(target.corners.numpy())
    speed = np.linalg.norm((later - here)[..., [0, 2]], axis=-1)[target.contacts.held] * 24
    given_here, given_later = target.contacts.points(target.given.numpy())
    slid = np.linalg.norm((given_later - given_here)[..., [0, 2]], axis=-1)[target.contacts.held] * 24
    assert slid.mean() > 0.3
    assert speed.mean() < 0.04
    # and close to what planting by moving corners asks for
    root = target.given.numpy()[:, 0].mean(1)
    given, ahead = target.given.numpy(), np.tile([0.0, 0, 1], (49, 1))
    contacts = schedule(feet_of(rig, body), given, root, ahead, 24.0, body.height)
    planted = plant(contacts, given + corrections(contacts, given, root, ahead, body.time * 24)[:, None, None], 0.05 * body.height)
    assert np.sqrt(((target.corners.numpy() - planted) ** 2).sum(-1).mean()) < 0.01


def test_the_matrix_of_a_hundred_bones_is_positive() -> None:
    body = Body.from_rig(random_tree(0, 100))
    poses = _drawn(body, 0, bend=0.1)
    matrix, _ = inverse.normal_equations(body, inverse.place(body, poses), inverse.place(body, poses).boxes, np.ones((2, 100)))
    assert matrix.shape == (2, 303, 303)
    np.testing.assert_allclose(matrix, matrix.swapaxes(-1, -2), atol=1e-12 * np.abs(matrix).max())
    assert np.linalg.eigvalsh(matrix).min() > -1e-9 * np.abs(matrix).max()


_FIT = """
import hashlib
import numpy as np
from stages.repeatable import one_torch_thread
from stages.track import inverse
from stages.track.body import Body
from tests.track.beasts import random_tree

body = Body.from_rig(random_tree(0, 60))
angles = 0.1 * np.random.default_rng(0).normal(size=(4, 60, 3))
there = inverse.place(body, inverse.Poses(np.zeros((4, 3)), np.tile(np.eye(3), (4, 1, 1)), angles))
begin = inverse.Poses(np.zeros((4, 3)), np.tile(np.eye(3), (4, 1, 1)), np.zeros((4, 60, 3)))
with one_torch_thread():
    found = inverse.fit(body, begin, there.joints[:, :, None] + body.corners @ there.turns.swapaxes(-1, -2), np.ones((4, 60)))
print(hashlib.sha256(found[2].tobytes()).hexdigest())
"""


def test_the_poses_are_the_same_with_any_number_of_threads() -> None:
    root = str(Path(__file__).resolve().parents[2])
    digests = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        digests.add(subprocess.run([sys.executable, "-c", _FIT], env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1
