"""rig.png: the skeleton inside the mesh, seen from the front, from the left and from above."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from schemas.roles import limb

PAPER = (250, 250, 248)
INK = (45, 45, 45)
SIDES = {"left": (0, 114, 178), "right": (213, 94, 0), "": (0, 128, 96)}
"""Blue for the character's left, vermilion for its right, green for the middle (Okabe and Ito)."""

UNSURE = 0.5  # joints of less confidence are drawn hollow
_FINE = 2  # drawn so many times larger, then averaged
_SAMPLES = 120_000  # surface points that shade the mesh
_LIGHT = np.array([0.3, 0.5, 0.8])


def draw(points: np.ndarray, faces: np.ndarray, rig: object, size: int = 480) -> Image.Image:
    """Three orthographic views side by side; all show the same scale.

    Parameters:
        points: Vertices of the mesh. [m, (N, 3)]
        faces: [(T, 3)]
        rig: schemas.rig.Rig of that mesh.
        size: Of one view. [px]
    """
    # rows: where the picture's right, its up, and the eye lie. Seen from the front, the left side is on the right.
    views = (
        ("front", np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])),
        ("from the left", np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])),
        ("from above", np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])),
    )
    samples, normals = _surface(np.asarray(points, np.float64), np.asarray(faces))
    low, high = points.min(0), points.max(0)
    middle, extent = 0.5 * (low + high), float((high - low).max())
    sheet = Image.new("RGB", (3 * size, size), PAPER)
    for index, (title, turn) in enumerate(views):
        image = _shaded((samples - middle) @ turn.T, normals @ turn.T, extent, _FINE * size)
        canvas = ImageDraw.Draw(image)
        _bones(canvas, rig, (lambda p, turn=turn: _pixels((p - middle) @ turn.T, extent, _FINE * size)), _FINE)
        canvas.text((12 * _FINE, 8 * _FINE), title, INK, font_size=13 * _FINE)
        sheet.paste(image.reduce(_FINE), (index * size, 0))
    return sheet


def _pixels(points: np.ndarray, extent: float, size: int) -> np.ndarray:
    """Places in the picture of points in a view's frame. [px, (N, 2)]"""
    scale = 0.88 * size / extent
    return np.stack([0.5 * size + scale * points[..., 0], 0.5 * size - scale * points[..., 1]], -1)


def _surface(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points spread evenly over the surface, with its normals there. [(S, 3), (S, 3)]"""
    corners = points[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    random = np.random.default_rng(0)
    face = np.searchsorted(np.cumsum(area), random.random(_SAMPLES) * area.sum()).clip(max=len(faces) - 1)
    u, v = random.random((2, _SAMPLES))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    a, b, c = (corners[face, k] for k in range(3))
    normals = cross[face] / np.maximum(area[face], 1e-30)[:, None]
    return a + u[:, None] * (b - a) + v[:, None] * (c - a), normals


def _shaded(points: np.ndarray, normals: np.ndarray, extent: float, size: int) -> Image.Image:
    """The mesh in pale grey, lit from above the eye. Drawn at half size: the samples are to leave no gaps."""
    coarse = size // 4
    place = np.round(_pixels(points, extent, coarse) - 0.5).astype(int).clip(0, coarse - 1)
    order = np.argsort(points[:, 2], kind="stable")  # the nearest last
    light = 0.72 + 0.2 * (normals @ (_LIGHT / np.linalg.norm(_LIGHT)))
    picture = np.tile(np.array(PAPER, np.uint8), (coarse, coarse, 1))
    picture[place[order, 1], place[order, 0]] = np.clip(255 * light[order, None], 0, 255).astype(np.uint8)
    return Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)


def _bones(canvas: ImageDraw.ImageDraw, rig: object, pixels: object, fine: int) -> None:
    heads, tails = pixels(rig.positions), pixels(rig.tails)
    confidence = getattr(rig, "confidence", None)
    colors = [SIDES[(limb(role) or ("",))[0]] for role in rig.roles]
    for joint, parent in enumerate(rig.parents):
        if parent >= 0:
            canvas.line([tuple(heads[parent]), tuple(heads[joint])], colors[joint], round(2.5 * fine))
        if not (np.asarray(rig.parents) == joint).any():
            canvas.line([tuple(heads[joint]), tuple(tails[joint])], colors[joint], round(1.2 * fine))
    for joint, (x, y) in enumerate(heads):
        radius = (4.5 if joint else 6) * fine
        unsure = confidence is not None and confidence[joint] < UNSURE
        canvas.ellipse([x - radius, y - radius, x + radius, y + radius], PAPER if unsure else colors[joint], INK if not unsure else colors[joint], fine)
