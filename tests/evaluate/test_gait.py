"""The metrics name the gaits that the generator makes, and notice bad feet."""

import json

import numpy as np
import pytest

from schemas.errors import InputError
from schemas.motion import Motion
from stages.distill import gaits
from stages.distill.priors.embedded.bodies import random_body
from stages.evaluate.gait import analyse, off_treadmill, phases_right, summary
from stages.evaluate.label import LABELS


def motion_of(rig, clip, **changes):
    fields = {
        "name": rig.name, "prompt": clip.info["gait"], "fps": 16.0, "joint_names": rig.joint_names,
        "angles": clip.angles, "root_positions": clip.root_positions, "root_rotations": clip.root_rotations,
    }  # fmt: skip
    return Motion(**(fields | changes))


@pytest.mark.parametrize("kind", ["quadruped", "bird", "dinosaur", "biped"])
@pytest.mark.parametrize("gait", gaits.GAITS)
def test_names_the_gait(kind, gait):
    for seed in (3, 4, 5, 6):
        rig = random_body(seed, kind).rig
        figures = analyse(rig, motion_of(rig, gaits.sample(rig, gait, rng=np.random.default_rng(seed))))
        assert figures["gait"] == gait, (seed, summary(figures))
        assert phases_right(figures, gait), (seed, figures["phases"])
        json.dumps(figures)


EXPECTED = {
    "pacing": "pacing", "cantering": "cantering", "galloping": "galloping", "hopping": "hopping", "turning left": "walking", "turning right": "walking",
    "sneaking": "walking", "marching": "walking", "eating": "standing", "punching": "standing", "waving": "standing",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["quadruped", "bird", "dinosaur", "biped"])
@pytest.mark.parametrize("motion", EXPECTED)
def test_labels_the_other_motions(kind, motion):
    for seed in (3, 4, 5):
        rig = random_body(seed, kind).rig
        if motion not in gaits.motions_of(rig):
            continue
        figures = analyse(rig, motion_of(rig, gaits.sample(rig, motion, rng=np.random.default_rng(seed))))
        assert figures["label"] == EXPECTED[motion], (seed, summary(figures))
        assert figures["confidence"] > 0.5
        assert figures["gait"] == LABELS[figures["label"]]
        assert phases_right(figures, figures["label"])


def test_duty_factor_and_frequency_are_those_of_the_generator():
    for gait in ("walking", "running", "galloping"):
        rig = random_body(7, "quadruped").rig
        clip = gaits.sample(rig, gait, rng=np.random.default_rng(7))
        figures = analyse(rig, motion_of(rig, clip))
        planned = np.mean(clip.info["duty"])
        assert planned - 0.03 < figures["duty"] < planned + 0.13  # at 16 frames a second a short contact looks longer
        assert figures["frequency"] == pytest.approx(16 / clip.info["period"], rel=0.05)


def test_off_the_treadmill():
    rig = random_body(11, "quadruped").rig
    clip = gaits.sample(rig, "walking", rng=np.random.default_rng(1))
    full = motion_of(rig, clip)
    assert off_treadmill(rig, full)[1] == 0
    on_the_spot = motion_of(rig, clip, root_positions=clip.root_positions * (1, 1, 0))
    motion, speed = off_treadmill(rig, on_the_spot)
    assert speed == pytest.approx(clip.info["speed"], rel=0.05)
    assert np.abs((motion.root_positions - on_the_spot.root_positions)[-1] - (0, 0, speed)).max() < 1e-4  # in one second
    assert analyse(rig, motion)["slide"] == pytest.approx(analyse(rig, full)["slide"], abs=0.1)
    standing = gaits.sample(rig, "standing", rng=np.random.default_rng(1))
    assert off_treadmill(rig, motion_of(rig, standing))[1] == 0


def test_planted_feet_do_not_slide_and_a_shift_shows():
    rig = random_body(11, "quadruped").rig
    clip = gaits.sample(rig, "walking", rng=np.random.default_rng(1))
    good = analyse(rig, motion_of(rig, clip))
    assert good["slide"] < 0.2  # the sole leaves the ground late in the stance while it still counts as near it
    assert good["penetration"] < 0.01
    assert good["distance"] == pytest.approx(clip.info["speed"], rel=0.02)  # 16 frames at 16 fps: one second
    frozen = clip.root_positions * (1, 1, 0)
    skating = analyse(rig, motion_of(rig, clip, root_positions=frozen + 2 * (clip.root_positions - frozen)))
    assert skating["slide"] > 0.4
    sunk = analyse(rig, motion_of(rig, clip, root_positions=clip.root_positions - (0, 0.1, 0)))
    assert sunk["penetration"] == pytest.approx(good["penetration"] + 0.1, abs=0.01)
    raised = analyse(rig, motion_of(rig, clip, root_positions=clip.root_positions + (0, 0.1, 0)))
    assert raised["floating"] == pytest.approx(0.1, abs=0.02)


def test_turned_body_is_measured_in_its_own_heading():
    rig = random_body(12, "quadruped").rig
    clip = gaits.sample(rig, "walking", rng=np.random.default_rng(2))
    half = np.sqrt(0.5)
    turn = np.array([0, half, 0, half])  # a quarter turn about +Y: +Z becomes +X
    path = clip.root_positions[:, [2, 1, 0]] * (1, 1, -1)
    plain = np.tile([0.0, 0, 0, 1], (17, 1))
    a = analyse(rig, motion_of(rig, clip, root_rotations=plain))
    b = analyse(rig, motion_of(rig, clip, root_rotations=np.tile(turn, (17, 1)), root_positions=path))
    assert b["phases"] == pytest.approx(a["phases"], abs=1e-3)
    assert b["gait"] == "walking"


def test_motion_of_another_rig_is_refused():
    rig, other = random_body(3, "quadruped").rig, random_body(3, "biped").rig
    with pytest.raises(InputError, match="other joints"):
        analyse(other, motion_of(rig, gaits.sample(rig, "walking")))
