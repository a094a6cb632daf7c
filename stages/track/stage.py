"""Stage track: controls and initial velocities whose simulation follows a motion (METHOD 7)."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from schemas.atomic import write_bytes
from schemas.errors import InputError, MissingError
from schemas.motion import Motion
from schemas.params import check, invalidating
from schemas.rig import Rig
from schemas.track import Track
from stages.progress import SILENT, Progress
from stages.repeatable import one_torch_thread

from .body import Body
from .objective import Start, Target, corner_points, roughness, slip, tracking_error
from .params import Params
from .report import contact_figures, corner_rmse, failure, foot_figures, stance_slide

_STEP = 0.009  # largest automatic time step, in sqrt(h/g): 2.1 ms for a body 0.55 m high
_HASTES = (1.0, 0.5, 0.0)  # shares of the target's velocities in the first guesses
_EVERY = 25  # iterations between checkpoints
_COLUMNS = ["iteration", "loss", "track", "smooth", "corner_rmse"]


@one_torch_thread()
def run(rig: Rig, motion: Motion, params: Params | None = None, progress: Progress = SILENT, checkpoint: Path | None = None) -> Track:
    """Find controls u and an initial velocity whose simulation follows `motion`, equation (13).

    Parameters:
        checkpoint: File that keeps the optimiser's state every 25 iterations. A run that finds a fitting one goes on from
            there and gives the same result bit for bit. The caller removes it once the artifact is saved.

    Raises:
        InputError: Joints of rig and motion differ, fewer than two frames, or the simulation diverges at once.
    """
    params = params or Params()
    check(params)
    _check_inputs(rig, motion)
    began = time.perf_counter()
    # limits that the target itself exceeds give way: a wall that it starts behind would throw it
    body = Body.from_rig(rig, density=params.density).with_limits_for(motion.angles)
    substeps = params.substeps or max(1, int(np.ceil(1 / motion.fps / (_STEP * body.time))))
    problem = _Problem(rig, motion, body, params, substeps, _device(params.device, progress), progress)
    state = _State.fresh(problem.start, params)
    key = _key(rig, motion, params)
    if checkpoint is not None and state.load(checkpoint, key):
        progress.note(f"going on from iteration {state.iteration} of {checkpoint.name}")
    progress.begin("track", params.iterations)
    while state.iteration <= params.iterations:
        _iterate(problem, state, params)
        last = state.history[-1]
        progress.update(min(state.iteration, params.iterations), loss=last[1], corner_rmse=last[4])
        if checkpoint is not None and (state.iteration % _EVERY == 0 or state.iteration > params.iterations):
            state.save(checkpoint, key)
    track = _result(problem, state, rig, motion, params, time.perf_counter() - began)
    if track.report["failed"]:
        progress.note(f"tracking failed: {track.report['reason']}")
    return track.stamped(params=params, seed=params.seed, inputs={})


class _Problem:
    """The simulator with its target: controls and velocities in, errors out."""

    def __init__(self, rig: Rig, motion: Motion, body: Body, params: Params, substeps: int, device: str, progress: Progress) -> None:
        from .simulator import Simulator, is_compiled

        if not is_compiled(device):
            progress.note(f"compiling the physics kernel: about {'15 s' if device == 'cpu' else 'a minute'}, once on this machine")
        self.body, self.params, self.substeps = body, params, substeps
        self.target = Target.from_motion(rig, motion, body, grounding=params.grounding, travel=params.travel, stance=params.stance)
        self.simulator = Simulator(
            body,
            steps=(motion.frame_count - 1) * substeps + 1,
            time_step=1 / motion.fps / substeps,
            hold=params.hold,
            gain=params.gain,
            damping=params.damping,
            friction=params.friction,
            upright=params.upright,
            effort=params.effort,
            chunk=params.chunk,
            clip=params.clip,
            device=device,
        )
        self.corners = torch.from_numpy(body.corners).float()
        self.free = torch.from_numpy(body.free).float()
        self.frames = torch.arange(motion.frame_count) * substeps
        self.start = self._best_start()

    def _best_start(self) -> Start:
        """The best of several first guesses; their first pose is the same. The simulator is left in it."""
        knot_time, lag = self.params.hold * self.simulator.time_step, self.params.damping * self.body.time / self.params.gain
        best, least = None, np.inf
        for haste in _HASTES:
            start = Start.from_target(self.target, self.body, knots=self.simulator.knots, knot_time=knot_time, lag=lag, haste=haste)
            self.simulator.start(start.position, start.rotation, start.angles)
            with torch.no_grad():
                loss = float(self.errors([start.control, start.velocity, start.spin, start.rate])[0])
            if best is None or loss < least:
                best, least = start, loss if np.isfinite(loss) else np.inf
        return best

    def simulate(self, values: list[torch.Tensor], steps: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """Joint points, frames and angles at `steps` (default: the frames). [(K, J, 3), (K, J, 3, 3), (K, J, 3)]"""
        from .autograd import Rollout

        device = self.simulator.control.device
        steps = (self.frames if steps is None else steps).to(device)
        return tuple(x[:, 0].cpu() for x in Rollout.apply(self.simulator, steps, *(v.to(device) for v in values)))

    def errors(self, values: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Tracking error, roughness of the controls and corner RMSE [m]."""
        joint, turn, angle = self.simulate(values)
        track = tracking_error(self.target, joint, turn, angle, self.corners, self.body.height, self.params.objective)
        if self.params.slip > 0:
            track = track + self.params.slip * slip(self.target.contacts, joint, turn, self.corners, self.body.height)
        with torch.no_grad():
            away = corner_points(joint, turn, self.corners) - self.target.corners
            rmse = float(away.square().sum(-1).mean().sqrt())
        return track, roughness(values[0]), rmse


