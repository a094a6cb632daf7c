"""Kernels from the world onto the screen, and gradients back (EWA splatting, first-order projection).

Sixteen kernels at a time. Numbers of the world lie in planes, one of each kind: x, y, z, then the six numbers xx, xy, xz,
yy, yz, zz of the covariance. The last sixteen may overlap those before: they are computed twice, to the same result.
"""

from __future__ import annotations

import numpy as np

from .cpu_kernel import CULL_SIGMA, FAR, FIELD_MARGIN, LANES, LOG2_E, MIN_ALPHA, NEAR, RECORD, f32, kernel
from .cpu_vector import down, gather, least, load, load_columns, log2_above, most, root, scatter, spread, store, store_columns, up, where

WORLD = 9  # planes of numbers of the world
SCREEN_GRADIENTS = 10  # planes: kernel's sums over pixels (9) and the largest of all, see `gather_sums`

# columns of the camera table: rotation rows 0..8, then
SHIFT_X, SHIFT_Y, SHIFT_Z, FOCAL_X, FOCAL_Y, CENTER_X, CENTER_Y, LOW_X, HIGH_X, LOW_Y, HIGH_Y = range(9, 20)


def camera_table(view: np.ndarray, intrinsics: np.ndarray, width: int, height: int) -> np.ndarray:
    """One row of numbers per frame. [(F, 4, 4), (F, 3, 3) -> (F, 20) float32]"""
    view, intrinsics = np.asarray(view, f32), np.asarray(intrinsics, f32)
    table = np.empty((len(view), 20), f32)
    table[:, :9] = view[:, :3, :3].reshape(-1, 9)
    table[:, SHIFT_X : SHIFT_Z + 1] = view[:, :3, 3]
    fx, fy, cx, cy = intrinsics[:, 0, 0], intrinsics[:, 1, 1], intrinsics[:, 0, 2], intrinsics[:, 1, 2]
    margin_x, margin_y = FIELD_MARGIN * f32(width) / fx, FIELD_MARGIN * f32(height) / fy
    columns = (fx, fy, cx, cy, -cx / fx - margin_x, (f32(width) - cx) / fx + margin_x, -cy / fy - margin_y, (f32(height) - cy) / fy + margin_y)
    table[:, FOCAL_X:] = np.stack(columns, 1)
    return table


@kernel(careful=True)
def spread_world(means, covariances, frame, world):
    """The planes of one frame from rows as torch has them.

    Parameters:
        means, covariances: [m, (F, N, 3); m^2, (F, N, 3, 3)]
        world: Written. [(WORLD, N)]
    """
    count = means.shape[1]
    half = f32(0.5)
    for step in range(0, count, LANES):
        n = min(step, count - LANES)
        at = 3 * (frame * count + n)
        for k in range(3):
            store(world, k * count + n, gather(means, at + k, 3))
        at = 9 * (frame * count + n)
        store(world, 3 * count + n, gather(covariances, at, 9))
        store(world, 4 * count + n, half * (gather(covariances, at + 1, 9) + gather(covariances, at + 3, 9)))
        store(world, 5 * count + n, half * (gather(covariances, at + 2, 9) + gather(covariances, at + 6, 9)))
        store(world, 6 * count + n, gather(covariances, at + 4, 9))
        store(world, 7 * count + n, half * (gather(covariances, at + 5, 9) + gather(covariances, at + 7, 9)))
        store(world, 8 * count + n, gather(covariances, at + 8, 9))


@kernel(careful=True)
def collect_world(world, frame, grad_means, grad_covariances):
    """Rows as torch has them from the planes of one frame: the inverse of `spread_world`, for gradients."""
    count = world.shape[1]
    for step in range(0, count, LANES):
        n = min(step, count - LANES)
        at = 3 * (frame * count + n)
        for k in range(3):
            scatter(grad_means, at + k, 3, load(world, k * count + n))
        at = 9 * (frame * count + n)
        scatter(grad_covariances, at, 9, load(world, 3 * count + n))
        scatter(grad_covariances, at + 4, 9, load(world, 6 * count + n))
        scatter(grad_covariances, at + 8, 9, load(world, 8 * count + n))
        xy, xz, yz = load(world, 4 * count + n), load(world, 5 * count + n), load(world, 7 * count + n)
        scatter(grad_covariances, at + 1, 9, xy)
        scatter(grad_covariances, at + 3, 9, xy)
        scatter(grad_covariances, at + 2, 9, xz)
        scatter(grad_covariances, at + 6, 9, xz)
        scatter(grad_covariances, at + 5, 9, yz)
        scatter(grad_covariances, at + 7, 9, yz)


