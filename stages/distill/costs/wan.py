"""Costs of Wan2.1 and Wan2.2 TI2V-5B: closed forms of diffusers' networks; the encoder's memory by figures counted on the published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .common import Encoder, Transformer

CLASS = "WanTransformer3DModel"
CHOICES = ("none", "blocks", "nested")  # priors/wan_vae.py: everything stored, one chunk of frames, or segments of them
TEXT_LENGTH = 512
CHUNK = 4  # frames that the encoder takes at a time after the first

TRANSFORMER: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 40,
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 13824,
    "num_layers": 40,
    "cross_attn_norm": True,
    "_class_name": CLASS,
}
VAE: dict[str, Any] = {
    "base_dim": 96,
    "z_dim": 16,
    "dim_mult": (1, 2, 4, 4),
    "num_res_blocks": 2,
    "temperal_downsample": (False, True, True),
    "in_channels": 3,
    "patch_size": None,
    "scale_factor_temporal": 4,
    "scale_factor_spatial": 8,
}
_VAE22 = {"base_dim": 160, "z_dim": 48, "in_channels": 12, "patch_size": 2, "scale_factor_spatial": 16, "is_residual": True}
CONFIGS: dict[str, dict[str, dict[str, Any]]] = {
    "wan2.1-1.3b": {"transformer": {**TRANSFORMER, "num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}, "vae": VAE},
    "wan2.1-14b": {"transformer": {**TRANSFORMER}, "vae": VAE},
    "wan2.2-ti2v-5b": {
        "transformer": {**TRANSFORMER, "num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48, "out_channels": 48},
        "vae": {**VAE, **_VAE22},
    },
}
"""As wan/configs/wan_t2v_1_3B.py, wan_t2v_14B.py and wan_ti2v_5B.py of the model's own repositories have them, and vae/config.json of
Wan-AI/Wan2.2-TI2V-5B-Diffusers; what is left out here (means and deviations of the latents) costs nothing."""

# counted on both published encoders at 480 x 832 in float32: values per base channel and pixel (of a patch) that a frame
# stores, that a chunk hands on to the next, and the most beyond those while one chunk goes back
_FRAME, _HANDED = 25.4, 15.1
_FIRST = 14.5  # of the first frame, beyond that of any
_WORKING = {"none": 32.0, "blocks": 120.5, "nested": 130.0}


def transformer(config: Mapping[str, Any], frames: int, height: int, width: int, half: bool = True) -> Transformer:
    """Cost of a Wan transformer for latents of a size.

    Parameters:
        config: As in its config.json; what is missing there is the class's default.
        frames, height, width: Of the latents.
        half: Whether it runs in half precision; its norms and gates are float32 either way.
    """
    c = {**TRANSFORMER, **config}
    head, ffn, text, layers, patch = c["attention_head_dim"], c["ffn_dim"], c["text_dim"], c["num_layers"], math.prod(c["patch_size"])
    d = c["num_attention_heads"] * head
    length = (frames // c["patch_size"][0]) * (height // c["patch_size"][1]) * (width // c["patch_size"][2])
    itself = 4 * length * d * d + 2 * length * length * d
    across = 2 * length * d * d + 2 * TEXT_LENGTH * d * d + 2 * length * TEXT_LENGTH * d
    ends = length * patch * (c["in_channels"] + c["out_channels"]) * d + (c["freq_dim"] + d + 6 * d) * d + TEXT_LENGTH * (text + d) * d
    flops = 2.0 * (layers * (itself + across + 2 * length * d * ffn) + ends)
    norms = 4 * d + (2 * d if c["cross_attn_norm"] else 0)
    block = 8 * (d * d + d) + norms + 2 * d * ffn + ffn + d + 6 * d
    outside = patch * (c["in_channels"] + c["out_channels"]) * d + d + patch * c["out_channels"] + 2 * d
    inputs = c["freq_dim"] * d + d + d * d + d + 6 * d * d + 6 * d + text * d + d + d * d + d
    # the feed-forward layer: states, its input and output and twice the widened; or the float32 norm before it
    widest = max(2 * ffn / d + 4, 11 if half else 0)
    rope = 2 * head * (2 if half else 1)
    return Transformer(layers * block + outside + inputs, length, flops, length * (widest * d + rope), batched=False)


def _convolutions(c: Mapping[str, Any], frames: int, height: int, width: int, first: bool) -> tuple[float, float, float, int]:
    """FLOPs of one chunk: of convolutions, of attention, of the last convolution; and the frames it ends with."""
    inner, widths = c["base_dim"], [c["base_dim"] * m for m in c["dim_mult"]]
    flops = 54.0 * c["in_channels"] * inner * frames * height * width
    for index, outer in enumerate(widths):
        for _ in range(c["num_res_blocks"]):
            short = 2 * inner * outer if inner != outer else 0
            flops += (54 * (inner + outer) * outer + short) * frames * height * width
            inner = outer
        if index < len(widths) - 1:
            height, width = height // 2, width // 2
            flops += 18 * outer * outer * frames * height * width
            if c["temperal_downsample"][index] and not first:  # the first frame is only kept for the next chunk
                frames = frames // 2
                flops += 6 * outer * outer * frames * height * width
    area = frames * height * width
    flops += 4 * 54 * inner * inner * area + 8 * inner * inner * area
    last = 54.0 * inner * 2 * c["z_dim"] * area
    return flops + last, 4.0 * frames * (height * width) ** 2 * inner, last, frames


def encoder(config: Mapping[str, Any], frames: int, height: int, width: int, mode: str, half: bool = True) -> Encoder:
    """Cost of Wan's video encoder for one clip. [px] It runs in float32, whatever `half` says.

    Parameters:
        config: As in its config.json; what is missing there is the class's default.
        mode: One of `common.MODES`; there is one level of chunks, so that "resnets" is the same as "blocks".
    """
    c = {**VAE, **config}
    patch, count = c["patch_size"] or 1, 1 + (frames - 1) // CHUNK
    size = height // patch, width // patch
    segment = math.ceil(math.sqrt(count)) if mode == "nested" else 1
    forward = extra = again = 0.0
    for index in range(count):
        plain, attention, last, made = _convolutions(c, 1 if index == 0 else CHUNK, *size, first=index == 0)
        forward += plain + attention + 8.0 * c["z_dim"] ** 2 * made * (size[0] >> 3) * (size[1] >> 3)
        extra += attention  # two products go back as four, all other layers as one
        if mode != "none":
            again += plain + attention - last
        if mode == "nested" and index + 1 < count and (index + 1) % segment:  # all of a segment but its last chunk
            again += plain + attention
    unit = size[0] * size[1] * c["base_dim"]
    if mode == "none":
        saved = unit * (_FRAME * frames + _FIRST)
        peak = saved + unit * _WORKING[mode]
    else:
        waiting = math.ceil(count / segment)
        saved = unit * max(_HANDED * waiting - (22.0 if segment == 1 else 14.0), 0.0)
        peak = unit * (_HANDED * (waiting + segment - 1) + _WORKING["nested" if mode == "nested" else "blocks"])
    decoder = (1.37 if patch == 1 else 3.71) * (parameters := _parameters(c))
    return Encoder(parameters, forward, forward + extra + again, saved, peak, decoder=decoder, size=4)


def _parameters(c: Mapping[str, Any]) -> int:
    inner, widths = c["base_dim"], [c["base_dim"] * m for m in c["dim_mult"]]
    total = 27 * c["in_channels"] * inner + inner
    for index, outer in enumerate(widths):
        for _ in range(c["num_res_blocks"]):
            total += 27 * (inner + outer) * outer + 2 * outer + inner + outer + ((inner + 1) * outer if inner != outer else 0)
            inner = outer
        if index < len(widths) - 1:
            total += 9 * outer * outer + outer + (3 * outer * outer + outer if c["temperal_downsample"][index] else 0)
    middle = 2 * (54 * inner * inner + 4 * inner) + inner + 3 * inner * (inner + 1) + inner * (inner + 1)
    z = 2 * c["z_dim"]
    return total + middle + inner + 27 * inner * z + z + z * z + z


def latent_size(config: Mapping[str, Mapping[str, Any]], clip: tuple[int, int, int]) -> tuple[int, int, int]:
    """Frames, height and width of the latents of a clip."""
    vae = {**VAE, **config["vae"]}
    spatial = int(vae["scale_factor_spatial"])
    return (clip[0] - 1) // int(vae["scale_factor_temporal"]) + 1, clip[1] // spatial, clip[2] // spatial
