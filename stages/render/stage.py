"""Render any motion artifact: the asset deformed by it, over the checkerboard, filmed by a camera that follows."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from schemas.asset import Asset
from schemas.errors import InputError
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.skin import Skin
from schemas.splat import Splat
from stages.body import kinematics, quaternion, skinning
from stages.progress import SILENT, Progress
from stages.view.camera import Camera, orbit, smooth_path
from stages.view.ground import Ground, checkerboard, composite, hide_below
from stages.view.shadow import Shadow, shade
from stages.view.texture import SurfaceShader

from .params import CAMERAS, Params
from .resample import resample
from .sheet import save_sheet
from .video import writer

CHUNK = 4  # frames drawn at once: bounds memory, whatever the length of the clip
LARGEST = 7680


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
    wanted = np.unique(np.linspace(0, motion.frame_count - 1, params.sheet_frames).round().astype(int))
    kept: dict[int, np.ndarray] = {}
    progress.begin("render", motion.frame_count)
    with writer(video, width, height, motion.fps, params.quality) as append:
        for index, frame in enumerate(film.frames()):
            append(frame)
            if index in wanted:
                kept[index] = frame
            progress.update(index + 1)
    save_sheet(sheet, [(index / motion.fps, kept[index]) for index in sorted(kept)], f"{motion.name}: {motion.prompt}")
    return Rendering(video, sheet, motion.frame_count, width, height, motion.fps)


def shoot(asset: Asset, rig: Rig, skin: Skin, splat: Splat | None, motion: Motion, params: Params) -> Film:
    """The film of a motion, whose frames are drawn when they are asked for.

    Raises:
        InputError: as `run`.
    """
    width, height = parse_size(params.size)
    check_joints(motion, rig)
    if params.look == "splat" and splat is None:
        raise InputError("--look splat: this workspace has no splat.h5;", "run `akd splat` first, or use --look mesh.")
    return Film(asset, rig, skin, splat if params.look == "splat" else None, resample(motion, params.fps), params, width, height)


def parse_size(size: str) -> tuple[int, int]:
    """Width and height of "960x540". [px]

    Raises:
        InputError: Not of that form, odd (H.264 halves the colour resolution), or out of range.
    """
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", size.strip())
    if not match:
        raise InputError(f"--size {size}: is not of the form 960x540.")
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


class Film:
    """The shots of one motion.

    Attributes:
        motion: At the film's frame rate.
        width, height: [px]
    """

    def __init__(self, asset: Asset, rig: Rig, skin: Skin, splat: Splat | None, motion: Motion, params: Params, width: int, height: int) -> None:
        self.asset, self.splat, self.params = asset, splat, params
        self.motion, self.width, self.height = motion, width, height
        self.shade = SurfaceShader(asset, texture_limit=4 * max(width, height))
        self.weights = torch.from_numpy(skin.weights)
        self.vertices = torch.from_numpy(asset.vertices)
        self.pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig))
        self.camera, size = self._place_camera(width, height)
        squares = max(round(size / 3, 1), 0.05)
        self.ground = Ground(cell=squares, horizon=14 * size, light=(0.80, 0.80, 0.79), dark=(0.70, 0.70, 0.70), sky=(0.90, 0.93, 0.96))

    def frames(self) -> Iterator[np.ndarray]:
        """All frames, uint8 RGB (H, W, 3)."""
        for start in range(0, self.camera.frames, CHUNK):
            pick = slice(start, start + CHUNK)
            camera = Camera(self.camera.view[pick], self.camera.intrinsics[pick], self.camera.width, self.camera.height)
            pose = kinematics.Pose(self.pose.rotations[pick], self.pose.translations[pick], self.pose.joints[pick])
            points = skinning.skin_points(self.vertices, self.weights, pose)
            background = checkerboard(camera, self.ground)
            if self.params.shadow:
                surface = torch.cat([points, points[:, torch.from_numpy(self.asset.faces).long()].mean(2)], 1)
                background = background * shade(camera, surface.numpy(), Shadow(), self.asset.height)
            rgb, alpha = self._splats(pose, camera) if self.splat is not None else self._mesh(points, camera)
            image = composite(rgb, alpha, background).clamp(0, 1)
            yield from (image * 255 + 0.5).to(torch.uint8).numpy()

    def _place_camera(self, width: int, height: int) -> tuple[Camera, float]:
        """A camera that follows the smoothed centre of the bounding box, and the diagonal of the asset. [m]"""
        azimuth, elevation = CAMERAS[self.params.camera]
        azimuth = self.params.azimuth if self.params.azimuth is not None else azimuth
        elevation = self.params.elevation if self.params.elevation is not None else elevation
        low, high = self._boxes()
        extent = (high - low).max(0).values
        centers = smooth_path(0.5 * (low + high), window=13)
        centers[:, 1] = 0.5 * extent[1]  # a camera that bobs with every step makes the viewer sick
        focal, diagonal = 1.6, float(extent.norm())
        distance = _distance(extent.tolist(), math.radians(azimuth), math.radians(elevation), focal, width / height)
        radians = math.radians(azimuth), math.radians(elevation)
        camera = orbit(centers, azimuth=radians[0], elevation=radians[1], distance=distance, focal=focal, width=width, height=height)
        return camera, diagonal

    def _boxes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lowest and highest corner of the deformed asset in every frame. [m, (F, 3)]"""
        lows, highs = [], []
        step = max(1, len(self.vertices) // 2000)
        for start in range(0, len(self.pose.rotations), 16):
            part = kinematics.Pose(*(x[start : start + 16] for x in (self.pose.rotations, self.pose.translations, self.pose.joints)))
            points = skinning.skin_points(self.vertices[::step], self.weights[::step], part)
            lows.append(points.min(1).values)
            highs.append(points.max(1).values)
        return torch.cat(lows), torch.cat(highs)

    def _splats(self, pose: kinematics.Pose, camera: Camera) -> tuple[torch.Tensor, torch.Tensor]:
        from stages.view.rasterize import render

        splat = self.splat
        assert splat is not None
        turns = quaternion.to_matrix(torch.from_numpy(splat.rotations))
        sigma = skinning.covariances(turns, torch.from_numpy(splat.scales))
        means, carried = skinning.skin_gaussians(torch.from_numpy(splat.means), sigma, torch.from_numpy(splat.weights), pose)
        return render(means, carried, hide_below(means, torch.from_numpy(splat.opacities)), torch.from_numpy(splat.colors), camera)

    def _mesh(self, points: torch.Tensor, camera: Camera) -> tuple[torch.Tensor, torch.Tensor]:
        from stages.view.mesh import render_mesh

        rgba = render_mesh(points.numpy(), self.asset.faces, self.shade, camera, supersample=2, shaded=True, weld=self.asset.weld)
        return rgba[..., :3], rgba[..., 3:]


def _distance(extent: list[float], azimuth: float, elevation: float, focal: float, aspect: float) -> float:
    """How far the camera must stand for a box of this extent to fill most of the image. [m (3,), rad, rad, -, - -> m]

    Parameters:
        focal: In units of the image's width.
        aspect: Width over height.
    """
    x, y, z = extent
    across = abs(x * math.cos(azimuth)) + abs(z * math.sin(azimuth))
    depth = abs(x * math.sin(azimuth)) + abs(z * math.cos(azimuth))
    upright = y * math.cos(elevation) + depth * abs(math.sin(elevation))
    # the near end of the box is half its depth closer; a margin of a tenth on every side
    return 1.1 * focal * max(across, upright * aspect) + 0.5 * depth
