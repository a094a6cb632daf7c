"""Quick pictures of a mesh: points spread over its surface, shaded, the nearest in front. No renderer, no texture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

PAPER = (250, 250, 248)
INK = (45, 45, 45)
FRONT = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
"""Rows of a view: where the picture's right, its up, and the eye lie. From the front, the character's left is on the right."""
LEFT = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
ABOVE = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
SLANTED = np.array([[0.77, 0, -0.64], [-0.19, 0.95, -0.23], [0.61, 0.30, 0.73]])

_FILL = 0.88  # of the picture, by the largest extent
_LIGHT = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])


class Samples:
    """Places spread evenly over a surface, that move with its vertices.

    Parameters:
        points: Vertices at rest. [m, (N, 3)]
        faces: [(T, 3)]
        count: How many.
    """

    def __init__(self, points: np.ndarray, faces: np.ndarray, count: int) -> None:
        corners = points[faces]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        random = np.random.default_rng(0)
        self.face = np.searchsorted(np.cumsum(area), random.random(count) * area.sum()).clip(max=len(faces) - 1)
        u, v = random.random((2, count))
        over = u + v > 1
        self._u, self._v = np.where(over, 1 - u, u)[:, None], np.where(over, 1 - v, v)[:, None]
        self._faces = faces

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places and unit normals for these vertex positions. [m, (S, 3), (S, 3)]"""
        a, b, c = (points[self._faces[self.face, corner]] for corner in range(3))
        normals = np.cross(b - a, c - a)
        return a + self._u * (b - a) + self._v * (c - a), normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)


def pixels(points: np.ndarray, extent: float, size: int) -> np.ndarray:
    """Places in a picture of points in a view's frame, its middle at the origin. [m, (N, 3) -> px, (N, 2)]"""
    scale = _FILL * size / extent
    return np.stack([0.5 * size + scale * points[..., 0], 0.5 * size - scale * points[..., 1]], -1)


def shaded(points: np.ndarray, normals: np.ndarray, extent: float, size: int, tint: np.ndarray | None = None) -> Image.Image:
    """The samples in pale grey, lit from above the eye.

    Parameters:
        points, normals: In the view's frame. [m, (S, 3), (S, 3)]
        extent: What fills the picture. [m]
        size: Of the picture; drawn at a quarter of it, so that the samples leave no gaps. [px]
        tint: Colour factor of each sample. [0..1, (S, 3)]
    """
    coarse = size // 4
    place = np.round(pixels(points, extent, coarse) - 0.5).astype(int)
    seen = ((place >= 0) & (place < coarse)).all(1)
    order = np.argsort(points[:, 2], kind="stable")  # the nearest last
    order = order[seen[order]]
    light = np.clip(0.72 + 0.2 * (normals[order] @ _LIGHT), 0, 1)[:, None] * (np.ones(3) if tint is None else tint[order])
    picture = np.tile(np.array(PAPER, np.uint8), (coarse, coarse, 1))
    picture[place[order, 1], place[order, 0]] = np.round(255 * light).astype(np.uint8)
    # single pixels where no sample of the near side fell, and one of the far side shows
    return Image.fromarray(picture).filter(ImageFilter.MedianFilter(3)).resize((size, size), Image.Resampling.BICUBIC)
