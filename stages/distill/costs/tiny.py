"""Costs of the tiny video encoders of priors/taehv.py: closed forms of their layers."""

from __future__ import annotations

import math

from .common import Encoder

WIDTH = 64  # channels of every layer
BLOCKS = 3  # after each of the three halvings
CHOICES = ("none", "nested")
_POOLS = (2, 2, 1)  # frames that become one at each halving


def encoder(channels: int, frames: int, height: int, width: int, mode: str, patch: int = 1) -> Encoder:
    """Cost of a tiny encoder for one clip. [px]

    Parameters:
        channels: Of the latents.
        mode: "none" keeps everything; any other computes every block twice.
        patch: Pixels in a row that are joined into one cell at the start.
    """
    cells, w = height * width // patch**2, WIDTH
    frames += -frames % math.prod(_POOLS)
    pixels, first = 3 * patch**2, frames * cells
    forward, again, parameters = 18.0 * pixels * w * first, 0.0, 9 * pixels * w + w
    kept, inside, entries, value = 2.0 * pixels * first, 0.0, 0.0, 0.0
    for level, pool in enumerate(_POOLS):
        join = 2.0 * pool * w * w * frames // pool * cells
        frames //= pool
        pooled = w * frames * cells
        cells //= 4
        value = w * frames * cells
        block = 18.0 * 4 * w * w * frames * cells
        if level == 0:  # computed again with the layer before
            again += forward + join
            inside += w * first + pooled
        else:
            kept += pooled
        forward += join + 18.0 * w * w * frames * cells + BLOCKS * block
        again += BLOCKS * block
        kept += BLOCKS * value  # of each block what the next one takes
        inside += 4 * BLOCKS * value
        entries += value
        parameters += pool * w * w + 9 * w * w + BLOCKS * (36 * w * w + 3 * w)
    forward += 18.0 * w * channels * frames * cells
    parameters += 9 * w * channels + channels
    if mode == "none":
        saved = kept + inside
        return Encoder(parameters, forward, forward, saved, saved + 3 * value + (pixels * first if patch > 1 else 0))
    saved = kept + entries
    return Encoder(parameters, forward, forward + again, saved, max(saved, 3 * w * first + 2 * pixels * first))
