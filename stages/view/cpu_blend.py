"""Alpha blending of the tiles' kernels, front to back, and its gradient, back to front (METHOD 4, equation 1).

A tile keeps its pixels in blocks of 4 x 4, and a kernel visits the blocks that its rectangle touches and that still let
light through: two uint64 with a bit per block tell which. The blocks it contributed to are kept for the way back.
"""

from __future__ import annotations

import numpy as np

from .cpu_kernel import (
    ACROSS_BITS,
    BLOCKS,
    BLUE,
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    EDGE,
    EDGE_BITS,
    GREEN,
    LANES,
    MAX_ALPHA,
    MEAN_X,
    MEAN_Y,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    OPACITY,
    RED,
    SUMS,
    TILE,
    f32,
    i32,
    kernel,
    u64,
)
from .cpu_vector import (
    any_lane,
    exp2,
    lane_columns,
    lane_rows,
    least,
    load,
    load_pixels,
    lowest_bit,
    most,
    spread,
    store,
    store_pixels,
    store_sums,
    where,
)

# planes of a block's state: transmittance (negative once a pixel is finished), red, green, blue, and the place in the
# list of the last contributor; on the way back transmittance behind the kernel, gradients of red, green and blue, last
# contributor, and the gradient-weighted light from behind
LAST, BEHIND = 4 * LANES, 5 * LANES
FORWARD, BACKWARD = 5 * LANES, 6 * LANES
ENDS = 2 * TILE * TILE  # what a tile hands to the way back: transmittance and last contributor of its pixels, by block


@kernel(inline=True)
def _corner(block):
    """First column and row of a block in its tile. [px]"""
    return i32((block & u64((1 << ACROSS_BITS) - 1)) << u64(EDGE_BITS)), i32((block >> u64(ACROSS_BITS)) << u64(EDGE_BITS))


@kernel(inline=True)
def _record(screen, n, left, top):
    """A kernel's centre, from the centre of the tile's first pixel [px], conic, opacity and colour."""
    mean_x, mean_y = screen[n, MEAN_X] - (f32(left) + f32(0.5)), screen[n, MEAN_Y] - (f32(top) + f32(0.5))
    shape = screen[n, CONIC_XX], screen[n, CONIC_XY], screen[n, CONIC_YY], screen[n, OPACITY]
    return mean_x, mean_y, shape[0], shape[1], shape[2], shape[3], screen[n, RED], screen[n, GREEN], screen[n, BLUE]


@kernel()
def _blend_tile(screen, members, covers, begin, end, left, top, state, alive):
    """Blend one tile's list; `alive` has a bit for each block that has pixels, `covers` is narrowed to what contributed."""
    columns, rows = lane_columns(), lane_rows()
    zero = spread(f32(0))
    for i in range(begin, end):
        uncovered, hit = covers[i] & alive, u64(0)
        if uncovered != u64(0):
            mean_x, mean_y, conic_xx, conic_xy, conic_yy, opacity, red, green, blue = _record(screen, members[i], left, top)
            place = spread(f32(i - begin))
            while uncovered != u64(0):
                block = lowest_bit(uncovered)
                uncovered = uncovered & (uncovered - u64(1))
                x, y = _corner(block)
                dx, dy = (mean_x - f32(x)) - columns, (mean_y - f32(y)) - rows
                power = dx * (conic_xx * dx + conic_xy * dy) + conic_yy * (dy * dy)
                alpha = least(opacity * exp2(zero - power), spread(MAX_ALPHA))
                at = block * u64(FORWARD)
                transmittance = load(state, at)
                counts = (alpha >= MIN_ALPHA) & (transmittance > f32(0))
                if not any_lane(counts):
                    continue
                weight = where(counts, alpha * transmittance, zero)
                rest = transmittance - weight
                finished = counts & (rest <= MIN_TRANSMITTANCE)
                weight = where(finished, zero, weight)
                rest = where(finished, zero - transmittance, rest)
                store(state, at, rest)
                store(state, at + u64(LANES), load(state, at + u64(LANES)) + weight * red)
                store(state, at + u64(2 * LANES), load(state, at + u64(2 * LANES)) + weight * green)
                store(state, at + u64(3 * LANES), load(state, at + u64(3 * LANES)) + weight * blue)
                gives = weight > f32(0)
                store(state, at + u64(LAST), where(gives, place, load(state, at + u64(LAST))))
                bit = u64(1) << block
                if any_lane(gives):
                    hit = hit | bit
                if not any_lane(rest > f32(0)):
                    alive = alive & ~bit
        covers[i] = hit


