"""The stage: a floating trot becomes physical; resuming, failing and refusing."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from schemas.errors import AkdError, InputError
from schemas.motion import Motion
from schemas.track import Track
from stages.progress import Progress
from stages.track.body import Body
from stages.track.easing import RAMP
from stages.track.objective import Target
from stages.track.optimise import State, iterate
from stages.track.params import Params
from stages.track.problem import Problem, stretches
from stages.track.stage import run

from .beasts import quadruped, trot

_SHORT = Params(iterations=4, substeps=12)


@pytest.fixture(scope="module")
def tracked() -> tuple[Motion, Track]:
    rig = quadruped()
    motion = trot(rig)
    return motion, run(rig, motion, Params(iterations=80))


def test_a_floating_trot_is_tracked_on_the_ground(tracked: tuple[Motion, Track]) -> None:
    _, track = tracked
    report = track.report
    assert not report["failed"], report["reason"]
    assert report["before"]["airborne"] == 1.0
    assert report["after"]["airborne"] < 0.3
    assert report["corner_rmse"] < 0.04
    assert report["corner_rmse"] < report["corner_rmse_before"]
    assert report["penetration_max_steps"] < 0.02


def test_the_track_is_a_valid_artifact(tracked: tuple[Motion, Track], tmp_path: Path) -> None:
    motion, track = tracked
    again = Track.load(track.save(tmp_path / "track.h5"))
    assert again.frame_count == motion.frame_count
    assert again.fps == motion.fps
    assert again.prompt == motion.prompt
    assert again.header.params["iterations"] == 80
    assert again.masses.sum() == pytest.approx(track.report["mass"], rel=1e-5)
    assert again.loss_names[0] == "iteration"
    np.testing.assert_array_equal(again.losses[:, 0], np.arange(81))
    assert len(again.controls) == -(-(16 * track.report["substeps"] + 1) // 4)


def test_it_begins_in_the_planted_pose_of_the_first_frame(tracked: tuple[Motion, Track]) -> None:
    motion, track = tracked
    rig = quadruped()
    body = Body.from_rig(rig, density=Params().density)
    first = Target.from_motion(rig, motion, body, stance=Params().stance)
    np.testing.assert_allclose(track.angles[0, 1:], first.angle[0, 1:], atol=1e-5)
    np.testing.assert_allclose(track.root_positions[0, [0, 2]], first.joint[0, 0, [0, 2]], atol=1e-5)
    # which is near the motion's own, set on the ground
    assert np.abs(track.angles[0, 1:] - motion.angles[0, 1:]).max() < 0.2
    assert np.abs(track.root_positions[0, [0, 2]] - motion.root_positions[0, [0, 2]]).max() < 0.03
    assert track.root_positions[0, 1] < motion.root_positions[0, 1]


class _Killed(Exception):
    pass


class _Killer(Progress):
    """Interrupts the run after some iterations."""

    def __init__(self, at: int) -> None:
        self.at = at

    def update(self, done: int, **figures: float) -> None:
        if done > self.at:
            raise _Killed


def test_resuming_gives_the_same_bits(tmp_path: Path) -> None:
    rig = quadruped()
    motion, params = trot(rig, frames=4), Params(iterations=32, substeps=10)
    checkpoint = tmp_path / "track.partial"
    with pytest.raises(_Killed):
        run(rig, motion, params, _Killer(28), checkpoint)
    assert checkpoint.exists()
    resumed, whole = run(rig, motion, params, checkpoint=checkpoint), run(rig, motion, params)
    again = run(rig, motion, params, checkpoint=checkpoint)  # a finished checkpoint gives the result at once
    np.testing.assert_array_equal(again.angles, whole.angles)
    for field in ("angles", "root_positions", "root_rotations", "controls", "initial_velocity", "initial_joint_velocity", "losses"):
        np.testing.assert_array_equal(getattr(resumed, field), getattr(whole, field), err_msg=field)


def test_a_foreign_or_damaged_checkpoint_is_not_used(tmp_path: Path) -> None:
    rig = quadruped()
    motion, checkpoint = trot(rig, frames=3), tmp_path / "track.partial"
    whole = run(rig, motion, _SHORT)
    for content in (b"no checkpoint", None):
        checkpoint.write_bytes(content) if content else torch.save({"key": "other"}, checkpoint)
        np.testing.assert_array_equal(run(rig, motion, _SHORT, checkpoint=checkpoint).angles, whole.angles)


def test_both_objectives_improve() -> None:
    rig = quadruped()
    for objective in ("corners", "coordinates"):
        track = run(rig, trot(rig, frames=6), dataclasses.replace(_SHORT, iterations=20, objective=objective))
        losses = track.losses[:, track.loss_names.index("track")]
        assert losses.min() < 0.8 * losses[0]


def test_a_wild_motion_gives_finite_numbers() -> None:
    rig = quadruped()
    motion = trot(rig, frames=5)
    motion.angles = np.random.default_rng(0).uniform(-3, 3, motion.angles.shape).astype(np.float32)
    motion.angles[:, 0] = 0
    track = run(rig, motion, _SHORT)
    track.validate()
    assert track.report["failed"]
    assert track.report["reason"]


def test_refusals_say_what_is_wrong() -> None:
    rig = quadruped()
    with pytest.raises(InputError, match="one frame"):
        run(rig, trot(rig, frames=1), _SHORT)
    motion = trot(rig, frames=3)
    motion.joint_names[-1] = "antenna"
    with pytest.raises(InputError, match="antenna"):
        run(rig, motion, _SHORT)
    if not torch.cuda.is_available():
        with pytest.raises(AkdError, match="cuda"):
            run(rig, trot(rig, frames=3), dataclasses.replace(_SHORT, device="cuda"))


def test_stretches_cover_the_clip_and_begin_with_a_control() -> None:
    assert stretches(49, 24.0, 2.0, 20, 4) == [(0, 48)]
    for frames, window, substeps, hold in ((121, 2.0, 20, 4), (50, 1.0, 7, 4), (481, 2.0, 20, 3), (30, 0.1, 5, 8)):
        spans = stretches(frames, 24.0, window, substeps, hold)
        assert spans[0][0] == 0
        assert spans[-1][1] == frames - 1
        for (first, last), (following, _) in pairwise(spans):
            assert first < following < last
            assert following * substeps % hold == 0


def test_a_long_clip_is_one_simulation_and_resumes(tmp_path: Path) -> None:
    rig = quadruped()
    motion, params = trot(rig, frames=13), Params(iterations=30, substeps=28, window=0.5)
    whole = run(rig, motion, params)
    assert not whole.report["failed"], whole.report["reason"]
    assert len(whole.losses) == 31 * len(stretches(13, 16.0, 0.5, 28, params.hold)) > 31
    assert len(whole.controls) == -(-(12 * 28 + 1) // 4)
    assert whole.report["corner_rmse"] < 0.06
    checkpoint = tmp_path / "track.partial"
    for at in (27, 57):  # in the first stretch, then in the second
        with pytest.raises(_Killed):
            run(rig, motion, params, _Killer(at), checkpoint)
    resumed = run(rig, motion, params, checkpoint=checkpoint)
    for field in ("angles", "root_positions", "root_rotations", "controls", "initial_velocity", "losses"):
        np.testing.assert_array_equal(getattr(resumed, field), getattr(whole, field), err_msg=field)


def test_an_optimisation_that_is_thrown_out_goes_back_to_the_best() -> None:
    rig = quadruped()
    motion, params = trot(rig, frames=9), Params(iterations=40, substeps=28, learning_rate=0.4)
    body = Body.from_rig(rig, density=params.density)
    problem, state = Problem(Target.from_motion(rig, motion, body, stance=params.stance), body, params, 28, "cpu"), State()
    state.enter(problem, params)
    back = []
    for _ in range(params.iterations + 1):
        slow = state.slow
        iterate(problem, state, params)
        if state.slow < slow:
            back.append(state.iteration - 1)
            for value, best in zip(state.values, state.best, strict=True):
                assert torch.equal(value.detach(), best)
    assert back
    assert back[0] > RAMP * params.iterations
    settled = np.array(state.history)[int(RAMP * params.iterations) :, 1]
    assert (settled[back[0] - 3 - int(RAMP * params.iterations) :][:4] > settled.min()).all()


def test_the_whole_is_what_the_stretches_were() -> None:
    rig = quadruped()
    motion, params = trot(rig, frames=17), Params(iterations=2, substeps=28, window=0.5)
    body = Body.from_rig(rig, density=params.density)
    target = Target.from_motion(rig, motion, body, stance=params.stance)
    state, spans = State(), stretches(17, 16.0, 0.5, 28, params.hold)
    assert len(spans) > 1
    ends = []
    for number, (first, last) in enumerate(spans):
        problem = Problem(target.between(first, last), body, params, 28, "cpu", begin=state.begin or None, known=state.known[0] if state.known else None)
        state.enter(problem, params)
        for _ in range(params.iterations + 1):
            iterate(problem, state, params)
        if number + 1 < len(spans):
            state.leave(problem, spans[number + 1][0] - first, params)
            ends.append((spans[number + 1][0], state.begin))
    entire = Problem(target, body, params, 28, "cpu", gradients=False)
    entire.simulator.ease(help=state.help)
    with torch.no_grad():
        entire.simulate(state.whole())
    for frame, begin in ends:
        for mine, theirs in zip(entire.state_at(frame), begin, strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
