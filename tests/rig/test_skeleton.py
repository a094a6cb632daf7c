"""Cleaning of real-world skeletons, joint frames, limits and cuboids."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.roles import SEGMENTS, TRUNK
from stages.rig import cuboids
from stages.rig.axes import frames, limits
from stages.rig.segments import distance_to_bones
from stages.rig.skeleton import Joints, bone_axis, clean, guess_tails
from tests.skin.shapes import joined, tube


def joints(names: list[str], parents: list[int], positions: list[tuple[float, float, float]], weights: np.ndarray | None = None) -> Joints:
    count = len(names)
    return Joints(
        names, np.array(parents, np.int32), np.array(positions, float), np.tile(np.eye(3), (count, 1, 1)), [""] * count, np.full((count, 3), np.nan), weights
    )


def banded(points: np.ndarray, count: int, columns: dict[int, tuple[float, float]]) -> np.ndarray:
    """Weights of 1 for joint `column` where low <= y < high."""
    weights = np.zeros((len(points), count))
    for column, (low, high) in columns.items():
        weights[(points[:, 1] >= low) & (points[:, 1] < high), column] = 1
    return weights


def test_useless_joints_go_and_the_end_marks_the_tip() -> None:
    points, faces = tube()
    given = joints(
        ["Armature", "low", "high", "high_end", "Pole", "IK", "IK_end"],
        [-1, 0, 1, 2, 0, 0, 5],
        [(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 1.7, 0), (1, 1, 1), (2, 0, 0), (2, 1, 0)],
    )
    given.weights = banded(points, 7, {1: (-1, 1), 2: (1, 3)})
    cleaned = clean(given, points, faces)
    assert cleaned.names == ["low", "high"]
    np.testing.assert_array_equal(cleaned.parents, [-1, 0])
    np.testing.assert_allclose(guess_tails(cleaned, points), [(0, 1, 0), (0, 1.7, 0)])
    assert len(cleaned.notes) == 2 and "Pole" in cleaned.notes[0] and "Armature" in cleaned.notes[1]


def test_foot_that_hangs_on_the_root_is_attached_to_its_leg() -> None:
    left, right = tube(), tube()
    points, faces = joined((left[0] + (0.5, 0, 0), left[1]), (right[0] - (0.5, 0, 0), right[1]))
    names = ["root", "hips", "thigh.L", "shin.L", "thigh.R", "shin.R", "foot.L", "foot.R"]
    given = joints(
        names,
        [-1, 0, 1, 2, 1, 4, 0, 0],
        [(0, 0, 0), (0, 2, 0), (0.5, 1.9, 0), (0.5, 1.0, 0), (-0.5, 1.9, 0), (-0.5, 1.0, 0), (0.5, 0.3, 0), (-0.5, 0.3, 0)],
    )
    weights = banded(points, 8, {1: (1.9, 3), 2: (1, 1.9), 3: (0.3, 1), 6: (-1, 0.3)})
    other = points[:, 0] < 0
    weights[other] = weights[other][:, [0, 1, 4, 5, 2, 3, 7, 6]]
    given.weights = weights
    cleaned = clean(given, points, faces)
    parent = {name: cleaned.names[p] if p >= 0 else None for name, p in zip(cleaned.names, cleaned.parents, strict=True)}
    assert parent["foot.L"] == "shin.L" and parent["foot.R"] == "shin.R" and parent["hips"] is None
    assert (cleaned.parents[1:] < np.arange(1, len(cleaned.parents))).all()


def test_bone_axis_is_read_from_the_file() -> None:
    given = joints(["a", "b", "c"], [-1, 0, 1], [(0, 0, 0), (0, 1, 0), (0, 2, 0)])
    np.testing.assert_array_equal(bone_axis(given), [0, 1, 0])
    turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # local -x is world +y
    given.rotations = np.tile(turn, (3, 1, 1))
    np.testing.assert_array_equal(bone_axis(given), [-1, 0, 0])
    given.rotations = np.stack([np.eye(3), turn, turn])
    assert bone_axis(given) is None


def test_leaf_reaches_to_its_vertices() -> None:
    points, _ = tube()
    given = joints(["a", "b"], [-1, 0], [(0, 0, 0), (0, 1, 0)], banded(points, 2, {0: (-1, 1), 1: (1, 3)}))
    assert 1.8 < guess_tails(given, points)[1, 1] <= 2.0
    given.weights = None
    np.testing.assert_allclose(guess_tails(given, points)[1], (0, 1.5, 0))


def test_distance_to_bones_by_hand() -> None:
    gaps = distance_to_bones(np.array([[1.0, 1, 0]]), np.zeros((2, 3)), np.array([[0.0, 2, 0], [0, 0, 0]]))
    np.testing.assert_allclose(gaps, [[1, np.sqrt(2)]])


def test_frames_follow_the_bone_and_mirror() -> None:
    rng = np.random.default_rng(0)
    tails = rng.normal(size=(40, 3))
    turns = frames(np.full(40, -1), np.zeros((40, 3)), tails)
    np.testing.assert_allclose(np.einsum("jik,jil->jkl", turns, turns), np.tile(np.eye(3), (40, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    np.testing.assert_allclose(turns[:, :, 1], tails / np.linalg.norm(tails, axis=1, keepdims=True))
    # mirrored bones swing alike: reflecting X reflects the axes, with the swing axis (an axial vector) turned round
    mirrored = frames(np.full(40, -1), np.zeros((40, 3)), tails * (-1, 1, 1))
    np.testing.assert_allclose(mirrored[:, :, 0], turns[:, :, 0] * (1, -1, -1), atol=1e-12)


def test_frames_of_known_bones() -> None:
    heads = np.zeros((4, 3))
    turns = frames(np.array([-1, 0, 1, 2]), heads, np.array([[0.0, -1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]]))
    np.testing.assert_allclose(turns[0].T, [[1, 0, 0], [0, -1, 0], [0, 0, -1]], atol=1e-12)
    np.testing.assert_allclose(turns[1][:, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(turns[2][:, 0], [0, 1, 0], atol=1e-12)  # an arm to the left swings about the upright axis
    np.testing.assert_allclose(turns[3][:, 1], turns[2][:, 1])  # no length: as its parent


def test_limits_are_ordered_and_mirrored() -> None:
    roles = [
        "",
        *TRUNK,
        "",
        *[f"{side}_{limb}_{segment}" for limb in ("fore", "hind", "arm", "wing", "leg3") for segment in SEGMENTS for side in ("left", "right")],
    ]
    found = limits(roles)
    assert (found[..., 0] <= 0).all() and (found[..., 1] >= 0).all() and (found[..., 0] < found[..., 1]).all()
    left, right = found[roles.index("left_hind_upper")], found[roles.index("right_hind_upper")]
    np.testing.assert_allclose(left[:2], right[:2])
    np.testing.assert_allclose(left[2], -right[2, ::-1])
    knee = found[roles.index("left_hind_lower")][0]
    assert knee[1] > 2 and -knee[0] < 1  # bends backward
    np.testing.assert_allclose(limits(roles, "free")[5], [[-np.pi, np.pi]] * 3)


@pytest.mark.parametrize("weighted", [True, False])
def test_cuboids_hold_the_vertices_and_stand_on_the_ground(weighted: bool) -> None:
    points, faces = tube(radius=0.2)
    heads, tails = np.array([[0.0, 1.9, 0], [0, 1.1, 0], [0, 0.15, 0]]), np.array([[0.0, 1.1, 0], [0, 0.15, 0], [0, 0.05, 0.15]])
    parents = np.array([-1, 0, 1])
    weights = banded(points, 3, {0: (1.1, 3), 1: (0.15, 1.1), 2: (-1, 0.15)}) if weighted else None
    roles = ["left_hind_upper", "left_hind_lower", "left_hind_foot"]
    centers, half, turns = cuboids.fit(parents, heads, tails, frames(parents, heads, tails), roles, points, weights)
    local = np.einsum("jik,vji->vjk", turns, points[:, None] - centers[None])
    assert (np.abs(local) <= half + 0.02).all(2).any(1).mean() > 0.9
    lowest = centers[:, 1] - np.einsum("jk,jk->j", np.abs(turns[:, 1]), half)
    assert lowest.min() == pytest.approx(0, abs=1e-6) and lowest.argmin() == 2
    np.testing.assert_allclose(turns[2][:, 1], [0, 1, 0])
    np.testing.assert_allclose(half[:2, [0, 2]], 0.2, atol=0.02)


def test_cuboids_are_never_flat() -> None:
    points, _ = tube()
    heads = np.array([[0.0, 1, 0], [5, 1, 5]])
    centers, half, _ = cuboids.fit(np.array([-1, 0]), heads, heads, np.tile(np.eye(3), (2, 1, 1)), ["", ""], points * (1, 1, 0))
    assert np.isfinite(centers).all() and half.min() > 1e-3


@pytest.mark.parametrize(("raised", "lower", "upper"), [(0, -170, 10), (45, -125, 55), (90, -80, 100), (110, -60, 120)])
def test_arms_are_lowered_to_the_body_and_no_further(raised: float, lower: float, upper: float) -> None:
    along = np.array([np.sin(np.radians(raised)), -np.cos(np.radians(raised)), 0.0])
    roles = ["pelvis", "left_arm_upper", "right_arm_upper"]
    found = np.degrees(limits(roles, along=np.array([[0, 1, 0], along, along * [-1, 1, 1]])))
    np.testing.assert_allclose(found[1, 2], [lower, upper], atol=1e-9)
    np.testing.assert_allclose(found[2, 2], [-upper, -lower], atol=1e-9)
    # the sign is that of the joint's own axis: the upper bound brings the arm a little past hanging, to the body's middle
    turn = frames(np.array([-1, 0]), np.zeros((2, 3)), np.array([[0.0, 1, 0], along]))[1]
    angle = np.radians(upper)
    axis = turn[:, 2]
    lowered = along * np.cos(angle) + np.cross(axis, along) * np.sin(angle) + axis * (axis @ along) * (1 - np.cos(angle))
    np.testing.assert_allclose(lowered, [-np.sin(np.radians(10)), -np.cos(np.radians(10)), 0], atol=1e-9)
