"""Noise levels over the course of a run, and the weight w(t) of the score (METHOD 5)."""

from __future__ import annotations

import dataclasses

import torch


@dataclasses.dataclass(frozen=True)
class NoiseSchedule:
    """Noise levels u = t/T drawn uniformly from a range whose ends move linearly over the first part of the run.

    Attributes:
        start: (lowest, highest) at iteration 0.
        end: (lowest, highest) once annealed.
        iterations: Of the whole run.
        anneal: Share of the run over which the range moves.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    iterations: int
    anneal: float = 0.5

    def bounds(self, iteration: int) -> tuple[float, float]:
        """The range at an iteration, counted from 0."""
        steps = self.anneal * self.iterations
        share = min(1.0, iteration / steps) if steps > 0 else 1.0
        low, high = (a + (b - a) * share for a, b in zip(self.start, self.end, strict=True))
        return low, high

    def draw(self, iteration: int, generator: torch.Generator) -> float:
        """A noise level for this iteration."""
        low, high = self.bounds(iteration)
        return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def weight(kind: str, alpha: float, sigma: float) -> float:
    """w(t) on z - z0_hat.

    "one" takes the difference as it is (CogVideoX's own training weight); "sigma2" is 1 - abar; "eps" turns it into
    eps_hat - eps, the form of DreamFusion, because z - z0_hat = (sigma / alpha) (eps_hat - eps).
    """
    if kind == "one":
        return 1.0
    if kind == "sigma2":
        return sigma * sigma
    if kind == "eps":
        return alpha / max(sigma, 1e-6)
    raise ValueError(f"weighting {kind!r} is not one, sigma2 or eps")
