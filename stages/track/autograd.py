"""The simulator as one differentiable torch function (METHOD 7)."""

from __future__ import annotations

from typing import Any

import torch

from .simulator import Simulator


class Rollout(torch.autograd.Function):
    """Simulate, and return the poses at some steps.

    Arguments: simulator (its `start` was called), steps to read [(K,), int64], controls [rad, (C, E, J, 3)], initial
    root velocity [m/s, (E, 3)], root spin [rad/s, (E, 3)] and joint rates [rad/s, (E, J, 3)].

    Returns joint points [m, (K, E, J, 3)], bone frames [(K, E, J, 3, 3)] and joint angles [rad, (K, E, J, 3)].
    The simulator's memory holds one run, so backward must follow before the next forward.
    """

    @staticmethod
    def forward(
        ctx: Any, simulator: Simulator, steps: torch.Tensor, control: torch.Tensor, velocity: torch.Tensor, spin: torch.Tensor, rate: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        simulator.forward(control, velocity, spin, rate)
        ctx.simulator, ctx.steps, ctx.run = simulator, steps, simulator.runs
        return simulator.joint[steps], simulator.turn[steps], simulator.angle[steps]

    @staticmethod
    def backward(ctx: Any, joint: torch.Tensor, turn: torch.Tensor, angle: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        simulator: Simulator = ctx.simulator
        if simulator.runs != ctx.run:
            raise RuntimeError("the simulator ran again before backward of an earlier run")
        simulator.zero_grad()
        for view, seed in ((simulator.grad.joint, joint), (simulator.grad.turn, turn), (simulator.grad.angle, angle)):
            view[ctx.steps] = seed
        simulator.backward()
        grad = simulator.grad
        return None, None, grad.control.clone(), grad.velocity[0].clone(), grad.spin[0].clone(), grad.rate[0].clone()
