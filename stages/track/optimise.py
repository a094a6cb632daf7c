"""The optimisation of one stretch after another, and its checkpoint."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from schemas.atomic import write_bytes
from schemas.errors import InputError

from .easing import faded, hardness, settles
from .params import Params
from .problem import Problem

_STRAYED = 1.1
_PATIENCE = 4
"""After so many iterations in turn whose loss is so many times the best, the optimisation goes back to the best: a hard landing threw it out."""

COLUMNS = ["iteration", "loss", "track", "smooth", "corner_rmse"]


@dataclasses.dataclass
class State:
    """Everything the optimisation carries from one iteration to the next.

    Attributes:
        values, best: Control, velocity, spin and rate of the stretch at work.
        history: One row of `COLUMNS` an iteration, of all stretches.
        help: Share of the upright help that is left; what the first stretch ends with holds for all.
        slow: Factor on the learning rate, halved after a run that was not finite and when the loss strays.
        strayed: How many iterations in turn were far worse than the best, in the real world.
        stretch: Which one is at work.
        begin: State it begins with (`Problem.state_at`); empty for the first.
        known: Controls found for its beginning by the one before; empty for the first.
        done: Controls of the stretches before, as far as they are kept. [each (C, 1, J, 3)]
        first: Velocity, spin and rate at the start of the clip; empty while the first is at work.
    """

    values: list[torch.Tensor] = dataclasses.field(default_factory=list)
    optimizer: torch.optim.Adam | None = None
    best: list[torch.Tensor] = dataclasses.field(default_factory=list)
    best_loss: float = float("inf")
    best_iteration: int = 0
    iteration: int = 0
    help: float = 1.0
    slow: float = 1.0
    strayed: int = 0
    history: list[list[float]] = dataclasses.field(default_factory=list)
    stretch: int = 0
    begin: list[torch.Tensor] = dataclasses.field(default_factory=list)
    known: list[torch.Tensor] = dataclasses.field(default_factory=list)
    done: list[torch.Tensor] = dataclasses.field(default_factory=list)
    first: list[torch.Tensor] = dataclasses.field(default_factory=list)

    def enter(self, problem: Problem, params: Params) -> None:
        """Begin to optimise `problem`; or go on with it, if the values are those of a checkpoint."""
        start = problem.start
        saved, moments = self.values, self.optimizer
        self.values = [v.clone().requires_grad_() for v in (saved or (start.control, start.velocity, start.spin, start.rate))]
        self.optimizer = torch.optim.Adam(self.values, lr=params.learning_rate)
        if saved:
            self.optimizer.load_state_dict(moments)
        else:
            self.best = [v.detach().clone() for v in self.values]

    def leave(self, problem: Problem, frames: int, params: Params) -> None:
        """Keep the best controls of the first `frames` frames, and let the next stretch begin there."""
        problem.simulator.ease(help=self.help)
        with torch.no_grad():
            problem.simulate(self.best)
        knots = frames * problem.substeps // params.hold
        self.first = self.first or self.best[1:]
        self.done = [*self.done, self.best[0][:knots]]
        self.begin, self.known = problem.state_at(frames), [self.best[0][knots:]]
        self.stretch, self.values, self.optimizer = self.stretch + 1, [], None
        self.best_loss, self.iteration, self.slow, self.strayed = float("inf"), 0, 1.0, 0

    def whole(self) -> list[torch.Tensor]:
        """The best control of the clip so far, and its first velocity, spin and rate."""
        return [torch.cat([*self.done, self.best[0]]), *(self.first or self.best[1:])]

    def save(self, path: Path, key: str) -> None:
        """Write the checkpoint, atomically; `key` tells what it belongs to."""
        content: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("values", "optimizer")}
        moments = self.optimizer.state_dict() if self.optimizer else {}
        content |= {"key": key, "values": [v.detach() for v in self.values], "optimizer": moments}
        memory = io.BytesIO()  # torch's own writer cannot say that the disk is full
        torch.save(content, memory)
        write_bytes(path, memory.getvalue())

    @staticmethod
    def load(path: Path, key: str) -> State | None:
        """A saved state to `enter` with; None if there is none, or it belongs to another run or is damaged."""
        try:
            content = torch.load(path, weights_only=True)
            return State(**content) if content.pop("key") == key else None
        except Exception:  # torch.load raises many kinds; a checkpoint that cannot be read is as good as none
            return None


def iterate(problem: Problem, state: State, params: Params) -> None:
    """Evaluate the current values, keep them if they are the best so far, and take one Adam step.

    Raises:
        InputError: The first values of the stretch do not give finite numbers.
    """
    if settles(state.iteration, params.iterations):
        state.best_loss = float("inf")
    settled = hardness(state.iteration, params.iterations) == 1
    problem.simulator.ease(hardness(state.iteration, params.iterations), state.help)
    track, smooth, rmse = problem.errors(state.values)
    loss = track + params.smoothness * smooth
    figures = [float(loss.detach()), float(track.detach()), float(smooth.detach()), rmse]
    finite = bool(np.isfinite(figures).all())
    if not finite and state.iteration == 0:
        raise InputError("the simulation of this motion diverges at once;", "try more --substeps, or check the motion for jumps.")
    number = state.stretch * (params.iterations + 1) + state.iteration
    state.history.append([number, *(figures if finite else state.history[-1][1:])])
    if finite and figures[0] < state.best_loss:
        state.best_loss, state.best_iteration = figures[0], number
        state.best = [v.detach().clone() for v in state.values]
    if finite and state.stretch == 0:
        least = min(row[4] for row in state.history)
        state.help = faded(state.help, rmse / problem.body.height, least / problem.body.height, state.iteration, params)
    state.strayed = state.strayed + 1 if settled and figures[0] > _STRAYED * state.best_loss else 0
    state.iteration += 1
    if not finite or state.strayed == _PATIENCE:
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
    for value in state.values[1:] if problem.fixed else ():
        value.grad.zero_()
    state.optimizer.step()


def _step_back(state: State, params: Params) -> None:
    """After a run that was not finite, or some that strayed: the best values again, without momentum and with half the step."""
    with torch.no_grad():
        for value, best in zip(state.values, state.best, strict=True):
            value.copy_(best)
    state.slow, state.strayed = 0.5 * state.slow, 0
    state.optimizer = torch.optim.Adam(state.values, lr=params.learning_rate)
