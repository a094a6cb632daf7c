"""The built-in prior behind the VideoPrior protocol, and the folder its weights are in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..base import PriorSpec, TextCondition
from . import latent, text
from .files import LICENCE, MODEL, load
from .model import TRAIN_STEPS, ModelConfig, alpha_sigma

# chosen on tuning bodies, see docs/prior.md
DEFAULTS: dict[str, Any] = {
    "iterations": 150,
    "guidance_scale": 1.0,
    "refresh": 4,
    "views": 2,
    "modes": 8,
    "unfold": 0.0,
    "learning_rate": 0.03,
    "root_learning_rate": 0.01,
    "trunk_rate": 0.25,
    "lateral_rate": 0.25,
    "lambda_smooth": 0.02,
    "lambda_ground": 60.0,
    "lambda_slide": 1.0,
    "weighting": "one",
    "t_min": 0.8,
    "t_max": 0.98,
    "t_min_end": 0.5,
    "t_max_end": 0.9,
    "anneal": 0.7,
    "blur": 3.0,
}


def spec_of(config: ModelConfig) -> PriorSpec:
    """What distill has to know of a network of this size."""
    return PriorSpec(
        name="embedded",
        prediction="v",
        frames=latent.FRAMES,
        height=latent.HEIGHT,
        width=latent.WIDTH,
        fps=16.0,
        frame_rule=str(latent.FRAMES),
        size_multiple=0,
        temporal_stride=config.stride_t,
        spatial_stride=latent.STRIDE,
        latent_channels=config.channels,
        look=config.look,
        ground=config.ground,
        reference=True,
        licence=LICENCE,
        max_time=1.0,
        defaults=DEFAULTS,
    )


class EmbeddedPrior:
    """The in-house video model: motions of part-coloured animals, 17 frames of 48 x 64 pixels, from words and a reference image.

    Attributes:
        spec: See base.PriorSpec.
        card: How the weights were trained.
        diagnostics: "guidance_rms" of the last prediction, in units of the clean latent.
        in_step: It knows every gait at one phase: the left hind foot comes down in the middle of the clip.
    """

    in_step = True

    def __init__(self, *, device: torch.device | str = "cpu", folder: Path = MODEL) -> None:
        """Load the weights and check them against the card.

        Raises:
            MissingError: The files are not there. SchemaError: They are damaged or of another model.
        """
        self.device = torch.device(device)
        self.card, self.codec, self.net = load(folder)
        self.spec = spec_of(self.net.config)
        self.codec.to(self.device)
        self.net.to(self.device).eval().requires_grad_(False)
        self.diagnostics: dict[str, float] = {}

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> TextCondition:
        """Token numbers; an empty negative prompt is the null prompt of training. [(1, 3) each]

        Raises:
            InputError: The prompt has an unknown word, no motion or two.
        """
        positive = text.tokens(prompt, facing=facing)
        other = text.tokens(negative, facing=facing) if negative.strip() else text.NULL
        return TextCondition(*(torch.tensor([ids], device=self.device) for ids in (positive, other)))

    def encode_video(self, video: torch.Tensor, image: torch.Tensor | None = None) -> torch.Tensor:
        """[(B, 17, 48, 64, 3) and its reference (B, 48, 64, 3), 0..1 -> (B, T, K, 6, 8)]"""
        return self.codec.encode(video, self._base(image, len(video)))

    def decode_latent(self, z: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Back to pixels, for looking at. [(B, T, K, 6, 8) and (B, 48, 64, 3) -> (B, 17, 48, 64, 3)]"""
        return self.codec.decode(z, self._base(image, len(z)))

    def alpha_sigma(self, u: float) -> tuple[float, float]:
        """Signal and noise level at u, as CogVideoX's schedule has them."""
        return alpha_sigma(u)

    @torch.no_grad()
    def predict_x0(self, noisy: torch.Tensor, u: float, text: TextCondition, guidance_scale: float) -> torch.Tensor:
        """The guided clean latent. Guiding z0_hat equals guiding v: both are affine in each other for the same draw."""
        step = torch.full((len(noisy),), round(u * (TRAIN_STEPS - 1)), dtype=torch.long, device=noisy.device)
        image = self.codec.encode_image(text.image)
        positive = text.positive.expand(len(noisy), -1)
        if guidance_scale == 1:
            self.diagnostics = {"guidance_rms": 0.0}
            return self._clean(noisy, image, step, positive)
        both = torch.cat([text.negative.expand(len(noisy), -1), positive])
        negative, clean = self._clean(noisy.repeat(2, 1, 1, 1, 1), image.repeat(2, 1, 1, 1), step.repeat(2), both).chunk(2)
        difference = clean - negative
        self.diagnostics = {"guidance_rms": float(difference.square().mean().sqrt())}
        return negative + guidance_scale * difference

    def _base(self, image: torch.Tensor | None, count: int) -> torch.Tensor:
        """What latents are the difference from. [(B, 48, 64, 3)]"""
        if image is None:
            raise ValueError("the built-in prior needs the reference image of each clip")
        return image if self.net.config.reference else torch.full_like(image, latent.PLAIN)

    def _clean(self, noisy: torch.Tensor, image: torch.Tensor, step: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.net(noisy, image, step, ids)

    @torch.no_grad()
    def sample(self, condition: TextCondition, *, steps: int = 20, guidance_scale: float = 1.0, seed: int = 0) -> torch.Tensor:
        """Clips by DDIM from pure noise, one for each reference, to see what the prior believes. [(B, 17, 48, 64, 3)]"""
        generator = torch.Generator().manual_seed(seed)
        config, (h, w) = self.net.config, latent.CELLS
        z = torch.randn(len(condition.image), latent.latent_frames(config.stride_t), config.channels, h, w, generator=generator).to(self.device)
        levels = torch.linspace(1, 0, steps + 1).tolist()
        for u, following in zip(levels, levels[1:], strict=False):
            clean = self.predict_x0(z, u, condition, guidance_scale)
            (alpha, sigma), (later_alpha, later_sigma) = alpha_sigma(u), alpha_sigma(following)
            z = later_alpha * clean + later_sigma * (z - alpha * clean) / sigma
        return self.decode_latent(clean, condition.image).clamp(0, 1)
