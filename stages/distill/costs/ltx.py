"""Costs of LTX-Video: closed forms of diffusers' networks; the encoder's memory by figures counted on the published one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.errors import InputError

from .common import Encoder, Transformer

CLASS = "LTXVideoTransformer3DModel"
CHOICES = ("none", "resnets", "nested")  # "blocks" alone holds a whole level at once, more than it saves
TEXT_LENGTH = 128

TRANSFORMER: dict[str, Any] = {
    "in_channels": 128,
    "out_channels": 128,
    "num_attention_heads": 32,
    "attention_head_dim": 64,
    "cross_attention_dim": 2048,
    "num_layers": 28,
    "caption_channels": 4096,
    "_class_name": CLASS,
}
VAE: dict[str, Any] = {
    "in_channels": 3,
    "latent_channels": 128,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": (4, 3, 3, 3, 4),
    "spatio_temporal_scaling": (True, True, True, False),
    "patch_size": 4,
    "patch_size_t": 1,
}
CONFIGS: dict[str, dict[str, dict[str, Any]]] = {"ltx-video": {"transformer": TRANSFORMER, "vae": VAE}}
"""The first 2B model (0.9), which is what Lightricks/LTX-Video holds in diffusers format: the defaults of diffusers' classes."""

# counted on the published encoder at 480 x 704: bytes per pixel and frame kept from forward to backward, and at most,
# in bfloat16 (where the norms keep float32) and in float32
_HALF = {"none": (875, 876), "resnets": (155, 330), "blocks": (33.8, 760), "nested": (33.8, 330)}
_FULL = {"none": (1083, 1084), "resnets": (278, 438), "blocks": (67.3, 917), "nested": (67.3, 438)}


def transformer(config: Mapping[str, Any], frames: int, height: int, width: int, half: bool = True) -> Transformer:
    """Cost of an LTX-Video transformer for latents of a size.

    Parameters:
        config: As in its config.json; what is missing there is the class's default.
        frames, height, width: Of the latents, each cell of which is a token.
        half: Whether it runs in half precision; the rotary positions are float32 either way.
    """
    c = {**TRANSFORMER, **config}
    d, text, layers = c["num_attention_heads"] * c["attention_head_dim"], c["cross_attention_dim"], c["num_layers"]
    length, channels = frames * height * width, c["in_channels"] + (c["out_channels"] or c["in_channels"])
    itself = 4 * length * d * d + 2 * length * length * d
    across = 2 * length * d * d + 2 * TEXT_LENGTH * text * d + 2 * length * TEXT_LENGTH * d
    ends = length * channels * d + (256 + d + 6 * d) * d + TEXT_LENGTH * (c["caption_channels"] + d) * d
    flops = 2.0 * (layers * (itself + across + 8 * length * d * d) + ends)
    block = 6 * d * d + 2 * text * d + 8 * d + 4 * d + 8 * d * d + 5 * d + 6 * d
    outside = channels * d + d + (c["out_channels"] or c["in_channels"]) + 2 * d
    inputs = 256 * d + d + d * d + d + 6 * d * d + 6 * d + c["caption_channels"] * d + d + d * d + d
    # the feed-forward layer: states, its input and output and twice the widened; and the rotary positions
    activations = length * d * (12 + 2 * (2 if half else 1)) + TEXT_LENGTH * d
    return Transformer(layers * block + outside + inputs, length, flops, activations)


def encoder(config: Mapping[str, Any], frames: int, height: int, width: int, mode: str, half: bool = True) -> Encoder:
    """Cost of LTX-Video's encoder for one clip. [px]

    Parameters:
        config: As in its config.json; what is missing there is the class's default.
        mode: One of `common.MODES`.
        half: Whether it runs in half precision.

    Raises:
        InputError: An encoder of version 0.9.5 or later, which is built otherwise.
    """
    c = {**VAE, **config}
    if any(kind != "LTXVideoDownBlock3D" for kind in c.get("down_block_types", ())) or any(kind != "conv" for kind in c.get("downsample_type", ())):
        raise InputError("--dry-run: there is no cost model for the encoder of LTX-Video 0.9.5 and later;", "plan with --prior ltx-video, version 0.9.")
    loose, levels, parameters = _levels(c, frames, height, width)
    forward = sum(loose) + sum(flops for level in levels for flops, _ in level)
    whole, ends = forward - sum(loose), sum(level[-1][1] for level in levels)
    # what a level ends with when it widens is a residual block that is never checkpointed by itself
    inner = sum(flops - last for level, count in zip(levels, c["layers_per_block"], strict=True) for flops, last in level[:count])
    last = sum(level[-1][0] if len(level) == count else level[-1][1] for level, count in zip(levels, c["layers_per_block"], strict=True))
    again = {"none": 0.0, "resnets": inner, "blocks": whole - ends, "nested": whole + inner - last}[mode]
    pixels = (frames + 1) * height * width / (2 if half else 4)
    saved, peak = (_HALF if half else _FULL)[mode]
    return Encoder(parameters, forward, forward + again, saved * pixels, peak * pixels, decoder=1.33 * parameters)


def _levels(c: Mapping[str, Any], frames: int, height: int, width: int) -> tuple[list[float], list[list[tuple[float, float]]], int]:
    """FLOPs of the layers at both ends; of every level its parts, each with that of its last convolution; and the parameters."""
    widths, patch = c["block_out_channels"], c["patch_size"]
    height, width, inner = height // patch, width // patch, widths[0]
    channels, outer = c["in_channels"] * patch * patch, c["latent_channels"] + 1
    parameters, loose, levels = 27 * channels * inner + inner, [54.0 * channels * inner * frames * height * width], []
    for index, scaled in enumerate(c["spatio_temporal_scaling"]):
        following = widths[min(index + 1, len(widths) - 1)]
        level = [_resnet(inner, inner, frames * height * width)] * c["layers_per_block"][index]
        parameters += c["layers_per_block"][index] * (54 * inner * inner + 2 * inner)
        if scaled:
            frames, height, width = (frames + 1) // 2, height // 2, width // 2
            flops = 54.0 * inner * inner * frames * height * width
            level.append((flops, flops))
            parameters += 27 * inner * inner + inner
        if following != inner:
            level.append(_resnet(inner, following, frames * height * width))
            parameters += 27 * (inner + following) * following + 2 * following + (inner + 1) * following + 2 * inner
        levels.append(level)
        inner = following
    levels.append([_resnet(inner, inner, frames * height * width)] * c["layers_per_block"][-1])
    parameters += c["layers_per_block"][-1] * (54 * inner * inner + 2 * inner) + 27 * inner * outer + outer
    loose.append(54.0 * inner * outer * frames * height * width)
    return loose, levels, parameters


def _resnet(inner: int, outer: int, cells: int) -> tuple[float, float]:
    """FLOPs of a residual block, and of its last convolution."""
    short = 2.0 * inner * outer * cells if inner != outer else 0.0
    return 54.0 * (inner + outer) * outer * cells + short, short or 54.0 * outer * outer * cells


def latent_size(config: Mapping[str, Mapping[str, Any]], clip: tuple[int, int, int]) -> tuple[int, int, int]:
    """Frames, height and width of the latents of a clip."""
    vae = {**VAE, **config["vae"]}
    halvings = 2 ** sum(vae["spatio_temporal_scaling"])
    temporal, spatial = vae["patch_size_t"] * halvings, vae["patch_size"] * halvings
    return (clip[0] - 1) // temporal + 1, clip[1] // spatial, clip[2] // spatial
