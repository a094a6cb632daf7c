"""The network: a small CogVideoX transformer (diffusers) on patch latents, in CogVideoX's noise schedule."""

from __future__ import annotations

import dataclasses
import math

import torch

from . import text
from .latent import CELLS, FRAMES

TRAIN_STEPS = 1000


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Size of the network.

    Attributes:
        channels: Of the latents.
        width, heads, layers: Of the transformer.
        time_width: Of the noise level's embedding.
        patch: Latent cells per token edge.
    """

    channels: int = 96
    width: int = 256
    heads: int = 4
    layers: int = 6
    time_width: int = 64
    patch: int = 2


def alpha_sigma(u: float) -> tuple[float, float]:
    """Signal and noise level at u = t/T: CogVideoX's scaled-linear betas with zero terminal SNR, between steps linear in abar."""
    bars = _alpha_bars()
    place = min(max(u, 0.0), 1.0) * (TRAIN_STEPS - 1)
    low = min(int(place), TRAIN_STEPS - 2)
    bar = bars[low] + (place - low) * (bars[low + 1] - bars[low])
    return math.sqrt(bar), math.sqrt(1 - bar)


def _alpha_bars() -> list[float]:
    if not _BARS:
        beta = torch.linspace(0.00085**0.5, 0.012**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
        root = torch.cumprod(1 - beta, 0).sqrt()
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        _BARS.extend((root**2).tolist())
    return _BARS


_BARS: list[float] = []


class Denoiser(torch.nn.Module):
    """Predicts the clean latent; `velocity` turns that into v, which CogVideoX predicts.

    The clean latent is the easier target when a token holds more numbers than the transformer is wide: noise does
    not have to be carried through it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        from diffusers import CogVideoXTransformer3DModel

        self.config = config
        self.words = torch.nn.Embedding(len(text.TOKENS), config.width)
        self.places = torch.nn.Parameter(torch.randn(text.LENGTH, config.width) * 0.02)
        torch.nn.init.normal_(self.words.weight, std=0.5)
        self.transformer = CogVideoXTransformer3DModel(
            num_attention_heads=config.heads,
            attention_head_dim=config.width // config.heads,
            in_channels=config.channels,
            out_channels=config.channels,
            time_embed_dim=config.time_width,
            text_embed_dim=config.width,
            num_layers=config.layers,
            sample_width=CELLS[2],
            sample_height=CELLS[1],
            sample_frames=FRAMES,
            patch_size=config.patch,
            temporal_compression_ratio=4,
            max_text_seq_length=text.LENGTH,
        )

    def forward(self, noisy: torch.Tensor, step: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The clean latent. [(B, 5, K, 6, 8), steps 0..999 (B,), token numbers (B, 4) -> (B, 5, K, 6, 8)]"""
        return self.transformer(noisy, self.words(ids) + self.places, step, return_dict=False)[0].float()


def velocity(noisy: torch.Tensor, clean: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """v = alpha eps - sigma z of a clean estimate, inverse of equation (6): v = (alpha z_t - z) / sigma."""
    return (alpha * noisy - clean) / sigma
