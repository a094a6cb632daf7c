"""Plain pictures of a mesh, as on drawings: parallel rays, pale grey, no texture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .mesh import cast, vertex_normals

PAPER = (250, 250, 248)
INK = (45, 45, 45)
FRONT = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
"""Rows of a view: where the picture's right, its up, and the eye lie. From the front, the character's left is on the right."""
LEFT = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
ABOVE = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
SLANTED = np.array([[0.77, 0, -0.64], [-0.19, 0.95, -0.23], [0.61, 0.30, 0.73]])

_FILL = 0.88  # of the picture, by the largest extent
_LIGHT = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])


def pixels(points: np.ndarray, extent: float, size: int) -> np.ndarray:
    """Places in a picture of points in a view's frame, its middle at the origin. [m, (N, 3) -> px, (N, 2)]"""
    scale = _FILL * size / extent
    return np.stack([0.5 * size + scale * points[..., 0], 0.5 * size - scale * points[..., 1]], -1)


class Surface:
    """A surface to draw again and again as its vertices move.

    Parameters:
        points: Vertices at rest; those in one place are lit as one. [m, (N, 3)]
        faces: [(T, 3)]
    """

    def __init__(self, points: np.ndarray, faces: np.ndarray) -> None:
        self._faces = np.asarray(faces)
        self._weld = np.unique(np.asarray(points, np.float32), axis=0, return_inverse=True)[1].reshape(-1)

    def picture(self, points: np.ndarray, extent: float, size: int, tint: np.ndarray | None = None) -> Image.Image:
        """The surface in pale grey, lit from above the eye, seen from infinitely far.

        Parameters:
            points: In the view's frame. [m, (N, 3)]
            extent: What fills the picture. [m]
            size: Of the picture, one ray a pixel. [px]
            tint: Colour factor of each face. [0..1, (T, 3)]

        Raises:
            MissingError: embreex is not installed.
        """
        picture = np.tile(np.array(PAPER, np.uint8), (size, size, 1))
        place = pixels(points, extent, size)
        low, high = np.clip(np.floor(place.min(0)), 0, size).astype(int), np.clip(np.ceil(place.max(0)), 0, size).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        if not x.size:
            return Image.fromarray(picture)
        scale = extent / (_FILL * size)  # metres a pixel
        front = float(points[:, 2].max()) + extent
        origins = np.stack([(x + 0.5 - 0.5 * size) * scale, (0.5 * size - y - 0.5) * scale, np.full(x.shape, front)], -1).reshape(-1, 3)
        hit, face, weights = cast(points, self._faces, origins, np.broadcast_to([0.0, 0, -1], origins.shape))
        smooth = np.einsum("mk,mkc->mc", weights, vertex_normals(points, self._faces, self._weld)[self._faces[face]])
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-20)
        smooth *= np.where(smooth[:, 2:] < 0, -1, 1)  # a face seen from behind is lit as if turned round
        light = np.clip(0.72 + 0.2 * (smooth @ _LIGHT), 0, 1)[:, None] * (np.ones(3) if tint is None else tint[face])
        picture[y.reshape(-1)[hit], x.reshape(-1)[hit]] = np.round(255 * light).astype(np.uint8)
        return Image.fromarray(picture)
