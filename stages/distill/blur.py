"""The score's gradient spread over the picture, so that a limb is drawn to where it is wanted from more than its own width away.

A kernel moves by the gradient on the pixels it covers. A thin leg that does not overlap the place where the prior wants
it covers none of those there: what is left is to get rid of it where it is, by folding it or hiding it behind the
other one, and there it stays (docs/prior.md). Spread by a Gaussian, the gradient of that place reaches the leg. This
is descent on the difference of render and target in which coarse detail counts more, from coarse to fine as the blur fades.
"""

from __future__ import annotations

import torch

LEAST = 0.2  # px: below it a Gaussian has one tap


def fading(start: float, iteration: int, steps: float) -> float:
    """A blur that falls linearly to 0 over the first `steps` iterations. [px]

    Parameters:
        start: At iteration 0. [px]
        iteration: Counted from 0.
    """
    return start * max(0.0, 1 - iteration / steps) if steps > 0 else 0.0


def spread(gradient: torch.Tensor, deviation: float) -> torch.Tensor:
    """Spread a gradient on pixels over each frame by a Gaussian, without changing the norm of a clip's.

    The norm is kept so that the weights of the other terms mean the same at any blur. Beyond the picture the gradient is 0.

    Parameters:
        gradient: [(B, F, H, W, 3)]
        deviation: Of the Gaussian; below `LEAST` the gradient is returned as it is. [px]
    """
    if deviation < LEAST:
        return gradient
    rows, columns = (_gaussian(size, deviation, gradient) for size in gradient.shape[2:4])
    wide = torch.einsum("ih,bfhwc,jw->bfijc", rows, gradient, columns)
    before, after = (value.flatten(1).norm(dim=1).clamp(min=1e-30) for value in (gradient, wide))
    return wide * (before / after)[:, None, None, None, None]


def _gaussian(size: int, deviation: float, like: torch.Tensor) -> torch.Tensor:
    """The matrix that convolves `size` pixels with a Gaussian, symmetric. [(size, size)]"""
    place = torch.arange(size, device=like.device, dtype=like.dtype)
    weights = torch.exp(-0.5 * ((place[:, None] - place) / deviation) ** 2)
    taps = torch.arange(-size, size + 1, device=like.device, dtype=like.dtype)
    return weights / torch.exp(-0.5 * (taps / deviation) ** 2).sum()
