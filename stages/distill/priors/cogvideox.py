"""CogVideoX 2B, 5B and 1.5-5B as priors: the paper's model, run through diffusers' own networks (METHOD 5)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from schemas.errors import InputError

from .. import costs
from ..score import clean_estimate, guide
from .base import PriorSpec, TextCondition
from .folder import check_parts, read_config
from .offload import Offload
from .text_cache import TextCache
from .text_encoder import TextEncoder

_PREDICTION = {"v_prediction": "v", "epsilon": "epsilon"}
# beyond `params.FALLBACK`; ours, and never tried with the real weights: low-frequency modes, as everywhere here
DEFAULTS: dict[str, Any] = {"modes": 16, "unfold": 0.3}


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
    if transformer.get("_class_name") != "CogVideoXTransformer3DModel":
        raise InputError(f"{folder}: its transformer is {transformer.get('_class_name')}, CogVideoXTransformer3DModel is needed.")
    if transformer["in_channels"] != vae["latent_channels"]:
        raise InputError(f"{folder}: is an image-to-video model (it takes {transformer['in_channels']} latent channels);", "use the text-to-video one.")
    if scheduler["prediction_type"] not in _PREDICTION:
        raise InputError(f"{folder}: its prediction type '{scheduler['prediction_type']}' is not v_prediction or epsilon.")
    return make_spec(transformer, vae, scheduler["prediction_type"], name)


def make_spec(transformer: Mapping[str, Any], vae: Mapping[str, Any], prediction: str, name: str) -> PriorSpec:
    """The specification from the contents of the configuration files; KeyError where one lacks something."""
    strides = 2 ** (len(vae["block_out_channels"]) - 1)
    temporal = int(vae["temporal_compression_ratio"])
    newer = transformer.get("patch_size_t") is not None
    # the 1.5 configuration holds the largest grid it was trained on, not the size it is meant for
    height, width = (768, 1360) if newer and transformer["sample_height"] == transformer["sample_width"] else (None, None)
    return PriorSpec(
        name=name,
        prediction=_PREDICTION[prediction],
        frames=int(transformer["sample_frames"]),
        height=height or int(transformer["sample_height"]) * strides,
        width=width or int(transformer["sample_width"]) * strides,
        fps=16.0 if newer else 8.0,
        frame_rule=f"{temporal}k+1",
        size_multiple=strides * int(transformer["patch_size"]),
        temporal_stride=temporal,
        spatial_stride=strides,
        latent_channels=int(vae["latent_channels"]),
        look="natural",
        licence="Apache-2.0" if not transformer.get("use_rotary_positional_embeddings") else "CogVideoX licence",
        max_time=0.98,  # the last steps have zero signal: alpha(0.999) = 0
        defaults=DEFAULTS,
    )


class CogVideoX:
    """A CogVideoX text-to-video model on one device.

    Latents are [(B, F', C, h, w), float32] with F' = (F - 1) / 4 + 1 latent frames, for version 1.5 padded in front
    to an even number by copies of the first, as its training does.

    Attributes:
        spec: From the model's own configuration.
        diagnostics: "guidance_rms" of the last prediction.
        offloaded: The transformer's weights in the host's memory, if they are.
    """

    def __init__(self, folder: Path, *, name: str = "", device: torch.device | str = "cpu", cache: TextCache | None = None) -> None:
        """Load everything but the text encoder, which runs only if a prompt is not in the cache.

        Parameters:
            folder: In diffusers format.
            name: As the user called it, by default the folder's name.
            device: The networks run in their own half precision on CUDA, in float32 on the CPU.
        """
        from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel

        self.folder, self.device = Path(folder), torch.device(device)
        self.spec = read_spec(self.folder, name or self.folder.name)
        self.dtype = torch.float32 if self.device.type == "cpu" else self._half()
        loading = {"torch_dtype": self.dtype, "local_files_only": True}
        self.transformer = CogVideoXTransformer3DModel.from_pretrained(self.folder, subfolder="transformer", **loading)
        self.vae = AutoencoderKLCogVideoX.from_pretrained(self.folder, subfolder="vae", **loading)
        self.scheduler = CogVideoXDDIMScheduler.from_pretrained(self.folder, subfolder="scheduler", local_files_only=True)
        for network in (self.transformer, self.vae):
            network.to(self.device).eval().requires_grad_(False)
        if self.device.type == "cuda":
            self.vae.decoder.to("cpu")  # distillation only encodes
        self.set_checkpointing("resnets")
        self.offloaded: Offload | None = None
        self.alphas_cumprod = self.scheduler.alphas_cumprod.double()
        self.text = TextEncoder(self.folder, int(self.transformer.config.max_text_seq_length), self.device, self.dtype)
        self.cache = cache
        self.diagnostics: dict[str, float] = {}

    def prepare(self, settings: Any) -> str:
        """Choose how memory is saved for the clips of a run. Neither choice changes a number.

        Parameters:
            settings: Resolved distill parameters; of those `checkpointing` (one of `costs.MODES`, or "auto" for the
                fastest that fits into the memory that is free) and `offload` (keep the transformer's weights in the
                host's memory, on CUDA alone).

        Returns:
            A note for the user.
        """
        from ..plan import free_memory

        kind, vae = self.device.type, dict(self.vae.config)
        clip, guided = (settings.views, settings.frames, settings.height, settings.width), settings.guidance_scale != 1
        if settings.offload and kind == "cuda" and self.offloaded is None:
            self.offloaded = Offload(self.transformer, self.device)
        resident = sum(p.numel() * p.element_size() for part in (self.transformer, self.vae) for p in part.parameters() if p.device.type == kind)
        config = {"transformer": dict(self.transformer.config), "vae": vae}
        free = free_memory(kind) + resident
        mode = costs.choose(config, clip, guided=guided, offload=self.offloaded is not None, kind=kind, free=free, mode=settings.checkpointing)
        self.set_checkpointing(mode)
        network = costs.transformer(config["transformer"], *costs.latent_size(vae, clip[1:]))
        need = costs.memory(network, costs.encoder(vae, *clip[1:], mode), clip, guided=guided, offload=self.offloaded is not None, kind=kind)
        offloaded = ", transformer offloaded" if self.offloaded else ""
        return f"encoder checkpointing: {mode}{offloaded}; about {need.total / 1e9:.1f} of {free / 1e9:.1f} GB, computed"

    def set_checkpointing(self, mode: str) -> None:
        """What of the encoder the backward pass computes again, one of `costs.MODES`; "nested" is the library's own."""
        self.vae.enable_gradient_checkpointing()
        encoder = self.vae.encoder
        encoder.gradient_checkpointing = mode in ("blocks", "nested")
        for block in (*encoder.down_blocks, encoder.mid_block):
            block.gradient_checkpointing = mode in ("resnets", "nested")

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> TextCondition:
        """T5 embeddings, padded to the model's length, from the cache where possible. [(1, 226, 4096)]

        `facing` is not told to the model: it sees it in the image.
        """
        return TextCondition(*self.text.cached(self.cache, prompt, negative))

    def encode_video(self, video: torch.Tensor, image: torch.Tensor | None = None) -> torch.Tensor:
        """Mean of the encoder's posterior times the scaling factor. [(B, F, H, W, 3) in 0..1 -> (B, F', C, h, w), float32]

        One clip at a time to bound memory. Never tiled: tiles give a different gradient.
        """
        self.spec.check_clip(*video.shape[1:4])
        return torch.cat([self._encode_clip(clip) for clip in video.split(1)])

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """Square roots of abar and 1 - abar at the nearest trained step, in float64."""
        abar = float(self.alphas_cumprod[self._step(u)])
        return math.sqrt(abar), math.sqrt(1 - abar)

    @torch.no_grad()
    def predict_x0(self, noisy: torch.Tensor, u: float, text: TextCondition, guidance_scale: float) -> torch.Tensor:
        """Equation (6) with classifier-free guidance, in float32. [(B, F', C, h, w)]"""
        alpha, sigma = self.alpha_sigma(u)
        squares, clean = [], []
        with self.offloaded.inside() if self.offloaded else nullcontext():
            for index in range(len(noisy)):
                positive, negative = (t[min(index, len(t) - 1)][None] for t in (text.positive, text.negative))
                prediction, rms = self._guided(noisy[index : index + 1], self._step(u), negative, positive, guidance_scale)
                clean.append(clean_estimate(self.spec.prediction, noisy[index : index + 1], prediction, alpha, sigma))
                squares.append(rms * rms)
        self.diagnostics["guidance_rms"] = math.sqrt(sum(squares) / len(squares))
        return torch.cat(clean)

    def _guided(self, noisy: torch.Tensor, step: int, negative: torch.Tensor, positive: torch.Tensor, scale: float) -> tuple[torch.Tensor, float]:
        if scale == 1:
            return self._network(noisy, step, positive), math.nan
        both = self._network(torch.cat([noisy, noisy]), step, torch.cat([negative, positive]))  # this order is the pipeline's
        return guide(*both.chunk(2), scale)

    def _network(self, noisy: torch.Tensor, step: int, text: torch.Tensor) -> torch.Tensor:
        time = torch.full((len(noisy),), step, device=self.device, dtype=torch.long)
        rotary = self._rotary(*noisy.shape[-2:], noisy.shape[1])
        return self.transformer(noisy.to(self.dtype), text, time, image_rotary_emb=rotary, return_dict=False)[0].float()

    def _encode_clip(self, clip: torch.Tensor) -> torch.Tensor:
        pixels = (2 * clip - 1).permute(0, 4, 1, 2, 3).to(self.device, self.dtype)  # [1, 3, F, H, W]
        mean = self.vae.encode(pixels).latent_dist.mean
        latent = mean.float().permute(0, 2, 1, 3, 4) * float(self.vae.config.scaling_factor)
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

    def _step(self, u: float) -> int:
        count = len(self.alphas_cumprod)
        return min(max(round(u * count), 0), int(self.spec.max_time * count))

    def _half(self) -> torch.dtype:
        # 2B was trained in float16, the rotary 5B models in bfloat16; the other one overflows or loses the guidance
        return torch.bfloat16 if read_config(self.folder / "transformer").get("use_rotary_positional_embeddings") else torch.float16
