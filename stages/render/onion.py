"""An onion skin: several poses of a motion in one picture, where they are, older ones fainter."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage

from stages.view.camera import Camera
from stages.view.chart import fit

from .film import Film, to_bytes
from .ink import BLUE, FAINT, INK, PAPER, font, mixed
from .views import crop

HEAD, FOOT = 58, 62  # of the picture's bands, at a width of 1920 [px]
LEAST, MOST = 4, 9  # poses
_APART = 0.3  # of the body's width on the picture: nearer poses hide each other
_FAINT = 0.4  # a ghost's shadow beside the last pose's
_CONTOUR = 2.2  # width of the ghosts' outline, at a width of 1920 [px]


def onion(film: Film, title: str) -> Image.Image:
    """The picture of a film whose camera stays (`Params.follow` is off).

    As many poses as keep `_APART`, between `LEAST` and `MOST`, evenly spaced in time; the last one is drawn as it is, those
    before as tinted ghosts with an outline, bluer and fainter the older they are. The strip below names their times.
    """
    camera = film.camera_at(0)
    chosen = moments(film, camera)
    scale = film.width / 1920
    image = film.background(camera, film.points(chosen[-1]))
    if film.params.ground and film.params.shadow:
        for index in chosen[:-1]:
            shaded = image.clone()
            film.darken(shaded, camera, film.points(index))
            image += _FAINT * (shaded - image)
    for rank, index in enumerate(chosen[:-1]):
        _ghost(image, film, camera, index, age=1 - rank / (len(chosen) - 1), contour=_CONTOUR * max(scale, 0.4))
    film.paint(image, camera, film.points(chosen[-1]))
    return _framed(to_bytes(image), [index / film.motion.fps for index in chosen], title, scale)


def moments(film: Film, camera: Camera) -> list[int]:
    """Frames of the poses that are shown."""
    last = film.motion.frame_count - 1
    first = seen_box(film.samples[0], camera)
    end = seen_box(film.samples[-1], camera)
    middle = [0.5 * (box[0] + box[2]) for box in (first, end)]
    width = 0.5 * (first[2] - first[0] + end[2] - end[0])
    count = int(np.clip(1 + abs(middle[1] - middle[0]) / max(_APART * width, 1e-6), LEAST, MOST))
    return sorted(set(np.linspace(0, last, min(count, last + 1)).round().astype(int).tolist()))


def seen_box(points: torch.Tensor, camera: Camera) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of points in a one-frame camera's picture. [m (N, 3) -> px]"""
    view = points @ camera.view[0, :3, :3].T + camera.view[0, :3, 3]
    at = view @ camera.intrinsics[0].T
    at = at[:, :2] / at[:, 2:]
    (left, top), (right, bottom) = at.min(0).values.tolist(), at.max(0).values.tolist()
    return left, top, right, bottom


def tint(age: float) -> tuple[float, tuple[int, int, int]]:
    """Opacity and colour of a ghost by its age. [0 = now .. 1 = the oldest]"""
    return 0.62 - 0.34 * age, mixed((120, 170, 205), BLUE, age)


def _ghost(image: torch.Tensor, film: Film, camera: Camera, index: int, age: float, contour: float) -> None:
    """Lay one older pose over the picture, in place."""
    points = film.points(index)
    part = crop(camera, points, margin=8)
    if part is None:
        return
    small, left, top = part
    rgba = film.mesh(small, points)
    alpha = rgba[..., 3:]
    opacity, color = tint(age)
    light = (rgba[..., :3] / alpha.clamp(min=1e-6)).mean(-1, keepdim=True)  # the ghost keeps light and shade, not colours
    ink = torch.tensor(color) / 255
    body = (0.35 * ink + 0.65 * (ink + (1 - ink) * light)).clamp(0, 1)
    where = image[top : top + small.height, left : left + small.width]
    where += opacity * alpha * (body - where)
    inside = torch.from_numpy(ndimage.distance_transform_edt(alpha[..., 0].numpy() > 0.5).astype(np.float32))[..., None]
    line = ((inside > 0) & (inside <= contour)).float() * (0.35 + 0.5 * (1 - age))
    where += line * (0.8 * ink - where)


def _framed(picture: np.ndarray, times: list[float], title: str, scale: float) -> Image.Image:
    """The picture with its title above and the times of its poses below."""
    scale = max(scale, 0.4)
    head, foot = round(HEAD * scale), round(FOOT * scale)
    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width, head + height + foot), PAPER)
    canvas.paste(Image.fromarray(picture), (0, head))
    draw = ImageDraw.Draw(canvas)
    draw.text((22 * scale, head / 2), fit(draw, title, width - 44 * scale, 28 * scale), INK, font(28 * scale), anchor="lm")
    step = min((width - 44 * scale) / len(times), 210 * scale)
    middle, size = head + height + foot / 2, 20 * scale
    for rank, time in enumerate(times):
        left = 22 * scale + rank * step
        newest = rank == len(times) - 1
        opacity, color = tint(1 - rank / max(len(times) - 1, 1))
        fill = INK if newest else mixed(PAPER, color, opacity)
        draw.rounded_rectangle((left, middle - size / 2, left + size * 1.7, middle + size / 2), size / 4, fill=fill, outline=INK if newest else color)
        draw.text((left + size * 2.1, middle), f"{time:.2f} s", INK if newest else FAINT, font(math.ceil(22 * scale)), anchor="lm")
    return canvas
