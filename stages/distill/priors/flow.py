"""Flow matching models as priors: what Wan and LTX-Video have in common (METHOD 5).

z_u = (1 - sigma) z + sigma eps, the network predicts v = eps - z, hence z0_hat = z_u - sigma v. The networks are told
1000 sigma. Schedulers shift the levels towards noise for large clips; u counts before the shift, as the steps of a
sampler do: u = 0.5 is the middle of sampling, as it is for the diffusion models.
"""

from __future__ import annotations

import dataclasses
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from schemas.errors import InputError

from ..score import clean_estimate, guide
from .base import PriorSpec, TextCondition
from .folder import read_config
from .offload import Offload
from .text_cache import TextCache
from .text_encoder import TextEncoder

# beyond `params.FALLBACK`; ours, and never tried with the real weights: low-frequency modes, as everywhere here
DEFAULTS: dict[str, Any] = {"modes": 16, "unfold": 0.3}
# beside weights and the encoder's graph: activations of the transformer, context, work space; ours, generous. [bytes]
RESERVE = 4e9


@dataclasses.dataclass(frozen=True)
class FlowSchedule:
    """Noise levels of a flow matching model.

    Attributes:
        shift: sigma / (1 - sigma) is this times u / (1 - u).
        steps: What the network takes as time is sigma times this.
        max_time: u is cut here.
    """

    shift: float = 1.0
    steps: int = 1000
    max_time: float = 0.98

    def sigma(self, u: float) -> float:
        """Noise level at u in [0, 1], in float64."""
        u = min(max(float(u), 0.0), self.max_time)
        return self.shift * u / (1 + (self.shift - 1) * u)


def read_schedule(folder: Path, tokens: int) -> FlowSchedule:
    """The schedule of a model folder.

    Parameters:
        tokens: Latent cells of the model's own clip, by which some schedulers choose the shift.

    Raises:
        InputError: Its scheduler is not one of flow matching.
    """
    config = read_config(folder / "scheduler", "scheduler_config.json")
    name = config.get("_class_name", "its scheduler")
    if name == "FlowMatchEulerDiscreteScheduler":
        shift = _dynamic_shift(config, tokens) if config.get("use_dynamic_shifting") else float(config.get("shift", 1.0))
    elif config.get("use_flow_sigmas") and config.get("prediction_type") == "flow_prediction":
        shift = float(config.get("flow_shift", 1.0))  # UniPC and other solvers set up for flow matching
    else:
        raise InputError(f"{folder}: {name} with prediction type '{config.get('prediction_type')}' is no flow matching scheduler.")
    if config.get("invert_sigmas"):
        raise InputError(f"{folder}: {name} with invert_sigmas counts time backwards, which no model here was trained with.")
    return FlowSchedule(shift, int(config.get("num_train_timesteps", 1000)))


def _dynamic_shift(config: dict[str, Any], tokens: int) -> float:
    """The shift that grows with the number of tokens, as the LTX pipeline and its scheduler compute it."""
    first, last = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    mu = low + (high - low) * (tokens - first) / (last - first)
    return math.exp(mu) if config.get("time_shift_type", "exponential") == "exponential" else mu


