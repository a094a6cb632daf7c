"""The asset at rest, seen from all sides: a film that goes round once and starts again without a jump, and a sheet of views."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from schemas.asset import Asset
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.skin import Skin
from schemas.splat import Splat
from stages.progress import SILENT, Progress

from .params import TURNTABLE, Params
from .sheet import save_sheet
from .stage import shoot
from .video import writer

SECONDS, FPS = 4.0, 24.0
"""A round's time and the film's rate where no other is asked for. [s, Hz]"""
VIEWS = 8


def at_rest(rig: Rig, frames: int, fps: float) -> Motion:
    """The rest pose for some frames."""
    count = rig.joint_count
    return Motion(
        name=rig.name, prompt="", fps=fps, joint_names=list(rig.joint_names), angles=np.zeros((frames, count, 3), np.float32),
        root_positions=np.tile(rig.positions[:1], (frames, 1)).astype(np.float32),
        root_rotations=np.tile(np.array([0, 0, 0, 1], np.float32), (frames, 1)), report={},
    )  # fmt: skip


def turntable(
    asset: Asset, rig: Rig, skin: Skin, splat: Splat | None, params: Params, *, video: Path, sheet: Path, progress: Progress = SILENT
) -> tuple[int, int, int, float]:
    """Write the film and the sheet; returns the film's frames, width, height and rate. [px, Hz]

    Raises:
        InputError, StorageError: as `stage.run`.
    """
    fps = params.fps or FPS
    count = max(2, round(SECONDS * fps))
    # one step short of the whole turn: the next frame would be the first
    turn = params.turn * (count - 1) / count
    film = shoot(asset, rig, skin, splat, at_rest(rig, count, fps), dataclasses.replace(params, camera=TURNTABLE, turn=turn, fps=None, repeat=1))
    wanted = {round(view * count / VIEWS): view for view in range(VIEWS)}
    kept: list[tuple[str, np.ndarray]] = []
    progress.begin("turntable", count)
    with writer(video, film.width, film.height, fps, params.quality) as append:
        for index, frame in enumerate(film.frames()):
            append(frame)
            if index in wanted:
                kept.append((f"{params.turn * wanted[index] / VIEWS:.0f}°", frame))
            progress.update(index + 1)
    save_sheet(sheet, kept, f"{asset.name}: {len(asset.vertices)} vertices, {rig.joint_count} joints")
    return count, film.width, film.height, fps
