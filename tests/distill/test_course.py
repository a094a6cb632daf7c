"""Paths: arc length against circles and lines, rigid transforms against their inverses, what users get wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import InputError, MissingError
from schemas.motion import Motion
from stages.body import quaternion
from stages.body.kinematics import Skeleton, forward
from stages.distill.course import Course, Curve, Trail, along, as_text, read_points, trail_of

from . import beast


def circle(points: int, radius: float = 2.0) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, points + 1)
    return radius * np.stack([np.sin(turn), np.cos(turn)], 1)


def test_a_line_is_followed_by_its_length_and_beyond():
    curve = Curve(np.array([[3.0, 4.0], [6.0, 8.0]]), start=np.zeros(2))
    assert curve.length == pytest.approx(10)
    points, headings = curve.at(np.array([-1.0, 0, 2.5, 10, 12]))
    assert points == pytest.approx(np.outer([-1, 0, 2.5, 10, 12], [0.6, 0.8]), abs=1e-9)
    assert headings == pytest.approx(np.full(5, np.arctan2(0.6, 0.8)))
    assert curve.tightest() > 1e6


def test_a_circle_is_walked_at_constant_speed_and_again():
    curve = Curve(circle(24))
    assert curve.closed and curve.length == pytest.approx(4 * np.pi, rel=1e-4) and curve.tightest() == pytest.approx(2, rel=0.01)
    along = np.linspace(0, 1.5 * curve.length, 97)
    points, headings = curve.at(along)
    assert np.linalg.norm(points, axis=1) == pytest.approx(2, rel=1e-4)
    chords = np.linalg.norm(np.diff(points, axis=0), axis=1)
    step = along[1] / 2
    assert chords == pytest.approx(np.full(96, 4 * np.sin(step / 2)), rel=1e-4)
    assert headings == pytest.approx(np.pi / 2 + along / 2, abs=2e-3)  # it starts at +Z and goes to +X


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=8, unique=True), st.floats(0.05, 0.6))
@example([(0, 0), (0, 1), (4, -7), (-9, 18), (0, 2)], 0.25)  # nearly a cusp
def test_equal_steps_of_arc_length_are_nearly_equal_on_the_ground(points, step):
    curve = Curve(np.array(points, float))
    places = np.arange(0, curve.length, step / 50)
    walked, _ = curve.at(places)
    lengths = np.linalg.norm(np.diff(walked, axis=0), axis=1)
    assert lengths.max() <= step / 50 * (1 + 1e-3) + 1e-4
    assert lengths.sum() == pytest.approx(places[-1] if len(places) > 1 else 0, rel=2e-3, abs=step / 50)


def walk(frames: int, seed: int = 0) -> tuple[Skeleton, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    line = torch.stack([torch.zeros(frames), torch.full((frames,), 0.9), torch.linspace(0, 3, frames)], 1)
    positions = line + 0.1 * torch.randn(frames, 3, generator=generator)
    turns = quaternion.from_rotation_vector(0.3 * torch.randn(frames, 3, generator=generator))
    skeleton = Skeleton.from_rig(beast.rig())
    return skeleton, 0.3 * torch.randn(frames, len(skeleton.parents), 3, generator=generator), positions, turns, line


def test_a_first_point_that_means_the_start_is_no_detour():
    points = np.array([[0.004, -0.003], [0.0, 1.0], [1.0, 2.0]])
    curve = Curve(points, start=np.zeros(2), near=0.02)
    plain = Curve(points[1:], start=np.zeros(2))
    assert curve.length == pytest.approx(plain.length) and curve.tightest() == pytest.approx(plain.tightest())
    assert Curve(points, start=np.zeros(2)).tightest() < 0.1 * plain.tightest(), "what it would be"
    assert Curve(np.array([[0.0, 1.0], [1.0, 1.0], [0.01, 0.0]]), start=np.zeros(2), near=0.02).closed


def test_laying_and_lifting_are_inverse_and_agree_with_whole_poses():
    skeleton, angles, positions, turns, line = walk(9)
    course = along(Curve(np.array([[1.0, 2.0], [3.0, 2.0]]), start=np.zeros(2)), 1.0, 3.0, np.arange(9))
    laid, turned = course.lay(positions, turns, line)
    back, straight = course.lift(laid, turned, line)
    assert torch.allclose(back, positions, atol=1e-5) and torch.allclose(straight, turns, atol=1e-5)
    assert torch.equal(laid[:, 1], positions[:, 1]), "heights stay"
    direct = forward(skeleton, angles, laid, quaternion.to_matrix(turned))
    whole = course.lay_pose(forward(skeleton, angles, positions, quaternion.to_matrix(turns)), line)
    for name in ("rotations", "translations", "joints"):
        assert torch.allclose(getattr(direct, name), getattr(whole, name), atol=1e-5), name


def test_the_straight_path_changes_nothing():
    _, _, positions, turns, line = walk(9)
    course = Course(line * torch.tensor([1.0, 0, 1]), torch.zeros(9))
    laid, turned = course.lay(positions, turns, line)
    assert torch.allclose(laid, positions, atol=1e-6) and torch.allclose(turned, turns, atol=1e-6)


def motion(points: np.ndarray, yaw: np.ndarray, fps: float = 16.0) -> Motion:
    frames = len(points)
    half = 0.5 * yaw
    return Motion(
        name="beast", prompt="p", fps=fps, joint_names=list(beast.rig().joint_names), angles=np.zeros((frames, 16, 3)),
        root_positions=np.stack([points[:, 0], np.full(frames, 0.9), points[:, 1]], 1),
        root_rotations=np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], 1), report={},
    )  # fmt: skip


def test_the_trail_of_a_straight_walk_is_a_line_and_that_of_a_circle_a_circle():
    time = np.arange(33) / 16
    sway = 0.05 * np.sin(2 * np.pi * time / 1.0)
    trail, speed = trail_of(motion(np.stack([sway, 0.8 * time], 1), sway))
    points, headings = trail.at(np.array([0.0, 0.4, 2.0]))
    assert speed == pytest.approx(0.8, rel=0.05) and np.ptp(headings) == 0 and abs(headings[0]) < 0.02
    assert points[:, 0] == pytest.approx(np.zeros(3), abs=0.05)
    turn = 0.9 * time
    trail, speed = trail_of(motion(np.stack([1 - np.cos(turn), np.sin(turn)], 1), turn))
    points, headings = trail.at(np.linspace(0, trail.length, 9))
    assert speed == pytest.approx(0.9, rel=1e-3)
    assert np.linalg.norm(points - [1, 0], axis=1) == pytest.approx(1, abs=2e-3)
    assert headings == pytest.approx(np.linspace(0, 1.8, 9), abs=5e-3)


def test_the_trail_of_a_motion_on_the_spot_stays_there():
    trail = Trail(np.tile([[1.0, 2.0]], (5, 1)), np.full(5, 0.3))
    points, headings = trail.at(np.array([0.0, 3.0]))
    assert (points == [1, 2]).all() and (headings == 0.3).all()


def test_points_are_read_from_text_and_files(tmp_path):
    wanted = np.array([[0, 1.5], [-2, 3e0]])
    assert np.array_equal(read_points("0,1.5 -2,3e0"), wanted)
    assert np.array_equal(read_points(" 0 , 1.5\n-2,3 "), wanted)
    for name, text in (("a.csv", "x,z\n0,1.5\n-2,3\n"), ("b.txt", "# way\n0 1.5\n-2 3\n"), ("c.csv", "0;1.5\n-2;3")):
        (tmp_path / name).write_text(text)
        assert np.array_equal(read_points(str(tmp_path / name)), wanted), name
    assert np.array_equal(read_points(as_text(wanted)), wanted)


@pytest.mark.parametrize("text", ["1,2,3 4,5", "1", "nan,0", "0,inf", "1e9,0", "1,2 x", ",", "  ; "])
def test_points_that_are_none_are_refused(text):
    with pytest.raises((InputError, MissingError), match="--path"):
        read_points(text)


def test_a_file_that_is_not_there_and_one_of_words_are_refused(tmp_path):
    with pytest.raises(MissingError, match="neither a file nor points"):
        read_points(str(tmp_path / "way.csv"))
    (tmp_path / "way.csv").write_text("once upon\na time 3\n")
    with pytest.raises(InputError, match="no point"):
        read_points(str(tmp_path / "way.csv"))
    with pytest.raises(InputError, match="where the character stands"):
        Curve(np.zeros((2, 2)), start=np.zeros(2))