class FlowPrior:
    """Base of the flow matching priors; a model adds `_latent`, `_velocity`, `set_checkpointing` and `encoder_bytes`.

    Latents are [(B, C, F', h, w), float32].

    Attributes:
        spec: From the model's own configuration.
        schedule: Its noise levels.
        diagnostics: "guidance_rms" of the last prediction.
        batched: Whether the pipeline asks for both predictions of the guidance in one batch.
        choices: Modes of `set_checkpointing` that a run chooses from by itself, fastest first.
        offloaded: The transformer's weights in the host's memory, if they are.
    """

    batched = False
    choices: tuple[str, ...] = ("none", "resnets")
    offloaded: Offload | None = None

    def __init__(self, spec: PriorSpec, schedule: FlowSchedule, transformer: Any, vae: Any, text: TextEncoder, cache: TextCache | None = None) -> None:
        self.spec, self.schedule, self.text, self.cache = spec, schedule, text, cache
        self.device, self.dtype = text.device, text.dtype
        self.transformer, self.vae = transformer, vae
        for network in (transformer, vae):
            network.to(self.device).eval().requires_grad_(False)  # never .to(dtype): some layers have to stay in float32
        if self.device.type == "cuda":
            vae.decoder.to("cpu")  # distillation only encodes
        self.diagnostics: dict[str, float] = {}

    def prepare(self, settings: Any) -> str:
        """Choose how memory is saved for the clips of a run. Neither choice changes a number.

        Parameters:
            settings: Resolved distill parameters; of those `checkpointing` (a mode, or "auto" for the fastest that is
                computed to fit into the memory that is free) and `offload` (on CUDA alone).

        Returns:
            A note for the user.
        """
        from ..plan import free_memory

        if settings.offload and self.device.type == "cuda" and self.offloaded is None:
            self.offloaded = Offload(self.transformer, self.device)
        free = free_memory(self.device.type)
        if self.offloaded is not None:  # they come back while the encoder's graph waits
            free -= sum(p.numel() * p.element_size() for p in self.transformer.parameters())
        clip = settings.views, settings.frames, settings.height, settings.width
        fitting = [mode for mode in self.choices if self.encoder_bytes(mode, *clip) + RESERVE <= free]
        mode = settings.checkpointing if settings.checkpointing != "auto" else (*fitting, self.choices[-1])[0]
        self.set_checkpointing(mode)
        need = (self.encoder_bytes(mode, *clip) + RESERVE) / 1e9
        return f"encoder checkpointing: {mode}{', transformer offloaded' if self.offloaded else ''}; about {need:.1f} of {free / 1e9:.1f} GB, estimated"

    def set_checkpointing(self, mode: str) -> None:
        """What of the encoder the backward pass computes again: "none", "resnets", "blocks" or "nested"."""
        raise TypeError(f"{type(self).__name__} has no encoder")

    def encoder_bytes(self, mode: str, views: int, frames: int, height: int, width: int) -> float:
        """Memory of the encoder's graph at its peak, estimated. [bytes]"""
        raise TypeError(f"{type(self).__name__} has no encoder")

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> TextCondition:
        """Embeddings padded to the model's length, from the cache where possible. [(1, L, C)]

        `facing` is not told to the model: it sees it in the image.
        """
        return TextCondition(*self.text.cached(self.cache, prompt, negative))

    def encode_video(self, video: torch.Tensor, image: torch.Tensor | None = None) -> torch.Tensor:
        """Mean of the encoder's posterior, normalised per channel. [(B, F, H, W, 3) in 0..1 -> (B, C, F', h, w), float32]

        One clip at a time to bound memory. Never tiled: tiles give a different gradient.
        """
        self.spec.check_clip(*video.shape[1:4])
        pixels = (2 * video - 1).permute(0, 4, 1, 2, 3).to(self.device, self.vae.dtype)
        return torch.cat([self._latent(clip) for clip in pixels.split(1)])

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """1 - sigma and sigma, in float64."""
        sigma = self.schedule.sigma(u)
        return 1 - sigma, sigma

    @torch.no_grad()
    def predict_x0(self, noisy: torch.Tensor, u: float, text: TextCondition, guidance_scale: float) -> torch.Tensor:
        """z_u - sigma v with v guided, in float32. [(B, C, F', h, w)]"""
        alpha, sigma = self.alpha_sigma(u)
        squares, clean = [], []
        with self.offloaded.inside() if self.offloaded else nullcontext():
            for index in range(len(noisy)):
                positive, negative = (t[min(index, len(t) - 1)][None] for t in (text.positive, text.negative))
                velocity, rms = self._guided(noisy[index : index + 1], sigma, negative, positive, guidance_scale)
                clean.append(clean_estimate("flow", noisy[index : index + 1], velocity, alpha, sigma))
                squares.append(rms * rms)
        self.diagnostics["guidance_rms"] = math.sqrt(sum(squares) / len(squares))
        return torch.cat(clean)

    def _guided(self, noisy: torch.Tensor, sigma: float, negative: torch.Tensor, positive: torch.Tensor, scale: float) -> tuple[torch.Tensor, float]:
        if scale == 1:
            return self._velocity(noisy, sigma, positive), math.nan
        if self.batched:
            both = self._velocity(torch.cat([noisy, noisy]), sigma, torch.cat([negative, positive]))  # this order is the pipeline's
            return guide(*both.chunk(2), scale)
        return guide(self._velocity(noisy, sigma, negative), self._velocity(noisy, sigma, positive), scale)

    def _time(self, noisy: torch.Tensor, sigma: float) -> torch.Tensor:
        return torch.full((len(noisy),), self.schedule.steps * sigma, device=self.device, dtype=torch.float32)

    def _latent(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised latent of one clip. [(1, 3, F, H, W) in -1..1 -> (1, C, F', h, w), float32]"""
        raise TypeError(f"{type(self).__name__} does not encode clips")

    def _velocity(self, noisy: torch.Tensor, sigma: float, text: torch.Tensor) -> torch.Tensor:
        """The network's v, in float32. [(B, C, F', h, w)]"""
        raise TypeError(f"{type(self).__name__} predicts nothing")


def half_or_float(device: torch.device, dtype: torch.dtype | None) -> torch.dtype:
    """The precision of a transformer: bfloat16 as trained on CUDA, float32 on the CPU, or the one asked for."""
    return dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)


def normalise(mean: torch.Tensor, centre: Any, spread: Any) -> torch.Tensor:
    """(mean - centre) / spread per channel, in float32. [(1, C, F', h, w)]"""
    centre, spread = (torch.as_tensor(v, dtype=torch.float32, device=mean.device).view(1, -1, 1, 1, 1) for v in (centre, spread))
    return (mean.float() - centre) / spread
