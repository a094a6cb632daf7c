"""Render any motion artifact: the asset deformed by it, over the checkerboard, filmed by a camera that follows, stays or goes round."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.skin import Skin
from schemas.splat import Splat
from stages.progress import SILENT, Progress

from .film import Film
from .params import Params
from .repeat import repeat
from .resample import resample
from .sheet import save_sheet
from .video import writer

LARGEST = 7680
SIZES = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080), "1440p": (2560, 1440), "2160p": (3840, 2160), "4k": (3840, 2160)}
"""Names of sizes. [px]"""


@dataclasses.dataclass(frozen=True)
class Rendering:
    """What was written.

    Attributes:
        video, sheet: Paths of the mp4 and the contact sheet.
        frames, width, height, fps: Of the video.
    """

    video: Path
    sheet: Path
    frames: int
    width: int
    height: int
    fps: float


def run(
    asset: Asset,
    rig: Rig,
    skin: Skin,
    splat: Splat | None,
    motion: Motion,
    params: Params,
    *,
    video: Path,
    sheet: Path,
    progress: Progress = SILENT,
) -> Rendering:
    """Write the video and the contact sheet of a motion.

    Raises:
        InputError: The size cannot be encoded, the motion belongs to another rig, or the splats are missing.
        StorageError: The disk refused.
    """
    film = shoot(asset, rig, skin, splat, motion, params)
    motion, width, height = film.motion, film.width, film.height
    wanted = spread(motion.frame_count, params.sheet_frames)
    kept: dict[int, np.ndarray] = {}
    progress.begin("render", motion.frame_count)
    with writer(video, width, height, motion.fps, params.quality) as append:
        for index, frame in enumerate(film.frames()):
            append(frame)
            if index in wanted:
                kept[index] = frame
            progress.update(index + 1)
    save_sheet(sheet, [(stamp(index, motion), kept[index]) for index in sorted(kept)], caption(motion))
    return Rendering(video, sheet, motion.frame_count, width, height, motion.fps)


def spread(count: int, wanted: int) -> list[int]:
    """Frames of a sheet: so many of a clip, evenly, the first and the last among them."""
    return sorted({int(index) for index in np.linspace(0, count - 1, wanted).round()})


def stamp(index: int, motion: Motion) -> str:
    """The time of a frame as the pictures write it."""
    return f"{index / motion.fps:.2f} s"


def caption(motion: Motion) -> str:
    """The pictures' title."""
    return f"{motion.name}: {motion.prompt}" if motion.prompt else motion.name


def shoot(asset: Asset, rig: Rig, skin: Skin, splat: Splat | None, motion: Motion, params: Params) -> Film:
    """The film of a motion, whose frames are drawn when they are asked for.

    Raises:
        InputError: as `run`.
    """
    width, height = parse_size(params.size)
    check_joints(motion, rig)
    if params.look == "splat" and splat is None:
        raise InputError("--look splat: this workspace has no splat.h5;", "run `akd splat` first, or use --look mesh.")
    played = repeat(resample(motion, params.fps), params.repeat)
    return Film(asset, rig, skin, splat if params.look == "splat" else None, played, params, width, height)


def parse_size(size: str) -> tuple[int, int]:
    """Width and height of "960x540" or "1080p". [px]

    Raises:
        InputError: Not of that form, odd (H.264 halves the colour resolution), or out of range.
    """
    if size.strip().lower() in SIZES:
        return SIZES[size.strip().lower()]
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", size.strip())
    if not match:
        raise InputError(f"--size {size}: is not of the form 960x540;", f"or one of {', '.join(SIZES)}.")
    width, height = int(match[1]), int(match[2])
    if not (16 <= width <= LARGEST and 16 <= height <= LARGEST):
        raise InputError(f"--size {size}: width and height must be between 16 and {LARGEST} pixels.")
    if width % 2 or height % 2:
        raise InputError(f"--size {size}: width and height must be even, such as {width + width % 2}x{height + height % 2}.")
    return width, height


def check_joints(motion: Motion, rig: Rig) -> None:
    """Raise InputError unless the motion was made for this rig."""
    if motion.joint_names != rig.joint_names:
        other = sorted(set(motion.joint_names) ^ set(rig.joint_names))
        what = f"joint '{other[0]}' is in only one of them" if other else "their order differs"
        raise InputError(
            f"the motion '{motion.prompt}' ({len(motion.joint_names)} joints) does not fit the rig '{rig.name}' ({rig.joint_count} joints): {what};",
            "make it again with this rig.",
        )
