"""Pictures of a motion, drawn without its video: contact sheet, onion skin, strip before and after physics."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from PIL import Image

from schemas.asset import Asset
from schemas.atomic import atomic_path
from schemas.errors import InputError
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.skin import Skin
from schemas.splat import Splat
from stages.progress import SILENT, Progress

from .onion import onion
from .params import Params
from .sheet import save_sheet
from .stage import caption, shoot, spread, stamp
from .strip import strip

PICTURES = ("sheet", "onion", "strip", "turntable")
"""What `akd render --picture` draws; the turntable is a film (turntable.py)."""

SIDE = -64.0, 11.0
"""Where an onion skin is seen from if no camera is asked for: from the right, so that time runs to the right. [deg]"""

_PLAIN = Params()


def draw_sheet(path: Path, asset: Asset, rig: Rig, skin: Skin, splat: Splat | None, motion: Motion, params: Params, progress: Progress = SILENT) -> Path:
    """Write a contact sheet, cells of the width of the video at most; draws the frames on it alone.

    Raises:
        InputError: as `stage.shoot`. StorageError: The disk refused.
    """
    film = shoot(asset, rig, skin, splat, motion, params)
    chosen = spread(film.motion.frame_count, params.sheet_frames)
    progress.begin("sheet", len(chosen))
    kept = []
    for count, index in enumerate(chosen, 1):
        kept.append((stamp(index, film.motion), film.frame(index)))
        progress.update(count)
    save_sheet(path, kept, caption(film.motion), min(640, film.width))
    return path


def draw_onion(path: Path, asset: Asset, rig: Rig, skin: Skin, motion: Motion, params: Params, progress: Progress = SILENT) -> Path:
    """Write an onion skin (`onion.onion`), 1920 pixels wide unless a size is asked for.

    Raises:
        InputError, StorageError: as `draw_sheet`.
    """
    azimuth, elevation = SIDE if params.camera == _PLAIN.camera else (None, None)
    wanted = dataclasses.replace(
        params,
        follow=False,
        size="1080p" if params.size == _PLAIN.size else params.size,
        azimuth=azimuth if params.azimuth is None else params.azimuth,
        elevation=elevation if params.elevation is None else params.elevation,
        camera=_PLAIN.camera if params.camera == "turntable" else params.camera,
        look="mesh",
    )
    film = shoot(asset, rig, skin, None, motion, wanted)
    progress.begin("onion skin", 1)
    save(path, onion(film, caption(film.motion)))
    progress.update(1)
    return path


def draw_strip(path: Path, asset: Asset, rig: Rig, skin: Skin, distilled: Motion, tracked: Motion, params: Params, progress: Progress = SILENT) -> Path:
    """Write the strip before and after physics (`strip.strip`), seen from the right unless --azimuth says otherwise.

    Raises:
        InputError, StorageError: as `draw_sheet`.
    """
    if min(distilled.frame_count, tracked.frame_count) < 2:
        raise InputError("--picture strip: needs motions of two frames at least;", "use --picture sheet.")
    wanted = dataclasses.replace(params, look="mesh", camera=_PLAIN.camera, follow=True)
    films = [shoot(asset, rig, skin, None, motion, wanted) for motion in (distilled, tracked)]
    progress.begin("strip", 1)
    save(path, strip(*films, math.radians(-90.0 if params.azimuth is None else params.azimuth), f"{caption(distilled)}, before and after physics"))
    progress.update(1)
    return path


def save(path: Path, image: Image.Image) -> Path:
    """Write a PNG atomically."""
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")
    return path