@kernel(careful=True, inline=True)
def _to_camera(camera, x, y, z):
    """World to camera. [m]"""
    cx = camera[0] * x + camera[1] * y + camera[2] * z + camera[SHIFT_X]
    cy = camera[3] * x + camera[4] * y + camera[5] * z + camera[SHIFT_Y]
    cz = camera[6] * x + camera[7] * y + camera[8] * z + camera[SHIFT_Z]
    return cx, cy, cz


@kernel(careful=True, inline=True)
def _jacobian(camera, cx, cy, inverse_depth):
    """d(screen)/d(world): rows (t00, t01, t02) and (t10, t11, t12) [px/m], and where it was linearised (slopes x/z, y/z)."""
    slope_x = least(most(cx * inverse_depth, spread(camera[LOW_X])), spread(camera[HIGH_X]))
    slope_y = least(most(cy * inverse_depth, spread(camera[LOW_Y])), spread(camera[HIGH_Y]))
    a, c = camera[FOCAL_X] * inverse_depth, camera[FOCAL_Y] * inverse_depth
    t00, t01, t02 = a * (camera[0] - slope_x * camera[6]), a * (camera[1] - slope_x * camera[7]), a * (camera[2] - slope_x * camera[8])
    t10, t11, t12 = c * (camera[3] - slope_y * camera[6]), c * (camera[4] - slope_y * camera[7]), c * (camera[5] - slope_y * camera[8])
    return t00, t01, t02, t10, t11, t12, slope_x, slope_y


@kernel(careful=True, inline=True)
def _flat(t, xx, xy, xz, yy, yz, zz):
    """T Sigma T^T: the covariance on the screen before dilation, xx, xy, yy. [px^2]"""
    t00, t01, t02, t10, t11, t12 = t[0], t[1], t[2], t[3], t[4], t[5]
    u0, u1, u2 = xx * t00 + xy * t01 + xz * t02, xy * t00 + yy * t01 + yz * t02, xz * t00 + yz * t01 + zz * t02
    v0, v1, v2 = xx * t10 + xy * t11 + xz * t12, xy * t10 + yy * t11 + yz * t12, xz * t10 + yz * t11 + zz * t12
    return t00 * u0 + t01 * u1 + t02 * u2, t10 * u0 + t11 * u1 + t12 * u2, t10 * v0 + t11 * v1 + t12 * v2


@kernel(careful=True, inline=True)
def _load_world(world, n):
    count = world.shape[1]
    return (
        load(world, n), load(world, count + n), load(world, 2 * count + n),
        load(world, 3 * count + n), load(world, 4 * count + n), load(world, 5 * count + n),
        load(world, 6 * count + n), load(world, 7 * count + n), load(world, 8 * count + n),
    )  # fmt: skip


