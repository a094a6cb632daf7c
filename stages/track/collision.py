"""Bones that pass into each other: capsules along the cuboids, and how much deeper they meet than at rest."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import torch

from .body import Body
from .objective import corner_points

_APART = 3
"""Bones with fewer joints between them share flesh. [steps in the tree, from bone to bone]"""
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Capsules:
    """A capsule inside each bone's cuboid, along its longest edge and as thick as its thinnest.

    Attributes:
        ends: Of the axis, in the bones' frames. [m, (J, 2, 3)]
        radii: [m, (J,)]
        pairs: Bones that can meet. [(P, 2)]
        allowed: How deep each pair is in each other at rest. [m, (P,)]
    """

    ends: torch.Tensor
    radii: torch.Tensor
    pairs: torch.Tensor
    allowed: torch.Tensor

    @staticmethod
    def of(body: Body) -> Capsules:
        """Those of a body."""
        edges = body.corners[:, [4, 2, 1]] - body.corners[:, :1]  # corners count in binary: x, y, z
        sizes = np.linalg.norm(edges, axis=-1)  # [J, 3]
        longest, radii = sizes.argmax(1), 0.5 * sizes.min(1)
        rows = np.arange(len(sizes))
        along = edges[rows, longest] / np.maximum(sizes[rows, longest], _TINY)[:, None]
        reach = np.maximum(0.5 * sizes[rows, longest] - radii, 0.0)[:, None] * along
        middle = body.corners.mean(1)
        pairs = np.array([pair for pair in itertools.combinations(range(len(sizes)), 2) if _steps(body.parents, *pair) >= _APART], np.int64).reshape(-1, 2)
        ends = np.stack([middle - reach, middle + reach], 1)
        found = Capsules(*(torch.from_numpy(x).float() for x in (ends, radii)), torch.from_numpy(pairs), torch.zeros(len(pairs)))
        joint, turn = _at_rest(body)
        return dataclasses.replace(found, allowed=(-found.gaps(joint, turn)[0]).clamp_min(0.0))

    def gaps(self, joint: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        """Distance between the surfaces of each pair, negative where they overlap. [m, (F, J, 3), (F, J, 3, 3) -> m, (F, P)]"""
        axes = corner_points(joint, turn, self.ends)  # [F, J, 2, 3]
        one, other = self.pairs.T
        return distances(axes[:, one], axes[:, other]) - (self.radii[one] + self.radii[other])

    def depths(self, joint: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        """How much deeper each pair is in each other than at rest. [m, (F, P)]"""
        return (-self.gaps(joint, turn) - self.allowed).clamp_min(0.0)


def colliding(capsules: Capsules, joint: torch.Tensor, turn: torch.Tensor, scale: float) -> torch.Tensor:
    """Squared depths over `scale`^2, summed over pairs, mean over frames."""
    return capsules.depths(joint, turn).square().sum() / (scale**2 * len(joint))


def deepest(capsules: Capsules, joint: torch.Tensor, turn: torch.Tensor, names: list[str]) -> dict[str, float | str]:
    """The largest depth of a motion [m] and between which bones; "" where none meet."""
    depths = capsules.depths(joint, turn)
    if not depths.numel() or not float(depths.max()):
        return {"depth": 0.0, "bones": ""}
    pair = capsules.pairs[int(depths.amax(0).argmax())]
    return {"depth": float(depths.max()), "bones": " and ".join(names[int(bone)] for bone in pair)}


def distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Distance between segments. [(..., 2, 3), (..., 2, 3) -> (...)]

    The places of closest approach minimise it, so that no gradient has to go through them.
    """
    with torch.no_grad():
        here, there = first[..., 1, :] - first[..., 0, :], second[..., 1, :] - second[..., 0, :]
        apart = first[..., 0, :] - second[..., 0, :]
        a, e, b = (x.sum(-1).clamp_min(_TINY) if k < 2 else x.sum(-1) for k, x in enumerate((here * here, there * there, here * there)))
        c, f = (here * apart).sum(-1), (there * apart).sum(-1)
        across = a * e - b * b
        s = torch.where(across > 1e-6 * a * e, (b * f - c * e) / across.clamp_min(_TINY), torch.zeros_like(a)).clamp(0, 1)
        t = ((b * s + f) / e).clamp(0, 1)
        s = ((b * t - c) / a).clamp(0, 1)
        t = ((b * s + f) / e).clamp(0, 1)
    near = first[..., 0, :] + s[..., None] * (first[..., 1, :] - first[..., 0, :])
    far = second[..., 0, :] + t[..., None] * (second[..., 1, :] - second[..., 0, :])
    return ((near - far).square().sum(-1) + _TINY).sqrt()


def _steps(parents: np.ndarray, one: int, other: int) -> int:
    """Steps from one bone to another along the tree."""
    chain = {one: 0}
    while parents[one] >= 0:
        chain[int(parents[one])] = chain[one] + 1
        one = int(parents[one])
    steps = 0
    while other not in chain:
        other, steps = int(parents[other]), steps + 1
    return chain[other] + steps


def _at_rest(body: Body) -> tuple[torch.Tensor, torch.Tensor]:
    """Joint points and frames of the rest pose, its root at the origin. [(1, J, 3), (1, J, 3, 3)]"""
    return torch.from_numpy(body.rest)[None].float(), torch.from_numpy(body.frames)[None].float()
