"""Latents of the built-in prior: a linear projection of 4 x 8 x 8 pixel blocks, exact, differentiable and free."""

from __future__ import annotations

import torch

FRAMES, HEIGHT, WIDTH = 17, 48, 64
STRIDE_T, STRIDE = 4, 8
CELLS = (FRAMES + 3) // STRIDE_T, HEIGHT // STRIDE, WIDTH // STRIDE
BLOCK = STRIDE_T * STRIDE * STRIDE * 3


def blocks(video: torch.Tensor) -> torch.Tensor:
    """Cut clips in [-1, 1] into blocks; frame 0 stands alone, repeated four times. [(B, 17, 48, 64, 3) -> (B, 5, 6, 8, 768)]"""
    video = torch.cat([video[:, :1].expand(-1, STRIDE_T - 1, -1, -1, -1), video], 1)
    t, h, w = CELLS
    cut = video.reshape(len(video), t, STRIDE_T, h, STRIDE, w, STRIDE, 3)
    return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(len(video), t, h, w, BLOCK)


def unblock(cells: torch.Tensor) -> torch.Tensor:
    """Inverse of `blocks`. [(B, 5, 6, 8, 768) -> (B, 17, 48, 64, 3)]"""
    t, h, w = CELLS
    cut = cells.reshape(len(cells), t, h, w, STRIDE_T, STRIDE, STRIDE, 3).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return cut.reshape(len(cells), t * STRIDE_T, HEIGHT, WIDTH, 3)[:, STRIDE_T - 1 :]


class PatchCodec(torch.nn.Module):
    """z = (x - mean) V s: principal components of the blocks, half whitened, overall standard deviation 1.

    Half whitened (divided by the square root of the standard deviation): plain components would drown the small
    ones, in which the feet are, in noise; fully whitened ones would make texture as important as shape.

    Parameters:
        channels: Components kept, K.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    scale: torch.Tensor

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean", torch.zeros(BLOCK))
        self.register_buffer("basis", torch.zeros(BLOCK, channels))
        self.register_buffer("scale", torch.ones(channels))

    def encode(self, video: torch.Tensor) -> torch.Tensor:
        """[(B, 17, 48, 64, 3) in 0..1 -> (B, 5, K, 6, 8)]"""
        cells = (blocks(video * 2 - 1) - self.mean) @ (self.basis * self.scale)
        return cells.permute(0, 1, 4, 2, 3)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """[(B, 5, K, 6, 8) -> (B, 17, 48, 64, 3) in about 0..1]"""
        cells = (latent.permute(0, 1, 3, 4, 2) / self.scale) @ self.basis.T + self.mean
        return (unblock(cells) + 1) / 2

    @torch.no_grad()
    def fit(self, video: torch.Tensor) -> None:
        """Set mean, components and scales from clips in [0, 1]. [(B, 17, 48, 64, 3)]"""
        cells = blocks(video.float() * 2 - 1).reshape(-1, BLOCK)
        mean = cells.mean(0)
        centred = cells - mean
        variance, vectors = torch.linalg.eigh((centred.T @ centred / len(cells)).double())
        order = torch.arange(BLOCK - 1, BLOCK - 1 - self.channels, -1)
        deviation = variance[order].clamp(min=1e-12).sqrt()
        basis = vectors[:, order]
        basis = basis * torch.sign(basis[basis.abs().argmax(0), torch.arange(self.channels)])
        scale = deviation.rsqrt() / deviation.mean().sqrt()
        self.mean.copy_(mean)
        self.basis.copy_(basis)
        self.scale.copy_(scale)
