"""Wan2.1 1.3B and 14B, and Wan2.2 TI2V-5B as text-to-video priors, run through diffusers' own networks (METHOD 5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from schemas.errors import InputError

from ..costs.wan import CLASS, TEXT_LENGTH
from .base import PriorSpec
from .flow import FlowPrior, normalise, read_schedule
from .folder import check_parts, read_config
from .latent import check_channels, check_transformer, large_spec
from .text_cache import TextCache
from .text_encoder import ZEROED, TextEncoder, half_or_float
from .wan_vae import CHUNKS, NONE, SEGMENTS, encode_mean

# modes as distill names them: there is one level of chunks to compute again, or segments of them in addition
CHECKPOINTING = {"none": NONE, "resnets": CHUNKS, "blocks": CHUNKS, "nested": SEGMENTS}
# frames (ours: about three seconds, in which an animal makes some strides; the models sample five), height, width, fps
_SMALL_CELLS = (49, 480, 832, 16.0)  # Wan2.1, 8 pixels per latent cell
_LARGE_CELLS = (73, 704, 1280, 24.0)  # Wan2.2 TI2V-5B, 16 pixels


def read_spec(folder: Path, name: str) -> PriorSpec:
    """The specification from the configuration files of a folder in diffusers format, without loading weights.

    Raises:
        MissingError: A part of the model is not there. InputError: It is not a Wan text-to-video model of one transformer.
    """
    check_parts(folder, "Wan")
    index, transformer, vae = read_config(folder, "model_index.json"), read_config(folder / "transformer"), read_config(folder / "vae")
    check_transformer(folder, transformer, CLASS)
    if index.get("boundary_ratio") is not None or (index.get("transformer_2") or [None])[0] is not None:
        raise InputError(f"{folder}: has a second transformer for low noise levels (Wan2.2 A14B);", "use Wan2.1 or Wan2.2 TI2V-5B.")
    # what a configuration does not name has the value of Wan2.1, whose files are older than some of the names
    check_channels(folder, transformer.get("in_channels", 16), int(vae.get("z_dim", 16)))
    return make_spec(transformer, vae, name)


def make_spec(transformer: Mapping[str, Any], vae: Mapping[str, Any], name: str) -> PriorSpec:
    """The specification from the contents of the configuration files."""
    temporal, spatial = int(vae.get("scale_factor_temporal", 4)), int(vae.get("scale_factor_spatial", 8))
    clip = _LARGE_CELLS if spatial >= 16 else _SMALL_CELLS
    multiple = spatial * int(transformer.get("patch_size", (1, 2, 2))[-1])
    return large_spec(name, "flow", clip, (temporal, spatial), multiple, int(vae.get("z_dim", 16)), "Apache-2.0")


class Wan(FlowPrior):
    """A Wan text-to-video model on one device.

    The encoder runs in float32, as its authors advise. The transformer runs in bfloat16 on CUDA with its norms, time
    embedding and modulation tables in float32, which the library sees to when it loads it; in float32 on the CPU.

    TI2V-5B can take one noise level per token, for a first frame that is given. None is given here: all levels are the
    same, and the network is told it once, which gives the same numbers without a time embedding per token.

    Attributes:
        checkpointing: Of the encoder, see `wan_vae.MODES`.
    """

    batched = False

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "",
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        checkpointing: str = CHUNKS,
        cache: TextCache | None = None,
    ) -> None:
        """Load everything but the text encoder, which runs only if a prompt is not in the cache.

        Parameters:
            folder: In diffusers format.
            name: As the user called it, by default the folder's name.
            dtype: Of the transformer and the text encoder.
        """
        from diffusers import AutoencoderKLWan, WanTransformer3DModel

        folder, device = Path(folder), torch.device(device)
        spec = read_spec(folder, name or folder.name)
        dtype = half_or_float(device, dtype)
        transformer = WanTransformer3DModel.from_pretrained(folder, subfolder="transformer", torch_dtype=dtype, local_files_only=True)
        vae = AutoencoderKLWan.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32, local_files_only=True)
        text = TextEncoder(folder, TEXT_LENGTH, device, dtype, padding=ZEROED, clean=True)
        super().__init__(spec, read_schedule(folder, _tokens(spec)), transformer, vae, text, cache)
        self.checkpointing = checkpointing

    def set_checkpointing(self, mode: str) -> None:
        """What of the encoder the backward pass computes again, see `CHECKPOINTING`."""
        if self.tiny is not None:
            super().set_checkpointing(mode)
        self.checkpointing = CHECKPOINTING[mode]

    def _latent(self, pixels: torch.Tensor) -> torch.Tensor:
        return normalise(encode_mean(self.vae, pixels, self.checkpointing), self.vae.config.latents_mean, self.vae.config.latents_std)

    def _predict(self, noisy: torch.Tensor, time: float, text: torch.Tensor) -> torch.Tensor:
        result: Any = self.transformer(noisy.to(self.dtype), self._times(noisy, time), text, return_dict=False)
        return result[0].float()


def _tokens(spec: PriorSpec) -> int:
    frames = (spec.frames - 1) // spec.temporal_stride + 1
    return frames * (spec.height // spec.size_multiple) * (spec.width // spec.size_multiple)
