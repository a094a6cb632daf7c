"""Gradient of the blending: the tiles' kernels once more, back to front (METHOD 4, equation 1).

Every (kernel, tile) pair has its own row of sums, added up later in a fixed order: no atomics, so that the result does
not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .cpu_blend import _NARROW, _row_range
from .cpu_kernel import (
    BLUE,
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    GREEN,
    LANES,
    LOG2_OPACITY,
    MAX_ALPHA,
    MEAN_X,
    MEAN_Y,
    MIN_ALPHA,
    PLANE,
    RED,
    STRIDE,
    TILE,
    exp2,
    f32,
    i32,
    kernel,
    u64,
)
from .cpu_sort import tile_range


@kernel(inline=True)
def _unblend_lanes(state, base, offset, power, slope, conic, index, red, green, blue):
    """Take one kernel out of LANES pixels again; returns its sums over them.

    `state` holds planes of: transmittance behind the kernel, last contributor, gradients of red, green and blue, and
    the gradient-weighted light from behind. Sums: s, s d, s d^2 with s = alpha dL/dalpha, then weight x colour gradient.
    """
    s = sd = sdd = sum_red = sum_green = sum_blue = f32(0)
    for lane in range(u64(LANES)):
        d = offset - f32(i32(lane))
        at = base + lane
        unclamped = exp2(power + d * (slope - conic * d))
        counts = (unclamped >= MIN_ALPHA) & (index <= state[u64(PLANE) + at])
        alpha = min(unclamped, MAX_ALPHA) if counts else f32(0)
        share = f32(1) / (f32(1) - alpha)
        transmittance = state[at] * share  # in front of the kernel
        state[at] = transmittance
        grad_red, grad_green, grad_blue = state[u64(2 * PLANE) + at], state[u64(3 * PLANE) + at], state[u64(4 * PLANE) + at]
        along = red * grad_red + green * grad_green + blue * grad_blue
        behind = state[u64(5 * PLANE) + at]
        grad_alpha = along * transmittance - behind * share
        weight = alpha * transmittance
        state[u64(5 * PLANE) + at] = behind + weight * along
        # where alpha is held at its maximum, it passes no gradient on
        term = alpha * grad_alpha if unclamped <= MAX_ALPHA else f32(0)
        s += term
        sd += term * d
        sdd += term * d * d
        sum_red += weight * grad_red
        sum_green += weight * grad_green
        sum_blue += weight * grad_blue
    return s, sd, sdd, sum_red, sum_green, sum_blue


@kernel(parallel=True)
def blend_backward(screen, rectangles, members, tile_starts, tile_ends, slots, first_slot, tiles_x, transmittances, last, touched, grad_image, sums):
    """Sums over pixels for each (kernel, tile) pair; `project_backward` turns them into gradients.

    Parameters:
        screen, rectangles, members, tile_starts, tile_ends, tiles_x, transmittances, last, touched: As in `blend`.
        slots, first_slot: Where a kernel's rows of `sums` lie, one per tile it touches. [(F, N + 1), (F,)]
        grad_image: [(F, H, W, 4)]
        sums: Written, see `project_backward`. [(S, 9)]
    """
    frames, tiles = tile_starts.shape
    height, width = last.shape[1], last.shape[2]
    for task in prange(frames * tiles):
        frame = task // tiles
        tile = task - frame * tiles
        tile_y = tile // tiles_x
        tile_x = tile - tile_y * tiles_x
        top, left = tile_y * TILE, tile_x * TILE
        begin, end = tile_starts[frame, tile], tile_ends[frame, tile]
        columns, rows = min(TILE, width - left), min(TILE, height - top)
        state = np.zeros(6 * PLANE, np.float32)
        state[PLANE : 2 * PLANE] = -1
        deepest = -1
        for y in range(rows if end > begin else 0):
            for x in range(columns):
                at, through = y * STRIDE + x, transmittances[frame, top + y, left + x]
                deepest = max(deepest, last[frame, top + y, left + x])
                state[at] = through
                state[PLANE + at] = f32(last[frame, top + y, left + x])
                for channel in range(3):
                    state[(2 + channel) * PLANE + at] = grad_image[frame, top + y, left + x, channel]
                # alpha = 1 - transmittance: its gradient arrives as light from behind
                state[5 * PLANE + at] = -through * grad_image[frame, top + y, left + x, 3]
        for i in range(end - 1, begin - 1, -1):
            n = members[i]
            rectangle = rectangles[frame, n]
            first_x, last_x, first_y, _ = tile_range(rectangle)
            row = sums[first_slot[frame] + slots[frame, n] + (tile_y - first_y) * (last_x - first_x + 1) + (tile_x - first_x)]
            if i - begin > deepest or not touched[i]:
                row[:] = 0
                continue
            mean_x, mean_y = screen[frame, n, MEAN_X], screen[frame, n, MEAN_Y]
            conic_xx, conic_xy, conic_yy = screen[frame, n, CONIC_XX], screen[frame, n, CONIC_XY], screen[frame, n, CONIC_YY]
            opacity, index = screen[frame, n, LOG2_OPACITY], f32(i - begin)
            red, green, blue = screen[frame, n, RED], screen[frame, n, GREEN], screen[frame, n, BLUE]
            x0, x1 = max(rectangle[0] - left, 0), min(rectangle[1] - left, columns)
            y0, y1 = max(rectangle[2] - top, 0), min(rectangle[3] - top, rows)
            t0 = tx = ty = txx = txy = tyy = sum_red = sum_green = sum_blue = f32(0)
            for y in range(y0, y1):
                dy = mean_y - (f32(top + y) + f32(0.5))
                power, slope = opacity - conic_yy * dy * dy, -conic_xy * dy
                start, stop = i32(x0), i32(x1)
                if x1 - x0 > _NARROW:
                    start, stop = _row_range(slope, power, conic_xx, mean_x - f32(left), x0, x1)
                s = sd = sdd = f32(0)
                for x in range(start, stop, LANES):
                    offset = mean_x - (f32(left + x) + f32(0.5))
                    part = _unblend_lanes(state, u64(y * STRIDE + x), offset, power, slope, conic_xx, index, red, green, blue)
                    s += part[0]
                    sd += part[1]
                    sdd += part[2]
                    sum_red += part[3]
                    sum_green += part[4]
                    sum_blue += part[5]
                t0 += s
                tx += sd
                ty += s * dy
                txx += sdd
                txy += sd * dy
                tyy += s * dy * dy
            row[0], row[1], row[2], row[3], row[4], row[5] = t0, tx, ty, txx, txy, tyy
            row[6], row[7], row[8] = sum_red, sum_green, sum_blue
