"""The shots of a motion: the asset deformed by it, over a checkerboard with a soft shadow, drawn frame by frame."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from schemas.asset import Asset
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.skin import Skin
from schemas.splat import Splat
from stages.body import kinematics, quaternion, skinning
from stages.view import harmonics
from stages.view.camera import Camera
from stages.view.ground import checkerboard, composite, contrasting, hide_below
from stages.view.mesh import render_mesh
from stages.view.shadow import Shadow, shade
from stages.view.texture import SurfaceShader

from .params import CAMERAS, TURNTABLE, Params
from .views import Shot, crop, place

CHUNK = 4  # frames of splats drawn at once: bounds memory, whatever the length of the clip
SAMPLES = 2000  # vertices that decide what the camera must see, places that decide what the ground must contrast with
SKY = (0.90, 0.93, 0.96)


class Film:
    """The shots of one motion.

    Attributes:
        motion: At the film's frame rate.
        width, height: [px]
        camera: One per frame.
        ground: Its look; drawn unless the parameters say otherwise.
        samples: Some of the deformed asset's vertices. [m, (F, N, 3)]
    """

    def __init__(self, asset: Asset, rig: Rig, skin: Skin, splat: Splat | None, motion: Motion, params: Params, width: int, height: int) -> None:
        self.asset, self.rig, self.splat, self.params = asset, rig, splat, params
        self.motion, self.width, self.height = motion, width, height
        self.shade = SurfaceShader(asset, texture_limit=4 * max(width, height))
        self.weights = torch.from_numpy(skin.weights)
        self.vertices = torch.from_numpy(asset.vertices)
        self.pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig))
        self.samples = self._samples()
        extent = (self.samples.max(1).values - self.samples.min(1).values).max(0).values
        self.size = float(extent.norm())
        self.camera = place(self.samples, shot_of(params), width, height)
        squares = max(round(self.size / 3, 1), 0.05)
        self.ground = dataclasses.replace(contrasting(self.size, torch.from_numpy(_colors(asset, self.shade))), cell=squares, sky=SKY)

    def frames(self) -> Iterator[np.ndarray]:
        """All frames, uint8 RGB (H, W, 3), drawn by as many threads as torch may use and given in order."""
        count = self.camera.frames
        if self.splat is not None:
            for start in range(0, count, CHUNK):
                yield from self._splat_frames(slice(start, min(start + CHUNK, count)))
            return
        workers = max(1, torch.get_num_threads())
        waiting: collections.deque[Future[np.ndarray]] = collections.deque()
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                for index in range(count):
                    waiting.append(pool.submit(self.frame, index))
                    if len(waiting) > workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for one in waiting:
                    one.cancel()

    def frame(self, index: int) -> np.ndarray:
        """One frame, uint8 RGB (H, W, 3)."""
        if self.splat is not None:
            return next(self._splat_frames(slice(index, index + 1)))
        camera, points = self.camera_at(index), self.points(index)
        image = self.background(camera, points)
        self.paint(image, camera, points)
        return to_bytes(image)

    def camera_at(self, index: int) -> Camera:
        """The camera of one frame."""
        return Camera(self.camera.view[index : index + 1], self.camera.intrinsics[index : index + 1], self.width, self.height)

    def points(self, index: int) -> torch.Tensor:
        """The deformed vertices of one frame. [m, (V, 3)]"""
        return skinning.skin_points(self.vertices, self.weights, self._pose(slice(index, index + 1)))[0]

    def background(self, camera: Camera, points: torch.Tensor | None = None) -> torch.Tensor:
        """Ground and sky of a one-frame camera, with the shadow of deformed vertices. [0..1, (H, W, 3)]"""
        if not self.params.ground:
            return torch.tensor(SKY).expand(camera.height, camera.width, 3).clone()
        image = checkerboard(camera, self.ground)[0]
        if self.params.shadow and points is not None:
            self.darken(image, camera, points)
        return image

    def darken(self, image: torch.Tensor, camera: Camera, points: torch.Tensor) -> None:
        """Lay the shadow of deformed vertices over a background, in place. [(H, W, 3), m (V, 3)]"""
        surface = torch.cat([points, points[torch.from_numpy(self.asset.faces).long()].mean(1)])
        reach = 6 * Shadow().softness * self.asset.height
        low, high = surface.min(0).values - reach, surface.max(0).values + reach
        corners = torch.tensor([[x, 0.0, z] for x in (float(low[0]), float(high[0])) for z in (float(low[2]), float(high[2]))])
        part = crop(camera, corners)
        if part is not None:
            small, left, top = part
            image[top : top + small.height, left : left + small.width] *= shade(small, surface[None].numpy(), Shadow(), self.asset.height)[0]

    def paint(self, image: torch.Tensor, camera: Camera, points: torch.Tensor) -> None:
        """Draw the mesh of one frame over a background, in place. [(H, W, 3), m (V, 3)]"""
        part = crop(camera, points)
        if part is not None:
            small, left, top = part
            where = image[top : top + small.height, left : left + small.width]
            rgba = self.mesh(small, points)
            where.copy_(composite(rgba[..., :3], rgba[..., 3:], where))

    def mesh(self, camera: Camera, points: torch.Tensor) -> torch.Tensor:
        """The mesh alone, seen by a one-frame camera: premultiplied. [0..1, (H, W, 4)]"""
        return render_mesh(points.numpy(), self.asset.faces, self.shade, camera, supersample=2, shaded=True, weld=self.asset.weld)[0]

    def _splat_frames(self, pick: slice) -> Iterator[np.ndarray]:
        from stages.view.rasterize import render

        splat = self.splat
        assert splat is not None
        camera, pose = Camera(self.camera.view[pick], self.camera.intrinsics[pick], self.width, self.height), self._pose(pick)
        sigma = skinning.covariances(quaternion.to_matrix(torch.from_numpy(splat.rotations)), torch.from_numpy(splat.scales))
        means, carried = skinning.skin_gaussians(torch.from_numpy(splat.means), sigma, torch.from_numpy(splat.weights), pose)
        opacities = torch.from_numpy(splat.opacities)
        shown = hide_below(means, opacities) if self.params.ground else opacities.expand(means.shape[:2])
        beyond = None if splat.harmonics is None else torch.from_numpy(splat.harmonics)
        linear = None if beyond is None else skinning.blend(torch.from_numpy(splat.weights), pose)[0]
        colors = harmonics.seen(torch.from_numpy(splat.colors), beyond, means, camera.position, linear)
        rgb, alpha = render(means, carried, shown, colors, camera, **splat.filter)
        for offset, index in enumerate(range(pick.start, pick.stop)):
            background = self.background(self.camera_at(index), self.points(index))
            yield to_bytes(composite(rgb[offset], alpha[offset], background))

    def _pose(self, pick: slice) -> kinematics.Pose:
        return kinematics.Pose(self.pose.rotations[pick], self.pose.translations[pick], self.pose.joints[pick])

    def _samples(self) -> torch.Tensor:
        step = max(1, len(self.vertices) // SAMPLES)
        parts = [
            skinning.skin_points(self.vertices[::step], self.weights[::step], self._pose(slice(start, start + 16)))
            for start in range(0, len(self.pose.rotations), 16)
        ]
        return torch.cat(parts)


def shot_of(params: Params) -> Shot:
    """What the parameters say about the camera."""
    azimuth, elevation = CAMERAS[params.camera]
    azimuth = params.azimuth if params.azimuth is not None else azimuth
    elevation = params.elevation if params.elevation is not None else elevation
    turn = params.turn if params.camera == TURNTABLE else 0.0
    return Shot(math.radians(azimuth), math.radians(elevation), params.follow, math.radians(turn))


def to_bytes(image: torch.Tensor) -> np.ndarray:
    """A picture of 0..1 as uint8."""
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def _colors(asset: Asset, shader: SurfaceShader) -> np.ndarray:
    """Colours of the surface, every one standing for the same area. [0..1, (N, 3)]"""
    corners = asset.vertices[asset.faces].astype(np.float64)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    places = (np.arange(SAMPLES) + 0.5) / SAMPLES * areas.sum()
    faces = np.minimum(np.searchsorted(np.cumsum(areas), places), len(areas) - 1)
    return shader(faces, np.full((SAMPLES, 3), 1 / 3))
