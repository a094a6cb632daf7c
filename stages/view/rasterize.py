"""One rasterizer interface for both backends (DESIGN.md, contract 7)."""

from __future__ import annotations

import dataclasses

import torch

from schemas.errors import InputError

from .camera import DILATION, Camera

BACKENDS = ("auto", "cpu", "cuda")


def render(
    means: torch.Tensor,
    covariances: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    camera: Camera,
    *,
    antialiased: bool = False,
    dilation: float = DILATION,
    supersample: int = 1,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend Gaussian kernels front to back, METHOD equation (1); differentiable in the first four arguments and `camera.view`.

    Kernels with a value that is not finite, behind the camera, or fainter than 1/255 are skipped.

    Parameters:
        means: Centres in the world. [m, (F, N, 3)]
        covariances: Only the symmetric part counts. [m^2, (F, N, 3, 3)]
        opacities: Shared by the frames, or one set each. [0..1, (N,) or (F, N)]
        colors: [0..1, (N, 3) or (F, N, 3)]
        camera: One camera per frame. Where its view requires a gradient it receives one, as gsplat's viewmats do.
        antialiased: Fainten kernels by what widening them to a pixel adds to their area: the opacity is multiplied by
            sqrt(det raw / det widened), as gsplat's rasterize_mode "antialiased" does (Yu et al., Mip-Splatting, CVPR 2024).
        dilation: Added to the covariance on the screen, gsplat's eps2d. With `antialiased`, 0.1 is the filter of
            Mip-Splatting: about what a pixel averages over. [px^2]
        supersample: Draw so many pixels per pixel edge and average them; the dilation counts in the fine ones.
        backend: "cpu" (numba), "cuda" (gsplat), or "auto": by the device of `means`.

    Returns:
        Premultiplied colour (F, H, W, 3) and alpha (F, H, W, 1), on the device and of the dtype of `means`.

    Raises:
        InputError: The image has no pixels, the backend is unknown, or `dilation` or `supersample` is out of bounds.
        MissingError: "cuda" without a CUDA device or without gsplat.
        ValueError: Shapes that do not fit together (a bug of the caller).
    """
    _check_shapes(means, covariances, opacities, colors, camera)
    chosen = choose(backend, camera, means)
    check_filter(dilation, supersample)
    camera = camera if supersample == 1 else camera.finer(supersample)
    if camera.view.requires_grad:
        means, covariances, camera = _in_camera_frame(means, covariances, camera)
    if chosen == "cuda":
        from .cuda import rasterize
    else:
        from .cpu import rasterize
    rgba = averaged(rasterize(means, covariances, opacities, colors, camera, antialiased, dilation), supersample).to(means.device, means.dtype)
    return rgba[..., :3], rgba[..., 3:]


def check_filter(dilation: float, supersample: int) -> None:
    """InputError unless the image model has these options."""
    if not 1e-3 <= dilation <= 100:
        raise InputError(f"dilation {dilation}: must lie between 0.001 and 100 square pixels.")
    if not 1 <= supersample <= 16:
        raise InputError(f"supersample {supersample}: must lie between 1 and 16.")


def averaged(image: torch.Tensor, factor: int) -> torch.Tensor:
    """Mean of every square of factor x factor pixels. [(F, H s, W s, C) -> (F, H, W, C)]"""
    if factor == 1:
        return image
    frames, height, width, channels = image.shape
    return image.reshape(frames, height // factor, factor, width // factor, factor, channels).mean((2, 4))


def choose(backend: str, camera: Camera, like: torch.Tensor) -> str:
    """ "cpu" or "cuda", for images of this camera and tensors like this one.

    Raises:
        InputError: The image has no pixels, or the backend is unknown.
    """
    if camera.width < 1 or camera.height < 1:
        raise InputError(f"image size {camera.width} x {camera.height}: has no pixels;", "width and height must be at least 1.")
    if backend not in BACKENDS:
        raise InputError(f"backend {backend}: not one of {', '.join(BACKENDS)}.")
    return "cuda" if backend == "cuda" or (backend == "auto" and like.is_cuda) else "cpu"


def _in_camera_frame(means: torch.Tensor, covariances: torch.Tensor, camera: Camera) -> tuple[torch.Tensor, torch.Tensor, Camera]:
    """The scene as the camera sees it, and the camera at the origin: gradients flow on to the view through torch."""
    turn, shift = camera.view[:, :3, :3].to(means), camera.view[:, :3, 3].to(means)
    means = means @ turn.transpose(1, 2) + shift[:, None]
    covariances = turn[:, None] @ covariances @ turn[:, None].transpose(-1, -2)
    unmoved = torch.eye(4, dtype=camera.view.dtype, device=camera.view.device).expand_as(camera.view)
    return means, covariances, dataclasses.replace(camera, view=unmoved)


def _check_shapes(means: torch.Tensor, covariances: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor, camera: Camera) -> None:
    if means.ndim != 3 or means.shape[2] != 3:
        raise ValueError(f"means have shape {tuple(means.shape)}, (F, N, 3) is needed")
    frames, count = means.shape[:2]
    allowed = {
        "covariances": (covariances, [(frames, count, 3, 3)]),
        "opacities": (opacities, [(count,), (frames, count)]),
        "colors": (colors, [(count, 3), (frames, count, 3)]),
        "camera.view": (camera.view, [(frames, 4, 4)]),
        "camera.intrinsics": (camera.intrinsics, [(frames, 3, 3)]),
    }
    for name, (tensor, shapes) in allowed.items():
        if tuple(tensor.shape) not in shapes:
            raise ValueError(f"{name} have shape {tuple(tensor.shape)}, {' or '.join(map(str, shapes))} is needed for means of {tuple(means.shape)}")
