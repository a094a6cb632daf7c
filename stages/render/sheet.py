"""The contact sheet: a motion at one glance."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from schemas.atomic import atomic_path

GAP, TITLE = 6, 34
PAPER, INK, FAINT = (250, 250, 248), (30, 30, 30), (110, 110, 110)


def save_sheet(path: Path, frames: list[tuple[float, np.ndarray]], title: str, cell_width: int = 400) -> None:
    """Write a PNG with the given frames in reading order.

    Parameters:
        path: Target, replaced atomically.
        frames: Time [s] and image [uint8, (H, W, 3)] of each.
        title: One line on top.
        cell_width: Width of one frame on the sheet. [px]
    """
    height, width = frames[0][1].shape[:2]
    cell_height = round(cell_width * height / width)
    columns = min(len(frames), 4)
    rows = math.ceil(len(frames) / columns)
    size = (columns * (cell_width + GAP) + GAP, TITLE + rows * (cell_height + GAP))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP + 2, TITLE / 2), _fit(draw, title, size[0] - 2 * GAP), INK, ImageFont.load_default(18), anchor="lm")
    for index, (time, frame) in enumerate(frames):
        corner = (GAP + index % columns * (cell_width + GAP), TITLE + index // columns * (cell_height + GAP))
        sheet.paste(Image.fromarray(frame).resize((cell_width, cell_height), Image.Resampling.LANCZOS), corner)
        draw.text((corner[0] + 8, corner[1] + 6), f"{time:.2f} s", FAINT, ImageFont.load_default(14))
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _fit(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """The text, shortened with an ellipsis until it fits. [px]"""
    font = ImageFont.load_default(18)
    text = " ".join(text.split())
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "…", font) > width:
        text = text[:-1]
    return text + "…"
