"""One stretch of a motion to be tracked: the simulator with its target, controls and velocities in, errors out."""

from __future__ import annotations

import math

import numpy as np
import torch

from .body import Body
from .collision import Capsules, colliding
from .easing import hardness
from .objective import Start, Target, corner_points, roughness, sinking, slip, tracking_error
from .params import Params

_HASTES = (1.0, 0.5, 0.0)  # shares of the target's velocities in the first guesses
_OVERLAP = 0.25  # share of a stretch that the next one does again


def stretches(frames: int, fps: float, window: float, substeps: int, hold: int) -> list[tuple[int, int]]:
    """First and last frame of the stretches of a clip; each begins inside the one before, where a control begins.

    Parameters:
        window: Longest stretch, a quarter more at the end. [s]
    """
    whole = hold // math.gcd(hold, substeps)  # so many frames hold a whole number of controls
    length = max(round(window * fps / whole), 2) * whole
    step = max(int((1 - _OVERLAP) * length / whole), 1) * whole
    spans = [(0, min(length, frames - 1))]
    while spans[-1][1] < frames - 1:
        first = spans[-1][0] + step
        spans.append((first, min(first + length, frames - 1)))
    if len(spans) > 1 and spans[-1][1] - spans[-1][0] < length // 2:  # too short for a stretch of its own
        spans[-2:] = [(spans[-2][0], frames - 1)]
    return spans


class Problem:
    """The simulator with its target.

    Attributes:
        target: Of this stretch.
        simulator: In its first pose.
        start: The first guess.
        fixed: Whether the first velocities are given, by a stretch before.
        frames: Simulation steps of the target's frames. [(F,)]
        corners: Of the cuboids in the bones' frames. [m, (J, 8, 3)]
        capsules: What bones are when they meet.
    """

    def __init__(
        self,
        target: Target,
        body: Body,
        params: Params,
        substeps: int,
        device: str,
        *,
        begin: list[torch.Tensor] | None = None,
        known: torch.Tensor | None = None,
        help: float = 1.0,
        gradients: bool = True,
    ) -> None:
        """Set up.

        Parameters:
            begin: State that a stretch before ended with, see `state_at`; None: the target's first frame.
            known: Controls that it found for what this one does again. [rad, (C, 1, J, 3)]
            help: Share of the upright help while first guesses are tried.
        """
        from .simulator import Simulator

        self.target, self.body, self.params, self.substeps, self.fixed = target, body, params, substeps, begin is not None
        names = ("hold", "gain", "damping", "friction", "upright", "effort", "chunk", "clip")
        self.simulator = Simulator(
            body,
            steps=(len(target.angle) - 1) * substeps + 1,
            time_step=1 / target.fps / substeps,
            device=device,
            gradients=gradients,
            **{name: getattr(params, name) for name in names},
        )
        self.corners = torch.from_numpy(body.corners).float()
        self.free = torch.from_numpy(body.free).float()
        self.capsules = Capsules.of(body)
        self.frames = torch.arange(len(target.angle)) * substeps
        self.simulator.ease(hardness(0, params.iterations), help)
        self.start = self._best_start(begin, known)

    def _best_start(self, begin: list[torch.Tensor] | None, known: torch.Tensor | None) -> Start:
        """The best of several first guesses; their first pose is the same. The simulator is left in it."""
        knot_time, lag = self.params.hold * self.simulator.time_step, self.params.damping * self.body.time / self.params.gain
        best, least = None, np.inf
        for haste in _HASTES:
            start = Start.from_target(self.target, self.body, knots=self.simulator.knots, knot_time=knot_time, lag=lag, haste=haste)
            if begin is not None:
                start = start.going_on(begin, known)
            self.simulator.start(start.position, start.rotation, start.angles, up=None if begin is None else begin[6].numpy())
            with torch.no_grad():
                loss = float(self.errors([start.control, start.velocity, start.spin, start.rate])[0])
            if best is None or loss < least:
                best, least = start, loss if np.isfinite(loss) else np.inf
        return best

    def state_at(self, frame: int) -> list[torch.Tensor]:
        """The last run's state at a frame: position (3,), rotation (4,), angles (J, 3), velocity (1, 3), spin (1, 3), rates (1, J, 3);
        and the up direction that the upright help keeps, in the root's frame (3,)."""
        sim, step = self.simulator, frame * self.substeps
        pose = [view[step, 0].cpu().clone() for view in (sim.position, sim.rotation, sim.angle)]
        pace = [view[step].cpu().clone() for view in (sim.velocity, sim.spin, sim.rate)]
        return [*pose, *pace, torch.tensor([float(x) for x in sim.physics.up], dtype=torch.float32)]

    def simulate(self, values: list[torch.Tensor], steps: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """Joint points, frames and angles at `steps` (default: the frames). [(K, J, 3), (K, J, 3, 3), (K, J, 3)]"""
        from .autograd import Rollout

        device = self.simulator.control.device
        steps = (self.frames if steps is None else steps).to(device)
        return tuple(x[:, 0].cpu() for x in Rollout.apply(self.simulator, steps, *(v.to(device) for v in values)))

    def errors(self, values: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Tracking error, roughness of the controls and corner RMSE [m]."""
        height, params = self.body.height, self.params
        steps = torch.arange(self.simulator.steps) if params.sink > 0 else self.frames
        poses = self.simulate(values, steps)
        joint, turn, angle = (x[self.frames] for x in poses) if params.sink > 0 else poses
        track = tracking_error(self.target, joint, turn, angle, self.corners, height, params.objective)
        if params.slip > 0:
            track = track + params.slip * slip(self.target.contacts, joint, turn, self.corners, height)
        if params.sink > 0:
            track = track + params.sink * sinking(poses[0], poses[1], self.corners)
        if params.self_collision > 0:
            track = track + params.self_collision * colliding(self.capsules, joint, turn, height)
        with torch.no_grad():
            away = corner_points(joint, turn, self.corners) - self.target.corners
            rmse = float(away.square().sum(-1).mean().sqrt())
        return track, roughness(values[0]), rmse
