"""Control of a run: what zero variables mean, frozen joints, loops, long clips, paths, refinement and resuming."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from schemas.errors import InputError
from schemas.motion import Motion
from stages.body import quaternion
from stages.body.kinematics import cuboid_corners
from stages.distill import stage
from stages.distill.control import Control, inlined
from stages.distill.gaits import sample
from stages.distill.initial import init_of
from stages.distill.parameterisation import MotionVariables, free_angles, soft_limit
from stages.distill.params import Params, resolve
from stages.distill.priors.ideal import SPEC, IdealPrior

from . import beast
from .stops import StopAt

PROMPT = "a beast walking"


def settings(**more) -> Params:
    return inlined(resolve(Params(prior="ideal", device="cpu", speed=0.8, **more), SPEC))


def walk(frames: int = 17, seed: int = 0, turn: float = 0.0, **more) -> Motion:
    """The procedural walk as a motion artifact."""
    rig = beast.rig()
    clip = sample(rig, "turning left" if turn else "walking", frames=frames, rng=np.random.default_rng(seed), **more)
    limits = torch.as_tensor(rig.limits)
    angles = soft_limit(0.9 * torch.as_tensor(clip.angles, dtype=torch.float32), limits).numpy()  # within the limits, as a distilled motion is
    angles[:, 0] = 0
    return Motion(
        name="beast", prompt=PROMPT, fps=16.0, joint_names=list(rig.joint_names), angles=angles, root_positions=clip.root_positions,
        root_rotations=clip.root_rotations, report={},
    )  # fmt: skip


def as_fast_as(motion: Motion, **more) -> Params:
    """Settings with the speed of a motion, as `stage.run` takes it where none is given."""
    return dataclasses.replace(settings(**more), speed=init_of(motion, beast.rig(), 16.0).speed)


def fill(control: Control, scale: float = 0.3, seed: int = 0) -> None:
    """Give the variables of a run some values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for leaf in control.variables.leaves().values():
            leaf.copy_(scale * torch.randn(leaf.shape, generator=generator))


def fill_with(control: Control, motion: Motion) -> None:
    """Variables of a free clip that show a motion, as an optimiser would have found them."""
    v = control.variables
    init = init_of(motion, beast.rig(), 16.0)
    angles = torch.as_tensor(init.angles, dtype=torch.float32)
    wanted = free_angles(angles, v.limits) / v.reach.clamp(min=1e-6)
    shifts = torch.as_tensor(init.shifts, dtype=torch.float32)
    line = torch.zeros(len(shifts), 3)
    line[:, 2] = (init.speed - control.speed) / 16 * torch.arange(len(shifts))
    inverse = torch.linalg.pinv(v.basis)
    with torch.no_grad():
        v.joints.copy_(torch.einsum("kf,fjc->kjc", inverse, wanted))
        v.turns.copy_(inverse @ torch.as_tensor(init.vectors, dtype=torch.float32))
        v.shifts.copy_(inverse @ (shifts * torch.tensor([1.0, 0, 1]) + line) / v.height)


def test_without_a_flag_it_is_the_plain_variables():
    control = Control(beast.rig(), settings())
    plain = MotionVariables(beast.rig(), frames=17, fps=16.0, modes=6, speed=0.8)
    fill(control)
    with torch.no_grad():
        for name, leaf in plain.leaves().items():
            leaf.copy_(control.variables.leaves()[name])
    one, two = control.clip(3), plain.frames()
    for name in ("angles", "root_positions", "root_vectors"):
        assert torch.equal(getattr(one.motion, name), getattr(two, name))
    result = control.result()
    assert one.course is None and torch.equal(result.root_positions, two.root_positions) and torch.equal(result.root_rotations, two.root_quaternions())
    assert result.report == {} and not control.due(10**6) and control.settled and control.hold(0, two) == 0.0 and control.state() == {"turned": False}
    assert torch.equal(control.carried().root_positions, plain.start) and not control.carried().angles.any()


def test_frozen_joints_do_not_move_and_others_do():
    rig = beast.rig()
    control = Control(rig, settings(freeze="*_hind_*,pelvis"))
    fill(control, 1.0)
    frames = control.clip(0).motion
    hind = [j for j, role in enumerate(rig.roles) if "hind" in role]
    others = [j for j, role in enumerate(rig.roles) if j and "hind" not in role]
    assert not frames.angles[:, hind].any() and frames.angles[:, others].abs().amax((0, 2)).min() > 0.01
    assert torch.equal(frames.root_positions, control.variables.start) and not frames.root_vectors.any()
    init = walk()
    frozen = Control(rig, as_fast_as(init, freeze="tail,*_fore_*"), init=init)
    fill(frozen, 1.0)
    kept = [j for j, role in enumerate(rig.roles) if "fore" in role or role == "tail"]
    assert frozen.result().angles[:, kept].numpy() == pytest.approx(init.angles[:, kept], abs=0.02)


