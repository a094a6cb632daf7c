"""The metrics on motions whose figures are known by construction."""

import dataclasses

import numpy as np
import pytest

from stages.evaluate import cycle as cycles
from stages.evaluate import feet, trajectory
from stages.evaluate.label import LABELS, label_of, patterns
from stages.evaluate.trajectory import Trajectory

FPS = 16.0
LEGS = ["left_hind", "right_hind", "left_fore", "right_fore"]


def ideal(leads, *, period=1.0, duty=0.6, frames=33, speed=1.2, fps=FPS, travel=True) -> Trajectory:
    """Point feet under hips one metre high: planted at constant speed, then swung forward in an arc."""
    time = np.arange(frames) / fps
    stride = speed * duty * period
    root = np.stack([0 * time, 0 * time + 1, speed * time if travel else 0 * time], 1)
    hips = np.repeat(root[:, None], len(leads), 1)
    soles = []
    for lead in leads:
        p = (time / period + lead) % 1
        swing = np.clip((p - duty) / (1 - duty), 0, 1)
        along = stride * np.where(p < duty, 0.5 - p / duty, -0.5 * np.cos(np.pi * swing))
        up = np.where(p < duty, 0, 0.2 * np.sin(np.pi * swing))
        soles.append(np.stack([0 * time, up, root[:, 2] + along], 1)[:, None])
    ahead = np.tile([0.0, 0, 1], (frames, 1))
    return Trajectory(fps, hips, root, ahead, np.min([s[:, 0, 1] for s in soles], 0), LEGS[: len(leads)], hips, soles, 1.0)


WALK = [0.0, 0.5, 0.75, 0.25]


@pytest.mark.parametrize("duty", [0.4, 0.5, 0.6, 0.7])
@pytest.mark.parametrize("period", [0.75, 1.0, 1.3])
def test_contact_times_duty_factor_and_frequency(duty, period):
    path = ideal(WALK, duty=duty, period=period, frames=49)
    found = feet.stances(path)
    # feet near the ground just before and after contact count as down
    assert feet.duty_factors(found, period) == pytest.approx([duty] * 4, abs=0.09)
    assert feet.stride_frequency(found) == pytest.approx(1 / period, rel=0.05)
    contacts = feet.contact_times(found)[1]
    whole = [end - start for start, end in contacts[1:-1]]
    assert whole == pytest.approx([duty * period] * len(whole), abs=0.09 * period)


@pytest.mark.parametrize("leads", [WALK, [0, 0.5, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0.12, 0.73, 0.59], [0, 0, 0.4, 0.4]])
def test_phases_by_sine_and_by_footfalls_agree_with_the_plan(leads):
    path = ideal(leads, frames=33)
    cycle = cycles.fit_cycle(cycles.leg_angles(path.hips, path.soles, path.ahead), path.fps)
    assert cycle.period == pytest.approx(1.0, abs=0.02)
    assert cycle.fit > 0.9
    planned = cycles.pair_leads(LEGS, np.array(leads))
    for found, tolerance in ((cycle.lead, 0.01), (feet.footfall_leads(feet.stances(path), cycle.period), 0.05)):
        measured = cycles.pair_leads(LEGS, found)
        assert all(cycles.gap(measured[pair], planned[pair]) < tolerance for pair in planned), (measured, planned)


def test_swing_amplitude():
    path = ideal(WALK, speed=1.0, duty=0.5)
    cycle = cycles.fit_cycle(cycles.leg_angles(path.hips, path.soles, path.ahead), path.fps)
    # a foot a quarter of a metre ahead of and behind a hip one metre high
    assert cycle.swing == pytest.approx([np.arctan(0.25)] * 4, rel=0.08)


def test_planted_feet_do_not_slide_dragged_feet_do():
    path = ideal(WALK, speed=1.2)
    speed = trajectory.path_speed(path.root, FPS)
    assert speed == pytest.approx(1.2)
    low = feet.foot_slide(path.soles, path.height, FPS, speed)
    assert low < 0.15  # the step that begins in contact and ends just above the ground
    dragged = [foot * (1, 1, 0) + path.root[:, None] * (0, 0, 1) for foot in path.soles]
    assert feet.foot_slide(dragged, path.height, FPS, speed) == pytest.approx(1.0)
    still = [foot * (1, 1, 0) for foot in path.soles]
    assert feet.foot_slide(still, path.height, FPS, 0.0) == 0.0
    assert feet.contact_share(still, path.height) == pytest.approx(feet.on_ground(path.soles, 1.0).mean(), abs=0.1)


