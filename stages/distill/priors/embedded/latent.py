"""Latents of the built-in prior: what moves in a clip, as a linear projection of blocks of pixels; exact and free.

The prior knows what the body at rest looks like (the reference image), so that its latents hold the difference of the
clip from the reference alone: a clip of a still body is z = 0, and all of z is motion.
"""

from __future__ import annotations

import torch

FRAMES, HEIGHT, WIDTH = 17, 48, 64
STRIDE = 8
PLAIN = 0.9  # grey that the latents of a prior without a reference are the difference from
CELLS = HEIGHT // STRIDE, WIDTH // STRIDE


def latent_frames(stride_t: int) -> int:
    """Latent frames of a clip: frame 0 stands alone, the others are taken `stride_t` at a time."""
    return (FRAMES - 1) // stride_t + 1


def blocks(video: torch.Tensor, stride_t: int) -> torch.Tensor:
    """Cut clips into blocks of stride_t x 8 x 8 pixels; frame 0 is repeated to fill its block. [(B, 17, 48, 64, 3) -> (B, T, 6, 8, D)]"""
    video = torch.cat([video[:, :1].expand(-1, stride_t - 1, -1, -1, -1), video], 1)
    t, (h, w) = latent_frames(stride_t), CELLS
    cut = video.reshape(len(video), t, stride_t, h, STRIDE, w, STRIDE, 3)
    return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(len(video), t, h, w, -1)


def patches(image: torch.Tensor) -> torch.Tensor:
    """Cut images into patches of 8 x 8 pixels. [(B, 48, 64, 3) -> (B, 6, 8, 192)]"""
    h, w = CELLS
    return image.reshape(len(image), h, STRIDE, w, STRIDE, 3).permute(0, 1, 3, 2, 4, 5).reshape(len(image), h, w, -1)


def unblock(cells: torch.Tensor, stride_t: int) -> torch.Tensor:
    """Inverse of `blocks`. [(B, T, 6, 8, D) -> (B, 17, 48, 64, 3)]"""
    t, (h, w) = latent_frames(stride_t), CELLS
    cut = cells.reshape(len(cells), t, h, w, stride_t, STRIDE, STRIDE, 3).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return cut.reshape(len(cells), t * stride_t, HEIGHT, WIDTH, 3)[:, stride_t - 1 :]


class Codec(torch.nn.Module):
    """z = (video - reference) V s and r = (reference - mean) W q: principal components of blocks, half whitened.

    Half whitened (divided by the square root of the standard deviation): plain components would drown the small
    ones, in which the feet are, in noise; fully whitened ones would make grain as important as shape. The scales
    bring latents to a standard deviation of 1.

    Parameters:
        channels: Components of a block of the clip, K.
        image_channels: Components of a block of the reference, R.
        stride_t: Frames of a block.
    """

    basis: torch.Tensor
    scale: torch.Tensor
    image_mean: torch.Tensor
    image_basis: torch.Tensor
    image_scale: torch.Tensor

    def __init__(self, channels: int = 64, image_channels: int = 48, stride_t: int = 4) -> None:
        super().__init__()
        self.channels, self.image_channels, self.stride_t = channels, image_channels, stride_t
        size = STRIDE * STRIDE * 3
        self.register_buffer("basis", torch.zeros(stride_t * size, channels))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("image_mean", torch.zeros(size))
        self.register_buffer("image_basis", torch.zeros(size, image_channels))
        self.register_buffer("image_scale", torch.ones(image_channels))

    def encode(self, video: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """[(B, 17, 48, 64, 3) and (B, 48, 64, 3), both 0..1 -> (B, T, K, 6, 8)]"""
        cells = blocks(2 * (video - reference[:, None]), self.stride_t) @ (self.basis * self.scale)
        return cells.permute(0, 1, 4, 2, 3)

    def encode_image(self, reference: torch.Tensor) -> torch.Tensor:
        """[(B, 48, 64, 3) in 0..1 -> (B, R, 6, 8)]"""
        cells = (patches(2 * reference - 1) - self.image_mean) @ (self.image_basis * self.image_scale)
        return cells.permute(0, 3, 1, 2)

    def decode(self, latent: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """[(B, T, K, 6, 8) and (B, 48, 64, 3) -> (B, 17, 48, 64, 3) in about 0..1]"""
        cells = (latent.permute(0, 1, 3, 4, 2) / self.scale) @ self.basis.T
        return unblock(cells, self.stride_t) / 2 + reference[:, None]

    @torch.no_grad()
    def fit(self, video: torch.Tensor, reference: torch.Tensor) -> None:
        """Set components and scales from clips and their references, in [0, 1]. [(B, 17, 48, 64, 3), (B, 48, 64, 3)]"""
        moving = blocks(2 * (video - reference[:, None]), self.stride_t).flatten(0, 3)
        still = patches(2 * reference - 1).flatten(0, 2)
        self.image_mean.copy_(still.mean(0))
        for cells, basis, scale in ((moving, self.basis, self.scale), (still - self.image_mean, self.image_basis, self.image_scale)):
            vectors, deviation = _components(cells, basis.shape[1])
            basis.copy_(vectors)
            scale.copy_(deviation.rsqrt() / deviation.mean().sqrt())


def _components(cells: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Principal directions about zero, largest first, and the deviations along them. [(n, D) -> (D, count), (count,)]"""
    variance, vectors = torch.linalg.eigh((cells.T @ cells / len(cells)).double())
    order = torch.arange(cells.shape[1] - 1, cells.shape[1] - 1 - count, -1)
    basis = vectors[:, order]
    # eigenvectors have no sign of their own
    return basis * torch.sign(basis[basis.abs().argmax(0), torch.arange(count)]), variance[order].clamp(min=1e-12).sqrt()
