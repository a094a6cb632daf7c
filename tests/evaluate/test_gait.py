"""The metrics name the gaits that the generator makes, and notice bad feet."""

import json

import numpy as np
import pytest

from schemas.errors import InputError
from schemas.motion import Motion
from stages.distill import gaits
from stages.distill.priors.embedded.bodies import random_body
from stages.evaluate.gait import analyse, phases_right, summary


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
