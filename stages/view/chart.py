"""Line charts and strips of frames as images, drawn with Pillow: what a run shows of itself while it works."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT, GRID = (250, 250, 248), (30, 30, 30), (105, 105, 105), (222, 222, 218)
COLORS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))
"""Blue, vermilion, green, purple of Okabe and Ito: told apart by colour-blind eyes."""

DOTS = 1500  # drawn of a curve at most; more than pixels helps nobody
FINE = 2  # drawn so many times larger, then averaged: Pillow's lines have no smooth edges


@dataclasses.dataclass(frozen=True)
class Panel:
    """One diagram.

    Attributes:
        title: What is shown.
        unit: Of the values, at the vertical axis.
        curves: (name, values over steps) each; not finite values are left out.
        log: Logarithmic axis; values of 0 and below are left out.
        limits: Ends of the vertical axis; None: from the values.
        median: Draw the running median over the values as a line.
    """

    title: str
    unit: str
    curves: list[tuple[str, np.ndarray]]
    log: bool = False
    limits: tuple[float, float] | None = None
    median: bool = True


def chart(panels: list[Panel], steps: np.ndarray, total: int, title: str, *, columns: int = 2, size: tuple[int, int] = (620, 210)) -> Image.Image:
    """Diagrams over the steps of a run, in reading order under one title.

    Parameters:
        steps: Where the values of all curves were taken. [(N,)]
        total: Right end of the horizontal axes: the steps of the whole run.
        size: Of one diagram. [px]
    """
    rows = math.ceil(len(panels) / columns)
    head = 40
    image = Image.new("RGB", (FINE * columns * size[0], FINE * (head + rows * size[1])), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((FINE * 14, FINE * head / 2), fit(draw, title, image.width - FINE * 28, FINE * 17), INK, _font(FINE * 17), anchor="lm")
    for index, panel in enumerate(panels):
        corner = index % columns * size[0], head + index // columns * size[1]
        _Axes(draw, panel, steps, total, corner, size).draw_all(last=index >= len(panels) - columns)
    return image.reduce(FINE)


def running_median(values: np.ndarray, window: int, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Median over `window` neighbours, at most at `count` places. Returns indices and medians; the ends are reflected."""
    half = min(window // 2, len(values) - 1)
    padded = np.pad(values, half, mode="reflect") if half > 0 else values
    stride = max(1, math.ceil(len(values) / count))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)[::stride]
    return np.arange(0, len(values), stride), np.median(windows, 1)


