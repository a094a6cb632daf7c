"""Colours and text of the pictures: what is told apart by colour is told apart by colour-blind eyes too."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageFont

PAPER, INK, FAINT, RULE = (250, 250, 248), (30, 30, 30), (105, 105, 105), (205, 205, 200)
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233)
"""Of Okabe and Ito's palette (Color Universal Design, 2008)."""

DISTILLED, TRACKED = BLUE, VERMILION
"""Colours of the two motions, the same as on the page."""


@cache
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The pictures' typeface at a size. [px]"""
    return ImageFont.load_default(size)


def mixed(one: tuple[int, int, int], other: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    """A colour between two; `share` of the other."""
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(one, other, strict=True))
    return red, green, blue


def pasted(canvas: Image.Image, image: np.ndarray, corner: tuple[int, int]) -> None:
    """Put a uint8 picture (H, W, 3) onto a canvas."""
    canvas.paste(Image.fromarray(image), corner)