@pytest.mark.parametrize("speed", [0.6, 1.2, 2.5])
def test_treadmill_speed(speed):
    assert feet.treadmill_speed(ideal(WALK, speed=speed, travel=False)) == pytest.approx(speed, rel=0.05)
    assert feet.treadmill_speed(ideal(WALK, speed=speed)) == 0.0


def test_a_foot_that_hovers_is_still_timed():
    path = ideal(WALK)
    raised = dataclasses.replace(path, soles=[foot + (0, 0.15, 0) for foot in path.soles])
    assert feet.duty_factors(feet.stances(raised), 1.0) == pytest.approx(feet.duty_factors(feet.stances(path), 1.0))
    assert not feet.on_ground(raised.soles, raised.height).any()


def test_path_bob_penetration_floating_and_jerk():
    time = np.arange(65) / 64
    root = np.stack([0 * time, 1 + 0.1 * np.sin(2 * np.pi * time), 2 * time], 1)
    ahead = np.tile([0.0, 0, 1], (65, 1))
    assert trajectory.distance(root) == pytest.approx(2.0)
    assert trajectory.forward_distance(root, ahead) == pytest.approx(2.0)
    assert trajectory.forward_distance(root, -ahead) == pytest.approx(-2.0)
    assert trajectory.bob(root) == pytest.approx(0.2, abs=1e-3)
    assert trajectory.penetration(np.array([0.1, -0.03, 0.0])) == pytest.approx(0.03)
    assert trajectory.penetration(np.array([0.1, 0.2])) == 0.0
    assert trajectory.floating(np.array([0.1, -0.3, 0.2])) == pytest.approx(0.1)
    # d^3/dt^3 of 0.1 sin(2 pi t): mean of |0.1 (2 pi)^3 cos| is 2/pi of its amplitude; two metres are one hip height
    assert trajectory.jerk(root[:, None], 64.0, 2.0) == pytest.approx(0.5 * 0.1 * (2 * np.pi) ** 3 * 2 / np.pi, rel=0.02)
    assert trajectory.jerk(root[:3, None], 64.0, 2.0) == 0.0


def test_heading_keeps_a_turn_and_drops_sway():
    frames = np.arange(33)
    for rate in (0.0, 0.05, -0.2):
        yaw = 0.3 + rate * frames + 0.1 * np.sin(2 * np.pi * frames / 16)
        turns = np.zeros((33, 3, 3))
        turns[:, 0, 0] = turns[:, 2, 2] = np.cos(yaw)
        turns[:, 0, 2], turns[:, 1, 1] = np.sin(yaw), 1
        ahead = trajectory.heading(turns)
        slope = np.diff(np.unwrap(np.arctan2(ahead[:, 0], ahead[:, 2])))
        assert slope == pytest.approx([rate] * 32, abs=0.01)
        assert np.ptp(slope) < 1e-9


def named(leads, duty, *, fit=1.0, spread=0.8, lift=0.2, period=1.0, swing=0.4):
    cycle = cycles.Cycle(period, fit, np.full(len(leads), swing), np.array(leads) % 1)
    return label_of(LEGS[: len(leads)], spread, cycle, np.full(len(leads), duty), lift, lift)


