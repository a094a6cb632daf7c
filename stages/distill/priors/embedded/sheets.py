"""Pictures of a training run: clips that the network samples, and its losses."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from schemas.atomic import atomic_path
from schemas.rig import Rig
from schemas.splat import Splat
from stages.body import quaternion
from stages.body.skinning import covariances
from stages.distill.scene import Scene, role_colors

from ..base import TextCondition
from . import text
from .bodies import Body, random_body
from .latent import Codec
from .model import Denoiser
from .prior import EmbeddedPrior, spec_of

HELD_OUT_BODIES = ((100000, "quadruped"), (100001, "quadruped"), (100002, "dinosaur"), (100003, "biped"))
"""Seeds and kinds of the bodies on the sheet; training uses seeds below 100000."""

MOTIONS = ("walking", "running", "jumping")
SHOWN = tuple(range(0, 17, 2))
"""Frames on the sheet."""

CELL = 144, 108  # px
_GAP, _LINE, _TITLE, _BATCH = 4, 22, 36, 12
_PAPER, _INK, _FAINT, _GRID = (250, 250, 248), (30, 30, 30), (110, 110, 110), (222, 222, 218)
_HUES = ((20, 90, 160), (0, 140, 140), (70, 150, 50), (200, 140, 0), (215, 90, 20), (170, 30, 70), (110, 60, 150), (90, 90, 90))


@dataclasses.dataclass(frozen=True)
class Row:
    """One clip to sample.

    Attributes:
        caption: What stands over it.
        ids: Token numbers.
        image: The reference. [(48, 64, 3), 0..1]
    """

    caption: str
    ids: list[int]
    image: torch.Tensor


class Snapshot(EmbeddedPrior):
    """A prior from a network in memory, as it is now."""

    def __init__(self, net: Denoiser, codec: Codec, device: torch.device) -> None:
        self.device, self.card, self.diagnostics = device, {}, {}
        self.spec, self.net, self.codec = spec_of(net.config), net, _copy(codec).to(device)


def _copy(codec: Codec) -> Codec:
    twin = Codec(codec.channels, codec.image_channels, codec.stride_t)
    twin.load_state_dict(codec.state_dict())
    return twin


def body_of(rig: Rig, splat: Splat) -> Body:
    """An asset's kernels as a body."""
    spread = covariances(quaternion.to_matrix(torch.from_numpy(splat.rotations)), torch.from_numpy(splat.scales))
    kind = rig.category if rig.category in ("quadruped", "bird", "dinosaur", "biped") else ""
    return Body(kind, rig, splat.means, spread.numpy(), splat.opacities, splat.weights, splat.colors)


def portrait(body: Body, scene: Scene, rng: np.random.Generator, side: int) -> tuple[torch.Tensor, str]:
    """A body at rest, and which way it faces in the image. [(48, 64, 3), 0..1]

    Parameters:
        side: +1 shows its left side, -1 its right.
    """
    means, spread, weights, opacities = (torch.from_numpy(np.asarray(v, np.float32)) for v in (body.means, body.covariances, body.weights, body.opacities))
    colors = role_colors(body.rig, weights) if scene.look == "roles" else torch.from_numpy(np.asarray(body.colors, np.float32))
    framing = scene.framing(means)
    camera = scene.camera(means[None], framing, rng, side=side)
    return scene.render(means[None], spread[None], opacities, colors, camera, framing)[0], scene.facing(camera)


def held_out(scene: Scene) -> list[Row]:
    """Bodies that no training clip shows, with the core motions."""
    rows = []
    for index, (seed, kind) in enumerate(HELD_OUT_BODIES):
        body = random_body(seed, kind)
        image, facing = portrait(body, scene, np.random.default_rng(seed), 1 if index % 2 == 0 else -1)
        legs = "four-legged" if kind == "quadruped" else "two-legged"
        rows += [Row(f"{kind} {seed}: {legs}, {motion}, facing {facing}", text.encode(motion, legs, facing), image) for motion in MOTIONS]
    return rows


def prompted(prompt: str, bodies: Sequence[tuple[str, Body]], scene: Scene, seed: int) -> list[Row]:
    """Bodies from both sides with a prompt.

    Parameters:
        bodies: With names.
        seed: Of the cameras.

    Raises:
        InputError: The prompt has an unknown word, no motion or two.
    """
    rows = []
    for index, (name, body) in enumerate(bodies):
        for side in (1, -1):
            image, facing = portrait(body, scene, np.random.default_rng([seed, index, side + 1]), side)
            rows.append(Row(f"{name}: {prompt}, facing {facing}", text.tokens(prompt, facing=facing), image))
    return rows


