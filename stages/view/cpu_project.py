"""Kernels from the world onto the screen, and gradients back (EWA splatting, first-order projection)."""

from __future__ import annotations

import numpy as np
from numba import prange

from .cpu_kernel import (
    BLUE,
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    CULL_SIGMA,
    DILATION,
    FAR,
    FIELD_MARGIN,
    GREEN,
    LOG2_E,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    MIN_ALPHA,
    NEAR,
    RED,
    f32,
    i32,
    kernel,
)

BLOCK = 1024  # kernels per parallel task

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
    slope_x = min(max(cx * inverse_depth, camera[LOW_X]), camera[HIGH_X])
    slope_y = min(max(cy * inverse_depth, camera[LOW_Y]), camera[HIGH_Y])
    a, b = camera[FOCAL_X] * inverse_depth, -camera[FOCAL_X] * slope_x * inverse_depth
    c, d = camera[FOCAL_Y] * inverse_depth, -camera[FOCAL_Y] * slope_y * inverse_depth
    t00, t01, t02 = a * camera[0] + b * camera[6], a * camera[1] + b * camera[7], a * camera[2] + b * camera[8]
    t10, t11, t12 = c * camera[3] + d * camera[6], c * camera[4] + d * camera[7], c * camera[5] + d * camera[8]
    return t00, t01, t02, t10, t11, t12, slope_x, slope_y


@kernel(careful=True, inline=True)
def _symmetric(m):
    """The six numbers xx, xy, xz, yy, yz, zz of a matrix's symmetric part."""
    half = f32(0.5)
    return m[0, 0], half * (m[0, 1] + m[1, 0]), half * (m[0, 2] + m[2, 0]), m[1, 1], half * (m[1, 2] + m[2, 1]), m[2, 2]


@kernel(parallel=True, careful=True)
def project(means, covariances, opacities, colors, cameras, width, height, screen, rectangles, depths):
    """Project every kernel of every frame.

    Parameters:
        means: [m, (F, N, 3)]
        covariances: [m^2, (F, N, 3, 3)]
        opacities: [(F or 1, N)]
        colors: [(F or 1, N, 3)]
        cameras: See `camera_table`. [(F, 20)]
        width, height: [px]
        screen: Written: centre, conic scaled by log2(e) (halved on the diagonal), log2 opacity, colour. [(F, N, 9)]
        rectangles: Written: pixels the kernel can touch, x0, x1, y0, y1, half open; x1 = x0 where it is skipped. [(F, N, 4)]
        depths: Written: along the camera axis. [m, (F, N)]
    """
    frames, count = means.shape[0], means.shape[1]
    blocks = (count + BLOCK - 1) // BLOCK
    for task in prange(frames * blocks):
        frame = task // blocks
        start = (task - frame * blocks) * BLOCK
        camera = cameras[frame]
        own_opacity, own_color = min(frame, opacities.shape[0] - 1), min(frame, colors.shape[0] - 1)
        for n in range(start, min(count, start + BLOCK)):
            rectangles[frame, n, :] = 0
            opacity = opacities[own_opacity, n]
            cx, cy, cz = _to_camera(camera, means[frame, n, 0], means[frame, n, 1], means[frame, n, 2])
            depths[frame, n] = cz
            color = colors[own_color, n]
            # written as "not inside" so that NaN is skipped too
            if not (cz >= NEAR and cz <= FAR and opacity >= MIN_ALPHA and opacity < np.inf and abs(color[0] + color[1] + color[2]) < np.inf):
                continue
            inverse_depth = f32(1) / cz
            t00, t01, t02, t10, t11, t12, _, _ = _jacobian(camera, cx, cy, inverse_depth)
            xx, xy, xz, yy, yz, zz = _symmetric(covariances[frame, n])
            u0, u1, u2 = xx * t00 + xy * t01 + xz * t02, xy * t00 + yy * t01 + yz * t02, xz * t00 + yz * t01 + zz * t02
            v0, v1, v2 = xx * t10 + xy * t11 + xz * t12, xy * t10 + yy * t11 + yz * t12, xz * t10 + yz * t11 + zz * t12
            sxx = t00 * u0 + t01 * u1 + t02 * u2 + DILATION
            sxy = t10 * u0 + t11 * u1 + t12 * u2
            syy = t10 * v0 + t11 * v1 + t12 * v2 + DILATION
            determinant = sxx * syy - sxy * sxy
            if not (determinant > 0 and determinant < np.inf and sxx > 0):
                continue
            mean_x = camera[FOCAL_X] * cx * inverse_depth + camera[CENTER_X]
            mean_y = camera[FOCAL_Y] * cy * inverse_depth + camera[CENTER_Y]
            sigmas = min(CULL_SIGMA, np.sqrt(f32(2) * np.log(opacity * f32(255))))
            extent_x, extent_y = sigmas * np.sqrt(sxx), sigmas * np.sqrt(syy)
            if not (mean_x + extent_x > 0 and mean_x - extent_x < width and mean_y + extent_y > 0 and mean_y - extent_y < height):
                continue
            # pixels whose centre (index + 0.5) lies inside the extent, and a hair more
            slack = f32(0.5 + 1e-3)
            x0, x1 = i32(max(np.ceil(mean_x - extent_x - slack), f32(0))), i32(min(np.floor(mean_x + extent_x + slack), f32(width)))
            y0, y1 = i32(max(np.ceil(mean_y - extent_y - slack), f32(0))), i32(min(np.floor(mean_y + extent_y + slack), f32(height)))
            if x1 <= x0 or y1 <= y0:
                continue
            rectangle, row, scale = rectangles[frame, n], screen[frame, n], LOG2_E / determinant
            rectangle[0], rectangle[1], rectangle[2], rectangle[3] = x0, x1, y0, y1
            row[MEAN_X], row[MEAN_Y] = mean_x, mean_y
            row[CONIC_XX], row[CONIC_XY], row[CONIC_YY] = f32(0.5) * syy * scale, -sxy * scale, f32(0.5) * sxx * scale
            row[LOG2_OPACITY] = np.log2(opacity)
            row[RED], row[GREEN], row[BLUE] = color[0], color[1], color[2]


