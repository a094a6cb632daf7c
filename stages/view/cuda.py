"""Gaussian splatting on NVIDIA GPUs by gsplat."""

from __future__ import annotations

import torch

from schemas.errors import MissingError

from .camera import DILATION, Camera


def available() -> bool:
    """Whether this machine has a CUDA device and gsplat is installed (nothing is compiled or allocated)."""
    from importlib.util import find_spec

    return torch.cuda.is_available() and find_spec("gsplat") is not None


def rasterize(
    means: torch.Tensor,
    covariances: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    camera: Camera,
    antialiased: bool = False,
    dilation: float = DILATION,
) -> torch.Tensor:
    """Premultiplied rgba (F, H, W, 4) float32 of kernels on the GPU; arguments as `rasterize.render`.

    gsplat compiles its kernels the first time they are called on a machine, which takes minutes and needs nvcc, a C++
    compiler, ninja and the packaging module.

    Raises:
        MissingError: No CUDA device, no gsplat, or its kernels cannot be compiled.
    """
    if not torch.cuda.is_available():
        raise MissingError("backend cuda: no CUDA device is visible;", "use --device cpu, or check the NVIDIA driver (nvidia-smi).")
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise MissingError(f"backend cuda: gsplat cannot be imported ({error});", "pip install gsplat, or use --device cpu.") from error
    device = means.device if means.is_cuda else torch.device("cuda")
    frames, count = means.shape[:2]
    means, covariances = means.to(device, torch.float32), covariances.to(device, torch.float32)
    opacities = opacities.to(device, torch.float32).expand(frames, count)
    colors = colors.to(device, torch.float32).expand(frames, count, 3)
    covariances = 0.5 * (covariances + covariances.transpose(-1, -2))
    # gsplat spreads NaN over whole tiles: kernels that are not finite become invisible ones
    finite = means.isfinite().all(-1) & covariances.isfinite().all(-1).all(-1) & opacities.isfinite() & colors.isfinite().all(-1)
    clean = [torch.where(finite.reshape(finite.shape + (1,) * (t.ndim - 2)), t, torch.zeros_like(t)) for t in (means, covariances, opacities, colors)]
    means, covariances, opacities, colors = (t.contiguous() for t in clean)
    view, intrinsics = camera.view.to(device, torch.float32), camera.intrinsics.to(device, torch.float32)
    try:
        rgb, alpha, _ = rasterization(
            means,
            None,
            None,
            opacities,
            colors,
            view[:, None],
            intrinsics[:, None],
            camera.width,
            camera.height,
            packed=False,
            eps2d=dilation,
            covars=covariances,
            sh_degree=None,
            backgrounds=None,
            rasterize_mode="antialiased" if antialiased else "classic",
        )
    except (ImportError, AttributeError) as error:  # how gsplat reports that its compilation failed
        raise MissingError(f"backend cuda: gsplat's kernels could not be compiled ({error});", "install nvcc, g++ and ninja, or use --device cpu.") from error
    return torch.cat([rgb[:, 0], alpha[:, 0]], -1)
