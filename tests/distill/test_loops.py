"""Cycles: the period of procedural gaits, an exact basis, a seam that is measured; windows that cover; parts by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from stages.body import quaternion
from stages.body.kinematics import Skeleton, forward
from stages.distill import loops, parts, windowed, windows
from stages.distill.gaits import sample

from . import beast


@pytest.mark.parametrize("gait", ["walking", "running", "jumping", "galloping"])
def test_the_period_of_a_gait_is_found_in_seventeen_frames(gait):
    rig = beast.rig()
    for seed in range(3):
        clip = sample(rig, gait, rng=np.random.default_rng(seed))
        angles, root, turn = (torch.as_tensor(value, dtype=torch.float32) for value in (clip.angles, clip.root_positions, clip.root_rotations))
        curves = loops.leg_curves(rig, forward(Skeleton.from_rig(rig), angles, root, quaternion.to_matrix(turn)))
        cycle = loops.find_cycle(curves)
        assert cycle.found and cycle.explained > 0.95
        assert cycle.period == pytest.approx(clip.info["period"], rel=0.03)


def test_standing_and_noise_are_no_cycles():
    assert not loops.find_cycle(np.full((17, 4), 0.3)).found
    noise = np.random.default_rng(0).normal(size=(17, 8))
    assert not loops.find_cycle(noise).found and loops.find_cycle(noise).period == 17
    assert not loops.find_cycle(np.zeros((17, 0))).found


def test_of_a_long_clip_the_single_cycle_is_found_and_its_peak():
    time = np.arange(65)
    curves = np.stack([np.cos(2 * np.pi * (time - 5) / 13), np.sin(2 * np.pi * time / 13) + 0.3 * np.sin(4 * np.pi * time / 13)], 1)
    cycle = loops.find_cycle(curves)
    assert cycle.period == pytest.approx(13, abs=0.13) and cycle.peak == pytest.approx(5, abs=0.3)


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 30), st.integers(1, 4), st.integers(0, 10**6))
def test_a_periodic_motion_is_fitted_exactly_and_repeats(period, count, seed):
    count = min(count, (period - 1) // 2)
    weights = np.random.default_rng(seed).normal(size=(2 * count + 1, 3, 2))
    curves = np.tensordot(loops.periodic_basis(np.arange(period + 3) - 4.0, period, count), weights, 1)
    found = loops.fit(curves, period, count, 0.0, middle=4.0)
    assert found == pytest.approx(weights, abs=1e-8)
    assert curves[period:] == pytest.approx(curves[:3], abs=1e-9)


def test_harmonics_reach_as_high_as_the_modes():
    assert loops.harmonics(8, 17, 17) == 4 and loops.harmonics(8, 17, 11) == 2
    assert loops.harmonics(0, 49, 16) == 7 and loops.harmonics(8, 17, 5) == 1


def test_the_seam_of_a_sine_is_small_and_that_of_a_ramp_large():
    wave = np.sin(2 * np.pi * np.arange(16) / 16)[:, None, None] * np.ones((1, 2, 3))
    still = np.zeros((16, 3))
    good = loops.seam(0.4 * wave, still, still, 16.0)
    assert good.angle < 1.1 * 0.4 * (2 * np.pi / 16) ** 4 and good.shift == 0
    assert good.angle <= 1.05 * good.inside
    broken = loops.seam(0.4 * wave[:13], still[:13], still[:13], 16.0)
    assert broken.angle > 0.3 > 10 * broken.inside
    ramp = np.arange(10)[:, None] * np.array([[0.0, 0.0, 0.1]])
    assert loops.seam(np.zeros((10, 1, 3)), 0 * ramp, ramp, 16.0).shift == pytest.approx(1.0)
    with pytest.raises(ValueError, match="four frames"):
        loops.seam(wave[:3], still[:3], still[:3], 16.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 50), st.integers(0, 300), st.data())
def test_windows_cover_every_frame_and_overlap(window, more, data):
    overlap, frames = data.draw(st.integers(0, window - 1)), window + more
    starts = windows.evenly(frames, window, overlap)
    assert starts[0] == 0 and starts[-1] + window == frames
    assert all(0 < b - a <= window - overlap for a, b in zip(starts, starts[1:], strict=False))


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 50), st.integers(0, 300), st.floats(5, 50), st.floats(-40, 40), st.data())
def test_windows_in_step_are_whole_cycles_apart_and_cover(window, more, period, first, data):
    period = min(period, window - 0.51)
    overlap, frames = data.draw(st.integers(0, window - 1)), window + more
    starts = windows.in_step(frames, window, overlap, period, first)
    assert starts[0] <= 0 and starts[-1] + window >= frames
    for start in starts:
        cycles = (start - first) / period
        assert abs(cycles - round(cycles)) * period <= 0.5 + 1e-6, "off by no more than rounding"
    assert all(b - a <= window for a, b in zip(starts, starts[1:], strict=False)), "no frame between two windows"


def test_every_window_is_seen_from_both_sides_and_kept_while_an_answer_is_used():
    turns = [windows.turn(step, 3) for step in range(12)]
    assert turns == [0, 0, 1, 1, 2, 2] * 2
    assert [windows.turn(step, 2, refresh=3) for step in range(12)] == [0] * 6 + [1] * 6


def test_an_overlap_as_long_as_the_window_is_refused():
    with pytest.raises(InputError, match="--overlap 17: windows have 17 frames"):
        windows.evenly(40, 17, 17)
    with pytest.raises(InputError, match="would leave gaps"):
        windows.in_step(40, 17, 8, 20.0)


def test_blended_windows_sum_to_one_and_reach_to_their_neighbours():
    weights = windowed.blend([0, 16, 30], 17, 47)
    assert weights.sum(0) == pytest.approx(1) and weights.min() >= 0
    assert weights[0, :9].min() == 1 and weights[0, 24] == 0 and weights[2, 38:].min() == 1


def test_parts_are_found_by_name_role_and_pattern():
    rig = beast.rig()
    assert parts.frozen(rig, "tail, LEFT_fore_*").nonzero().flatten().tolist() == [rig.roles.index(r) for r in rig.roles if r == "tail" or "left_fore" in r]
    weights = parts.held(rig, "*_foot=2, left_*=0.5")
    assert weights[rig.roles.index("right_hind_foot")] == 2 and weights[rig.roles.index("left_hind_foot")] == 0.5 and weights[0] == 0


@pytest.mark.parametrize(
    ("call", "text", "says"),
    [
        (parts.frozen, "wing*", "--freeze 'wing\\*': no joint of rig 'beast' has this name or role; it has chest"),
        (parts.held, "trunk=1", "--hold 'trunk'"),
        (parts.held, "tail", "not of the form"),
        (parts.held, "tail=much", "not of the form"),
        (parts.held, "tail=-1", "not of the form"),
        (parts.held, "tail=nan", "not of the form"),
    ],
)
def test_parts_that_are_not_there_are_named(call, text, says):
    with pytest.raises(InputError, match=says):
        call(beast.rig(), text)


def test_hold_is_the_weighted_mean_square():
    away, turned = torch.zeros(4, 3, 3), torch.zeros(4, 3)
    away[:, 1, 0], turned[:, 1] = 0.3, 0.2
    assert float(parts.hold(away, turned, torch.tensor([5.0, 2.0, 0.0]))) == pytest.approx(2 * 0.09 / 3 + 5 * 0.04 / 3)
