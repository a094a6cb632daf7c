"""Gaussian splatting on the CPU: numba kernels inside one torch.autograd.Function.

Results and gradients are the same bit for bit for any number of threads (numba.set_num_threads).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .camera import Camera
from .cpu_blend import blend
from .cpu_blend_backward import blend_backward
from .cpu_kernel import SCREEN_COLUMNS, TILE
from .cpu_project import camera_table, project, project_backward
from .cpu_sort import fill_tiles, sort_by_depth


class _Rasterize(torch.autograd.Function):
    """(F, N, 3), (F, N, 3, 3), (F or 1, N), (F or 1, N, 3) contiguous float32 -> premultiplied rgba (F, H, W, 4)."""

    @staticmethod
    def forward(
        ctx: Any, means: torch.Tensor, covariances: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor, cameras: np.ndarray, size: tuple
    ) -> Any:
        (width, height), (frames, count) = size, means.shape[:2]
        tiles_x, tiles_y = -(-width // TILE), -(-height // TILE)
        screen, depths = np.empty((frames, count, SCREEN_COLUMNS), np.float32), np.empty((frames, count), np.float32)
        rectangles = np.empty((frames, count, 4), np.int32)
        inputs = [t.detach().numpy() for t in (means, covariances, opacities, colors)]
        project(*inputs, cameras, width, height, screen, rectangles, depths)

        order, visible = np.empty((frames, count), np.int32), np.empty(frames, np.int64)
        slots, tile_counts = np.empty((frames, count + 1), np.int64), np.zeros((frames, tiles_x * tiles_y), np.int64)
        sort_by_depth(depths, rectangles, tiles_x, order, visible, slots, tile_counts)
        tile_ends = np.cumsum(tile_counts.ravel()).reshape(tile_counts.shape)
        tile_starts = tile_ends - tile_counts
        members = np.empty(int(tile_counts.sum()), np.int32)
        fill_tiles(order, visible, rectangles, tile_starts, tiles_x, members)

        image, transmittances = np.empty((frames, height, width, 4), np.float32), np.empty((frames, height, width), np.float32)
        last, touched = np.empty((frames, height, width), np.int32), np.zeros(len(members), np.bool_)
        blend(screen, rectangles, members, tile_starts, tile_ends, width, height, tiles_x, image, transmittances, last, touched)
        ctx.save_for_backward(means, covariances, opacities)
        ctx.plan = (cameras, screen, rectangles, members, tile_starts, tile_ends, slots, tiles_x, transmittances, last, touched, len(colors))
        return torch.from_numpy(image)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_image: torch.Tensor) -> Any:
        means, covariances, opacities = ctx.saved_tensors
        cameras, screen, rectangles, members, tile_starts, tile_ends, slots, tiles_x, transmittances, last, touched, color_sets = ctx.plan
        first_slot = tile_starts[:, 0].copy()
        sums = np.empty((len(members), 9), np.float32)
        grad_image = grad_image.contiguous().numpy()
        blend_backward(screen, rectangles, members, tile_starts, tile_ends, slots, first_slot, tiles_x, transmittances, last, touched, grad_image, sums)

        grads = [torch.empty(means.shape[:2] + shape) for shape in ((3,), (3, 3), (), (3,))]
        inputs = [t.detach().numpy() for t in (means, covariances, opacities)]
        project_backward(*inputs, cameras, screen, slots, first_slot, sums, *[g.numpy() for g in grads])
        grad_means, grad_covariances, grad_opacities, grad_colors = grads
        if len(opacities) < len(means):
            grad_opacities = grad_opacities.sum(0, keepdim=True)
        if color_sets < len(means):
            grad_colors = grad_colors.sum(0, keepdim=True)
        return grad_means, grad_covariances, grad_opacities, grad_colors, None, None


def rasterize(means: torch.Tensor, covariances: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor, camera: Camera) -> torch.Tensor:
    """Premultiplied rgba (F, H, W, 4) float32 of kernels on the CPU; arguments as `rasterize.render`."""
    cameras = camera_table(camera.view.detach().cpu().numpy(), camera.intrinsics.detach().cpu().numpy(), camera.width, camera.height)
    opacities = opacities[None] if opacities.ndim == 1 else opacities
    colors = colors[None] if colors.ndim == 2 else colors
    tensors = [t.to("cpu", torch.float32).contiguous() for t in (means, covariances, opacities, colors)]
    return _Rasterize.apply(*tensors, cameras, (camera.width, camera.height))
