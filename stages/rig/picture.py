"""rig.png: the skeleton inside the mesh, seen from the front, from the left and from above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from schemas.roles import limb
from stages.view.sketch import ABOVE, FRONT, INK, LEFT, PAPER, Surface, pixels

SIDES = {"left": (0, 114, 178), "right": (213, 94, 0), "": (0, 128, 96)}
"""Blue for the character's left, vermilion for its right, green for the middle (Okabe and Ito)."""

UNSURE = 0.5  # joints of less confidence are drawn hollow
_FINE = 2  # drawn so many times larger, then averaged


def draw(points: np.ndarray, faces: np.ndarray, rig: Any, size: int = 480) -> Image.Image:
    """Three orthographic views side by side, all to the same scale.

    Parameters:
        points: Vertices of the mesh. [m, (N, 3)]
        faces: [(T, 3)]
        rig: The schemas.rig.Rig of that mesh.
        size: Of one view. [px]
    """
    points = np.asarray(points, np.float64)
    low, high = points.min(0), points.max(0)
    middle, extent = 0.5 * (low + high), float((high - low).max())
    surface = Surface(points, np.asarray(faces))
    sheet = Image.new("RGB", (3 * size, size), PAPER)
    for index, (title, turn) in enumerate((("front", FRONT), ("from the left", LEFT), ("from above", ABOVE))):
        image = surface.picture((points - middle) @ turn.T, extent, _FINE * size)
        canvas = ImageDraw.Draw(image)
        _bones(canvas, rig, lambda place, turn=turn: pixels((place - middle) @ turn.T, extent, _FINE * size))
        canvas.text((12 * _FINE, 8 * _FINE), title, INK, font_size=13 * _FINE)
        sheet.paste(image.reduce(_FINE), (index * size, 0))
    return sheet


def _bones(canvas: ImageDraw.ImageDraw, rig: Any, place: Callable[[np.ndarray], np.ndarray]) -> None:
    """Lines from joint to joint and to the last tips, and the joints as dots."""
    heads, tails, parents = place(rig.positions), place(rig.tails), np.asarray(rig.parents)
    colors = [SIDES[(limb(role) or ("",))[0]] for role in rig.roles]
    for joint, parent in enumerate(parents):
        if parent >= 0:
            canvas.line([tuple(heads[parent]), tuple(heads[joint])], colors[joint], round(2.5 * _FINE))
        if not (parents == joint).any():
            canvas.line([tuple(heads[joint]), tuple(tails[joint])], colors[joint], round(1.2 * _FINE))
    for joint, (x, y) in enumerate(heads):
        radius = (4.5 if joint else 6) * _FINE
        unsure = rig.confidence is not None and rig.confidence[joint] < UNSURE
        canvas.ellipse([x - radius, y - radius, x + radius, y + radius], PAPER if unsure else colors[joint], colors[joint] if unsure else INK, _FINE)