@kernel(inline=True)
def _begin(state, columns, rows):
    """Empty pixels; those outside the image are finished from the start. Returns the blocks that have pixels."""
    zero, one, minus = spread(f32(0)), spread(f32(1)), spread(f32(-1))
    alive = u64(0)
    for block in range(u64(BLOCKS)):
        x, y = _corner(block)
        at = block * u64(FORWARD)
        store(state, at, where((lane_columns() < f32(columns - x)) & (lane_rows() < f32(rows - y)), one, minus))
        store(state, at + u64(LANES), zero)
        store(state, at + u64(2 * LANES), zero)
        store(state, at + u64(3 * LANES), zero)
        store(state, at + u64(LAST), minus)
        if x < columns and y < rows:
            alive = alive | (u64(1) << block)
    return alive


@kernel(inline=True)
def _finish(state, image, first, pitch, columns, rows, ends, end_at):
    """Write a tile's pixels (`first` is the corner's place in the image) and what the way back needs."""
    patch = np.empty(4 * LANES, np.float32)
    for block in range(u64(BLOCKS)):
        x, y = _corner(block)
        if x >= columns or y >= rows:
            continue
        at = block * u64(FORWARD)
        transmittance = load(state, at)
        transmittance = most(transmittance, spread(f32(0)) - transmittance)
        out = u64(end_at) + block * u64(2 * LANES)
        store(ends, out, transmittance)
        store(ends, out + u64(LANES), load(state, at + u64(LAST)))
        channels = (load(state, at + u64(LANES)), load(state, at + u64(2 * LANES)), load(state, at + u64(3 * LANES)), f32(1) - transmittance)
        place = first + y * pitch + 4 * x
        if x + EDGE <= columns and y + EDGE <= rows:
            store_pixels(image, place, pitch, channels)
        else:
            store_pixels(patch, 0, 4 * EDGE, channels)
            for row in range(min(EDGE, rows - y)):
                for k in range(4 * min(EDGE, columns - x)):
                    image[place + row * pitch + k] = patch[row * 4 * EDGE + k]


@kernel()
def blend(screen, members, covers, tile_starts, width, height, image, ends):
    """Blend every tile of a frame.

    Parameters:
        screen: See `project`. [(N, RECORD)]
        members: Kernels of the tiles, nearest first. [(S,)]
        covers: Blocks of the tile that the entry's rectangle touches; on return those it contributed to. [uint64 (S,)]
        tile_starts: Where each tile's part of these lists begins. [(tiles + 1,)]
        width, height: [px]
        image: Written: premultiplied colour and alpha. [(H * W * 4,)]
        ends: Written: of each tile with kernels, block by block, what is left of the background, and the place in the
            tile's list of the last kernel that contributed (-1 for none). [(tiles * ENDS,)]
    """
    tiles_x, pitch = (width + TILE - 1) // TILE, 4 * width
    state = np.empty(BLOCKS * FORWARD, np.float32)
    for tile in range(len(tile_starts) - 1):
        tile_y = tile // tiles_x
        top, left = tile_y * TILE, (tile - tile_y * tiles_x) * TILE
        columns, rows = min(TILE, width - left), min(TILE, height - top)
        begin, end, first = tile_starts[tile], tile_starts[tile + 1], top * pitch + 4 * left
        if begin == end:
            for row in range(rows):
                for k in range(4 * columns):
                    image[first + row * pitch + k] = f32(0)
            continue
        alive = _begin(state, columns, rows)
        _blend_tile(screen, members, covers, begin, end, left, top, state, alive)
        _finish(state, image, first, pitch, columns, rows, ends, tile * ENDS)


