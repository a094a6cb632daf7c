"""Before and after physics: two motions of one asset at the same times, seen from the side with the eye on the ground.

From there the ground is one straight line for every part of the body: what is below it has sunk, whatever floats has paper
under it. The camera is so far away that nothing looks smaller for standing behind.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from PIL import Image, ImageDraw

from stages.view.camera import Camera, look_at
from stages.view.chart import fit

from .contact import Heights, heights
from .film import Film
from .ink import DISTILLED, FAINT, GREEN, INK, PAPER, RULE, TRACKED, VERMILION, font, mixed

CELL = 300  # width of a pose [px]
COLUMNS = 6
_FAR = 60.0  # distance of the camera [heights of the body]
_GAP, _HEAD, _LINE, _BELOW, _CHART = 8, 52, 30, 46, 150  # [px]
_CAPTION = 34  # room for a cell's figures over the highest pose [px]
_FILLED = 0.92  # of a cell's width
_SUNK = 0.75  # how much of a sunken part's colour is replaced


@dataclasses.dataclass(frozen=True)
class Row:
    """One motion of the strip: its film, what it is called and its colour."""

    film: Film
    label: str
    color: tuple[int, int, int]


def strip(distilled: Film, tracked: Film, azimuth: float, title: str, columns: int = COLUMNS, cell: int = CELL) -> Image.Image:
    """The picture.

    Parameters:
        distilled, tracked: Of the same asset; the clips' rates may differ, times beyond the shorter one are left out.
        azimuth: Of the camera, from the character's front towards its left. [rad]
        columns: Poses a row.
        cell: Width of a pose. [px]
    """
    rows = [Row(distilled, "distilled: what the video model asks for", DISTILLED), Row(tracked, "tracked: what the simulated body does", TRACKED)]
    duration = min(row.film.motion.duration for row in rows)
    times = np.unique([frame_at(distilled, time) for time in np.linspace(0, duration, max(2, columns))]) / distilled.motion.fps
    found = [heights(row.film) for row in rows]
    frame = _Frame(rows, times, azimuth, cell)
    width = _GAP + len(times) * (cell + _GAP)
    tall = _LINE + frame.height + _BELOW
    canvas = Image.new("RGB", (width, _HEAD + len(rows) * tall + _LINE + _CHART + 44), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP + 6, _HEAD / 2), fit(draw, title, width * 0.6, 24), INK, font(24), anchor="lm")
    _key(draw, width - _GAP, _HEAD / 2)
    for number, (row, height) in enumerate(zip(rows, found, strict=True)):
        top = _HEAD + number * tall
        draw.rectangle((_GAP + 6, top + 9, _GAP + 18, top + 21), fill=row.color)
        draw.text((_GAP + 26, top + _LINE / 2), row.label, INK, font(16), anchor="lm")
        for column, time in enumerate(times):
            _cell(canvas, draw, frame, row, height, float(time), (_GAP + column * (cell + _GAP), top + _LINE))
    top = _HEAD + len(rows) * tall
    draw.text((_GAP + 6, top + _LINE / 2), "lowest point of the body above the ground", INK, font(16), anchor="lm")
    _curves(canvas, rows, found, times, (_GAP + 74, top + _LINE + 6, width - _GAP - 10, top + _LINE + _CHART))
    return canvas


class _Frame:
    """The camera of all cells: scale, size of a cell and where the ground is in it."""

    def __init__(self, rows: list[Row], times: np.ndarray, azimuth: float, cell: int) -> None:
        self.azimuth, self.cell = azimuth, cell
        self.right = torch.tensor([math.cos(azimuth), 0.0, -math.sin(azimuth)])
        boxes = [self._box(row.film.samples[frame_at(row.film, time)]) for row in rows for time in times]
        self.half = max(0.5 * (right - left) for left, right, _, _ in boxes)
        low, high = min(0.0, *(box[2] for box in boxes)), max(box[3] for box in boxes)
        self.scale = _FILLED * cell / (2 * self.half)  # [px/m]
        self.above, self.below = math.ceil(self.scale * high) + _CAPTION, max(math.ceil(self.scale * -low) + 6, 12)
        self.height = self.above + self.below

    def _box(self, points: torch.Tensor) -> tuple[float, float, float, float]:
        along = points @ self.right
        return float(along.min()), float(along.max()), float(points[:, 1].min()), float(points[:, 1].max())

    def camera(self, points: torch.Tensor) -> Camera:
        """A camera with its eye on the ground, before the middle of the points."""
        left, right, _, _ = self._box(points)
        away = torch.tensor([math.sin(self.azimuth), 0.0, math.cos(self.azimuth)])
        middle = 0.5 * (left + right) * self.right + (points.mean(0) @ away) * away
        target = torch.stack([middle[0], torch.zeros(()), middle[2]])[None]
        distance = _FAR * max(2 * self.half, float(points[:, 1].max()))
        k = torch.zeros(1, 3, 3)
        k[:, 0, 0] = k[:, 1, 1] = self.scale * distance
        k[:, 0, 2], k[:, 1, 2], k[:, 2, 2] = self.cell / 2, self.above, 1
        return Camera(look_at(target + distance * away, target), k, self.cell, self.height)


def frame_at(film: Film, time: float) -> int:
    """The frame nearest to a time. [s]"""
    return min(round(time * film.motion.fps), film.motion.frame_count - 1)


def _cell(canvas: Image.Image, draw: ImageDraw.ImageDraw, frame: _Frame, row: Row, height: Heights, time: float, corner: tuple[int, int]) -> None:
    """One pose over the ground line, its time, its lowest point and its feet."""
    index = frame_at(row.film, time)
    points = row.film.points(index)
    rgba = row.film.mesh(frame.camera(points), points).numpy()
    alpha, color = rgba[..., 3:], rgba[..., :3]
    paper = np.ones_like(color) * (np.array((243, 246, 249)) / 255)
    paper[frame.above :] = np.array((224, 224, 220)) / 255
    picture = color + (1 - alpha) * paper
    sunk = picture[frame.above + 1 :]
    sunk += _SUNK * alpha[frame.above + 1 :] * (np.array(VERMILION) / 255 - sunk)
    left, top = corner
    canvas.paste(Image.fromarray((picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)), corner)
    ground = top + frame.above
    draw.line((left, ground, left + frame.cell - 1, ground), INK, 2)
    draw.text((left + 8, top + 6), f"{index / row.film.motion.fps:.2f} s", FAINT, font(15))
    text, far = said(float(height.lowest[index]), height.tolerance)
    draw.text((left + frame.cell - 8, top + 6), text, VERMILION if far == "sunk" else FAINT, font(15), anchor="ra")
    base = top + frame.height + 14
    step = frame.cell / max(len(height.feet), 1)
    for number, name in enumerate(height.feet):
        place = left + (number + 0.5) * step
        _mark(draw, (place - 0.5 * draw.textlength(short(name), font(13)) - 10, base), height.state(name, index))
        draw.text((place, base), short(name), FAINT, font(13), anchor="mm")


def said(lowest: float, tolerance: float) -> tuple[str, str]:
    """How the height of the lowest point is written, in cm, and whether it is "sunk", "up" or "down"."""
    state = "sunk" if lowest < -tolerance else "up" if lowest > tolerance else "down"
    return f"{100 * lowest:+.1f} cm".replace("+0.0", "0.0").replace("-0.0", "0.0"), state


def short(name: str) -> str:
    """A foot's name in two letters: "left hind" -> "LH", "left leg3" -> "L3"."""
    side, limb = name.split(" ", 1)
    return side[0].upper() + (limb[-1] if limb[-1].isdigit() else limb[0].upper())


