"""Kernels of a frame by depth, and from there into tiles: the lists of the tiles come out sorted."""

from __future__ import annotations

import numpy as np

from .cpu_kernel import DEPTH, EDGE_BITS, TILE, TILE_BITS, X0, X1, Y0, Y1, bits_of_float, i32, kernel, u64

_DIGIT_BITS = 11  # of the radix sort
_DIGIT = 1 << _DIGIT_BITS


@kernel(inline=True)
def _tile_range(screen, n):
    """Tiles that a kernel's pixel rectangle touches: columns left..right, rows top..bottom, inclusive."""
    x0, x1, y0, y1 = i32(screen[n, X0]), i32(screen[n, X1]), i32(screen[n, Y0]), i32(screen[n, Y1])
    return x0 >> TILE_BITS, (x1 - 1) >> TILE_BITS, y0 >> TILE_BITS, (y1 - 1) >> TILE_BITS


@kernel()
def count_tiles(screen, tiles_x, slots, tile_starts, order, keys):
    """Count the tiles of each kernel and the kernels of each tile of a frame.

    Parameters:
        screen: See `project`. [(N, RECORD)]
        tiles_x: Tiles in a row of the image.
        slots: Written: exclusive prefix sum of the tiles each kernel touches. [(N + 1,)]
        tile_starts: Written: exclusive prefix sum of the kernels each tile has. [(tiles + 1,)]
        order: Written: the visible kernels. [(N,)]
        keys: Written: their depth as sortable integers. [uint32 (N,)]

    Returns:
        How many are visible, the least and the largest key.
    """
    tile_starts[:] = 0
    slot, visible = 0, 0
    low, high = np.uint32(0xFFFFFFFF), np.uint32(0)
    for n in range(len(screen)):
        slots[n] = slot
        if screen[n, X1] > screen[n, X0]:
            # depths are positive: their bits sort as they do
            key = np.uint32(bits_of_float(screen[n, DEPTH]))
            order[visible], keys[visible] = n, key
            low, high = min(low, key), max(high, key)
            visible += 1
            left, right, top, bottom = _tile_range(screen, n)
            slot += (right - left + 1) * (bottom - top + 1)
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    tile_starts[row * tiles_x + column + 1] += 1
    slots[len(screen)] = slot
    for tile in range(1, len(tile_starts)):
        tile_starts[tile] += tile_starts[tile - 1]
    return visible, low, high


@kernel()
def sort_by_depth(order, keys, other_order, other_keys, visible, low, high):
    """Sort the visible kernels of a frame, nearest first, those of one depth by index.

    Parameters:
        order, keys: From `count_tiles`. [(N,)]
        other_order, other_keys: Scratch. [(N,)]
        visible, low, high: From `count_tiles`.

    Returns:
        Whichever of `order` and `other_order` holds the result.
    """
    span, shift, swapped = high - low, np.uint32(0), False
    while shift < np.uint32(32) and (span >> shift) != np.uint32(0):
        if swapped:
            _radix_pass(other_keys, other_order, keys, order, visible, low, shift)
        else:
            _radix_pass(keys, order, other_keys, other_order, visible, low, shift)
        swapped = not swapped
        shift += np.uint32(_DIGIT_BITS)
    return other_order if swapped else order


@kernel()
def _radix_pass(keys, values, sorted_keys, sorted_values, count, low, shift):
    """One stable pass of the radix sort over `_DIGIT_BITS` bits of key - low above `shift`."""
    starts = np.zeros(_DIGIT, np.int32)
    mask = np.uint32(_DIGIT - 1)
    for i in range(count):
        starts[((keys[i] - low) >> shift) & mask] += 1
    total = 0
    for digit in range(_DIGIT):
        here = starts[digit]
        starts[digit] = total
        total += here
    for i in range(count):
        digit = ((keys[i] - low) >> shift) & mask
        place = starts[digit]
        starts[digit] = place + 1
        sorted_keys[place] = keys[i]
        sorted_values[place] = values[i]


@kernel(inline=True)
def _run_of_bits(first, last):
    """A uint64 with the bits first..last set, both in 0..63."""
    return (~u64(0) >> u64(63 - last + first)) << u64(first)


@kernel(inline=True)
def _cover(x0, x1, y0, y1):
    """The blocks of a tile that a rectangle of its pixels (half open, it may stand out) touches, a bit each, row by row."""
    first_x, last_x = max(x0, 0) >> EDGE_BITS, min(x1 - 1, TILE - 1) >> EDGE_BITS
    first_y, last_y = max(y0, 0) >> EDGE_BITS, min(y1 - 1, TILE - 1) >> EDGE_BITS
    across = TILE >> EDGE_BITS
    every_row = _run_of_bits(first_x, last_x) * u64(0x0101010101010101)
    return every_row & _run_of_bits(first_y * across, last_y * across + across - 1)


@kernel()
def fill_tiles(order, visible, screen, slots, tile_starts, tiles_x, members, covers, owners):
    """Distribute the sorted kernels of a frame over the tiles they touch.

    Parameters:
        order, visible: From `sort_by_depth`, `count_tiles`.
        screen, slots, tile_starts, tiles_x: As in `count_tiles`.
        members: Written: kernels, per tile nearest first. [(S,)]
        covers: Written: blocks of the tile that the entry's rectangle touches, a bit each. [uint64 (S,)]
        owners: Written: the entry's place in its kernel's `slots`. [(S,)]
    """
    cursor = tile_starts[:-1].copy()
    for i in range(visible):
        n = order[i]
        x0, x1, y0, y1 = i32(screen[n, X0]), i32(screen[n, X1]), i32(screen[n, Y0]), i32(screen[n, Y1])
        slot = slots[n]
        for row in range(y0 >> TILE_BITS, ((y1 - 1) >> TILE_BITS) + 1):
            for column in range(x0 >> TILE_BITS, ((x1 - 1) >> TILE_BITS) + 1):
                tile = row * tiles_x + column
                entry = cursor[tile]
                cursor[tile] = entry + 1
                left, top = column << TILE_BITS, row << TILE_BITS
                members[entry], owners[entry] = n, slot
                covers[entry] = _cover(x0 - left, x1 - left, y0 - top, y1 - top)
                slot += 1
