"""The contact sheet: a motion at one glance."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from schemas.atomic import atomic_path
from stages.view.chart import fit

from .ink import INK, PAPER, font

GAP, TITLE, WIDTH = 6, 34, 400  # at a cell of this width [px]


def save_sheet(path: Path, frames: list[tuple[str, np.ndarray]], title: str, cell_width: int = WIDTH) -> None:
    """Write a PNG with the given frames in reading order.

    Parameters:
        path: Target, replaced atomically.
        frames: Caption, such as the time, and image [uint8, (H, W, 3)] of each.
        title: One line on top.
        cell_width: Width of one frame on the sheet. [px]
    """
    height, width = frames[0][1].shape[:2]
    cell_height = round(cell_width * height / width)
    columns = min(len(frames), 4)
    scale = cell_width / WIDTH
    gap, head = round(GAP * scale), round(TITLE * scale)
    rows = math.ceil(len(frames) / columns)
    size = (columns * (cell_width + gap) + gap, head + rows * (cell_height + gap))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((gap + 2, head / 2), fit(draw, title, size[0] - 4 * gap, 18 * scale), INK, font(18 * scale), anchor="lm")
    for index, (caption, frame) in enumerate(frames):
        corner = (gap + index % columns * (cell_width + gap), head + index // columns * (cell_height + gap))
        sheet.paste(Image.fromarray(frame).resize((cell_width, cell_height), Image.Resampling.LANCZOS), corner)
        draw.text((corner[0] + 8 * scale, corner[1] + 6 * scale), caption, INK, font(14 * scale), stroke_width=2, stroke_fill=PAPER)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