@kernel(parallel=True, careful=True)
def project_backward(means, covariances, opacities, cameras, screen, slots, first_slot, sums, grad_means, grad_covariances, grad_opacities, grad_colors):
    """Gradients on the screen into gradients in the world.

    Parameters:
        means, covariances, opacities, cameras, screen: As in `project`.
        slots: Kernel n of frame f owns rows first_slot[f] + slots[f, n] .. first_slot[f] + slots[f, n + 1] of `sums`. [(F, N + 1)]
        first_slot: [(F,)]
        sums: Per kernel and tile, over pixels with s = alpha dL/dalpha and d = centre - pixel: s, s dx, s dy, s dx^2,
            s dx dy, s dy^2, then the weight times the colour gradient. [(S, 9)]
        grad_means, grad_covariances, grad_opacities, grad_colors: Written. [(F, N, 3), (F, N, 3, 3), (F, N), (F, N, 3)]
    """
    frames, count = means.shape[0], means.shape[1]
    blocks = (count + BLOCK - 1) // BLOCK
    for task in prange(frames * blocks):
        frame = task // blocks
        start = (task - frame * blocks) * BLOCK
        camera = cameras[frame]
        own_opacity = min(frame, opacities.shape[0] - 1)
        for n in range(start, min(count, start + BLOCK)):
            begin, end = first_slot[frame] + slots[frame, n], first_slot[frame] + slots[frame, n + 1]
            if end <= begin:
                grad_means[frame, n, :] = 0
                grad_covariances[frame, n, :, :] = 0
                grad_opacities[frame, n] = 0
                grad_colors[frame, n, :] = 0
                continue
            s = sx = sy = sxx = sxy = syy = red = green = blue = f32(0)
            for slot in range(begin, end):
                s += sums[slot, 0]
                sx += sums[slot, 1]
                sy += sums[slot, 2]
                sxx += sums[slot, 3]
                sxy += sums[slot, 4]
                syy += sums[slot, 5]
                red += sums[slot, 6]
                green += sums[slot, 7]
                blue += sums[slot, 8]
            grad_colors[frame, n, 0], grad_colors[frame, n, 1], grad_colors[frame, n, 2] = red, green, blue
            grad_opacities[frame, n] = s / opacities[own_opacity, n]
            _world_gradient(
                camera, means[frame, n], covariances[frame, n], screen[frame, n], sx, sy, sxx, sxy, syy, grad_means[frame, n], grad_covariances[frame, n]
            )