@pytest.mark.parametrize("turning", [0.0, 1.0])
def test_zero_variables_give_back_the_motion_it_begins_with(turning):
    rig, init = beast.rig(), walk(turn=turning)
    control = Control(rig, as_fast_as(init), init=init)
    result = control.result()
    assert result.angles.numpy() == pytest.approx(init.angles, abs=1e-4)
    assert result.root_positions.numpy() == pytest.approx(init.root_positions, abs=1e-4)
    same = (result.root_rotations * torch.as_tensor(init.root_rotations, dtype=torch.float32)).sum(1).abs()
    assert float(same.min()) > 1 - 1e-5 and control.clipped < 1e-3
    again = Control(rig, dataclasses.replace(as_fast_as(init), speed=2.0), init=init).result()
    assert again.root_positions[-1, [0, 2]].norm() > 1.5 * result.root_positions[-1, [0, 2]].norm(), "another speed is another speed"


def test_what_the_limits_clip_of_a_motion_is_said():
    rig, init = beast.rig(), walk()
    init.angles[:, rig.roles.index("tail"), 1] = 1.0  # limit 0.3
    control = Control(rig, settings(), init=init)
    assert any("clipped, most at 'tail' by 0.7" in note for note in control.notes)
    assert control.result().report["init"]["clipped_rad"] == pytest.approx(0.703, abs=0.01)


def test_motions_that_do_not_fit_are_refused():
    rig = beast.rig()
    with pytest.raises(InputError, match="is in only one of them"):
        Control(rig, settings(), init=dataclasses.replace(walk(), joint_names=["wing", *rig.joint_names[1:]]))
    with pytest.raises(InputError, match="no cycle to go on with"):
        Control(rig, settings(), init=dataclasses.replace(walk(8), angles=np.zeros((8, 16, 3))))


def test_a_shorter_motion_goes_on_by_its_cycle_and_another_rate_keeps_its_speed():
    rig = beast.rig()
    longer = init_of(walk(33), rig, 16.0).over(0, 40, 16.0)
    assert longer.angles[33:] == pytest.approx(longer.angles[17:24]) and longer.frames == 40
    coarse = dataclasses.replace(walk(34), fps=32.0)
    fine = init_of(coarse, rig, 16.0)
    assert fine.frames == 17 and fine.speed == pytest.approx(init_of(coarse, rig, 32.0).speed, rel=0.02)


def test_a_path_turns_the_walk_and_leaves_what_the_prior_sees():
    rig = beast.rig()
    x, z = rig.positions[0, [0, 2]]
    straight, curved = Control(rig, settings()), Control(rig, settings(path=f"{x + 1},{z + 1} {x + 2},{z}"))
    fill(straight, 0.1)
    fill(curved, 0.1)
    seen, shown = straight.clip(0), curved.clip(0)
    for name in ("angles", "root_positions", "root_vectors"):
        assert torch.equal(getattr(seen.motion, name), getattr(shown.motion, name))
    made, pose = curved.result(), shown.motion.pose(curved.variables.skeleton)
    laid = shown.laid(pose)
    assert torch.allclose(laid.joints[:, 0], made.root_positions, atol=1e-5)
    assert torch.allclose(laid.rotations[:, 0], quaternion.to_matrix(made.root_rotations), atol=1e-5)
    corners = cuboid_corners(curved.variables.skeleton, laid)[..., 1]
    assert torch.allclose(corners, cuboid_corners(curved.variables.skeleton, pose)[..., 1], atol=1e-5), "the ground is the same"
    assert made.report["path"]["travelled_m"] == pytest.approx(0.8)


def test_notes_tell_of_paths_that_do_not_suit():
    rig = beast.rig()
    x, z = rig.positions[0, [0, 2]]
    assert any("end before the clip" in note for note in Control(rig, settings(path=f"{x},{z + 0.3}")).notes)
    assert any("tight for a body" in note for note in Control(rig, settings(path=f"{x + 0.1},{z + 0.1} {x},{z + 0.2} {x + 0.1},{z + 0.3}")).notes)
    still = inlined(dataclasses.replace(settings(path="3,3"), speed=0.0))
    assert any("stands still" in note for note in Control(rig, still).notes)


