"""Score distillation: the gradient of METHOD (7) and how it enters autograd."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from .priors.base import TextCondition, VideoPrior
from .schedule import weight

Noise = Callable[[torch.Size], torch.Tensor]
"""Draws standard normal noise for the latents of a batch of clips."""


def normal(generator: torch.Generator) -> Noise:
    """Noise from a generator on the CPU, so that a run does not depend on the device's own."""
    return lambda shape: torch.randn(shape, generator=generator)


@dataclasses.dataclass(frozen=True)
class Score:
    """One evaluation of the prior.

    Attributes:
        gradient: w(t) (z - z0_hat), the gradient on the latents. [as the latents, float32]
        rms: Root mean square of z - z0_hat, without w(t).
        guidance_rms: Of conditional minus unconditional prediction, NaN where the prior does not tell.
    """

    gradient: torch.Tensor
    rms: float
    guidance_rms: float


def add_noise(latent: torch.Tensor, noise: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
    """z_t = alpha z + sigma eps, in float32."""
    return alpha * latent.float() + sigma * noise.float()


def clean_estimate(kind: str, noisy: torch.Tensor, prediction: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
    """z0_hat from the network's prediction, in float32: equation (6) for "v", the rest by their definitions."""
    noisy, prediction = noisy.float(), prediction.float()
    if kind == "v":
        return alpha * noisy - sigma * prediction
    if kind == "flow":
        return noisy - sigma * prediction
    if kind == "epsilon":
        return (noisy - sigma * prediction) / max(alpha, 1e-6)
    raise ValueError(f"prediction {kind!r} is not v, flow or epsilon")


def guide(negative: torch.Tensor, positive: torch.Tensor, scale: float) -> tuple[torch.Tensor, float]:
    """Classifier-free guidance v_u + s (v_c - v_u) in float32, and rms(v_c - v_u).

    The difference is small against its terms, so rounding of half precision would be amplified by s: both are
    cast before they are subtracted.
    """
    negative, positive = negative.float(), positive.float()
    difference = positive - negative
    return negative + scale * difference, float(difference.square().mean().sqrt())


@torch.no_grad()
def score(prior: VideoPrior, latent: torch.Tensor, u: float, text: TextCondition, *, guidance_scale: float, weighting: str, noise: Noise) -> Score:
    """Noise the latents, ask the prior, return the gradient of equation (7).

    Parameters:
        latent: Normalised latents of the rendered clips. [(B, ...)]
        u: Noise level t/T.
        noise: Where noise comes from.
    """
    latent = latent.detach().float()
    alpha, sigma = prior.alpha_sigma(u)
    drawn = noise(latent.shape).to(latent.device)
    clean = prior.predict_x0(add_noise(latent, drawn, alpha, sigma), u, text, guidance_scale).float()
    difference = latent - clean
    told = getattr(prior, "diagnostics", {}).get("guidance_rms", float("nan"))
    return Score(weight(weighting, alpha, sigma) * difference, float(difference.square().mean().sqrt()), float(told))


def surrogate(latent: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """A scalar whose gradient on `latent` is `gradient`, bit for bit; nothing flows through the prior."""
    return (latent * gradient.detach().to(latent.dtype)).sum()


def frame_norms(gradient: torch.Tensor) -> torch.Tensor:
    """Norm of the pixel gradient of each frame. [(B, F, H, W, 3) -> (F,)]

    Causal video encoders tend to gather the gradient on the first frame; the run logs its share.
    """
    return gradient.detach().float().square().sum((0, 2, 3, 4)).sqrt()