def _mark(draw: ImageDraw.ImageDraw, place: tuple[float, float], state: str) -> None:
    """A foot's state as form and colour: full square, full triangle pointing down, empty circle."""
    x, y = place
    if state == "down":
        draw.rectangle((x - 5, y - 5, x + 5, y + 5), fill=GREEN)
    elif state == "sunk":
        draw.polygon((x - 6, y - 5, x + 6, y - 5, x, y + 6), fill=VERMILION)
    else:
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), outline=FAINT, width=1)


def _key(draw: ImageDraw.ImageDraw, right: float, y: float) -> None:
    """What the marks mean, ending at `right`."""
    for state, words in (("up", "in the air"), ("sunk", "below the ground"), ("down", "on the ground")):
        right -= draw.textlength(words, font(14))
        draw.text((right, y), words, FAINT, font(14), anchor="lm")
        _mark(draw, (right - 12, y), state)
        right -= 36
    draw.text((right, y), "feet:", FAINT, font(14), anchor="rm")


def _curves(canvas: Image.Image, rows: list[Row], found: list[Heights], times: np.ndarray, box: tuple[float, float, float, float]) -> None:
    """Height of the lowest point over time, the ground as a line, the poses' times as ticks."""
    fine = 2
    left, top, right, bottom = (fine * value for value in box)
    values = [100 * one.lowest for one in found]
    tolerance = 100 * found[0].tolerance
    low = min(-1.5 * tolerance, *(float(one.min()) for one in values))
    high = max(1.5 * tolerance, *(float(one.max()) for one in values))
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)
    image = canvas.crop((0, round(box[1]) - 10, canvas.width, canvas.height)).resize((fine * canvas.width, fine * (canvas.height - round(box[1]) + 10)))
    shift = fine * (round(box[1]) - 10)
    draw = ImageDraw.Draw(image)

    def place(time: float, value: float) -> tuple[float, float]:
        return left + (right - left) * time / max(float(times[-1]), 1e-9), bottom - shift - (bottom - top) * (value - low) / (high - low)

    ground = place(0, 0)[1]
    draw.rectangle((left, top - shift, right, ground), fill=(243, 246, 249))
    draw.rectangle((left, ground, right, bottom - shift), fill=(224, 224, 220))
    for tick in ticks(low, high):
        y = place(0, tick)[1]
        draw.line((left, y, right, y), RULE if tick else INK, fine if tick == 0 else 1)
        draw.text((left - 12, y), f"{tick:g} cm", FAINT, font(fine * 13), anchor="rm")
    for time in times:
        x = place(float(time), 0)[0]
        draw.line((x, top - shift, x, bottom - shift), RULE, 1)
        draw.text((min(max(x, left + 36), right - 36), bottom - shift + 8), f"{time:.2f} s", FAINT, font(fine * 13), anchor="mt")
    for row, one in zip(rows, values, strict=True):
        clip = [place(frame / row.film.motion.fps, float(value)) for frame, value in enumerate(one) if frame / row.film.motion.fps <= times[-1] + 1e-6]
        draw.line([xy for point in clip for xy in point], row.color, 3 * fine, joint="curve")
        for x, y in clip:
            draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=row.color if row.color == TRACKED else mixed(PAPER, row.color, 0.25), outline=row.color, width=2)
    canvas.paste(image.reduce(fine), (0, round(box[1]) - 10))


def ticks(low: float, high: float) -> list[float]:
    """Three to six round values between two ends, 0 among them."""
    step = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = next(factor * step for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
    return [round(number * step, 9) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