def test_a_loop_closes_exactly_and_keeps_what_was_found():
    rig = beast.rig()
    control = Control(rig, settings(loop=True, modes=8, frames=None))
    fill_with(control, walk(period=13.2))
    before = control.clip(0).motion
    assert not control.settled and control.due(210) and not control.due(209)
    said = control.turn()
    assert "cycle of 13." in said and "looping 13 frames" in said and control.settled and not control.due(250)
    report = control.result().report["loop"]
    assert report["frames"] == 13 and report["cycles"] == 1 and report["found"]
    assert report["gap"]["rad"] < 1.5 * report["gap"]["rad_inside"] + 0.01
    frames = control.variables.frames()
    assert torch.allclose(frames.angles[13:17], frames.angles[:4], atol=1e-4)
    step = frames.root_positions[13:17] - frames.root_positions[:4]
    assert torch.allclose(step, step[:1].expand(4, 3), atol=1e-4) and step[0, 2].item() == pytest.approx(report["travel_m"], abs=1e-3)
    assert (frames.angles - before.angles).abs().mean().item() < 0.05
    fill(control, 0.2)
    frames = control.variables.frames()
    assert torch.allclose(frames.angles[13:17], frames.angles[:4], atol=1e-4), "whatever the variables are"


def test_several_cycles_are_written_where_they_fit_and_a_pose_loops_too():
    control = Control(beast.rig(), settings(loop=True, modes=8, frames=40))
    fill_with(control, walk(period=13.2))
    assert len(control.result().angles) == 39 and control.result().report["loop"]["cycles"] == 3
    still = Control(beast.rig(), settings(loop=True))
    made = still.result()
    assert len(made.angles) == 17 and not made.report["loop"]["found"]


def test_a_long_clip_goes_on_with_the_cycle_without_a_jump():
    rig = beast.rig()
    control = Control(rig, settings(modes=8, frames=49), in_step=True)
    assert len(control.clip(0).motion.angles) == 17 and control.variables.start.shape[0] == 17
    fill_with(control, walk(period=15.6))
    assert "going on over" in control.turn()
    assert control.cycle.period == pytest.approx(15.6, rel=0.04)
    assert control.starts == [round(k * control.cycle.period) for k in range(len(control.starts))]
    assert control.variables.start.shape[0] == control.starts[-1] + 17 >= 49
    made = control.result()
    assert made.angles.shape == (49, 16, 3) and made.report["windows"]["starts"] == control.starts
    steps = made.angles.diff(dim=0).abs().amax((1, 2))
    assert float(steps.max()) < 1.3 * float(steps[:16].max())
    assert float(made.root_positions[:, 2].diff().min()) > 0
    fill(control, 0.1)
    jumps = control.result().angles.diff(n=2, dim=0).abs().amax((1, 2))
    assert float(jumps.max()) < 4 * float(jumps.median())
    waves, period = control.variables.basis, control.cycle.period
    assert waves[:, 1].numpy() == pytest.approx(np.cos(2 * np.pi * (np.arange(len(waves)) - 8) / period), abs=1e-4), "every cycle is the same"


def test_every_window_looks_like_a_first_clip_and_moves_its_own_variables():
    control = Control(beast.rig(), settings(modes=8, frames=49, overlap=8))
    assert control.starts == [0, 8, 16, 24, 32] and control.settled
    fill(control, 0.05)
    line = control.carried().root_positions
    for step in range(10):
        clip = control.clip(step)
        assert torch.allclose(clip.line, line, atol=1e-5)
        control.variables.leaves()
        for leaf in control.variables.leaves().values():
            leaf.grad = None
        (clip.motion.angles.sum() + clip.motion.root_positions.sum()).backward()
        moved = {int(name.split(".")[1]) for name, leaf in control.variables.leaves().items() if leaf.grad is not None and bool(leaf.grad.any())}
        assert step // 2 in moved and moved < set(range(5))
    whole = control.result()
    parts = [control.clip(2 * k).motion.angles for k in range(5)]
    for start, part in zip(control.starts, parts, strict=True):
        assert torch.equal(whole.angles[start : start + 17], part)


def test_windows_of_a_motion_to_refine_are_in_step_with_the_prior():
    init = walk(64, phase=0.3, period=16.0)
    control = Control(beast.rig(), as_fast_as(init, modes=8, frames=49), in_step=True, init=init)
    frames = control.result()
    assert frames.angles.numpy() == pytest.approx(init.angles[:49], abs=0.03)
    touchdown = (1 - 0.3) * 16.0  # of the left hind foot
    for start in frames.report["windows"]["starts"]:
        away = (start + 8 - touchdown) / 16.0
        assert abs(away - round(away)) < 0.12


@pytest.mark.parametrize("in_step", [False, True])
def test_an_overlap_without_a_way_on_is_refused_before_the_first_step(in_step):
    with pytest.raises(InputError, match="--overlap 17: windows have 17 frames; take at most 16"):
        Control(beast.rig(), settings(frames=49, overlap=17), in_step=in_step)


