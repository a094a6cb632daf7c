"""Motion variables of a clip that is optimised window by window: each window has its own, neighbours blend into each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from schemas.rig import Rig

from .parameterisation import MotionVariables, released


def blend(starts: list[int], window: int, frames: int) -> np.ndarray:
    """Weight of each window at each frame: raised cosines from middle to middle of neighbours, 1 outside; they sum to 1. [(W, F)]"""
    middles, time = np.array(starts) + 0.5 * (window - 1), np.arange(frames)
    weights = np.ones((len(starts), frames))
    for k, (a, b) in enumerate(zip(middles, middles[1:], strict=False)):
        rising = 0.5 - 0.5 * np.cos(math.pi * np.clip((time - a) / (b - a), 0, 1))
        weights[k], weights[k + 1] = weights[k] * (1 - rising), weights[k + 1] * rising
    return weights


def window_basis(start: int, window: int, frames: int, modes: int) -> np.ndarray:
    """Cosines over a window, mirrored at its ends; one column per frame for modes = 0. [(F, K)]"""
    if modes == 0:
        return np.eye(frames)
    phase = (np.arange(frames)[:, None] - start + 0.5) / window
    return np.cos(math.pi * phase * np.arange(min(modes, window)))


class WindowedVariables(MotionVariables):
    """Theta of a long clip.

    Adam moves every variable that has a gradient by about its learning rate. In a basis over the whole clip the gradient of
    one window would move all of them, and steps of the other windows would go on in that direction: here a window's step
    moves what is seen in it, as if it were a clip of its own.

    Attributes:
        sets: Joints, turns and shifts of each window, see `MotionVariables`. [(K, J, 3), (K, 3), (K, 3)]
    """

    def __init__(self, rig: Rig, *, starts: list[int], window: int, frames: int, modes: int, **common: Any) -> None:
        """Set up the variables of windows that begin at `starts`; the rest as for `MotionVariables`."""
        super().__init__(rig, frames=frames, modes=1, **common)
        self.per_frame = modes == 0
        like, self.bases, self.sets = self.start, [], []
        for start, weight in zip(starts, blend(starts, window, frames), strict=True):
            basis = window_basis(start, window, frames, modes)
            basis = (basis * weight[:, None])[:, weight > 0] if modes == 0 else basis * weight[:, None]
            self.bases.append(torch.as_tensor(basis, dtype=like.dtype, device=like.device))
            shapes = ((rig.joint_count, 3), (3,), (3,))
            self.sets.append(tuple(torch.zeros(basis.shape[1], *shape, device=like.device, requires_grad=True) for shape in shapes))

    def leaves(self) -> dict[str, torch.Tensor]:
        """The tensors to optimise; "joints.2" belongs to the third window."""
        return {f"{name}.{k}": leaf for k, leaves in enumerate(self.sets) for name, leaf in zip(("joints", "turns", "shifts"), leaves, strict=True)}

    def _joints(self, share: float, rows: slice) -> torch.Tensor:
        return sum(torch.einsum("fk,kjc->fjc", basis, self.sets[k][0]) for k, basis in self._seen(share, rows))

    def _root(self, share: float, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        seen = self._seen(share, rows)
        return sum(basis @ self.sets[k][2] for k, basis in seen), sum(basis @ self.sets[k][1] for k, basis in seen)

    def _seen(self, share: float, rows: slice) -> list[tuple[int, torch.Tensor]]:
        """The windows that have a say in these frames, and their bases there."""
        seen = [(k, basis[rows]) for k, basis in enumerate(self.bases) if bool(basis[rows].any())]
        if self.per_frame or share >= 1:
            return seen
        return [(k, basis * released(basis.shape[1], share).to(basis)) for k, basis in seen]
