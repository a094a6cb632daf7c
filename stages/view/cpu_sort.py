"""Kernels of each frame by depth, and from there into tiles: the lists of the tiles come out sorted."""

from __future__ import annotations

import numpy as np
from numba import prange

from .cpu_kernel import TILE, bits_of_float, kernel

_DIGIT = 2048  # radix of the sort: three passes of 11 bits cover a float32


@kernel(inline=True)
def tile_range(rectangle):
    """Tiles that a pixel rectangle (x0, x1, y0, y1) touches: columns left..right, rows top..bottom, inclusive."""
    return rectangle[0] // TILE, (rectangle[1] - 1) // TILE, rectangle[2] // TILE, (rectangle[3] - 1) // TILE


@kernel(parallel=True)
def sort_by_depth(depths, rectangles, tiles_x, order, visible, slots, tile_counts):
    """Sort the visible kernels of each frame by depth (stable), and count.

    Parameters:
        depths: Positive where visible. [m, (F, N)]
        rectangles: See `project`. [(F, N, 4)]
        tiles_x: Tiles in a row of the image.
        order: Written: kernel indices, nearest first; the first visible[f] entries of a row. [(F, N)]
        visible: Written: how many kernels have pixels. [(F,)]
        slots: Written: exclusive prefix sum of the tiles each kernel touches. [(F, N + 1)]
        tile_counts: Added to: kernels per tile; zero on entry. [(F, tiles)]
    """
    frames, count = depths.shape
    for frame in prange(frames):
        keys, other_keys = np.empty(count, np.uint32), np.empty(count, np.uint32)
        other_order = np.empty(count, np.int32)
        m, slot = 0, 0
        for n in range(count):
            slots[frame, n] = slot
            if rectangles[frame, n, 1] > rectangles[frame, n, 0]:
                # depths are positive: their bits sort as they do
                keys[m] = np.uint32(bits_of_float(depths[frame, n]))
                order[frame, m] = n
                m += 1
                left, right, top, bottom = tile_range(rectangles[frame, n])
                slot += (right - left + 1) * (bottom - top + 1)
                for row in range(top, bottom + 1):
                    for column in range(left, right + 1):
                        tile_counts[frame, row * tiles_x + column] += 1
        slots[frame, count] = slot
        visible[frame] = m
        _radix_pass(keys, order[frame], other_keys, other_order, m, np.uint32(0))
        _radix_pass(other_keys, other_order, keys, order[frame], m, np.uint32(11))
        _radix_pass(keys, order[frame], other_keys, other_order, m, np.uint32(22))
        order[frame, :m] = other_order[:m]


@kernel()
def _radix_pass(keys, values, sorted_keys, sorted_values, count, shift):
    """One stable pass of the radix sort over the 11 bits of the keys above `shift`."""
    starts = np.zeros(_DIGIT, np.int32)
    mask = np.uint32(_DIGIT - 1)
    for i in range(count):
        starts[(keys[i] >> shift) & mask] += 1
    total = 0
    for digit in range(_DIGIT):
        here = starts[digit]
        starts[digit] = total
        total += here
    for i in range(count):
        digit = (keys[i] >> shift) & mask
        place = starts[digit]
        starts[digit] = place + 1
        sorted_keys[place] = keys[i]
        sorted_values[place] = values[i]


@kernel(parallel=True)
def fill_tiles(order, visible, rectangles, tile_starts, tiles_x, members):
    """Distribute the sorted kernels over the tiles they touch.

    Parameters:
        order, visible, rectangles, tiles_x: As in `sort_by_depth`.
        tile_starts: Where each tile's list begins in `members`. [(F, tiles)]
        members: Written: kernel indices, per tile nearest first. [(S,)]
    """
    for frame in prange(order.shape[0]):
        cursor = tile_starts[frame].copy()
        for i in range(visible[frame]):
            n = order[frame, i]
            left, right, top, bottom = tile_range(rectangles[frame, n])
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    tile = row * tiles_x + column
                    members[cursor[tile]] = n
                    cursor[tile] += 1
