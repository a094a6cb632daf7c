"""The eyes of mPLUG-Owl-video: a CLIP tower that also looks along time, and the abstractor that sums a video up in 64 tokens.

Ye et al., "mPLUG-Owl: Modularization Empowers Large Language Models with Multimodality" (2023). Names of submodules are
those of the released weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention


class Norm(nn.LayerNorm):
    """Layer norm computed in single precision, whatever the weights are stored in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last axis."""
        return layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps).to(x.dtype)


def quick_gelu(x: torch.Tensor) -> torch.Tensor:
    """CLIP's activation."""
    return x * torch.sigmoid(1.702 * x)


class Embeddings(nn.Module):
    """Patches of each frame, a class token before them, and their places. [(B, 3, T, H, W) -> (B, T, 1 + P, D)]"""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.patch_embed = nn.Conv2d(3, config.hidden_size, config.patch_size, config.patch_size, bias=False)
        self.position_embedding = nn.Parameter(torch.zeros(1, (config.image_size // config.patch_size) ** 2 + 1, config.hidden_size))
        self.pre_layernorm = Norm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """See the class."""
        batch, _, frames = video.shape[:3]
        patches = self.patch_embed(video.transpose(1, 2).flatten(0, 1)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], 1) + self.position_embedding
        return self.pre_layernorm(tokens).unflatten(0, (batch, frames))


class Temporal(nn.Module):
    """Each patch looks at the same patch one frame before and after; the class token is passed on as it is."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        half = config.hidden_size // 2
        self.ln = Norm(config.hidden_size)
        self.down_proj = nn.Conv3d(config.hidden_size, half, 1)
        self.conv = nn.Conv3d(half, half, (3, 1, 1), padding=(1, 0, 0), groups=half)
        self.up_proj = nn.Conv3d(half, config.hidden_size, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(B, T, 1 + P, D) -> the same]"""
        patches = self.ln(x[:, :, 1:]).permute(0, 3, 1, 2)[..., None]  # as an image of one column: the kernel is one wide
        patches = self.up_proj(quick_gelu(self.conv(self.down_proj(patches))))
        return torch.cat([x[:, :, :1], patches[..., 0].permute(0, 2, 3, 1)], 2)


class SelfAttention(nn.Module):
    """Attention among the tokens of a frame; query, key and value of a head lie beside each other in the weights."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(N, S, D) -> the same]"""
        query, key, value = self.query_key_value(x).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        return self.dense(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Feed(nn.Module):
    """Two layers with CLIP's activation between."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(..., D) -> the same]"""
        return self.fc2(quick_gelu(self.fc1(x)))


class Layer(nn.Module):
    """One layer of the tower: along time, then within each frame."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.temporal = Temporal(config)
        self.self_attn = SelfAttention(config)
        self.input_layernorm = Norm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = Feed(config)
        self.post_attention_layernorm = Norm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(B, T, S, D) -> the same]; a single frame has no time to look along."""
        if x.shape[1] > 1:
            x = x + self.temporal(x)
        batch, frames = x.shape[:2]
        y = x.flatten(0, 1)
        y = y + self.self_attn(self.input_layernorm(y))
        return (y + self.mlp(self.post_attention_layernorm(y))).unflatten(0, (batch, frames))


class Encoder(nn.Module):
    """The layers of the tower, or of the abstractor."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class Vision(nn.Module):
    """The tower. [(B, 3, T, H, W) -> (B, T, 1 + P, D)]"""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder([Layer(config) for _ in range(config.num_hidden_layers)])
        self.post_layernorm = Norm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = self.embeddings(video)
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)


class CrossAttention(nn.Module):
    """Queries look at themselves and at the video."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.encoder_hidden_size, config.hidden_size)
        self.value = nn.Linear(config.encoder_hidden_size, config.hidden_size)

    def forward(self, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """[(B, Q, D), (B, K, D) -> (B, Q, D)]"""
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query(x), self.key(seen), self.value(seen)))
        return scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class Gated(nn.Module):
    """The abstractor's feed-forward layer, gated as LLaMA's, with a norm inside."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        wide = config.intermediate_size
        if wide != 2816:  # how the weights were sized: two thirds, rounded up to 256
            wide = 256 * -(-int(2 * wide / 3) // 256)
        self.w1, self.w2, self.w3 = nn.Linear(config.hidden_size, wide), nn.Linear(wide, config.hidden_size), nn.Linear(config.hidden_size, wide)
        self.ffn_ln = Norm(wide, eps=config.layer_norm_eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[(..., D) -> the same]"""
        return self.w2(self.ffn_ln(nn.functional.silu(self.w1(x)) * self.w3(x)))


class CrossOutput(nn.Module):
    """What follows the attention."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm2 = Norm(config.hidden_size)
        self.mlp = Gated(config)

    def forward(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """[(B, Q, D), (B, Q, D) -> (B, Q, D)]"""
        y = before + self.out_proj(x)
        return y + self.mlp(self.norm2(y))


class CrossBlock(nn.Module):
    """Attention with its norms: what is added to is the normalised query, as in the released weights."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = CrossAttention(config)
        self.output = CrossOutput(config)
        self.norm1, self.normk = Norm(config.hidden_size), Norm(config.hidden_size)

    def forward(self, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """[(B, Q, D), (B, K, D) -> (B, Q, D)]"""
        x = self.norm1(x)
        return self.output(self.attention(x, torch.cat([x, self.normk(seen)], 1)), x)


class AbstractorLayer(nn.Module):
    """One layer of the abstractor."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.crossattention = CrossBlock(config)

    def forward(self, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """[(B, Q, D), (B, K, D) -> (B, Q, D)]"""
        return self.crossattention(x, seen)


class Abstractor(nn.Module):
    """Sums a video up in as many tokens of the language model as there are queries, and one that ends them."""

    def __init__(self, config: Any, language_size: int) -> None:
        super().__init__()
        self.encoder = Encoder([AbstractorLayer(config) for _ in range(config.num_hidden_layers)])
        self.visual_fc = nn.Linear(config.hidden_size, language_size)
        self.temporal_visual_fc = nn.Linear(config.hidden_size, language_size)
        self.vit_eos = nn.Parameter(torch.zeros(1, 1, language_size))

    def forward(self, queries: torch.Tensor, temporal: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """[(1, Q, D) twice, (B, T, S, D) -> (B, Q + 1, L)]; a single frame takes no temporal queries."""
        batch, frames = seen.shape[:2]
        count = queries.shape[1]
        x = queries if frames == 1 else torch.cat([queries, temporal], 1)
        x, seen = x.expand(batch, -1, -1), seen.flatten(1, 2)
        for layer in self.encoder.layers:
            x = layer(x, seen)
        made = self.visual_fc(x[:, :count])
        if frames > 1:
            made = made + self.temporal_visual_fc(x[:, count:])
        return torch.cat([made, self.vit_eos.expand(batch, -1, -1)], 1)
