"""Stage track: controls and initial velocities whose simulation follows a motion (METHOD 7)."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from schemas.errors import InputError, MissingError
from schemas.motion import Motion
from schemas.params import check, invalidating
from schemas.rig import Rig
from schemas.track import Track
from stages.progress import SILENT, Progress
from stages.repeatable import one_torch_thread

from .body import Body
from .collision import deepest
from .objective import Target, corner_points
from .optimise import COLUMNS, State, iterate
from .params import Params
from .problem import Problem, stretches
from .report import contact_figures, corner_rmse, failure, foot_figures, stance_slide

_STEP = 0.009  # largest automatic time step, in sqrt(h/g): 2.1 ms for a body 0.55 m high,
_LONGEST = 0.0023  # and this: the ground under larger bodies is no softer [s]
_EVERY = 25  # iterations between checkpoints


@one_torch_thread()
def run(rig: Rig, motion: Motion, params: Params | None = None, progress: Progress = SILENT, checkpoint: Path | None = None) -> Track:
    """Find controls u and an initial velocity whose simulation follows `motion`, equation (13).

    A clip longer than `params.window` is tracked in stretches: each goes on from the state that the one before reached,
    so that the whole is one simulation.

    Parameters:
        checkpoint: File that keeps the optimiser's state every 25 iterations. A run that finds a fitting one goes on from
            there and gives the same result bit for bit. The caller removes it once the artifact is saved.

    Raises:
        InputError: Joints of rig and motion differ, fewer than two frames, or the simulation diverges at once.
    """
    params = params or Params()
    check(params)
    _check_inputs(rig, motion)
    began, device, key = time.perf_counter(), _device(params.device, progress), _key(rig, motion, params)
    # limits that the target itself exceeds give way: a wall that it starts behind would throw it
    body = Body.from_rig(rig, density=params.density).with_limits_for(motion.angles)
    substeps = params.substeps or max(1, int(np.ceil(1 / motion.fps / min(_STEP * body.time, _LONGEST))))
    target = Target.from_motion(rig, motion, body, grounding=params.grounding, travel=_travel(params.travel, motion), stance=params.stance)
    spans = stretches(motion.frame_count, motion.fps, params.window, substeps, params.hold)
    state = State.load(checkpoint, key) if checkpoint is not None else None
    if state is not None:
        progress.note(f"going on from iteration {len(state.history)} of {checkpoint.name}")
    state = state or State()
    progress.begin("track", len(spans) * params.iterations)
    while True:
        first, last = spans[state.stretch]
        before = {"begin": state.begin or None, "known": state.known[0] if state.known else None, "help": state.help}
        problem = Problem(target.between(first, last), body, params, substeps, device, **before)
        state.enter(problem, params)
        _optimise(problem, state, params, progress, checkpoint, key)
        if state.stretch + 1 == len(spans):
            break
        state.leave(problem, spans[state.stretch + 1][0] - first, params)
    if len(spans) > 1:
        problem = Problem(target, body, params, substeps, device, gradients=False)
    track = _result(problem, state, rig, motion, params, time.perf_counter() - began)
    if track.report["failed"]:
        progress.note(f"tracking failed: {track.report['reason']}")
    return track.stamped(params=params, seed=params.seed, inputs={})


def _optimise(problem: Problem, state: State, params: Params, progress: Progress, checkpoint: Path | None, key: str) -> None:
    """All iterations of one stretch that are left."""
    while state.iteration <= params.iterations:
        iterate(problem, state, params)
        last = state.history[-1]
        progress.update(state.stretch * params.iterations + min(state.iteration, params.iterations), loss=last[1], corner_rmse=last[4])
        if checkpoint is not None and (state.iteration % _EVERY == 0 or state.iteration > params.iterations):
            state.save(checkpoint, key)


def _result(problem: Problem, state: State, rig: Rig, motion: Motion, params: Params, seconds: float) -> Track:
    """Simulate the best values once more and make the artifact with its report."""
    simulator, body = problem.simulator, problem.body
    simulator.ease(help=state.help)
    best = state.whole()
    with torch.no_grad():
        joint, turn, _ = problem.simulate(best, torch.arange(simulator.steps))
    at = problem.frames.numpy()
    report: dict[str, Any] = {
        "seconds": round(seconds, 3), "iterations": params.iterations, "best_iteration": state.best_iteration, "substeps": problem.substeps,
        "loss": state.best_loss, "corner_rmse_before": state.history[0][4],
        "help_left": state.help, **_figures(problem, rig, motion, joint, turn),
    }  # fmt: skip
    angles = simulator.angle[:-1, 0].cpu().numpy()[at]
    angles[:, 0] = 0
    rotation = Rotation.from_quat(simulator.rotation[:-1, 0].cpu().numpy()[at]) * Rotation.from_matrix(body.frames[0].T)
    control, velocity, spin, rate = (v[:, 0].numpy() if v.ndim == 4 else v[0].numpy() for v in best)
    control[:, 0] = 0
    return Track(
        name=motion.name, prompt=motion.prompt, fps=motion.fps, joint_names=list(rig.joint_names), angles=angles,
        root_positions=joint[at, 0].numpy(), root_rotations=rotation.as_quat(), loss_names=COLUMNS,
        losses=np.array(state.history), report=report, controls=control, control_rate=1 / (params.hold * simulator.time_step),
        time_step=simulator.time_step, initial_velocity=np.concatenate([velocity, spin]), initial_joint_velocity=rate, masses=body.masses,
    )  # fmt: skip


def _figures(problem: Problem, rig: Rig, motion: Motion, joint: torch.Tensor, turn: torch.Tensor) -> dict[str, Any]:
    """What the tracked motion is worth. Joints and frames at all simulation steps. [(T, J, 3), (T, J, 3, 3)]"""
    target, body, params, simulator = problem.target, problem.body, problem.params, problem.simulator
    corners, at = corner_points(joint, turn, problem.corners).numpy(), problem.frames.numpy()
    given, wanted, got = target.given.numpy(), target.corners.numpy(), corners[at]
    up = body.frames[0].T[:, 1]
    ups, target_ups = (np.einsum("fij,j->fi", t[:, 0].double().numpy(), up) for t in (turn[at], target.turn))
    reason = failure(got, wanted, ups, target_ups, joint[at, 0, 1].numpy(), target.joint[:, 0, 1].numpy(), body.height)
    stiffness, damping = body.gains(params.gain, params.damping)
    held = simulator.physics.upright_stiffness / body.torque * np.hypot(*(turn[:, 0].double().numpy() @ np.array(simulator.physics.up))[:, [0, 2]].T)
    torques = np.abs(simulator.torques()[:, 0]).max(-1)
    return {
        "failed": bool(reason), "reason": reason,
        "corner_rmse": corner_rmse(got, wanted), "corner_rmse_moved": corner_rmse(got, given + target.shift[:, None, None]),
        "corner_rmse_given": corner_rmse(got, given), "ground_shift": float(np.median(target.shift[:, 1])),
        "travel_added": float(np.linalg.norm(target.shift[-1, [0, 2]])),
        "feet": foot_figures(target.contacts, list(rig.joint_names), given, got, motion.fps),
        "before": contact_figures(given, motion.fps, body.height), "target": contact_figures(wanted, motion.fps, body.height),
        "after": contact_figures(got, motion.fps, body.height), "penetration_max_steps": float(np.maximum(-corners[..., 1], 0).max()),
        "self_collision": {
            "before": deepest(problem.capsules, target.joint, target.turn, list(rig.joint_names)),
            "after": deepest(problem.capsules, joint[at], turn[at], list(rig.joint_names)),
        },
        "stance_slide": stance_slide(corners, simulator.time_step), "torque_max": float(torques.max()),
        "torque_max_at": rig.joint_names[int(torques.max(0).argmax())], "torque_mean": float(torques.max(1).mean()), "torque_unit": body.torque,
        "torque_bounded": float((torques >= 0.999 * simulator.efforts).any(1).mean()),
        "help_mean": float(held.mean()), "help_max": float(held.max()),
        "mass": body.mass, "height": body.height, "stiffness": [float(k) for k in stiffness], "damping": [float(k) for k in damping],
    }  # fmt: skip


def _check_inputs(rig: Rig, motion: Motion) -> None:
    if list(motion.joint_names) != list(rig.joint_names):
        odd = sorted(set(motion.joint_names) ^ set(rig.joint_names))
        raise InputError(f"{motion.name}: the motion's joints are not the rig's ({odd[0] if odd else 'other order'});", "use the rig it was made with.")
    if motion.frame_count < 2:
        raise InputError(f"{motion.name}: the motion has one frame;", "tracking needs two or more.")


def _device(name: str, progress: Progress) -> str:
    """One clip is one world, which a CPU core steps faster than one thread of a GPU: "auto" is the CPU."""
    if name == "cuda":
        if not torch.cuda.is_available():
            raise MissingError("--device cuda: no CUDA device;", "use --device cpu.")
        progress.note("simulating on the GPU: one clip uses a single thread of it, the CPU is usually faster")
    from .simulator import is_compiled

    device = "cuda:0" if name == "cuda" else "cpu"
    if not is_compiled(device):
        progress.note(f"compiling the physics kernel: about {'15 s' if device == 'cpu' else 'a minute'}, once on this machine")
    return device


def _travel(choice: str, motion: Motion) -> str:
    """Where the target goes, see `feet.corrections`: a path that `akd distill` was asked for is kept."""
    if choice != "auto":
        return choice
    return "spot" if motion.header.params.get("path") else "feet"


def _key(rig: Rig, motion: Motion, params: Params) -> str:
    """What a checkpoint belongs to."""
    text = json.dumps([rig.content_digest(), motion.content_digest(), invalidating(params)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
