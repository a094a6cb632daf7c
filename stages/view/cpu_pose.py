"""Linear blend skinning of Gaussians on the CPU, fused with the rasterizer (METHOD 2, equations 2 and 5).

Sixteen kernels at a time, in the planes of `cpu_project`: x' = A x + t and Sigma' = A Sigma A^T, where A = sum_b w_b R_b and
t = sum_b w_b t_b. Each kernel keeps only the bones that move it.
"""

from __future__ import annotations

import numpy as np

from .cpu_kernel import LANES, f32, kernel
from .cpu_vector import load, load_columns, spread, store, store_columns


@kernel(careful=True, inline=True)
def _mix(bones, used, joints, weights, n, mixed):
    """Blend the transforms of the bones for 16 kernels from n on. [(J, 16) -> (16, 16)]"""
    for lane in range(LANES):
        total = spread(f32(0))
        for k in range(used[n + lane]):
            total = total + weights[n + lane, k] * load(bones, joints[n + lane, k] * LANES)
        store(mixed, lane * LANES, total)
    return load_columns(mixed, 0)


@kernel(careful=True, inline=True)
def _times(a, xx, xy, xz, yy, yz, zz):
    """A Sigma, row by row."""
    return (
        a[0] * xx + a[1] * xy + a[2] * xz, a[0] * xy + a[1] * yy + a[2] * yz, a[0] * xz + a[1] * yz + a[2] * zz,
        a[3] * xx + a[4] * xy + a[5] * xz, a[3] * xy + a[4] * yy + a[5] * yz, a[3] * xz + a[4] * yz + a[5] * zz,
        a[6] * xx + a[7] * xy + a[8] * xz, a[6] * xy + a[7] * yy + a[8] * yz, a[6] * xz + a[7] * yz + a[8] * zz,
    )  # fmt: skip


@kernel(careful=True)
def pose(rest, used, joints, weights, bones, world):
    """Carry kernels from rest into one frame.

    Parameters:
        rest: Planes at rest. [(WORLD, N)]
        used, joints, weights: How many bones move each kernel, which, and how much. [int32 (N,), int32 (N, K), (N, K)]
        bones: Nine numbers of R, row by row, three of t, four unused. [(J, 16)]
        world: Written. [(WORLD, N)]
    """
    count = rest.shape[1]
    mixed = np.empty(LANES * LANES, np.float32)
    for step in range(0, count, LANES):
        n = min(step, count - LANES)
        a = _mix(bones, used, joints, weights, n, mixed)
        x, y, z = load(rest, n), load(rest, count + n), load(rest, 2 * count + n)
        store(world, n, a[0] * x + a[1] * y + a[2] * z + a[9])
        store(world, count + n, a[3] * x + a[4] * y + a[5] * z + a[10])
        store(world, 2 * count + n, a[6] * x + a[7] * y + a[8] * z + a[11])
        xx, xy, xz = load(rest, 3 * count + n), load(rest, 4 * count + n), load(rest, 5 * count + n)
        yy, yz, zz = load(rest, 6 * count + n), load(rest, 7 * count + n), load(rest, 8 * count + n)
        b = _times(a, xx, xy, xz, yy, yz, zz)
        store(world, 3 * count + n, b[0] * a[0] + b[1] * a[1] + b[2] * a[2])
        store(world, 4 * count + n, b[0] * a[3] + b[1] * a[4] + b[2] * a[5])
        store(world, 5 * count + n, b[0] * a[6] + b[1] * a[7] + b[2] * a[8])
        store(world, 6 * count + n, b[3] * a[3] + b[4] * a[4] + b[5] * a[5])
        store(world, 7 * count + n, b[3] * a[6] + b[4] * a[7] + b[5] * a[8])
        store(world, 8 * count + n, b[6] * a[6] + b[7] * a[7] + b[8] * a[8])


@kernel(careful=True)
def pose_backward(rest, used, joints, weights, bones, grad_world, grad_bones):
    """Gradient of the bones' transforms in one frame: dA = g x^T + 2 G A Sigma, dt = g, summed over the kernels in order.

    Parameters:
        rest, used, joints, weights, bones: As in `pose`.
        grad_world: Planes of g and of the symmetric G. [(WORLD, N)]
        grad_bones: Written. [(J, 16)]
    """
    count = rest.shape[1]
    mixed = np.empty(LANES * LANES, np.float32)
    for bone in range(len(bones)):
        store(grad_bones, bone * LANES, spread(f32(0)))
    zero, two = spread(f32(0)), f32(2)
    for step in range(0, count, LANES):
        n = min(step, count - LANES)
        a = _mix(bones, used, joints, weights, n, mixed)
        x, y, z = load(rest, n), load(rest, count + n), load(rest, 2 * count + n)
        xx, xy, xz = load(rest, 3 * count + n), load(rest, 4 * count + n), load(rest, 5 * count + n)
        yy, yz, zz = load(rest, 6 * count + n), load(rest, 7 * count + n), load(rest, 8 * count + n)
        b = _times(a, xx, xy, xz, yy, yz, zz)
        gx, gy, gz = load(grad_world, n), load(grad_world, count + n), load(grad_world, 2 * count + n)
        gxx, gxy, gxz = two * load(grad_world, 3 * count + n), two * load(grad_world, 4 * count + n), two * load(grad_world, 5 * count + n)
        gyy, gyz, gzz = two * load(grad_world, 6 * count + n), two * load(grad_world, 7 * count + n), two * load(grad_world, 8 * count + n)
        columns = (
            gx * x + gxx * b[0] + gxy * b[3] + gxz * b[6], gx * y + gxx * b[1] + gxy * b[4] + gxz * b[7], gx * z + gxx * b[2] + gxy * b[5] + gxz * b[8],
            gy * x + gxy * b[0] + gyy * b[3] + gyz * b[6], gy * y + gxy * b[1] + gyy * b[4] + gyz * b[7], gy * z + gxy * b[2] + gyy * b[5] + gyz * b[8],
            gz * x + gxz * b[0] + gyz * b[3] + gzz * b[6], gz * y + gxz * b[1] + gyz * b[4] + gzz * b[7], gz * z + gxz * b[2] + gyz * b[5] + gzz * b[8],
            gx, gy, gz, zero, zero, zero, zero,
        )  # fmt: skip
        store_columns(mixed, 0, columns)
        for lane in range(step - n, LANES):  # the last sixteen overlap those before: count each kernel once
            own = load(mixed, lane * LANES)
            for k in range(used[n + lane]):
                at = joints[n + lane, k] * LANES
                store(grad_bones, at, load(grad_bones, at) + weights[n + lane, k] * own)