def test_a_clip_of_the_prior_is_refined_as_it_is_and_goes_on_beyond_its_end():
    rig = beast.rig()
    init = walk(17, phase=0.5, period=17.0)  # nearly in step, and no whole cycle more than what is there
    control = Control(rig, as_fast_as(init, modes=8), in_step=True, init=init)
    assert control.starts == [0] and control.lead == 0 and not control.two_parts and control.notes == []
    assert control.result().angles.numpy() == pytest.approx(init.angles, abs=1e-4)
    far = walk(17, phase=0.0, period=17.0)
    control = Control(rig, as_fast_as(far, modes=8), in_step=True, init=far)
    assert control.starts == [0] and any("too short to be shown in step" in note for note in control.notes)
    control = Control(rig, as_fast_as(init, modes=8, frames=49), in_step=True, init=init)
    assert control.two_parts
    made = control.result()
    steps = made.angles.diff(dim=0).abs().amax((1, 2))
    assert len(made.angles) == 49 and float(steps.max()) < 1.3 * float(steps[:16].max())
    assert float((made.angles[:17] - torch.as_tensor(init.angles)).abs().mean()) < 0.03


def test_held_parts_cost_what_they_move():
    rig = beast.rig()
    control = Control(rig, settings(hold="tail=2"))
    assert control.hold(0, control.clip(0).motion).item() == 0
    fill(control)
    motion = control.clip(0).motion
    assert control.hold(0, motion).item() == pytest.approx(2 * motion.angles[:, rig.roles.index("tail")].square().mean().item())
    held = Control(rig, settings(hold="tail=2"), init=walk())
    assert held.hold(0, held.clip(0).motion).item() == pytest.approx(0, abs=1e-9), "at the motion it begins with"


@pytest.mark.parametrize("flags", [{"loop": True}, {"frames": 33}])
def test_the_second_part_is_restored_from_its_state(flags):
    one = Control(beast.rig(), settings(hold="tail=1", **flags), in_step=True)
    fill_with(one, walk())
    one.turn()
    fill(one, 0.1)
    two = Control(beast.rig(), settings(hold="tail=1", **flags), in_step=True)
    two.restore(one.state())
    with torch.no_grad():
        for name, leaf in two.variables.leaves().items():
            leaf.copy_(one.variables.leaves()[name])
    assert torch.equal(one.result().angles, two.result().angles) and torch.equal(one.result().root_positions, two.result().root_positions)
    assert one.result().report == two.result().report and two.settled and not two.due(10**6)


@pytest.mark.parametrize(("stop", "flags"), [(2, {}), (5, {}), (7, {"iterations": 8, "refresh": 2, "estimator": "consistent", "loop": True, "frames": 33})])
def test_a_long_run_along_a_path_resumes_bit_for_bit(stop, flags, tmp_path):
    rig, splat = beast.rig(), beast.splat(beads=2)
    prior = IdealPrior(rig, splat, cameras=2, phases=2)
    prior.in_step = True
    asked = {"iterations": 6, "frames": 25} | flags
    params = Params(prior="ideal", **asked, path="1,2 2,2", hold="tail=1", device="cpu", checkpoint_every=0.0, preview=False)
    whole = stage.run(rig, splat, PROMPT, params, prior=prior)
    with pytest.raises(KeyboardInterrupt):
        stage.run(rig, splat, PROMPT, params, prior=prior, progress=StopAt(stop), checkpoint=tmp_path / "d.partial")
    again = stage.run(rig, splat, PROMPT, params, prior=prior, checkpoint=tmp_path / "d.partial")
    for name in ("angles", "root_positions", "root_rotations", "losses"):
        assert np.array_equal(getattr(whole, name), getattr(again, name), equal_nan=True), name
    assert len(whole.losses) == asked["iterations"] and (whole.frame_count == 25 or flags) and whole.header.params["window"] == 17


def test_a_run_refines_a_motion_and_makes_a_loop():
    rig, splat = beast.rig(), beast.splat(beads=2)
    prior = IdealPrior(rig, splat, cameras=2, phases=2)
    params = Params(prior="ideal", iterations=4, loop=True, learning_rate=1e-4, root_learning_rate=1e-4, device="cpu", preview=False)
    init = walk(33, period=16.0)
    made = stage.run(rig, splat, PROMPT, params, prior=prior, init=init)
    assert made.frame_count == made.report["loop"]["frames"] == 16 and made.header.params["speed"] == pytest.approx(init_of(init, rig, 16.0).speed)
    assert np.abs(made.angles - init.angles[:16]).mean() < 0.05
