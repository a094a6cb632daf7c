"""Gaussian splatting on the CPU: numba kernels inside torch.autograd.Functions.

Results and gradients are the same bit for bit for any number of threads (numba.set_num_threads).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .camera import DILATION, Camera
from .cpu_blend import ENDS
from .cpu_frame import draw, draw_backward, draw_posed, draw_posed_backward
from .cpu_kernel import LANES, RECORD, TILE
from .cpu_project import camera_table

_ROOM = 2.0  # list entries per kernel and frame that there is room for at first; with less room than needed we draw again


class _Plan:
    """The arrays that one rendering leaves for its gradient.

    Attributes:
        workers: How many threads share the frames.
        arrays: See `cpu_frame.draw`.
    """

    def __init__(self, frames: int, count: int, width: int, height: int) -> None:
        import numba

        tiles = -(-width // TILE) * -(-height // TILE)
        self.workers = max(1, min(frames, numba.get_num_threads()))
        self._shape = frames, count, tiles
        self.arrays = self._allocate(int(_ROOM * count) + 64)

    def _allocate(self, room: int) -> tuple[np.ndarray, ...]:
        frames, count, tiles = self._shape
        return (
            np.empty((frames, count, RECORD), np.float32), np.empty((frames, count + 1), np.int32), np.empty((frames, tiles + 1), np.int32),
            np.empty((frames, room), np.int32), np.empty((frames, room), np.uint64), np.empty((frames, room), np.int32),
            np.empty((frames, tiles * ENDS), np.float32),
        )  # fmt: skip

    def fill(self, function: Any, *arguments: Any) -> np.ndarray:
        """Draw: function(workers, *arguments, arrays, image) where the last argument is the view; again with more room if kernels touch many tiles."""
        width, height, *_ = arguments[-1]
        image = np.empty((self._shape[0], height * width * 4), np.float32)
        needed = int(function(self.workers, *arguments, self.arrays, image).max(initial=0))
        if needed > self.arrays[3].shape[1]:
            self.arrays = self._allocate(needed)
            function(self.workers, *arguments, self.arrays, image)
        return image.reshape(self._shape[0], height, width, 4)


def _view(camera: Camera, antialiased: bool, dilation: float, floor: float) -> tuple[int, int, bool, np.float32, np.float32]:
    """What the compiled code calls a view: see `cpu_project.project`."""
    return camera.width, camera.height, antialiased, np.float32(dilation), np.float32(floor)


class _Rasterize(torch.autograd.Function):
    """(F, N, 3), (F, N, 3, 3), (F or 1, N), (F or 1, N, 3) contiguous float32, N >= LANES -> premultiplied rgba (F, H, W, 4)."""

    @staticmethod
    def forward(
        ctx: Any, means: torch.Tensor, covariances: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor, cameras: np.ndarray, view: tuple
    ) -> Any:
        plan = _Plan(*means.shape[:2], *view[:2])
        inputs = [t.detach().numpy() for t in (means, covariances, opacities, colors.transpose(1, 2).contiguous())]
        image = plan.fill(draw, *inputs, cameras, view)
        ctx.save_for_backward(means, covariances, opacities)
        ctx.rest = plan, cameras, view, len(colors)
        return torch.from_numpy(image)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_image: torch.Tensor) -> Any:
        means, covariances, opacities = ctx.saved_tensors
        plan, cameras, view, color_sets = ctx.rest
        grads = [torch.empty(means.shape[:2] + shape) for shape in ((3,), (3, 3), (), (3,))]
        inputs = [t.detach().numpy() for t in (means, covariances, opacities)]
        gradient = grad_image.contiguous().numpy().reshape(len(means), -1)
        draw_backward(plan.workers, *inputs, cameras, view, plan.arrays, gradient, tuple(g.numpy() for g in grads))
        grad_means, grad_covariances, grad_opacities, grad_colors = grads
        if len(opacities) < len(means):
            grad_opacities = grad_opacities.sum(0, keepdim=True)
        if color_sets < len(means):
            grad_colors = grad_colors.sum(0, keepdim=True)
        return grad_means, grad_covariances, grad_opacities, grad_colors, None, None


def rasterize(
    means: torch.Tensor,
    covariances: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    camera: Camera,
    antialiased: bool = False,
    dilation: float = DILATION,
) -> torch.Tensor:
    """Premultiplied rgba (F, H, W, 4) float32 of kernels on the CPU; arguments as `rasterize.render`."""
    cameras = camera_table(camera.view.detach().cpu().numpy(), camera.intrinsics.detach().cpu().numpy(), camera.width, camera.height)
    opacities = opacities[None] if opacities.ndim == 1 else opacities
    colors = colors[None] if colors.ndim == 2 else colors
    tensors = [t.to("cpu", torch.float32) for t in (means, covariances, opacities, colors)]
    missing = LANES - means.shape[1]
    if missing > 0:  # invisible kernels fill the first sixteen
        tensors = [torch.cat([t, t.new_zeros(t.shape[0], missing, *t.shape[2:])], 1) for t in tensors]
    return _Rasterize.apply(*[t.contiguous() for t in tensors], cameras, _view(camera, antialiased, dilation, -np.inf))


class _RasterizePosed(torch.autograd.Function):
    """Bones (F, J, 16) -> premultiplied rgba (F, H, W, 4) of the kernels they move."""

    @staticmethod
    def forward(ctx: Any, bones: torch.Tensor, constants: tuple, cameras: np.ndarray, view: tuple) -> Any:
        rest, used, joints, weights, opacities, colors = constants
        plan = _Plan(len(bones), rest.shape[1], *view[:2])
        image = plan.fill(draw_posed, rest, used, joints, weights, bones.detach().numpy(), opacities, colors, cameras, view)
        ctx.save_for_backward(bones)
        ctx.rest = plan, constants, cameras, view
        return torch.from_numpy(image)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_image: torch.Tensor) -> Any:
        (bones,) = ctx.saved_tensors
        plan, (rest, used, joints, weights, opacities, _colors), cameras, view = ctx.rest
        gradient, grad_bones = grad_image.contiguous().numpy().reshape(len(bones), -1), torch.empty_like(bones)
        pose = rest, used, joints, weights, bones.detach().numpy()
        draw_posed_backward(plan.workers, *pose, opacities, cameras, view, plan.arrays, gradient, grad_bones.numpy())
        return grad_bones, None, None, None


def rasterize_posed(
    planes: tuple[np.ndarray, ...],
    rotations: torch.Tensor,
    translations: torch.Tensor,
    camera: Camera,
    floor: float,
    antialiased: bool = False,
    dilation: float = DILATION,
) -> torch.Tensor:
    """Premultiplied rgba (F, H, W, 4) float32 of kernels that bones carry; arguments as `posed.render_posed`."""
    cameras = camera_table(camera.view.detach().cpu().numpy(), camera.intrinsics.detach().cpu().numpy(), camera.width, camera.height)
    frames, joints = rotations.shape[:2]
    rows = [rotations.reshape(frames, joints, 9), translations, rotations.new_zeros(frames, joints, 4)]
    bones = torch.cat(rows, -1).to("cpu", torch.float32).contiguous()
    return _RasterizePosed.apply(bones, planes, cameras, _view(camera, antialiased, dilation, floor))
