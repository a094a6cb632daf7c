"""More kernels where the error is: squared errors of pixels are traced back to kernels, new ones start on the surface near the worst."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial import cKDTree

from schemas.asset import Asset
from stages.view.texture import SurfaceShader

from .kernels import Kernels
from .start import Start, scattered
from .views import Views

ROUNDS = (0.04, 0.08, 0.16)  # of the steps: when kernels are added, a third of them each time
FIRST = 0.7  # of the wanted number: what the fit begins with
POWER = 2.0  # of the error per area, to which the density of new kernels is proportional
FADED = 0.02  # opacity below which a kernel is taken away
_LOOKED_AT = 24  # views whose errors are traced back
_CANDIDATES = 12  # points of the surface per wanted kernel
_ROOM = 0.35  # of the gap there: new kernels stay so far from old ones and from each other


def traced_errors(kernels: Kernels, views: Views) -> torch.Tensor:
    """Each pixel's squared error over white, shared by the kernels in proportion to what they contribute to it. [(N,)]

    That is the gradient of the colours where the image's gradient is the error.
    """
    total = torch.zeros(len(kernels.means), device=kernels.means.device)
    for index in range(len(views.images)):
        part = views.pick(torch.tensor([index]))
        colors = kernels.colors.clone().requires_grad_()
        drawn = dataclasses.replace(kernels, colors=colors).images(part.camera)
        over = drawn.detach() - part.images
        error = (over[..., :3] - over[..., 3:]).square().sum(-1)
        drawn.backward(torch.stack([error, *[torch.zeros_like(error)] * 3], -1))
        total += colors.grad[:, 0]
    return total


class Densifier:
    """Adds kernels to a fit and takes faded ones away.

    Parameters:
        asset: The mesh.
        start: Where the kernels of the fit lie.
        wanted: Number of kernels after the last round.
        begin: Makes kernels of points on the surface.
        shader: Knows where alpha masks have cut out the surface.
        rng: For the candidates.

    Attributes:
        start: The same, of the kernels that there are now.
    """

    def __init__(self, asset: Asset, start: Start, wanted: int, begin: Callable[[Start], Kernels], shader: SurfaceShader, rng: np.random.Generator) -> None:
        self.start = start
        self._asset, self._wanted, self._begin, self._shader, self._rng = asset, wanted, begin, shader, rng

    def round_of(self, step: int, steps: int) -> int | None:
        """Which round is due after `step` of `steps` steps, None for none."""
        due = [round(share * steps) for share in ROUNDS]
        return due.index(step) if step in due and step > 0 else None

    def __call__(self, index: int, kernels: Kernels, views: Views) -> tuple[torch.Tensor, Kernels]:
        """Which kernels stay [bool, (N,)], and the new ones; `start` follows."""
        looked = torch.from_numpy(self._rng.permutation(len(views.images))[:_LOOKED_AT].copy())
        error = traced_errors(kernels, views.pick(looked)).cpu().numpy().astype(np.float64)
        keep = (torch.sigmoid(kernels.opacities) > FADED).cpu().numpy()
        added = self._choose(error, max((self._wanted - int(keep.sum())) // (len(ROUNDS) - index), 0))
        fields = [field.name for field in dataclasses.fields(Start)]
        self.start = Start(*(np.concatenate([getattr(self.start, name)[keep], getattr(added, name)]) for name in fields))
        return torch.from_numpy(keep), self._begin(added)

    def _choose(self, error: np.ndarray, count: int) -> Start:
        """New points on the surface: drawn by the error per area, none closer than `_ROOM` gaps to another kernel."""
        tree = cKDTree(self.start.means)
        faces, barycentric, points, _ = scattered(self._asset, max(_CANDIDATES * count, 1), self._rng)
        if self._shader.masked:
            there = self._shader.opaque(faces, barycentric)
            faces, barycentric, points = faces[there], barycentric[there], points[there]
        distance, owner = tree.query(points)
        gap = self.start.spacing[owner]
        density = error[owner] / gap**2
        # Gumbel's trick: the largest of log weight + noise are a weighted draw without repetition
        order = np.argsort(-(POWER * np.log(np.maximum(density, 1e-30)) + self._rng.gumbel(size=len(points))), kind="stable")
        order = order[distance[order] > _ROOM * gap[order]]
        chosen = order[_apart(points[order], _ROOM * gap[order], count)]
        every = np.concatenate([self.start.means, points[chosen]])
        near = cKDTree(every).query(points[chosen], k=min(5, len(every)))[0].reshape(len(chosen), -1)
        corners = self._asset.vertices[self._asset.faces[faces[chosen]]].astype(np.float64)
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-30)
        return Start(faces[chosen], barycentric[chosen], points[chosen], normals, np.maximum(near[:, 1:].mean(1), 1e-9))


def _apart(points: np.ndarray, radius: np.ndarray, count: int) -> np.ndarray:
    """The first `count` indices such that none lies within its own radius of an earlier chosen one. [m, (N, 3), (N,)]"""
    points, radius = points[: 4 * count], radius[: 4 * count]
    if not len(points):
        return np.zeros(0, np.int64)
    pairs = cKDTree(points).query_pairs(float(radius.max()), output_type="ndarray")
    close = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) < radius[pairs[:, 1]]
    pairs = pairs[close]
    alive = np.ones(len(points), bool)
    for first, second in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].tolist():  # first < second: the earlier one wins
        if alive[first]:
            alive[second] = False
    return np.flatnonzero(alive)[:count]