@dataclasses.dataclass
class _State:
    """Everything the optimisation carries from one iteration to the next."""

    values: list[torch.Tensor]  # control, velocity, spin, rate
    optimizer: torch.optim.Adam
    best: list[torch.Tensor]
    best_loss: float = float("inf")
    best_iteration: int = 0
    iteration: int = 0
    slow: float = 1.0  # factor on the learning rate, halved after a run that was not finite
    history: list[list[float]] = dataclasses.field(default_factory=list)

    @staticmethod
    def fresh(start: Start, params: Params) -> _State:
        values = [v.clone().requires_grad_() for v in (start.control, start.velocity, start.spin, start.rate)]
        return _State(values, torch.optim.Adam(values, lr=params.learning_rate), [v.detach().clone() for v in values])

    def save(self, path: Path, key: str) -> None:
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("values", "optimizer")}
        content |= {"key": key, "values": [v.detach() for v in self.values], "optimizer": self.optimizer.state_dict()}
        memory = io.BytesIO()  # torch's own writer cannot say that the disk is full
        torch.save(content, memory)
        write_bytes(path, memory.getvalue())

    def load(self, path: Path, key: str) -> bool:
        """Take over a saved state; False if there is none, or it belongs to another run or is damaged."""
        try:
            content = torch.load(path, weights_only=True)
            if content.pop("key") != key:
                return False
            values, optimizer = content.pop("values"), content.pop("optimizer")
        except Exception:  # torch.load raises many kinds; a checkpoint that cannot be read is as good as none
            return False
        with torch.no_grad():
            for mine, saved in zip(self.values, values, strict=True):
                mine.copy_(saved)
        self.optimizer.load_state_dict(optimizer)
        for name, value in content.items():
            setattr(self, name, value)
        return True


def _iterate(problem: _Problem, state: _State, params: Params) -> None:
    """Evaluate the current values, keep them if they are the best so far, and take one Adam step."""
    track, smooth, rmse = problem.errors(state.values)
    loss = track + params.smoothness * smooth
    figures = [float(loss.detach()), float(track.detach()), float(smooth.detach()), rmse]
    finite = bool(np.isfinite(figures).all())
    if not finite and not state.history:
        raise InputError("the simulation of this motion diverges at once;", "try more --substeps, or check the motion for jumps.")
    state.history.append([state.iteration, *(figures if finite else state.history[-1][1:])])
    if finite and figures[0] < state.best_loss:
        state.best_loss, state.best_iteration = figures[0], state.iteration
        state.best = [v.detach().clone() for v in state.values]
    state.iteration += 1
    if not finite:
        _step_back(state, params)
        return
    if state.iteration > params.iterations:
        return
    state.optimizer.zero_grad()
    loss.backward()
    share = (state.iteration - 1) / max(params.iterations, 1)
    for group in state.optimizer.param_groups:
        group["lr"] = params.learning_rate * state.slow * (0.05 + 0.475 * (1 + np.cos(np.pi * share)))
    for value in state.values:
        value.grad.nan_to_num_(0.0, 0.0, 0.0)
    for value in (state.values[0], state.values[3]):
        value.grad *= problem.free  # Adam would move what hardly matters as far as what does
    state.optimizer.step()