def strips(rows: list[tuple[str, np.ndarray, list[str]]], title: str, *, cell: int = 184, columns: int = 9) -> Image.Image:
    """Rows of frames, each under a label, captions in the frames' corners.

    Parameters:
        rows: (label, frames uint8 (n, H, W, 3), n captions) each; all frames of one size.
        cell: Width of a frame on the image. [px]
        columns: Frames on a line; longer rows are broken into lines of equal length.
    """
    gap, head, line = 5, 34, 24
    count = max(len(frames) for _, frames, _ in rows)
    columns = math.ceil(count / math.ceil(count / columns))
    height = round(cell * rows[0][1].shape[1] / rows[0][1].shape[2])
    tall = sum(line + math.ceil(len(frames) / columns) * (height + gap) for _, frames, _ in rows)
    image = Image.new("RGB", (gap + columns * (cell + gap), head + tall + gap), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((gap + 4, head / 2 + 2), fit(draw, title, image.width - 4 * gap, 17), INK, _font(17), anchor="lm")
    top = head
    for label, frames, captions in rows:
        draw.text((gap + 4, top + line / 2), fit(draw, label, image.width - 4 * gap, 13), FAINT, _font(13), anchor="lm")
        top += line
        for index, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
            corner = gap + index % columns * (cell + gap), top + index // columns * (height + gap)
            image.paste(Image.fromarray(frame).resize((cell, height), Image.Resampling.BICUBIC), corner)
            draw.text((corner[0] + 6, corner[1] + 4), caption, INK, _font(12), stroke_width=2, stroke_fill=PAPER)
        top += math.ceil(len(frames) / columns) * (height + gap)
    return image


def fit(draw: ImageDraw.ImageDraw, text: str, width: float, size: float) -> str:
    """The text on one line, shortened with an ellipsis until it fits. [px]"""
    text = " ".join(text.split())
    if draw.textlength(text, _font(size)) <= width:
        return text
    while text and draw.textlength(text + "…", _font(size)) > width:
        text = text[:-1]
    return text + "…"


class _Axes:
    """Draws one panel. Lengths are in pixels of the fine image."""

    def __init__(self, draw: ImageDraw.ImageDraw, panel: Panel, steps: np.ndarray, total: int, corner: tuple[int, int], size: tuple[int, int]) -> None:
        self.draw, self.panel, self.steps, self.total = draw, panel, steps, max(total, 1)
        left, top = FINE * (corner[0] + 78), FINE * (corner[1] + 26)
        right, bottom = FINE * (corner[0] + size[0] - 18), FINE * (corner[1] + size[1] - 30)
        self.box = left, top, right, bottom
        self.low, self.high = self._limits()

    def draw_all(self, last: bool) -> None:
        """Frame, ticks, values, medians, legend; `last`: the row that names the horizontal axis."""
        left, top, right, bottom = self.box
        self.draw.rectangle(self.box, fill=(255, 255, 255))
        self._ticks(last)
        shown = []
        for (name, values), color in zip(self.panel.curves, COLORS, strict=False):
            good = np.isfinite(values) & ((values > 0) | (not self.panel.log))
            if good.any():
                self._curve(self.steps[good], values[good], color)
                shown.append((name, color))
        self.draw.rectangle(self.box, outline=FAINT, width=1)
        self.draw.text((left, top - 14), self.panel.title, INK, _font(FINE * 13), anchor="lb")
        place = right
        for name, color in reversed(shown if len(self.panel.curves) > 1 else []):
            self.draw.text((place, top - 14), name, color, _font(FINE * 12), anchor="rb")
            place -= self.draw.textlength(name, _font(FINE * 12)) + 28
        if not shown:
            self.draw.text(((left + right) / 2, (top + bottom) / 2), "0 so far" if self.panel.log else "nothing yet", FAINT, _font(FINE * 12), anchor="mm")

    def _limits(self) -> tuple[float, float]:
        """Ends of the vertical axis, logarithms where it is logarithmic; the outermost 0.5% of the values may fall out."""
        if self.panel.limits is not None:
            return self.panel.limits
        values = np.concatenate([values for _, values in self.panel.curves] or [np.zeros(0)])
        values = values[np.isfinite(values)]
        if self.panel.log:
            values = np.log10(values[values > 0])
        if not len(values):
            return (-3.0, 0.0) if self.panel.log else (0.0, 1.0)
        if not self.panel.log:
            return min(0.0, float(np.quantile(values, 0.005))), max(1.08 * float(np.quantile(values, 0.995)), 1e-12)
        high = float(np.quantile(values, 0.995)) + 0.1
        low = max(float(np.quantile(values, 0.02)) - 0.1, high - 5)  # the zeros of a start squeeze what matters
        return low, max(high, low + 1)

    def _ticks(self, last: bool) -> None:
        left, top, right, bottom = self.box
        small = _font(FINE * 11)
        for value, text in _log_ticks(self.low, self.high) if self.panel.log else _ticks(self.low, self.high, 4):
            y = self._y(value)
            self.draw.line((left, y, right, y), GRID, 2)
            self.draw.text((left - 10, y), text, FAINT, small, anchor="rm")
        for value, text in _ticks(0, self.total, 6):
            x = self._x(value)
            self.draw.line((x, top, x, bottom), GRID, 2)
            self.draw.text((x, bottom + 8), text, FAINT, small, anchor="mt")
        if last:
            self.draw.text((right, bottom + 34), "step", FAINT, small, anchor="rt")
        self._upright(self.panel.unit, (left - 132, (top + bottom) / 2))

    def _upright(self, text: str, middle: tuple[float, float]) -> None:
        """Text that reads upwards."""
        font = _font(FINE * 11)
        wide, tall = math.ceil(self.draw.textlength(text, font)) + 4, FINE * 16
        label = Image.new("RGB", (wide, tall), PAPER)
        ImageDraw.Draw(label).text((wide / 2, tall / 2), text, FAINT, font, anchor="mm")
        turned = label.transpose(Image.Transpose.ROTATE_90)
        self.draw._image.paste(turned, (round(middle[0] - tall / 2), round(middle[1] - wide / 2)))

    def _curve(self, steps: np.ndarray, values: np.ndarray, color: tuple[int, int, int]) -> None:
        stride = max(1, math.ceil(len(values) / DOTS))
        pale = tuple(round(0.4 * c + 0.6 * 255) for c in color) if self.panel.median else color
        x, y = self._x(steps[::stride]), self._y(np.log10(values[::stride]) if self.panel.log else values[::stride])
        reach = 3 if len(x) < 200 else 2 if len(x) < 600 else 1
        for dx in range(-reach, reach):
            for dy in range(-reach, reach):
                self.draw.point(np.stack([x + dx, y + dy], 1).ravel().tolist(), pale)
        if self.panel.median and len(values) > 2:
            index, middle = running_median(values, max(7, len(values) // 12))
            line = np.stack([self._x(steps[index]), self._y(np.log10(middle) if self.panel.log else middle)], 1)
            self.draw.line(line.ravel().tolist(), color, 2 * FINE, joint="curve")

    def _x(self, steps: np.ndarray | float) -> np.ndarray | float:
        left, _, right, _ = self.box
        return left + (right - left) * steps / self.total

    def _y(self, values: np.ndarray | float) -> np.ndarray | float:
        _, top, _, bottom = self.box
        share = (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
        return bottom - (bottom - top) * share


def _ticks(low: float, high: float, about: int) -> list[tuple[float, str]]:
    """Round values between two ends and how they are written."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
    first = math.ceil(low / step - 1e-9)
    return [(k * step, f"{k * step:.6g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Decades between two logarithms, with 2 and 5 between them where there are few."""
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    marks = [(power + math.log10(factor), factor * 10.0**power) for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
    return [(place, f"{value:g}" if 1e-3 <= value < 1e4 else f"{value:.0e}".replace("e-0", "e-")) for place, value in marks if low <= place <= high]


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if size not in _FONTS:
        _FONTS[size] = ImageFont.load_default(size)
    return _FONTS[size]


_FONTS: dict[float, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}
