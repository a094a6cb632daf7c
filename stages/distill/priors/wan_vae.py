"""Wan's video encoder with gradient checkpointing, which the library's own refuses.

The encoder goes through a clip in chunks of 1, 4, 4, ... frames and hands the last frames that each convolution saw
on to the next chunk, in a list that it writes into. A checkpoint around it would replay a chunk with what a later one
left in that list. Here what is handed on is an argument and a result of each chunk, so that a replay sees what the
first pass saw: the gradient is the same bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

NONE, CHUNKS, SEGMENTS = "none", "chunks", "segments"
MODES = (NONE, CHUNKS, SEGMENTS)
CHUNK = 4  # frames per latent frame after the first, as the encoder itself has it

Memory = tuple[torch.Tensor | None, ...]


def encode_mean(vae: Any, pixels: torch.Tensor, mode: str = CHUNKS) -> torch.Tensor:
    """Mean of the posterior of an AutoencoderKLWan, as `vae.encode(pixels).latent_dist.mean`. [(B, 3, F, H, W) -> (B, C, F', h, w)]

    Parameters:
        mode: What the backward pass finds stored. "none": everything. "chunks": what chunks hand on, and of one chunk
            everything; one more forward pass. "segments": the same for runs of about sqrt(F') chunks, and within one of
            them; two more forward passes.
    """
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, patchify

    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is not one of {', '.join(MODES)}")
    if vae.config.patch_size is not None:
        pixels = patchify(pixels, vae.config.patch_size)
    chunks = [pixels[:, :, :1], *(pixels[:, :, 1:].split(CHUNK, 2) if pixels.shape[2] > 1 else ())]
    memory: Memory = (None,) * sum(isinstance(layer, WanCausalConv3d) for layer in vae.encoder.modules())

    def step(chunk: torch.Tensor, *memory: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        slots = list(memory)
        return vae.encoder(chunk, feat_cache=slots, feat_idx=[0]), *slots

    size = math.ceil(math.sqrt(len(chunks))) if mode == SEGMENTS else len(chunks)
    latents = []
    for start in range(0, len(chunks), size):
        part = chunks[start : start + size]
        if mode == SEGMENTS:
            latent, *memory = _keep_inputs(lambda *given: _run(step, given[:size], given[size:], True), *_padded(part, size), *memory)
        else:
            latent, *memory = _run(step, part, memory, mode == CHUNKS)
        latents.append(latent)
    return vae.quant_conv(torch.cat(latents, 2)).chunk(2, 1)[0]


def _run(step: Callable[..., Any], chunks: Sequence[torch.Tensor | None], memory: Sequence[torch.Tensor | None], keep_inputs: bool) -> Any:
    """Encode chunks one after the other; their latents joined, then what the last one hands on."""
    latents = []
    for chunk in chunks:
        if chunk is not None:
            latent, *memory = _keep_inputs(step, chunk, *memory) if keep_inputs else step(chunk, *memory)
            latents.append(latent)
    return torch.cat(latents, 2), *memory


def _padded(chunks: Sequence[torch.Tensor], size: int) -> list[torch.Tensor | None]:
    return [*chunks, *[None] * (size - len(chunks))]


def _keep_inputs(function: Callable[..., Any], *inputs: Any) -> Any:
    """Checkpoint: store only the inputs and compute the rest again in the backward pass. No network here draws random numbers."""
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