@kernel()
def _unblend_tile(screen, members, covers, owners, begin, end, left, top, state, sums):
    """Take one tile's kernels out again; see `blend_backward`."""
    columns, rows = lane_columns(), lane_rows()
    zero, one, limit = spread(f32(0)), spread(f32(1)), spread(MAX_ALPHA)
    for i in range(end - 1, begin - 1, -1):
        uncovered, place = covers[i], f32(i - begin)
        mean_x, mean_y, conic_xx, conic_xy, conic_yy, opacity, red, green, blue = _record(screen, members[i], left, top)
        s = sx = sy = sxx = sxy = syy = sum_red = sum_green = sum_blue = zero
        while uncovered != u64(0):
            block = lowest_bit(uncovered)
            uncovered = uncovered & (uncovered - u64(1))
            x, y = _corner(block)
            dx, dy = (mean_x - f32(x)) - columns, (mean_y - f32(y)) - rows
            power = dx * (conic_xx * dx + conic_xy * dy) + conic_yy * (dy * dy)
            unclamped = opacity * exp2(zero - power)
            at = block * u64(BACKWARD)
            counts = (unclamped >= MIN_ALPHA) & (load(state, at + u64(LAST)) >= place)
            alpha = where(counts, least(unclamped, limit), zero)
            share = one / (one - alpha)
            transmittance = load(state, at) * share  # in front of the kernel
            store(state, at, transmittance)
            grad_red, grad_green, grad_blue = load(state, at + u64(LANES)), load(state, at + u64(2 * LANES)), load(state, at + u64(3 * LANES))
            along = red * grad_red + green * grad_green + blue * grad_blue
            behind = load(state, at + u64(BEHIND))
            weight = alpha * transmittance
            store(state, at + u64(BEHIND), behind + weight * along)
            # where alpha is held at its maximum, it passes no gradient on
            term = where(unclamped <= limit, alpha * (along * transmittance - behind * share), zero)
            term_x, term_y = term * dx, term * dy
            s, sx, sy = s + term, sx + term_x, sy + term_y
            sxx, sxy, syy = sxx + term_x * dx, sxy + term_x * dy, syy + term_y * dy
            sum_red, sum_green, sum_blue = sum_red + weight * grad_red, sum_green + weight * grad_green, sum_blue + weight * grad_blue
        store_sums(sums, owners[i] * SUMS, (s, sx, sy, sxx, sxy, syy, sum_red, sum_green, sum_blue))


@kernel(inline=True)
def _resume(state, ends, end_at, gradient, first, pitch, columns, rows):
    """Fill the state of a tile with what the image's end left and the gradient of its pixels."""
    patch = np.zeros(4 * LANES, np.float32)
    for block in range(u64(BLOCKS)):
        x, y = _corner(block)
        if x >= columns or y >= rows:
            continue
        place = first + y * pitch + 4 * x
        if x + EDGE <= columns and y + EDGE <= rows:
            red, green, blue, alpha = load_pixels(gradient, place, pitch)
        else:
            for row in range(min(EDGE, rows - y)):
                for k in range(4 * min(EDGE, columns - x)):
                    patch[row * 4 * EDGE + k] = gradient[place + row * pitch + k]
            red, green, blue, alpha = load_pixels(patch, 0, 4 * EDGE)
        at, out = block * u64(BACKWARD), u64(end_at) + block * u64(2 * LANES)
        transmittance = load(ends, out)
        store(state, at, transmittance)
        store(state, at + u64(LANES), red)
        store(state, at + u64(2 * LANES), green)
        store(state, at + u64(3 * LANES), blue)
        store(state, at + u64(LAST), load(ends, out + u64(LANES)))
        # alpha = 1 - transmittance: its gradient arrives as light from behind
        store(state, at + u64(BEHIND), (spread(f32(0)) - transmittance) * alpha)


@kernel()
def blend_backward(screen, members, covers, owners, tile_starts, width, height, ends, gradient, sums):
    """Sums over pixels for each entry of the tiles' lists of a frame; `project_backward` turns them into gradients.

    Parameters:
        screen, members, covers, tile_starts, width, height, ends: As `blend` left them.
        owners: Row of `sums` of each entry. [(S,)]
        gradient: dL/d(image). [(H * W * 4,)]
        sums: Written: over pixels with s = alpha dL/dalpha and d = centre - pixel: s, s dx, s dy, s dx^2, s dx dy, s dy^2,
            then the weight times the colour gradient. No atomics: the result does not depend on threads. [(S * SUMS,)]
    """
    tiles_x, pitch = (width + TILE - 1) // TILE, 4 * width
    state = np.empty(BLOCKS * BACKWARD, np.float32)
    for tile in range(len(tile_starts) - 1):
        begin, end = tile_starts[tile], tile_starts[tile + 1]
        if begin == end:
            continue
        tile_y = tile // tiles_x
        top, left = tile_y * TILE, (tile - tile_y * tiles_x) * TILE
        columns, rows = min(TILE, width - left), min(TILE, height - top)
        _resume(state, ends, tile * ENDS, gradient, top * pitch + 4 * left, pitch, columns, rows)
        _unblend_tile(screen, members, covers, owners, begin, end, left, top, state, sums)