def samples(prior: EmbeddedPrior, rows: Sequence[Row], *, steps: int = 20, guidance_scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Clips by DDIM from pure noise. [(rows, 17, 48, 64, 3), 0..1]"""
    clips = []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        image = torch.stack([row.image for row in part]).to(prior.device)
        positive, negative = (torch.tensor(ids, device=prior.device) for ids in ([row.ids for row in part], [text.NULL]))
        condition = TextCondition(positive, negative, image)
        clips.append(prior.sample(condition, steps=steps, guidance_scale=guidance_scale, seed=seed + start).float().cpu())
    return torch.cat(clips)


def save_samples(path: Path, rows: Sequence[Row], clips: torch.Tensor, title: str) -> None:
    """Write a PNG: a row per clip with the reference on the left. [clips (rows, 17, 48, 64, 3)]"""
    (width, height), columns = CELL, 1 + len(SHOWN)
    size = (columns * (width + _GAP) + 3 * _GAP, _TITLE + len(rows) * (_LINE + height + _GAP))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((2 * _GAP, _TITLE / 2), title, _INK, _font(18), anchor="lm")
    for index, (row, clip) in enumerate(zip(rows, clips, strict=True)):
        top = _TITLE + index * (_LINE + height + _GAP)
        draw.text((2 * _GAP, top + _LINE / 2), row.caption, _INK, _font(15), anchor="lm")
        pictures = [row.image, *(clip[frame] for frame in SHOWN)]
        for column, picture in enumerate(pictures):
            left = _GAP + column * (width + _GAP) + (_GAP if column else 0)
            sheet.paste(_picture(picture).resize(CELL, Image.Resampling.BICUBIC), (left, top + _LINE))
            label = "reference" if column == 0 else str(SHOWN[column - 1])
            draw.text((left + 5, top + _LINE + 3), label, _FAINT, _font(12))
    _save(sheet, path)


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a training log; empty cells are left out. [] where there is none."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def save_curve(path: Path, log: Sequence[dict[str, float]], title: str) -> None:
    """Write a PNG: the training loss and the unexplained variance at each noise level against steps."""
    scale = 2  # drawn twice as large, for smooth lines
    sheet = Image.new("RGB", (1200 * scale, 480 * scale), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((16 * scale, 20 * scale), title, _INK, _font(18 * scale), anchor="lm")
    levels = sorted({name for row in log for name in row if name.startswith("unexplained_")}, key=lambda name: float(name.split("_")[1]))
    loss = {"loss": _points(log, "loss")}
    checks = {f"u = {name.split('_')[1]}": _points(log, name) for name in levels}
    _plot(draw, (16, 44, 584, 464), "training loss (squared error of v) against steps", loss, scale)
    _plot(draw, (616, 44, 1184, 464), "unexplained variance of held-out clips at noise level u against steps", checks, scale)
    _save(sheet.resize((1200, 480), Image.Resampling.LANCZOS), path)


def _points(log: Sequence[dict[str, float]], name: str) -> list[tuple[float, float]]:
    return [(row["step"], row[name]) for row in log if name in row]


def _plot(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], label: str, lines: dict[str, list[tuple[float, float]]], scale: int) -> None:
    """Lines in a box with axes from zero and a legend. [box in px: left, top, right, bottom]"""
    left, top, right, bottom = box[0] + 48, box[1] + 26, box[2] - 118, box[3] - 30
    every = [point for line in lines.values() for point in line]
    end = _ticks(max((x for x, _ in every), default=1.0))
    # the first values are far above the rest: what matters is lower
    high = _ticks(max((_ceiling([y for _, y in line]) for line in lines.values() if line), default=1.0))

    def place(x: float, y: float) -> tuple[float, float]:
        return (left + (right - left) * x / end[-1]) * scale, (bottom - (bottom - top) * min(y / high[-1], 1)) * scale

    draw.text((left * scale, (box[1] + 10) * scale), label, _INK, _font(14 * scale), anchor="lm")
    for y in high:
        draw.line([place(0, y), place(end[-1], y)], _GRID, scale)
        draw.text(((left - 6) * scale, place(0, y)[1]), f"{y:g}", _FAINT, _font(12 * scale), anchor="rm")
    for x in end:
        draw.line([place(x, 0), place(x, high[-1])], _GRID, scale)
        draw.text((place(x, 0)[0], (bottom + 8) * scale), f"{x:,.0f}".replace(",", " "), _FAINT, _font(12 * scale), anchor="mt")
    for index, points in enumerate(lines.values()):
        color = _HUES[index % len(_HUES)]
        if len(points) > 1:
            draw.line([place(*point) for point in points], color, 2 * scale, joint="curve")
        for point in points[-1:]:
            x, y = place(*point)
            draw.ellipse((x - 3 * scale, y - 3 * scale, x + 3 * scale, y + 3 * scale), color)
    for index, (name, points) in enumerate(lines.items()):
        color = _HUES[index % len(_HUES)]
        at = (right + 18) * scale, (top + 8 + 18 * index) * scale
        draw.line([at, (at[0] + 16 * scale, at[1])], color, 3 * scale)
        last = f"  {points[-1][1]:.3f}" if points else ""
        draw.text((at[0] + 20 * scale, at[1]), f"{name}{last}", _INK, _font(12 * scale), anchor="lm")


def _ceiling(values: list[float]) -> float:
    """The largest value after the first tenth of a line."""
    return max(values[len(values) // 10 :])


def _ticks(highest: float) -> list[float]:
    """About five round numbers from 0 to above `highest`."""
    highest = highest if highest > 0 and math.isfinite(highest) else 1.0
    raw = highest / 5
    unit = 10 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    return [step * k for k in range(math.ceil(highest / step - 1e-9) + 1)]


def _picture(image: torch.Tensor) -> Image.Image:
    return Image.fromarray((image.clamp(0, 1) * 255).round().to(torch.uint8).numpy())


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _save(image: Image.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")