@kernel(careful=True)
def project(world, opacities, colors, camera, view, screen):
    """Project the kernels of one frame.

    Parameters:
        world: [(WORLD, N)]
        opacities: [(N,)]
        colors: Planes of red, green, blue. [(3, N)]
        camera: See `camera_table`. [(20,)]
        view: Width and height [px]; whether to fainten kernels by what the dilation adds to their area (gsplat's
            rasterize_mode "antialiased"); the dilation, added to the covariance on the screen [px^2]; the floor below
            which kernels are skipped, minus infinity for none [m].
        screen: Written: records of centre, conic scaled by log2(e) (halved on the diagonal), opacity, colour, depth and
            the pixels the kernel can touch, x0, x1, y0, y1, half open; x1 = x0 where it is skipped. [(N, RECORD)]
    """
    count = world.shape[1]
    width, height, antialiased, dilation, floor = view
    zero, infinite = spread(f32(0)), f32(np.inf)
    for step in range(0, count, LANES):
        n = min(step, count - LANES)
        x, y, z, xx, xy, xz, yy, yz, zz = _load_world(world, n)
        opacity, red, green, blue = load(opacities, n), load(colors, n), load(colors, count + n), load(colors, 2 * count + n)
        cx, cy, cz = _to_camera(camera, x, y, z)
        inverse_depth = f32(1) / cz
        t = _jacobian(camera, cx, cy, inverse_depth)
        raw_xx, raw_xy, raw_yy = _flat(t, xx, xy, xz, yy, yz, zz)
        sxx, syy = raw_xx + dilation, raw_yy + dilation
        determinant = sxx * syy - raw_xy * raw_xy
        # written as "inside" so that NaN is skipped too
        good = (determinant > f32(0)) & (determinant < infinite) & (sxx > f32(0)) & (cz >= NEAR) & (cz <= FAR) & (y >= floor)
        total = red + green + blue
        good = good & (most(total, zero - total) < infinite)
        if antialiased:
            share = most(raw_xx * raw_yy - raw_xy * raw_xy, zero) / determinant
            opacity = opacity * root(share)
        good = good & (opacity >= MIN_ALPHA) & (opacity < infinite)
        mean_x = camera[FOCAL_X] * cx * inverse_depth + camera[CENTER_X]
        mean_y = camera[FOCAL_Y] * cy * inverse_depth + camera[CENTER_Y]
        # where alpha falls to 1/255: half the square of the sigmas is ln(255 opacity)
        sigmas = least(root(f32(2) / LOG2_E * log2_above(opacity * f32(255))), spread(CULL_SIGMA))
        extent_x, extent_y = sigmas * root(sxx), sigmas * root(syy)
        # pixels whose centre (index + 0.5) lies inside the extent, and a hair more
        slack = f32(0.5 + 1e-3)
        x0, x1 = most(up(mean_x - extent_x - slack), zero), least(down(mean_x + extent_x + slack), spread(f32(width)))
        y0, y1 = most(up(mean_y - extent_y - slack), zero), least(down(mean_y + extent_y + slack), spread(f32(height)))
        good = good & (x1 > x0) & (y1 > y0)
        scale = LOG2_E / determinant
        record = (
            mean_x, mean_y, f32(0.5) * syy * scale, zero - raw_xy * scale, f32(0.5) * sxx * scale, opacity, red, green, blue, cz,
            where(good, x0, zero), where(good, x1, zero), where(good, y0, zero), where(good, y1, zero), zero, zero,
        )  # fmt: skip
        store_columns(screen, n * RECORD, record)


@kernel()
def gather_sums(slots, sums, totals):
    """Add up each kernel's sums over its tiles.

    Parameters:
        slots: Kernel n owns rows slots[n] .. slots[n + 1] of `sums`. [(N + 1,)]
        sums: See `blend_backward`. [(S * SUMS,)]
        totals: Written, in planes. [(SUMS, N)]
    """
    for n in range(totals.shape[1]):
        s = sx = sy = sxx = sxy = syy = red = green = blue = f32(0)
        for slot in range(slots[n], slots[n + 1]):
            own = slot * 9
            s += sums[own]
            sx += sums[own + 1]
            sy += sums[own + 2]
            sxx += sums[own + 3]
            sxy += sums[own + 4]
            syy += sums[own + 5]
            red += sums[own + 6]
            green += sums[own + 7]
            blue += sums[own + 8]
        totals[0, n], totals[1, n], totals[2, n], totals[3, n], totals[4, n], totals[5, n] = s, sx, sy, sxx, sxy, syy
        totals[6, n], totals[7, n], totals[8, n] = red, green, blue


@kernel(careful=True, inline=True)
def _mean_gradient(camera, cx, cy, inverse_depth, slope_x, slope_y, grad_x, grad_y, along):
    """Gradient of the centre in the camera's frame: of the projected centre and of where the projection is linearised."""
    along_a, along_b, along_c, along_d = along
    fx, fy, square = camera[FOCAL_X], camera[FOCAL_Y], inverse_depth * inverse_depth
    zero = spread(f32(0))
    # a slope held at the margin of the field of view does not follow the kernel sideways
    free_x, free_y = slope_x == cx * inverse_depth, slope_y == cy * inverse_depth
    side_x, side_y = fx * square * along_b, fy * square * along_d
    vx = fx * inverse_depth * grad_x - where(free_x, side_x, zero)
    vy = fy * inverse_depth * grad_y - where(free_y, side_y, zero)
    vz = slope_x * where(free_x, side_x + side_x, side_x) + slope_y * where(free_y, side_y + side_y, side_y)
    vz = vz - square * (fx * (cx * grad_x + along_a) + fy * (cy * grad_y + along_c))
    return vx, vy, vz


