"""What one iteration of distillation costs, computed from a model's configuration: FLOPs, parameters and memory.

Closed forms, light and independent of diffusers' networks: the tests count the networks themselves. One FLOP is one
addition or multiplication in a convolution or a matrix product, as torch's FlopCounterMode counts; norms, activations
and interpolation are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from schemas.errors import InputError

from . import cogvideox, ltx, tiny, wan
from .common import MODES, RESERVE, Encoder, Memory, Transformer, memory

__all__ = [
    "CONFIGS", "MODES", "RESERVE", "Encoder", "Memory", "Transformer",
    "channels", "choices", "choose", "cogvideox", "encoder", "family", "latent_size", "ltx", "memory", "need", "tiny", "transformer", "wan",
]  # fmt: skip

CONFIGS: dict[str, dict[str, dict[str, Any]]] = {**cogvideox.CONFIGS, **wan.CONFIGS, **ltx.CONFIGS}
"""Configurations of the published models ("transformer" and "vae"), so that a run can be planned before the download."""

_FAMILIES: dict[str, ModuleType] = {module.CLASS: module for module in (cogvideox, wan, ltx)}
Config = Mapping[str, Mapping[str, Any]]


def family(config: Config) -> ModuleType:
    """The cost model of a configuration.

    Raises:
        InputError: There is none.
    """
    name = str(config["transformer"].get("_class_name", ""))
    if name not in _FAMILIES:
        raise InputError(f"--dry-run: there is no cost model for {name or 'a model without a class'};", f"it knows embedded, ideal, {', '.join(CONFIGS)}.")
    return _FAMILIES[name]


def latent_size(config: Config, clip: tuple[int, int, int]) -> tuple[int, int, int]:
    """Frames, height and width of the latents of a clip of so many frames, rows and columns."""
    return family(config).latent_size(config, clip)


def transformer(config: Config, clip: tuple[int, int, int], kind: str) -> Transformer:
    """Cost of one pass of the transformer over a clip, in the precision it has on "cuda" or "cpu"."""
    return family(config).transformer(config["transformer"], *latent_size(config, clip), kind == "cuda")


def encoder(config: Config, clip: tuple[int, int, int], mode: str, kind: str, *, small: bool = False) -> Encoder:
    """Cost of encoding a clip and going back.

    Parameters:
        mode: One of `MODES`.
        small: With the tiny encoder made for the model instead of its own.
    """
    if small:
        return tiny.encoder(channels(config), *clip, mode, patch=int(config["vae"].get("patch_size") or 1))
    return family(config).encoder(config["vae"], *clip, mode, kind == "cuda")


def channels(config: Config) -> int:
    """Of the latents."""
    vae = {**family(config).VAE, **config["vae"]}
    return int(vae["z_dim"] if "z_dim" in vae else vae["latent_channels"])


def choices(config: Config, *, small: bool = False) -> tuple[str, ...]:
    """Modes of encoder checkpointing that a run chooses from by itself, fastest first."""
    return tiny.CHOICES if small else family(config).CHOICES


def need(config: Config, clip: tuple[int, int, int, int], mode: str, *, guided: bool, offload: bool, kind: str, small: bool = False) -> Memory:
    """Memory of an iteration with a model.

    Parameters:
        config: "transformer" and "vae" as in `CONFIGS`.
        clip: Views, frames, height, width.
        guided, offload, kind: See `memory`.
        mode, small: See `encoder`.
    """
    codec = encoder(config, clip[1:], mode, kind, small=small)
    return memory(transformer(config, clip[1:], kind), codec, clip, guided=guided, offload=offload, kind=kind)


def choose(
    config: Config, clip: tuple[int, int, int, int], *, guided: bool, offload: bool, kind: str, free: float, mode: str = "auto", small: bool = False
) -> str:
    """The fastest of `choices` that fits into `free` bytes, the smallest if none does; `mode` itself unless it is "auto"."""
    if mode != "auto":
        return mode
    known = choices(config, small=small)
    for one in known:
        if need(config, clip, one, guided=guided, offload=offload, kind=kind, small=small).total <= free:
            return one
    return known[-1]
