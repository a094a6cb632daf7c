"""The network: a small CogVideoX transformer (diffusers) with a reference image, in CogVideoX's noise schedule."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from stages.distill.scene import Scene

from . import text
from .latent import CELLS, FRAMES, HEIGHT, WIDTH, Codec, latent_frames

TRAIN_STEPS = 1000


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Size of the network.

    Attributes:
        channels, image_channels: Of the latents and of the reference.
        stride_t: Frames of a latent cell.
        width, heads, layers: Of the transformer.
        time_width: Of the noise level's embedding.
        patch: Latent cells per token edge.
        reference: Whether the network sees the reference image.
        look, ground: What clips look like, see scene.Scene.
    """

    channels: int = 96
    image_channels: int = 48
    stride_t: int = 4
    width: int = 192
    heads: int = 4
    layers: int = 6
    time_width: int = 64
    patch: int = 1
    reference: bool = True
    look: str = "roles"
    ground: bool = False

    def scene(self) -> Scene:
        """How its clips are filmed."""
        return Scene(look=self.look, ground=self.ground, width=WIDTH, height=HEIGHT)

    def codec(self) -> Codec:
        """A codec of the right size, not fitted."""
        return Codec(self.channels, self.image_channels, self.stride_t)


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


class CpuAttention:
    """CogVideoX's attention by two batched products and a softmax, all in the products' type: half the time of torch's kernels on a CPU.

    Takes the place of diffusers' processor; attention masks and rotary embeddings are not used by this network.
    """

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, attention_mask: Any = None, image_rotary_emb: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention over words and cells together. [(B, N, D) and (B, L, D)]"""
        words = encoder_hidden_states.shape[1]
        both = torch.cat([encoder_hidden_states, hidden_states], 1)
        batch, length, _ = both.shape
        query, key, value = (layer(both).view(batch, length, attn.heads, -1) for layer in (attn.to_q, attn.to_k, attn.to_v))
        size = value.shape[-1]
        query, key = attn.norm_q(query) * size**-0.5, attn.norm_k(key)
        query, key, value = (part.to(value.dtype).transpose(1, 2).reshape(-1, length, size) for part in (query, key, value))
        with torch.autocast(value.device.type, enabled=False):
            mixed = torch.bmm(torch.softmax(torch.bmm(query, key.transpose(1, 2)), -1), value)
        mixed = mixed.view(batch, attn.heads, length, size).transpose(1, 2).reshape(batch, length, -1)
        result = attn.to_out[0](mixed)
        return result[:, words:], result[:, :words]


class Denoiser(torch.nn.Module):
    """Predicts the clean latent; `velocity` turns that into v, which CogVideoX predicts.

    The clean latent is the easier target when a token holds more numbers than the transformer is wide: noise does
    not have to be carried through it. The reference is joined to every latent frame along the channels, as
    CogVideoX's image-to-video models join their first frame.
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
            in_channels=config.channels + config.image_channels * config.reference,
            out_channels=config.channels,
            time_embed_dim=config.time_width,
            text_embed_dim=config.width,
            num_layers=config.layers,
            sample_width=CELLS[1],
            sample_height=CELLS[0],
            # the transformer counts latent frames as (frames - 1) // ratio + 1
            sample_frames=FRAMES,
            patch_size=config.patch,
            temporal_compression_ratio=config.stride_t,
            max_text_seq_length=text.LENGTH,
        )
        self.transformer.set_attn_processor(CpuAttention())

    def forward(self, noisy: torch.Tensor, image: torch.Tensor, step: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The clean latent. [(B, T, K, 6, 8), reference (B, R, 6, 8), steps 0..999 (B,), token numbers (B, 3) -> (B, T, K, 6, 8)]"""
        if self.config.reference:
            noisy = torch.cat([noisy, image[:, None].expand(-1, latent_frames(self.config.stride_t), -1, -1, -1)], 2)
        return self.transformer(noisy, self.words(ids) + self.places, step, return_dict=False)[0].float()


def velocity(noisy: torch.Tensor, clean: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """v = alpha eps - sigma z of a clean estimate, inverse of equation (6): v = (alpha z_t - z) / sigma."""
    return (alpha * noisy - clean) / sigma
