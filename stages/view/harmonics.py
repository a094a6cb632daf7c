"""View-dependent colour: real spherical harmonics of degree 0 to 3, turned with the surface (METHOD 2).

Signs and order are those of 3D Gaussian splatting (Kerbl et al. 2023) and gsplat: colour = max(0, 0.5 + sum_k Y_k(d) c_k)
with d from the camera to the kernel.
"""

from __future__ import annotations

import torch

DEGREES = {1: 0, 4: 1, 9: 2, 16: 3}  # number of coefficients -> degree
_C0, _C1 = 0.28209479177387814, 0.4886025119029199
_C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
_C3 = (-0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154, -0.4570457994644658, 1.445305721320277, -0.5900435899266435)


def basis(directions: torch.Tensor, degree: int) -> torch.Tensor:
    """Y_k of unit vectors. [(..., 3) -> (..., (degree + 1)^2)]"""
    x, y, z = directions.unbind(-1)
    terms = [torch.full_like(x, _C0)]
    if degree > 0:
        terms += [-_C1 * y, _C1 * z, -_C1 * x]
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        terms += [_C2[0] * x * y, _C2[1] * y * z, _C2[2] * (2 * zz - xx - yy), _C2[3] * x * z, _C2[4] * (xx - yy)]
    if degree > 2:
        terms += [
            _C3[0] * y * (3 * xx - yy), _C3[1] * x * y * z, _C3[2] * y * (4 * zz - xx - yy), _C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            _C3[4] * x * (4 * zz - xx - yy), _C3[5] * z * (xx - yy), _C3[6] * x * (xx - 3 * yy),
        ]  # fmt: skip
    return torch.stack(terms, -1)


def whole(colors: torch.Tensor, harmonics: torch.Tensor | None) -> torch.Tensor:
    """Coefficients of every degree of a splat's colours and harmonics. [(N, 3), (N, K, 3) -> (N, 1 + K, 3)]"""
    first = ((colors - 0.5) / _C0)[:, None]
    return first if harmonics is None else torch.cat([first, harmonics.to(first)], 1)


def rotated(harmonics: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """The coefficients after the kernels have turned: their functions on the sphere turn with them.

    Parameters:
        harmonics: Of degree 1 and up. [(N, 3 | 8 | 15, 3)]
        turns: One for all, or one each. [(3, 3) or (N, 3, 3)]

    Returns:
        [(N, 3 | 8 | 15, 3)]. Exact: the basis turns within each degree, so values on 48 directions determine it.
    """
    degree = DEGREES[harmonics.shape[1] + 1]
    index = torch.arange(48, dtype=torch.float64)
    height, angle = 1 - (2 * index + 1) / 48, 2.399963229728653 * index  # the golden angle: even over the sphere
    flat = (1 - height**2).sqrt()
    directions = torch.stack([flat * angle.cos(), flat * angle.sin(), height], 1)
    back = directions @ turns.double()  # rows R^T d: where on the unturned sphere a direction was
    solve = torch.linalg.pinv(basis(directions, degree)[:, 1:])
    return (solve @ (basis(back, degree)[..., 1:] @ harmonics.double())).to(harmonics)


def nearest_rotation(linear: torch.Tensor, steps: int = 12) -> torch.Tensor:
    """The rotation nearest to each matrix of positive determinant. [(..., 3, 3) -> (..., 3, 3)]

    Newton's iteration for the polar factor, X <- (X + X^-T) / 2: smooth where the matrix is, and its derivative needs no
    distinct singular values, unlike that of an SVD.
    """
    turn = linear
    for _ in range(steps):
        turn = 0.5 * (turn + torch.linalg.inv(turn).transpose(-1, -2))
    return turn


def colors(coefficients: torch.Tensor, means: torch.Tensor, camera_positions: torch.Tensor, linear: torch.Tensor | None = None) -> torch.Tensor:
    """Colour of each kernel as each frame's camera sees it.

    To turn the harmonics with a deforming surface is to turn the direction back: the function on the sphere is looked
    up where the direction was at rest, R^T d with R the nearest rotation of the deformation's gradient.

    Parameters:
        coefficients: At rest. [(N, 1 | 4 | 9 | 16, 3)]
        means: Posed centres. [m, (F, N, 3)]
        camera_positions: [m, (F, 3)]
        linear: Gradient of the deformation at each kernel, None for none. [(F, N, 3, 3)]

    Returns:
        [0.., (F, N, 3)]

    Raises:
        ValueError: No such number of coefficients (a bug of the caller).
    """
    degree = DEGREES.get(coefficients.shape[1])
    if degree is None:
        raise ValueError(f"coefficients have shape {tuple(coefficients.shape)}: 1, 4, 9 or 16 per channel are needed")
    direction = torch.nn.functional.normalize(means - camera_positions[:, None].to(means), dim=-1)
    if linear is not None and degree > 0:
        direction = (nearest_rotation(linear).transpose(-1, -2) @ direction[..., None])[..., 0]
    return (0.5 + torch.einsum("fnk,nkc->fnc", basis(direction, degree), coefficients)).clamp(min=0)


def seen(
    own: torch.Tensor, harmonics: torch.Tensor | None, means: torch.Tensor, camera_positions: torch.Tensor, linear: torch.Tensor | None = None
) -> torch.Tensor:
    """What `rasterize.render` takes as colours of a splat: its own where it has no harmonics, else those seen in each frame.

    Parameters:
        own, harmonics: `colors` and `harmonics` of the splat. [(N, 3), (N, K, 3)]
        means, camera_positions, linear: See `colors`.

    Returns:
        [(N, 3) or (F, N, 3)]
    """
    return own if harmonics is None else colors(whole(own, harmonics), means, camera_positions, linear)