@kernel(careful=True)
def project_backward(world, opacities, camera, antialiased, screen, totals, grad_world, grad_opacities, grad_colors):
    """Gradients on the screen into gradients in the world, for one frame.

    Parameters:
        world, opacities, camera, antialiased, screen: As in `project`.
        totals: See `gather_sums`. [(SUMS, N)]
        grad_world: Written. [(WORLD, N)]
        grad_opacities: Written. [(N,)]
        grad_colors: Written, in rows. [(N, 3)]
    """
    count = world.shape[1]
    zero = spread(f32(0))
    for step in range(0, count, LANES):
        n = min(step, count - LANES)
        record = load_columns(screen, n * RECORD)
        seen = record[11] > record[10]
        s, sx, sy = load(totals, n), load(totals, count + n), load(totals, 2 * count + n)
        sxx, sxy, syy = load(totals, 3 * count + n), load(totals, 4 * count + n), load(totals, 5 * count + n)
        for k in range(3):
            scatter(grad_colors, 3 * n + k, 3, load(totals, (6 + k) * count + n))
        store(grad_opacities, n, where(seen, s / load(opacities, n), zero))

        # conic A, B, C without the log2(e) of `project`
        a, b, c = f32(2) / LOG2_E * record[2], f32(1) / LOG2_E * record[3], f32(2) / LOG2_E * record[4]
        grad_x, grad_y = zero - (a * sx + b * sy), zero - (b * sx + c * sy)
        # dL/d(conic) as a symmetric matrix G = -sums / 2, then dL/d(screen covariance) = -Q G Q
        h00, h01, h10, h11 = a * sxx + b * sxy, a * sxy + b * syy, b * sxx + c * sxy, b * sxy + c * syy
        half = f32(0.5)
        s00, s01, s11 = half * (h00 * a + h01 * b), half * (h00 * b + h01 * c), half * (h10 * b + h11 * c)

        x, y, z, xx, xy, xz, yy, yz, zz = _load_world(world, n)
        cx, cy, cz = _to_camera(camera, x, y, z)
        inverse_depth = f32(1) / cz
        t = _jacobian(camera, cx, cy, inverse_depth)
        t00, t01, t02, t10, t11, t12, slope_x, slope_y = t
        if antialiased:
            # opacity x sqrt(det raw / det dilated): d log = (raw^-1 - dilated^-1) / 2
            raw_xx, raw_xy, raw_yy = _flat(t, xx, xy, xz, yy, yz, zz)
            scale = half * s / most(raw_xx * raw_yy - raw_xy * raw_xy, spread(f32(1e-12)))
            s00, s01, s11 = s00 + scale * raw_yy - half * s * a, s01 - scale * raw_xy - half * s * b, s11 + scale * raw_xx - half * s * c
        # p, q = rows of S T; the covariance's gradient is T^T S T
        p0, p1, p2 = s00 * t00 + s01 * t10, s00 * t01 + s01 * t11, s00 * t02 + s01 * t12
        q0, q1, q2 = s01 * t00 + s11 * t10, s01 * t01 + s11 * t11, s01 * t02 + s11 * t12
        store(grad_world, 3 * count + n, where(seen, t00 * p0 + t10 * q0, zero))
        store(grad_world, 4 * count + n, where(seen, t00 * p1 + t10 * q1, zero))
        store(grad_world, 5 * count + n, where(seen, t00 * p2 + t10 * q2, zero))
        store(grad_world, 6 * count + n, where(seen, t01 * p1 + t11 * q1, zero))
        store(grad_world, 7 * count + n, where(seen, t01 * p2 + t11 * q2, zero))
        store(grad_world, 8 * count + n, where(seen, t02 * p2 + t12 * q2, zero))

        # dL/dT = 2 S T Sigma, contracted with dT/d(1/z and slopes)
        e0, e1, e2 = p0 * xx + p1 * xy + p2 * xz, p0 * xy + p1 * yy + p2 * yz, p0 * xz + p1 * yz + p2 * zz
        g0, g1, g2 = q0 * xx + q1 * xy + q2 * xz, q0 * xy + q1 * yy + q2 * yz, q0 * xz + q1 * yz + q2 * zz
        two = f32(2)
        along = (
            two * (e0 * camera[0] + e1 * camera[1] + e2 * camera[2]), two * (e0 * camera[6] + e1 * camera[7] + e2 * camera[8]),
            two * (g0 * camera[3] + g1 * camera[4] + g2 * camera[5]), two * (g0 * camera[6] + g1 * camera[7] + g2 * camera[8]),
        )  # fmt: skip
        vx, vy, vz = _mean_gradient(camera, cx, cy, inverse_depth, slope_x, slope_y, grad_x, grad_y, along)
        for k in range(3):
            store(grad_world, k * count + n, where(seen, camera[k] * vx + camera[3 + k] * vy + camera[6 + k] * vz, zero))
