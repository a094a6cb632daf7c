"""Gaussian splatting written the obvious way in torch: every kernel at every pixel, any dtype, autograd for gradients.

An independent statement of the image model that the fast rasterizers must reproduce; slow and memory-hungry.
"""

from __future__ import annotations

import torch

from stages.view.camera import Camera


def project(means: torch.Tensor, covariances: torch.Tensor, camera: Camera, dilation: float = 0.3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One frame onto the screen: centres [px (N, 2)], dilated covariances [px^2 (N, 2, 2)], depths [m (N,)]."""
    view, k = camera.view[0].to(means), camera.intrinsics[0].to(means)
    covariances = 0.5 * (covariances + covariances.transpose(-1, -2))
    local = means @ view[:3, :3].T + view[:3, 3]
    x, y, z = local.unbind(-1)
    fx, fy, cx, cy = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
    margin_x, margin_y = 0.15 * camera.width / fx, 0.15 * camera.height / fy
    slope_x = torch.minimum(torch.maximum(x / z, -cx / fx - margin_x), (camera.width - cx) / fx + margin_x)
    slope_y = torch.minimum(torch.maximum(y / z, -cy / fy - margin_y), (camera.height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([torch.stack([fx / z, zero, -fx * slope_x / z], -1), torch.stack([zero, fy / z, -fy * slope_y / z], -1)], -2)
    to_screen = jacobian @ view[:3, :3]
    flat = to_screen @ covariances @ to_screen.transpose(-1, -2) + dilation * torch.eye(2).to(means)
    return torch.stack([fx * x / z + cx, fy * y / z + cy], -1), flat, z


def compensation(flat: torch.Tensor, dilation: float = 0.3) -> torch.Tensor:
    """What antialiasing multiplies the opacity by: sqrt(det before / det after the dilation). [(N, 2, 2) -> (N,)]"""
    raw = flat - dilation * torch.eye(2).to(flat)
    return (torch.linalg.det(raw).clamp(min=0) / torch.linalg.det(flat)).sqrt()


def composite(centers: torch.Tensor, flat: torch.Tensor, depths: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor, camera: Camera) -> torch.Tensor:
    """Front to back over all pixels: premultiplied rgba [(H, W, 4)]."""
    order = torch.argsort(depths.detach().float(), stable=True)
    order = order[depths[order] >= 0.01]
    centers, conic, opacities, colors = centers[order], torch.linalg.inv(flat[order]), opacities[order], colors[order]
    y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    offset = centers[None] - torch.stack([x, y], -1).reshape(-1, 1, 2).to(centers)  # [P, N, 2]
    dx, dy = offset.unbind(-1)
    power = 0.5 * (conic[:, 0, 0] * dx * dx + conic[:, 1, 1] * dy * dy) + conic[:, 0, 1] * dx * dy
    alpha = (opacities * torch.exp(-power)).clamp(max=0.999)
    alpha = torch.where(alpha < 1 / 255, torch.zeros_like(alpha), alpha)
    through = torch.cumprod(1 - alpha, 1)
    # a pixel ends before the first kernel that would leave less than 1e-4, and stays ended
    ended = torch.cummax(((through <= 1e-4) & (alpha > 0)).to(torch.uint8), 1)[0].bool()
    alpha = torch.where(ended, torch.zeros_like(alpha), alpha)
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], 1), 1)
    rgb = (alpha * through[:, :-1]) @ colors
    return torch.cat([rgb, 1 - through[:, -1:]], 1).reshape(camera.height, camera.width, 4)


def render(
    means: torch.Tensor,
    covariances: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    camera: Camera,
    antialiased: bool = False,
    dilation: float = 0.3,
) -> torch.Tensor:
    """All frames: (F, N, 3), (F, N, 3, 3), (N,), (N, 3) -> premultiplied rgba (F, H, W, 4)."""
    images = []
    for frame in range(len(means)):
        one = Camera(camera.view[frame : frame + 1], camera.intrinsics[frame : frame + 1], camera.width, camera.height)
        centers, flat, depths = project(means[frame], covariances[frame], one, dilation)
        own = opacities * compensation(flat, dilation) if antialiased else opacities
        images.append(composite(centers, flat, depths, own, colors if colors.ndim == 2 else colors[frame], one))
    return torch.stack(images)


def random_scene(frames: int, count: int, size: float, seed: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Kernels in a ball of about 1 m with deviations around `size` metres: means, covariances, opacities, colours."""
    generator = torch.Generator().manual_seed(seed)
    means = 0.35 * torch.randn(frames, count, 3, generator=generator, dtype=torch.float64)
    half = size * torch.randn(frames, count, 3, 3, generator=generator, dtype=torch.float64)
    opacities = 0.05 + 0.9 * torch.rand(count, generator=generator, dtype=torch.float64)
    colors = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    return [t.to(dtype) for t in (means, half @ half.transpose(-1, -2), opacities, colors)]
