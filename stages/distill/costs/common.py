"""What the cost models of all families share: the shapes of their answers, and how they add up to an iteration's memory."""

from __future__ import annotations

import dataclasses

from ..params import CHECKPOINTING

MODES = CHECKPOINTING
"""What of the video encoder is computed twice to save memory, from fast to small: nothing, the inside of each residual
block, the inside of each resolution level, or both within each other (which is what diffusers calls gradient checkpointing)."""

RESERVE = {"cuda": 1.5e9, "cpu": 0.7e9}  # ours: context, libraries, their work space, and blocks that fit nothing. [bytes]
_FRAMES = 6  # clips in float32 that rendering, compositing and their gradients hold


@dataclasses.dataclass(frozen=True)
class Transformer:
    """One forward pass of a video transformer over one clip.

    Attributes:
        parameters: Of the network.
        tokens: Of one pass; CogVideoX joins those of the text to those of the video.
        flops: [FLOP]
        activations: Largest sum of values alive at once without gradient, weights not counted; float32 counts twice in half precision.
        batched: Whether both predictions of the guidance run in one batch, which holds twice the activations.
    """

    parameters: int
    tokens: int
    flops: float
    activations: float
    batched: bool = True


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Encoding one clip and going back through the encoder, weights frozen.

    Attributes:
        parameters: Of the encoder.
        forward, backward: [FLOP]; backward holds what is computed again.
        saved: Values kept from forward to backward.
        peak: Largest sum of values alive at once.
        decoder: Parameters that come with it and are of no use here; they stay in the host's memory.
        size: Bytes per value where it is not the transformer's precision, else 0.
    """

    parameters: int
    forward: float
    backward: float
    saved: float
    peak: float
    decoder: float = 0.0
    size: int = 0


@dataclasses.dataclass(frozen=True)
class Memory:
    """Of one iteration on one device. [bytes]

    Attributes:
        weights: Of transformer and encoder, those that are on the device at the peak.
        encode: Peak while going back through the encoder.
        prior: Peak while the transformer runs, with the encoder's graph waiting.
        total: The larger of both, with the frames themselves and a reserve for what the sum cannot see.
    """

    weights: float
    encode: float
    prior: float
    total: float


def memory(network: Transformer, codec: Encoder, clip: tuple[int, int, int, int], *, guided: bool, offload: bool, kind: str) -> Memory:
    """Memory of an iteration.

    Parameters:
        clip: Views, frames, height, width.
        guided: Whether the transformer is asked twice about a clip, with the prompt and without.
        offload: Whether the transformer's weights are on the device only while it runs.
        kind: "cuda" (half precision) or "cpu" (float32).
    """
    views, frames, height, width = clip
    value = 2 if kind == "cuda" else 4
    size = codec.size or value
    decoder = 0 if kind == "cuda" else codec.decoder
    inner, always = value * network.parameters, size * (codec.parameters + decoder)
    encode = always + size * ((views - 1) * codec.saved + codec.peak)
    prior = always + size * views * codec.saved + value * (2 if guided and network.batched else 1) * network.activations
    if offload and kind == "cuda":
        prior += inner
    else:
        encode, prior = encode + inner, prior + inner
    pixels = 4 * _FRAMES * 3 * views * frames * height * width
    return Memory(inner + always, encode, prior, max(encode, prior) + pixels + RESERVE[kind])
