"""Alpha blending of the tiles' kernels, front to back, and its gradient, back to front (METHOD 4, equation 1).

A tile keeps its pixels as planes of floats (`TILE` rows of `STRIDE`), and a kernel visits them in groups of `LANES`
neighbours, which LLVM turns into vector instructions. Inner indices are unsigned: signed ones keep it from doing so.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .cpu_kernel import (
    BLUE,
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    GREEN,
    LANES,
    LOG2_MIN_ALPHA,
    LOG2_OPACITY,
    MAX_ALPHA,
    MEAN_X,
    MEAN_Y,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
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

_CHECK_EVERY = 64  # kernels between looks at whether the whole tile is opaque
_NARROW = 2 * LANES  # up to this width the whole rectangle is visited: finding exact rows costs more


@kernel(inline=True)
def _row_range(slope, power, conic, center, low, high):
    """Columns of a row where alpha can reach 1/255: the roots of a parabola, within [low, high)."""
    discriminant = slope * slope + f32(4) * conic * (power - LOG2_MIN_ALPHA)
    if discriminant <= f32(0):
        return i32(1), i32(0)
    half, middle = f32(0.5) * np.sqrt(discriminant) / conic, center - f32(0.5) * slope / conic
    # truncation equals floor here: both are held at low >= 0
    return max(i32(middle - half - f32(0.5)), i32(low)), min(i32(middle + half + f32(0.5)) + i32(1), i32(high))


@kernel(inline=True)
def _blend_lanes(state, base, offset, power, slope, conic, index, red, green, blue):
    """Blend one kernel into LANES pixels; returns the sum of its weights.

    `state` holds planes of: transmittance (negative once the pixel is finished), red, green, blue, last contributor.
    The log2 of alpha at distance d = offset - lane is power + d (slope - conic d).
    """
    total = f32(0)
    for lane in range(u64(LANES)):
        d = offset - f32(i32(lane))
        at = base + lane
        alpha = min(exp2(power + d * (slope - conic * d)), MAX_ALPHA)
        transmittance = state[at]
        counts = (alpha >= MIN_ALPHA) & (transmittance > f32(0))
        alpha = alpha if counts else f32(0)
        weight = alpha * transmittance
        left = transmittance - weight
        finished = counts & (left <= MIN_TRANSMITTANCE)
        weight = f32(0) if finished else weight
        state[at] = -transmittance if finished else left
        state[u64(PLANE) + at] += weight * red
        state[u64(2 * PLANE) + at] += weight * green
        state[u64(3 * PLANE) + at] += weight * blue
        state[u64(4 * PLANE) + at] = index if weight > f32(0) else state[u64(4 * PLANE) + at]
        total += weight
    return total


@kernel(inline=True)
def _all_finished(state):
    """Whether no pixel of the tile lets light through."""
    most = f32(-1)
    for row in range(TILE):
        for column in range(u64(TILE)):
            most = max(most, state[u64(row * STRIDE) + column])
    return most <= f32(0)


@kernel(parallel=True)
def blend(screen, rectangles, members, tile_starts, tile_ends, width, height, tiles_x, image, transmittances, last, touched):
    """Blend every tile of every frame.

    Parameters:
        screen, rectangles: See `project`. [(F, N, 9), (F, N, 4)]
        members, tile_starts, tile_ends: Sorted lists of the tiles. [(S,), (F, tiles), (F, tiles)]
        width, height: [px]
        tiles_x: Tiles in a row of the image.
        image: Written: premultiplied colour and alpha. [(F, H, W, 4)]
        transmittances: Written: what is left of the background. [(F, H, W)]
        last: Written: place in the tile's list of the last kernel that contributed, -1 for none. [(F, H, W)]
        touched: Written: whether the list entry contributed to any pixel; false on entry. [(S,)]
    """
    frames, tiles = tile_starts.shape
    for task in prange(frames * tiles):
        frame = task // tiles
        tile = task - frame * tiles
        tile_y = tile // tiles_x
        top, left = tile_y * TILE, (tile - tile_y * tiles_x) * TILE
        begin, end = tile_starts[frame, tile], tile_ends[frame, tile]
        columns, rows = min(TILE, width - left), min(TILE, height - top)
        state = np.empty(5 * PLANE, np.float32)
        state[:PLANE] = 1
        state[PLANE : 4 * PLANE] = 0
        state[4 * PLANE :] = -1
        for y in range(TILE):  # pixels outside the image are finished from the start
            for x in range(columns if y < rows else 0, TILE):
                state[y * STRIDE + x] = -1
        for i in range(begin, end):
            if (i - begin) % _CHECK_EVERY == _CHECK_EVERY - 1 and _all_finished(state):
                break
            n = members[i]
            mean_x, mean_y = screen[frame, n, MEAN_X], screen[frame, n, MEAN_Y]
            conic_xx, conic_xy, conic_yy = screen[frame, n, CONIC_XX], screen[frame, n, CONIC_XY], screen[frame, n, CONIC_YY]
            opacity, index = screen[frame, n, LOG2_OPACITY], f32(i - begin)
            red, green, blue = screen[frame, n, RED], screen[frame, n, GREEN], screen[frame, n, BLUE]
            x0, x1 = max(rectangles[frame, n, 0] - left, 0), min(rectangles[frame, n, 1] - left, columns)
            y0, y1 = max(rectangles[frame, n, 2] - top, 0), min(rectangles[frame, n, 3] - top, rows)
            total = f32(0)
            for y in range(y0, y1):
                dy = mean_y - (f32(top + y) + f32(0.5))
                power, slope = opacity - conic_yy * dy * dy, -conic_xy * dy
                start, stop = i32(x0), i32(x1)
                if x1 - x0 > _NARROW:
                    start, stop = _row_range(slope, power, conic_xx, mean_x - f32(left), x0, x1)
                for x in range(start, stop, LANES):
                    offset = mean_x - (f32(left + x) + f32(0.5))
                    total += _blend_lanes(state, u64(y * STRIDE + x), offset, power, slope, conic_xx, index, red, green, blue)
            touched[i] = total > f32(0)
        for y in range(rows):
            for x in range(columns):
                at = y * STRIDE + x
                through = abs(state[at])
                image[frame, top + y, left + x, 0] = state[PLANE + at]
                image[frame, top + y, left + x, 1] = state[2 * PLANE + at]
                image[frame, top + y, left + x, 2] = state[3 * PLANE + at]
                image[frame, top + y, left + x, 3] = f32(1) - through
                transmittances[frame, top + y, left + x] = through
                last[frame, top + y, left + x] = i32(state[4 * PLANE + at])
