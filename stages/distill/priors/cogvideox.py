"""CogVideoX 2B, 5B and 1.5-5B as priors: the paper's model, run through diffusers' own networks (METHOD 5)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from schemas.errors import InputError

from ..costs.cogvideox import CLASS
from .base import PriorSpec
from .folder import check_parts, read_config
from .latent import LatentPrior, check_channels, check_transformer, large_spec
from .text_cache import TextCache
from .text_encoder import TextEncoder, half_or_float

_PREDICTION = {"v_prediction": "v", "epsilon": "epsilon"}


def read_spec(folder: Path, name: str) -> PriorSpec:
    """The specification from the configuration files of a folder in diffusers format, without loading weights.

    Raises:
        MissingError: A part of the model is not there. InputError: It is not a CogVideoX text-to-video model.
    """
    check_parts(folder, "CogVideoX")
    try:
        return _spec(folder, name)
    except KeyError as error:
        raise InputError(f"{folder}: its configuration has no {error};", "give a CogVideoX text-to-video model saved by diffusers.") from error


def _spec(folder: Path, name: str) -> PriorSpec:
    transformer, vae = read_config(folder / "transformer"), read_config(folder / "vae")
    scheduler = read_config(folder / "scheduler", "scheduler_config.json")
    check_transformer(folder, transformer, CLASS)
    check_channels(folder, transformer["in_channels"], vae["latent_channels"])
    if scheduler["prediction_type"] not in _PREDICTION:
        raise InputError(f"{folder}: its prediction type '{scheduler['prediction_type']}' is not v_prediction or epsilon.")
    return make_spec(transformer, vae, name, scheduler["prediction_type"])


def make_spec(transformer: Mapping[str, Any], vae: Mapping[str, Any], name: str, prediction: str = "v_prediction") -> PriorSpec:
    """The specification from the contents of the configuration files; KeyError where one lacks something."""
    stride = 2 ** (len(vae["block_out_channels"]) - 1)
    newer = transformer.get("patch_size_t") is not None
    # the 1.5 configuration holds the largest grid it was trained on, not the size it is meant for
    grid = newer and transformer["sample_height"] == transformer["sample_width"]
    size = (768, 1360) if grid else (int(transformer["sample_height"]) * stride, int(transformer["sample_width"]) * stride)
    clip = int(transformer["sample_frames"]), *size, 16.0 if newer else 8.0
    strides = int(vae["temporal_compression_ratio"]), stride
    licence = "CogVideoX licence" if transformer.get("use_rotary_positional_embeddings") else "Apache-2.0"
    return large_spec(name, _PREDICTION[prediction], clip, strides, stride * int(transformer["patch_size"]), int(vae["latent_channels"]), licence)


class CogVideoX(LatentPrior):
    """A CogVideoX text-to-video model on one device.

    Latents are [(B, F', C, h, w), float32] with F' = (F - 1) / 4 + 1 latent frames, for version 1.5 padded in front
    to an even number by copies of the first, as its training does.
    """

    tiny_front = True

    def __init__(self, folder: Path, *, name: str = "", device: torch.device | str = "cpu", cache: TextCache | None = None) -> None:
        """Load everything but the text encoder, which runs only if a prompt is not in the cache.

        Parameters:
            folder: In diffusers format.
            name: As the user called it, by default the folder's name.
            device: The networks run in their own half precision on CUDA, in float32 on the CPU.
        """
        from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel

        folder, device = Path(folder), torch.device(device)
        spec = read_spec(folder, name or folder.name)
        config = read_config(folder / "transformer")
        # 2B was trained in float16, the rotary 5B models in bfloat16; the other one overflows or loses the guidance
        dtype = half_or_float(device, None if device.type == "cpu" or config.get("use_rotary_positional_embeddings") else torch.float16)
        loading = {"torch_dtype": dtype, "local_files_only": True}
        transformer = CogVideoXTransformer3DModel.from_pretrained(folder, subfolder="transformer", **loading)
        vae = AutoencoderKLCogVideoX.from_pretrained(folder, subfolder="vae", **loading)
        self.scheduler = CogVideoXDDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True)
        self.alphas_cumprod = self.scheduler.alphas_cumprod.double()
        super().__init__(spec, transformer, vae, TextEncoder(folder, int(transformer.config.max_text_seq_length), device, dtype), cache)
        self.set_checkpointing("resnets")

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """Square roots of abar and 1 - abar at the nearest trained step, in float64."""
        abar = float(self.alphas_cumprod[int(self._time(u))])
        return math.sqrt(abar), math.sqrt(1 - abar)

    def _predict(self, noisy: torch.Tensor, time: float, text: torch.Tensor) -> torch.Tensor:
        step = torch.full((len(noisy),), int(time), device=self.device, dtype=torch.long)
        rotary = self._rotary(*noisy.shape[-2:], noisy.shape[1])
        return self.transformer(noisy.to(self.dtype), text, step, image_rotary_emb=rotary, return_dict=False)[0].float()

    def _latent(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._finish(self.vae.encode(pixels).latent_dist.mean.float().permute(0, 2, 1, 3, 4))

    def _finish(self, latent: torch.Tensor) -> torch.Tensor:
        """Scaled, and padded to whole patches of time. [(1, F', C, h, w)]"""
        latent = latent * float(self.vae.config.scaling_factor)
        patch = self.transformer.config.patch_size_t
        lack = -latent.shape[1] % patch if patch else 0
        return torch.cat([latent[:, :1].expand(-1, lack, -1, -1, -1), latent], 1) if lack else latent

    def _rotary(self, height: int, width: int, frames: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Rotary embeddings of the latent grid for the 5B models; None for 2B, which has sine positions of its own."""
        from diffusers.models.embeddings import get_3d_rotary_pos_embed
        from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

        config = self.transformer.config
        if not config.use_rotary_positional_embeddings:
            return None
        grid = (height // config.patch_size, width // config.patch_size)
        base = (config.sample_height // config.patch_size, config.sample_width // config.patch_size)
        common = {"embed_dim": config.attention_head_dim, "grid_size": grid, "device": self.device}
        if config.patch_size_t is None:
            crop = get_resize_crop_region_for_grid(grid, base[1], base[0])
            return get_3d_rotary_pos_embed(crops_coords=crop, temporal_size=frames, **common)
        steps = (frames + config.patch_size_t - 1) // config.patch_size_t
        return get_3d_rotary_pos_embed(crops_coords=None, temporal_size=steps, grid_type="slice", max_size=base, **common)

    def _time(self, u: float) -> float:
        """The nearest trained step."""
        count = len(self.alphas_cumprod)
        return min(max(round(u * count), 0), int(self.spec.max_time * count))