@kernel(careful=True, inline=True)
def _world_gradient(camera, mean, covariance, row, sx, sy, sxx, sxy, syy, grad_mean, grad_covariance):
    """Gradient of one kernel's mean (3,) and covariance (3, 3) from its sums over pixels."""
    # conic A, B, C without the log2(e) of `project`
    a, b, c = f32(2) / LOG2_E * row[CONIC_XX], row[CONIC_XY] / LOG2_E, f32(2) / LOG2_E * row[CONIC_YY]
    grad_x, grad_y = -(a * sx + b * sy), -(b * sx + c * sy)
    # dL/d(conic) as a symmetric matrix G, then dL/d(screen covariance) = -Q G Q
    ga, gb, gc = f32(-0.5) * sxx, f32(-0.5) * sxy, f32(-0.5) * syy
    h00, h01, h10, h11 = a * ga + b * gb, a * gb + b * gc, b * ga + c * gb, b * gb + c * gc
    s00, s01, s11 = -(h00 * a + h01 * b), -(h00 * b + h01 * c), -(h10 * b + h11 * c)

    cx, cy, cz = _to_camera(camera, mean[0], mean[1], mean[2])
    inverse_depth = f32(1) / cz
    t00, t01, t02, t10, t11, t12, slope_x, slope_y = _jacobian(camera, cx, cy, inverse_depth)
    # p, q = rows of S T; the covariance's gradient is T^T S T
    p0, p1, p2 = s00 * t00 + s01 * t10, s00 * t01 + s01 * t11, s00 * t02 + s01 * t12
    q0, q1, q2 = s01 * t00 + s11 * t10, s01 * t01 + s11 * t11, s01 * t02 + s11 * t12
    grad_covariance[0, 0], grad_covariance[1, 1], grad_covariance[2, 2] = t00 * p0 + t10 * q0, t01 * p1 + t11 * q1, t02 * p2 + t12 * q2
    grad_covariance[0, 1] = grad_covariance[1, 0] = t00 * p1 + t10 * q1
    grad_covariance[0, 2] = grad_covariance[2, 0] = t00 * p2 + t10 * q2
    grad_covariance[1, 2] = grad_covariance[2, 1] = t01 * p2 + t11 * q2

    # dL/dT = 2 S T Sigma, contracted with dT/d(1/z and slopes)
    xx, xy, xz, yy, yz, zz = _symmetric(covariance)
    e0, e1, e2 = p0 * xx + p1 * xy + p2 * xz, p0 * xy + p1 * yy + p2 * yz, p0 * xz + p1 * yz + p2 * zz
    g0, g1, g2 = q0 * xx + q1 * xy + q2 * xz, q0 * xy + q1 * yy + q2 * yz, q0 * xz + q1 * yz + q2 * zz
    along_a = f32(2) * (e0 * camera[0] + e1 * camera[1] + e2 * camera[2])
    along_b = f32(2) * (e0 * camera[6] + e1 * camera[7] + e2 * camera[8])
    along_c = f32(2) * (g0 * camera[3] + g1 * camera[4] + g2 * camera[5])
    along_d = f32(2) * (g0 * camera[6] + g1 * camera[7] + g2 * camera[8])
    fx, fy, square = camera[FOCAL_X], camera[FOCAL_Y], inverse_depth * inverse_depth
    vx, vy = fx * inverse_depth * grad_x, fy * inverse_depth * grad_y
    vz = -square * (fx * (cx * grad_x + along_a) + fy * (cy * grad_y + along_c))
    # a slope held at the margin of the field of view does not follow the kernel sideways
    if slope_x == cx * inverse_depth:
        vx -= fx * square * along_b
        vz += f32(2) * fx * slope_x * square * along_b
    else:
        vz += fx * slope_x * square * along_b
    if slope_y == cy * inverse_depth:
        vy -= fy * square * along_d
        vz += f32(2) * fy * slope_y * square * along_d
    else:
        vz += fy * slope_y * square * along_d
    grad_mean[0] = camera[0] * vx + camera[3] * vy + camera[6] * vz
    grad_mean[1] = camera[1] * vx + camera[4] * vy + camera[7] * vz
    grad_mean[2] = camera[2] * vx + camera[5] * vy + camera[8] * vz
