"""LTX-Video as a text-to-video prior, run through diffusers' own networks (METHOD 5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from schemas.errors import InputError

from ..costs.ltx import CLASS, TEXT_LENGTH
from .base import PriorSpec
from .flow import FlowPrior, normalise, read_schedule
from .folder import check_parts, read_config
from .latent import check_transformer, large_spec
from .registry import MODELS
from .text_cache import TextCache
from .text_encoder import MARKED, TextEncoder, half_or_float

# frames (ours: about three seconds; the model samples five), height, width, fps
_CLIP = (73, 480, 704, 25.0)


def read_spec(folder: Path, name: str) -> PriorSpec:
    """The specification from the configuration files of a folder in diffusers format, without loading weights.

    Raises:
        MissingError: A part of the model is not there. InputError: It is not an LTX-Video model.
    """
    check_parts(folder, "LTX-Video")
    transformer, vae = read_config(folder / "transformer"), read_config(folder / "vae")
    check_transformer(folder, transformer, CLASS)
    if transformer.get("patch_size", 1) != 1 or transformer.get("patch_size_t", 1) != 1:
        raise InputError(f"{folder}: its transformer joins latent cells into patches, which no released LTX-Video does.")
    channels = int(vae.get("latent_channels", 128))
    if transformer.get("in_channels", 128) != channels:
        raise InputError(f"{folder}: its transformer takes {transformer.get('in_channels', 128)} channels, its encoder makes {channels}.")
    return make_spec(transformer, vae, name)


def make_spec(transformer: Mapping[str, Any], vae: Mapping[str, Any], name: str) -> PriorSpec:
    """The specification from the contents of the configuration files."""
    halvings = 2 ** sum(vae.get("spatio_temporal_scaling", (True, True, True, False)))
    temporal = int(vae.get("temporal_compression_ratio") or vae.get("patch_size_t", 1) * halvings)
    spatial = int(vae.get("spatial_compression_ratio") or vae.get("patch_size", 4) * halvings)
    return large_spec(name, "flow", _CLIP, (temporal, spatial), spatial, int(vae.get("latent_channels", 128)), licence(vae))


def licence(vae: Mapping[str, Any]) -> str:
    """Of the weights, by the version that the encoder's configuration shows: Lightricks' licences differ between them.

    The first two versions are for research and academic use (github.com/Lightricks/LTX-Video, issue 44); from 0.9.5 on
    others hold, each named in the model's repository.
    """
    newer = any(kind != "LTXVideoDownBlock3D" for kind in vae.get("down_block_types", ()))
    return "licence of its LTX-Video version (Lightricks)" if newer else MODELS["ltx-video"].licence


class LTXVideo(FlowPrior):
    """An LTX-Video model on one device: in bfloat16 on CUDA, as trained, in float32 on the CPU.

    Its levels are shifted by the number of tokens of a clip; here it is that of the model's own clip whatever the
    size asked for, so that u means the same noise in every run.

    Attributes:
        frame_rate: Of the clip, of which the network is told; by default the specification's. [Hz]
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "",
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        cache: TextCache | None = None,
    ) -> None:
        """Load everything but the text encoder, which runs only if a prompt is not in the cache.

        Parameters:
            folder: In diffusers format.
            name: As the user called it, by default the folder's name.
            dtype: Of all networks.
        """
        from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel

        folder, device = Path(folder), torch.device(device)
        spec = read_spec(folder, name or folder.name)
        dtype = half_or_float(device, dtype)
        loading: dict[str, Any] = {"torch_dtype": dtype, "local_files_only": True}
        transformer = LTXVideoTransformer3DModel.from_pretrained(folder, subfolder="transformer", **loading)
        vae = AutoencoderKLLTXVideo.from_pretrained(folder, subfolder="vae", **loading)
        cells = spec.spatial_stride**2
        tokens = ((spec.frames - 1) // spec.temporal_stride + 1) * (spec.height * spec.width // cells)
        text = TextEncoder(folder, TEXT_LENGTH, device, dtype, padding=MARKED)
        super().__init__(spec, read_schedule(folder, tokens), transformer, vae, text, cache)
        self.frame_rate = spec.fps
        self.set_checkpointing("resnets")

    def _latent(self, pixels: torch.Tensor) -> torch.Tensor:
        mean = self.vae.encode(pixels).latent_dist.mean
        return normalise(mean, self.vae.latents_mean, self.vae.latents_std) * float(self.vae.config.scaling_factor)

    def _predict(self, noisy: torch.Tensor, time: float, text: torch.Tensor) -> torch.Tensor:
        frames, height, width = noisy.shape[2:]
        stride = float(self.spec.spatial_stride)
        tokens: Any = self.transformer(
            hidden_states=noisy.flatten(2).mT.to(self.dtype),
            encoder_hidden_states=text[..., :-1],
            timestep=self._times(noisy, time),
            encoder_attention_mask=text[..., -1],
            num_frames=frames,
            height=height,
            width=width,
            rope_interpolation_scale=(self.spec.temporal_stride / self.frame_rate, stride, stride),
            return_dict=False,
        )
        return tokens[0].float().mT.unflatten(2, (frames, height, width))
