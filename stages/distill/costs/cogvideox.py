"""Costs of CogVideoX: closed forms of diffusers' networks, whose transformer the built-in prior shares."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from .common import MODES, Encoder, Transformer

CLASS = "CogVideoXTransformer3DModel"
CHOICES = MODES
CHUNK = 8  # frames that CogVideoX's encoder takes at a time; a rest goes with the first

TRANSFORMER = {
    "num_attention_heads": 30,
    "attention_head_dim": 64,
    "num_layers": 30,
    "in_channels": 16,
    "out_channels": 16,
    "time_embed_dim": 512,
    "text_embed_dim": 4096,
    "patch_size": 2,
    "patch_size_t": None,
    "sample_width": 90,
    "sample_height": 60,
    "sample_frames": 49,
    "max_text_seq_length": 226,
    "temporal_compression_ratio": 4,
    "use_rotary_positional_embeddings": False,
    "_class_name": CLASS,
}
VAE = {
    "block_out_channels": (128, 256, 256, 512),
    "layers_per_block": 3,
    "in_channels": 3,
    "latent_channels": 16,
    "temporal_compression_ratio": 4,
}
_5B = {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "cogvideox-2b": {"transformer": {**TRANSFORMER}, "vae": VAE},
    "cogvideox-5b": {"transformer": {**TRANSFORMER, **_5B}, "vae": VAE},
    "cogvideox1.5-5b": {
        "transformer": {**TRANSFORMER, **_5B, "patch_size_t": 2, "sample_width": 300, "sample_height": 300, "sample_frames": 81, "patch_bias": False},
        "vae": VAE,
    },
}
"""As the files config.json of zai-org/CogVideoX-2b, CogVideoX-5b and CogVideoX1.5-5B on the Hugging Face hub have them."""


def transformer(config: Mapping[str, Any], frames: int, height: int, width: int, half: bool = True) -> Transformer:
    """Cost of a CogVideoX transformer for latents of a size.

    Parameters:
        config: As in its config.json; what is missing there is the class's default.
        frames, height, width: Of the latents.
        half: Whether it runs in half precision, which changes nothing here: it has no island of float32.
    """
    c = {**TRANSFORMER, **config}
    d, te, p, pt = c["num_attention_heads"] * c["attention_head_dim"], c["time_embed_dim"], c["patch_size"], c["patch_size_t"] or 1
    text, layers = c["max_text_seq_length"], c["num_layers"]
    video = math.ceil(frames / pt) * (height // p) * (width // p)
    length, cell_in, cell_out = text + video, c["in_channels"] * p * p * pt, c["out_channels"] * p * p * pt
    block = 2 * (4 * length * d * d + 2 * length * length * d + 8 * length * d * d + 2 * te * 6 * d)
    ends = 2 * (video * cell_in * d + text * c["text_embed_dim"] * d + d * te + te * te + te * 2 * d + video * d * cell_out)
    return Transformer(_transformer_parameters(c, d, cell_in, cell_out), length, layers * block + ends, _widest(length, d))


def _transformer_parameters(c: Mapping[str, Any], d: int, cell_in: int, cell_out: int) -> int:
    te, head = c["time_embed_dim"], c["attention_head_dim"]
    attention = 4 * (d * d + d) + 4 * head  # query, key, value, output; norms of query and key
    feed = 8 * d * d + 5 * d
    norms = 2 * (te * 6 * d + 6 * d + 2 * d)
    if not c.get("attention_bias", True):
        attention -= 3 * d
    bias = d if c.get("patch_bias", True) or c["patch_size_t"] else 0  # a temporal patch always has one
    ends = cell_in * d + bias + c["text_embed_dim"] * d + d + (d * te + te) + (te * te + te) + 2 * d + (te * 2 * d + 2 * d + 2 * d) + d * cell_out + cell_out
    return c["num_layers"] * (attention + feed + norms) + ends


def _widest(length: int, d: int) -> float:
    """Values alive in a feed-forward layer: the states before and after attention, attention's result, the layer's input, and twice the widened."""
    return (1 + 1 + 1 + 1 + 4 + 4) * length * d


@dataclasses.dataclass(frozen=True)
class _Unit:
    """A residual block or a loose layer, for one chunk of frames; memory is in values.

    Attributes:
        flops: Of its forward pass.
        last: Of its last convolution, which a second computation leaves out: it saves its input before it runs.
        entry: Its input.
        inside: What its backward pass needs beside the input.
        again: What is alive when it has been computed a second time.
        cache: Frames handed to the next chunk.
        handed: What their gradients keep alive.
        parameters: Of its weights.
    """

    flops: float
    last: float
    entry: float
    inside: float
    again: float
    cache: float
    handed: float
    parameters: int


def _resnet(inner: int, outer: int, frames: int, area: int) -> _Unit:
    first, second = 54 * inner * outer * frames * area, 54 * outer * outer * frames * area
    short = 2 * inner * outer * frames * area if inner != outer else 0
    x, y = inner * frames * area, outer * frames * area
    ends = 2 * area  # two frames of the last chunk are put in front of every convolution's input
    inside = x + (x + inner * ends) + y + y + (y + outer * ends)
    cache = (inner + outer) * ends
    parameters = 27 * (inner + outer) * outer + 2 * outer + 2 * (inner + outer) + (inner * outer + outer if short else 0)
    # in the second computation: two gradients and the activation before the last convolution
    return _Unit(first + second + short, short or second, x, inside, inside + 3 * y + cache, cache, x + y + cache, parameters)


def _downsample(channels: int, frames: int, height: int, width: int, compress: bool) -> tuple[_Unit, int]:
    """The layer at a level's end, and the frames after it."""
    after = (frames + 1) // 2 if compress else frames
    flops = 18 * channels * channels * after * (height // 2) * (width // 2)
    padded = channels * after * (height + 1) * (width + 1)
    entry = channels * frames * height * width if compress else 0
    return _Unit(flops, flops, entry, padded, entry + padded, 0, 0, 9 * channels * channels + channels), after


def _levels(config: Mapping[str, Any], frames: int, height: int, width: int) -> tuple[list[_Unit], list[list[_Unit]]]:
    """Loose layers at both ends, and the levels, each its residual blocks and its downsampler. The last level is the middle."""
    widths, layers = config["block_out_channels"], config["layers_per_block"]
    halvings = int(math.log2(config["temporal_compression_ratio"]))
    area, pixels = height * width, config["in_channels"] * (frames + 2) * height * width
    start = 54 * config["in_channels"] * widths[0] * frames * area
    loose = [_Unit(start, start, 0, pixels, pixels, 0, 0, 27 * config["in_channels"] * widths[0] + widths[0])]
    levels, inner = [], widths[0]
    for index, outer in enumerate(widths):
        level = [_resnet(inner if k == 0 else outer, outer, frames, height * width) for k in range(layers)]
        if index < len(widths) - 1:
            down, frames = _downsample(outer, frames, height, width, index < halvings)
            level.append(down)
            height, width = height // 2, width // 2
        levels.append(level)
        inner = outer
    levels.append([_resnet(inner, inner, frames, height * width) for _ in range(2)])
    area, latent = height * width, 2 * config["latent_channels"]
    end = 54 * inner * latent * frames * area
    values = inner * frames * area
    loose.append(_Unit(end, end, values, 2 * values + 2 * inner * area, 2 * values, 0, 0, 27 * inner * latent + latent + 2 * inner))
    return loose, levels


def encoder(config: Mapping[str, Any], frames: int, height: int, width: int, mode: str, half: bool = True) -> Encoder:
    """Cost of CogVideoX's video encoder for one clip. [px]

    Parameters:
        config: As in its config.json; what is missing there is the class's default.
        mode: One of `MODES`.
        half: Whether it runs in half precision, which changes nothing here.
    """
    c = {**VAE, **config}
    count = max(frames // CHUNK, 1)
    lengths = [frames - CHUNK * (count - 1)] + [CHUNK] * (count - 1)
    forward = again = saved = peak = 0.0
    parameters = 0
    for index, length in enumerate(lengths):
        loose, levels = _levels(c, length, height, width)
        units = [*loose, *(unit for level in levels for unit in level)]
        parameters = sum(unit.parameters for unit in units)
        forward += sum(unit.flops for unit in units)
        again += sum(_recomputed(level, mode) for level in levels)
        saved += sum(unit.entry + unit.inside for unit in loose) + sum(_kept(level, mode, follows=index > 0) for level in levels)
        # a cached pair of frames gets its gradient as a view of a whole one, which the chunk before then keeps alive;
        # of the deeper levels this counts where a whole level is alive at once (matched to the counted peaks)
        after = [index < len(lengths) - 1 and sum(unit.handed for unit in level) for level in levels]
        here = [index > 0 and mode == "blocks" and sum(unit.handed for unit in level) for level in levels]
        peak = max(peak, *(saved + sum(after[: k + 1]) + sum(here[k + 1 :]) + _working(level, mode) for k, level in enumerate(levels)))
        handover = sum(unit.cache for unit in units)
    if mode == "none":
        peak = max(peak, saved + 2 * handover)  # at the end of the forward pass
    video = c["in_channels"] * frames * height * width
    return Encoder(parameters, forward, forward + again, saved, peak + 2 * video, decoder=1.34 * parameters)


def _is_resnet(unit: _Unit) -> bool:
    return unit.cache > 0


def _recomputed(level: list[_Unit], mode: str) -> float:
    """FLOPs of a level done again: a second computation stops where the last value that is needed is there."""
    resnets = [unit for unit in level if _is_resnet(unit)]
    inner = sum(unit.flops - unit.last for unit in resnets)
    whole = sum(unit.flops for unit in level)
    if mode == "resnets":
        return inner
    if mode == "blocks":
        return whole - level[-1].last
    if mode == "nested":
        return inner + whole - level[-1].flops
    return 0.0


def _kept(level: list[_Unit], mode: str, follows: bool) -> float:
    """Values of a level kept until its backward pass; a chunk that `follows` another has its frames in front."""
    if mode in ("blocks", "nested"):
        return level[0].entry + sum(unit.cache for unit in level if follows)
    if mode == "resnets":
        return sum(unit.entry + (unit.cache * follows if _is_resnet(unit) else unit.inside) for unit in level)
    return sum(unit.entry + unit.inside for unit in level)


def _working(level: list[_Unit], mode: str) -> float:
    """Values beyond those kept that are alive in a level's backward pass at most."""
    resnets = [unit for unit in level if _is_resnet(unit)]
    if mode == "resnets":
        return max(unit.again for unit in resnets)
    if mode == "blocks":
        return sum(unit.entry + unit.inside + unit.cache for unit in level) - level[0].entry
    if mode == "nested":
        return sum(unit.entry for unit in resnets[1:]) + sum(unit.cache for unit in resnets) + max(unit.again for unit in resnets)
    return 0.0


def latent_size(config: Mapping[str, Mapping[str, Any]], clip: tuple[int, int, int]) -> tuple[int, int, int]:
    """Frames, height and width of the latents of a clip; version 1.5 pads them to whole patches of time."""
    vae, patch = {**VAE, **config["vae"]}, config["transformer"].get("patch_size_t") or 1
    spatial = 2 ** (len(vae["block_out_channels"]) - 1)
    frames = (clip[0] - 1) // int(vae["temporal_compression_ratio"]) + 1
    return frames + -frames % patch, clip[1] // spatial, clip[2] // spatial