def _step_back(state: _State, params: Params) -> None:
    """After a run that was not finite: the best values again, without momentum and with half the step."""
    with torch.no_grad():
        for value, best in zip(state.values, state.best, strict=True):
            value.copy_(best)
    state.slow *= 0.5
    state.optimizer = torch.optim.Adam(state.values, lr=params.learning_rate)


def _result(problem: _Problem, state: _State, rig: Rig, motion: Motion, params: Params, seconds: float) -> Track:
    """Simulate the best values once more and make the artifact with its report."""
    simulator, body = problem.simulator, problem.body
    with torch.no_grad():
        joint, turn, _ = problem.simulate(state.best, torch.arange(simulator.steps))
    at = problem.frames.numpy()
    report: dict[str, Any] = {
        "seconds": round(seconds, 3), "iterations": params.iterations, "best_iteration": state.best_iteration, "substeps": problem.substeps,
        "loss": state.best_loss, "corner_rmse_before": state.history[0][4], **_figures(problem, rig, motion, joint, turn),
    }  # fmt: skip
    angles = simulator.angle[:-1, 0].cpu().numpy()[at]
    angles[:, 0] = 0
    rotation = Rotation.from_quat(simulator.rotation[:-1, 0].cpu().numpy()[at]) * Rotation.from_matrix(body.frames[0].T)
    control, velocity, spin, rate = (v[:, 0].numpy() if v.ndim == 4 else v[0].numpy() for v in state.best)
    control[:, 0] = 0
    return Track(
        name=motion.name, prompt=motion.prompt, fps=motion.fps, joint_names=list(rig.joint_names), angles=angles,
        root_positions=joint[at, 0].numpy(), root_rotations=rotation.as_quat(), loss_names=_COLUMNS,
        losses=np.array(state.history), report=report, controls=control, control_rate=1 / (params.hold * simulator.time_step),
        time_step=simulator.time_step, initial_velocity=np.concatenate([velocity, spin]), initial_joint_velocity=rate, masses=body.masses,
    )  # fmt: skip


def _figures(problem: _Problem, rig: Rig, motion: Motion, joint: torch.Tensor, turn: torch.Tensor) -> dict[str, Any]:
    """What the tracked motion is worth. Joints and frames at all simulation steps. [(T, J, 3), (T, J, 3, 3)]"""
    target, body, params, simulator = problem.target, problem.body, problem.params, problem.simulator
    corners, at = corner_points(joint, turn, problem.corners).numpy(), problem.frames.numpy()
    given, wanted, got = target.given.numpy(), target.corners.numpy(), corners[at]
    up = body.frames[0].T[:, 1]
    ups, target_ups = (np.einsum("fij,j->fi", t[:, 0].double().numpy(), up) for t in (turn[at], target.turn))
    reason = failure(got, wanted, ups, target_ups, joint[at, 0, 1].numpy(), target.joint[:, 0, 1].numpy(), body.height)
    stiffness, damping = body.gains(params.gain, params.damping)
    torques = np.abs(simulator.torques()[:, 0]).max(-1)
    return {
        "failed": bool(reason), "reason": reason,
        "corner_rmse": corner_rmse(got, wanted), "corner_rmse_moved": corner_rmse(got, given + target.shift[:, None, None]),
        "corner_rmse_given": corner_rmse(got, given), "ground_shift": float(np.median(target.shift[:, 1])),
        "travel_added": float(np.linalg.norm(target.shift[-1, [0, 2]])),
        "feet": foot_figures(target.contacts, list(rig.joint_names), given, got, motion.fps),
        "before": contact_figures(given, motion.fps, body.height), "target": contact_figures(wanted, motion.fps, body.height),
        "after": contact_figures(got, motion.fps, body.height), "penetration_max_steps": float(np.maximum(-corners[..., 1], 0).max()),
        "stance_slide": stance_slide(corners, simulator.time_step), "torque_max": float(torques.max()),
        "torque_max_at": rig.joint_names[int(torques.max(0).argmax())], "torque_mean": float(torques.max(1).mean()), "torque_unit": body.torque,
        "torque_bounded": float((torques >= 0.999 * simulator.efforts).any(1).mean()),
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
        return "cuda:0"
    return "cpu"


def _key(rig: Rig, motion: Motion, params: Params) -> str:
    """What a checkpoint belongs to."""
    text = json.dumps([rig.content_digest(), motion.content_digest(), invalidating(params)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
