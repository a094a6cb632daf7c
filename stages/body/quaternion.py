"""Quaternions xyzw, as glTF and Warp store them. All functions take any leading shape."""

from __future__ import annotations

import torch


def multiply(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Hamilton product a b: rotate by b first. [(..., 4)]"""
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector = aw * bv + bw * av + torch.linalg.cross(av, bv)
    return torch.cat([vector, aw * bw - (av * bv).sum(-1, keepdim=True)], -1)


def conjugate(q: torch.Tensor) -> torch.Tensor:
    """The inverse of unit quaternions. [(..., 4)]"""
    return torch.cat([-q[..., :3], q[..., 3:]], -1)


def to_matrix(q: torch.Tensor) -> torch.Tensor:
    """Rotation matrices of quaternions, normalised first. [(..., 4) -> (..., 3, 3)]"""
    x, y, z, w = torch.nn.functional.normalize(q, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, -1).reshape(q.shape[:-1] + (3, 3))


def from_matrix(m: torch.Tensor) -> torch.Tensor:
    """Unit quaternions (w >= 0) of rotation matrices, by the largest component. [(..., 3, 3) -> (..., 4)]"""
    d = m.diagonal(dim1=-2, dim2=-1)
    trace = d.sum(-1)
    squares = torch.stack([1 + 2 * d[..., 0] - trace, 1 + 2 * d[..., 1] - trace, 1 + 2 * d[..., 2] - trace, 1 + trace], -1)
    a, b, c = m[..., 2, 1], m[..., 0, 2], m[..., 1, 0]
    e, f, g = m[..., 1, 2], m[..., 2, 0], m[..., 0, 1]
    # row k holds 4 q_k (x, y, z, w); the row of the largest component is the accurate one
    table = torch.stack([
        torch.stack([squares[..., 0], c + g, b + f, a - e], -1),
        torch.stack([c + g, squares[..., 1], a + e, b - f], -1),
        torch.stack([b + f, a + e, squares[..., 2], c - g], -1),
        torch.stack([a - e, b - f, c - g, squares[..., 3]], -1),
    ], -2)  # fmt: skip
    pick = squares.argmax(-1)[..., None, None].expand(m.shape[:-2] + (1, 4))
    q = torch.nn.functional.normalize(table.gather(-2, pick)[..., 0, :], dim=-1)
    return torch.where(q[..., 3:] < 0, -q, q)


def from_rotation_vector(v: torch.Tensor) -> torch.Tensor:
    """Quaternions of rotation vectors, smooth at zero. [rad, (..., 3) -> (..., 4)]"""
    square = (v * v).sum(-1, keepdim=True)
    small = square < 1e-8
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    factor = torch.where(small, 0.5 - square / 48, torch.sin(0.5 * angle) / angle)
    real = torch.where(small, 1 - square / 8, torch.cos(0.5 * angle))
    return torch.cat([v * factor, real], -1)


def rotate(q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Rotate vectors by unit quaternions. [(..., 4), (..., 3) -> (..., 3)]"""
    xyz = q[..., :3]
    t = 2 * torch.linalg.cross(xyz, v)
    return v + q[..., 3:] * t + torch.linalg.cross(xyz, t)
