"""Flow matching models as priors: what Wan and LTX-Video have in common (METHOD 5).

z_u = (1 - sigma) z + sigma eps, the network predicts v = eps - z, hence z0_hat = z_u - sigma v. The networks are told
1000 sigma. Schedulers shift the levels towards noise for large clips; u counts before the shift, as the steps of a
sampler do: u = 0.5 is the middle of sampling, as it is for the diffusion models.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch

from schemas.errors import InputError

from .base import PriorSpec
from .folder import read_config
from .latent import LatentPrior
from .text_cache import TextCache
from .text_encoder import TextEncoder


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


class FlowPrior(LatentPrior):
    """Base of the flow matching priors; a model adds `_latent` and `_predict`, its v.

    Latents are [(B, C, F', h, w), float32].

    Attributes:
        schedule: Its noise levels.
    """

    def __init__(self, spec: PriorSpec, schedule: FlowSchedule, transformer: Any, vae: Any, text: TextEncoder, cache: TextCache | None = None) -> None:
        super().__init__(spec, transformer, vae, text, cache)
        self.schedule = schedule

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """1 - sigma and sigma, in float64."""
        sigma = self.schedule.sigma(u)
        return 1 - sigma, sigma

    def _time(self, u: float) -> float:
        return self.schedule.steps * self.schedule.sigma(u)

    def _times(self, noisy: torch.Tensor, time: float) -> torch.Tensor:
        return torch.full((len(noisy),), time, device=self.device, dtype=torch.float32)


def normalise(mean: torch.Tensor, centre: Any, spread: Any) -> torch.Tensor:
    """(mean - centre) / spread per channel, in float32. [(1, C, F', h, w)]"""
    centre, spread = (torch.as_tensor(v, dtype=torch.float32, device=mean.device).view(1, -1, 1, 1, 1) for v in (centre, spread))
    return (mean.float() - centre) / spread
