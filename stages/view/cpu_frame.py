"""Whole frames, several at a time: posing, projection, sorting, blending, and the way back, in one parallel region each.

A frame's numbers stay in one core's cache from beginning to end. Frames are dealt to workers; what a frame's code does
does not depend on how many there are, so neither do the bits of the result.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .cpu_blend import blend, blend_backward
from .cpu_kernel import SUMS, TILE, kernel
from .cpu_pose import pose, pose_backward
from .cpu_project import WORLD, collect_world, gather_sums, project, project_backward, spread_world
from .cpu_sort import count_tiles, fill_tiles, sort_by_depth


@kernel(inline=True)
def _of_frame(plan, frame):
    """One frame's part of each of the plan's arrays."""
    screen, slots, starts, members, covers, owners, ends = plan
    return screen[frame], slots[frame], starts[frame], members[frame], covers[frame], owners[frame], ends[frame]


@kernel()
def _draw(frame, world, opacities, colors, cameras, view, scratch, plan, image):
    """One frame from its world planes; returns how many list entries it needs, and stops early if there is no room."""
    order, other_order, keys, other_keys = scratch
    width, height = view[0], view[1]
    screen, slots, starts, members, covers, owners, ends = _of_frame(plan, frame)
    project(world, opacities[min(frame, len(opacities) - 1)], colors[min(frame, len(colors) - 1)], cameras[frame], view, screen)
    tiles_x = (width + TILE - 1) // TILE
    visible, low, high = count_tiles(screen, tiles_x, slots, starts, order, keys)
    needed = slots[len(screen)]
    if needed <= len(members):
        order = sort_by_depth(order, keys, other_order, other_keys, visible, low, high)
        fill_tiles(order, visible, screen, slots, starts, tiles_x, members, covers, owners)
        blend(screen, members, covers, starts, width, height, image[frame], ends)
    return needed


@kernel()
def _scratch(count):
    return np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.uint32), np.empty(count, np.uint32)


@kernel(parallel=True)
def draw(workers, means, covariances, opacities, colors, cameras, view, plan, image):
    """Render frames.

    Parameters:
        workers: Frames are dealt to so many.
        means, covariances: [m, (F, N, 3); m^2, (F, N, 3, 3)]
        opacities: [(F or 1, N)]
        colors: [(F or 1, 3, N)]
        cameras: See `camera_table`. [(F, 20)]
        view: Width, height, antialiased, dilation, floor: see `project`.
        plan: Written: screen (F, N, RECORD), slots (F, N + 1), tile starts (F, tiles + 1), members, covers and owners
            (F, S), ends (F, tiles * ENDS).
        image: Written. [(F, H * W * 4)]

    Returns:
        List entries that each frame needs; frames that need more than S are not drawn. [(F,)]
    """
    frames, count = len(cameras), means.shape[1]
    needed = np.zeros(frames, np.int64)
    for worker in prange(workers):
        scratch, world = _scratch(count), np.empty((WORLD, count), np.float32)
        for frame in range(worker, frames, workers):
            spread_world(means, covariances, frame, world)
            needed[frame] = _draw(frame, world, opacities, colors, cameras, view, scratch, plan, image)
    return needed


@kernel(parallel=True)
def draw_posed(workers, rest, used, joints, weights, bones, opacities, colors, cameras, view, plan, image):
    """As `draw`, of kernels at rest (WORLD, N) that bones (F, J, 16) move; see `pose`."""
    frames, count = len(cameras), rest.shape[1]
    needed = np.zeros(frames, np.int64)
    for worker in prange(workers):
        scratch, world = _scratch(count), np.empty((WORLD, count), np.float32)
        for frame in range(worker, frames, workers):
            pose(rest, used, joints, weights, bones[frame], world)
            needed[frame] = _draw(frame, world, opacities, colors, cameras, view, scratch, plan, image)
    return needed


@kernel()
def _take_back(frame, world, opacities, cameras, view, plan, gradient, grads):
    """One frame's gradients: of the world planes, the opacities and the colours."""
    grad_world, grad_opacities, grad_colors = grads
    screen, slots, starts, members, covers, owners, ends = _of_frame(plan, frame)
    count = world.shape[1]
    sums, totals = np.empty(slots[count] * SUMS, np.float32), np.empty((SUMS, count), np.float32)
    blend_backward(screen, members, covers, owners, starts, view[0], view[1], ends, gradient[frame], sums)
    gather_sums(slots, sums, totals)
    project_backward(world, opacities[min(frame, len(opacities) - 1)], cameras[frame], view[2], screen, totals, grad_world, grad_opacities, grad_colors)


@kernel(parallel=True)
def draw_backward(workers, means, covariances, opacities, cameras, view, plan, gradient, grads):
    """Gradients of `draw`.

    Parameters:
        gradient: dL/d(image). [(F, H * W * 4)]
        grads: Written: of means (F, N, 3), covariances (F, N, 3, 3), opacities (F, N), colours in rows (F, N, 3).
        The others are as in `draw`.
    """
    frames, count = len(cameras), means.shape[1]
    grad_means, grad_covariances, grad_opacities, grad_colors = grads
    for worker in prange(workers):
        world, grad_world = np.empty((WORLD, count), np.float32), np.empty((WORLD, count), np.float32)
        for frame in range(worker, frames, workers):
            spread_world(means, covariances, frame, world)
            _take_back(frame, world, opacities, cameras, view, plan, gradient, (grad_world, grad_opacities[frame], grad_colors[frame]))
            collect_world(grad_world, frame, grad_means, grad_covariances)


@kernel(parallel=True)
def draw_posed_backward(workers, rest, used, joints, weights, bones, opacities, cameras, view, plan, gradient, grad_bones):
    """Gradient of `draw_posed` by the bones (F, J, 16)."""
    frames, count = len(cameras), rest.shape[1]
    for worker in prange(workers):
        world, grad_world = np.empty((WORLD, count), np.float32), np.empty((WORLD, count), np.float32)
        grad_opacities, grad_colors = np.empty(count, np.float32), np.empty((count, 3), np.float32)
        for frame in range(worker, frames, workers):
            pose(rest, used, joints, weights, bones[frame], world)
            _take_back(frame, world, opacities, cameras, view, plan, gradient, (grad_world, grad_opacities, grad_colors))
            pose_backward(rest, used, joints, weights, bones[frame], grad_world, grad_bones[frame])