@pytest.mark.parametrize(
    ("leads", "duty", "name"),
    [
        ([0, 0.5, 0.75, 0.25], 0.65, "walking"),  # lateral sequence, single foot
        ([0, 0.5, 0.88, 0.38], 0.65, "walking"),  # lateral couplets, as wolves and camels on a walk
        ([0, 0.5, 0.25, 0.75], 0.65, "walking"),  # diagonal sequence, as most primates
        ([0, 0.5, 0.5, 0], 0.45, "trotting"),
        ([0, 0.5, 0, 0.5], 0.45, "pacing"),
        ([0, 0.28, 0.74, 0], 0.35, "cantering"),
        ([0.28, 0, 0, 0.74], 0.35, "cantering"),
        ([0, 0.12, 0.59, 0.73], 0.28, "galloping"),  # transverse
        ([0.12, 0, 0.59, 0.73], 0.28, "galloping"),  # rotary
        ([0, 0, 0.6, 0.6], 0.35, "bounding"),
        ([0, 0, 0, 0], 0.4, "hopping"),
        ([0, 0.5], 0.65, "walking"),
        ([0, 0], 0.4, "hopping"),
    ],
)
def test_labels_of_textbook_phases(leads, duty, name):
    for shift in (0.0, 0.3, 0.77):  # where in the cycle the clip begins does not matter
        label = named([lead + shift for lead in leads], duty)
        assert label.name == name, label
        assert label.confidence > 0.5, label
        assert sum(label.beliefs.values()) == pytest.approx(1)
        assert label.family == LABELS[name]


def test_two_legs_run_when_quick_and_airborne():
    assert named([0, 0.5], 0.38, period=0.7, swing=0.7).name == "running"
    assert named([0, 0.5], 0.66, period=1.2).name == "walking"


def test_legs_in_no_known_order():
    for leads in ([0, 0.5, 0.25, 0.25], [0, 0, 0.25, 0.75], [0, 0.25]):  # hind legs as on a walk, fore legs as in a bound; and so on
        label = named(leads, 0.6)
        assert label.name == "irregular", label
        assert label.family == "" and sum(label.families().values()) < 0.5


def test_confidence_falls_with_doubt():
    sure = named([0, 0.5, 0.75, 0.25], 0.65).confidence
    between = named([0, 0.5, 0.575, 0.075], 0.55)  # half way from a walk to a trot
    assert between.confidence < 0.7 * sure
    assert named([0, 0.5, 0.75, 0.25], 0.65, fit=0.5).confidence == pytest.approx(0.5 * sure)


def test_standing_hops_and_leaps():
    still = [0, 0.5, 0.75, 0.25]
    assert named(still, 1.0, spread=0.05, lift=0.0).name == "standing"
    assert named(still, 1.0, spread=0.05, lift=0.0).confidence > 0.99
    assert named(still, 0.5, spread=0.05, lift=0.2).name == "hopping"
    assert named([0, 0, 0.4, 0.4], 0.4, fit=0.4).name == "jumping"
    # legs that swing together on feet that stay down jump nowhere, those that walk may shuffle
    assert named([0, 0], 0.6, lift=0.01).name == "standing"
    assert named([0, 0, 0.4, 0.4], 0.6, lift=0.01).name == "standing"
    assert named([0, 0.5, 0.75, 0.25], 0.65, lift=0.0).name == "walking"


def test_lift():
    path = ideal([0, 0, 0.5, 0.5], duty=0.5)  # fore and hind feet take turns: no flight
    assert feet.lift(path.soles, 1.0) == pytest.approx(0, abs=1e-6)
    assert feet.pair_lift(path.soles, path.names, 1.0) == pytest.approx(0.2, abs=0.01)
    together = ideal([0, 0, 0, 0], duty=0.5)
    assert feet.lift(together.soles, 2.0) == pytest.approx(0.1, abs=0.01)
    alternating = ideal([0, 0.5], duty=0.6)
    assert feet.pair_lift(alternating.soles, alternating.names, 1.0) == pytest.approx(0, abs=1e-6)


def test_every_pattern_is_called_by_its_own_name():
    usual = {"walking": 0.65, "trotting": 0.45, "pacing": 0.45, "cantering": 0.4, "galloping": 0.3, "bounding": 0.35, "hopping": 0.4}
    for gait, duty in usual.items():
        for lags in patterns(gait):
            label = named([-lag for lag in lags], duty)
            assert label.name == gait, (gait, lags, label)


def test_a_short_or_legless_clip_has_no_cycle():
    none = cycles.fit_cycle(np.zeros((5, 4)), FPS)
    assert none.period == 0 and none.fit == 0
    assert cycles.fit_cycle(np.zeros((17, 0)), FPS).period == 0
    short = ideal(WALK, frames=3)
    assert feet.treadmill_speed(short) == 0.0
    assert feet.stances(short).down.shape == (3, 4)
