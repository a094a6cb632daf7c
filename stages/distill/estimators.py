"""Ways to estimate the score that drives distillation: SDS, the paper's, and three published ones whose gradient varies less.

SDS (METHOD 5, equation (7)) noises the render afresh at every step, so that successive gradients point to different clips
and average out. The others take the noise from before (`Consistent`) or from the render itself (`Ism`, `Sdi`). All of them see
the video model only through `alpha_sigma` and `predict_x0`, hence serve v, flow and noise prediction alike.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from schemas.errors import InputError

from .priors.base import TextCondition, VideoPrior
from .schedule import weight
from .score import Noise, Score, score

NAMES = ("sds", "consistent", "ism", "sdi")
RATE = 0.1  # of `Consistent`: noise is a new one after about ten steps
INTERVAL = 0.05  # t - s of `Ism` in u = t/T: 50 of 1000 steps, as its authors have it
Denoise = Callable[[torch.Tensor, float], torch.Tensor]
"""z0_hat of noisy latents at a level u. [(B, ...) -> (B, ...)]"""


class Estimator(Protocol):
    """A gradient on the latents. What it remembers between steps goes through `state` and `restore`.

    Attributes:
        name: One of `NAMES`.
        calls: Calls of `predict_x0` a step.
    """

    name: str
    calls: int

    def draw(self, shape: Sequence[int], slots: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Standard normal noise for all clips of a step, whoever computes them: one draw of the whole shape. [(V, ...)]

        Parameters:
            shape: Of the latents of all clips. [(V, ...)]
            slots: What each clip shows, as a number, see `slots`.
            generator: On the CPU, so that a run does not depend on the device's own.
        """
        ...

    def __call__(self, prior: VideoPrior, latent: torch.Tensor, u: float, text: TextCondition, *, guidance_scale: float, weighting: str, noise: Noise) -> Score:
        """The gradient w(t) (z - target) on the latents of some clips.

        Parameters:
            latent: Normalised latents of the rendered clips. [(B, ...)]
            u: Noise level t/T.
            text: Of one clip or of each. [batch 1 or B]
            noise: Gives these clips' part of what `draw` drew; not called by estimators that need none.
        """
        ...

    def passes(self, guidance_scale: float) -> int:
        """Evaluations of the network for each clip and step: a guided call takes two."""
        ...

    def state(self) -> dict[str, Any]:
        """What the next step depends on: tensors and plain values. They are never changed in place."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a `state`."""
        ...


def make_estimator(name: str, *, steps: int = 5, rate: float = RATE, interval: float = INTERVAL, inversion_guidance: float | None = None) -> Estimator:
    """An estimator by its name.

    Parameters:
        steps: Calls of the prior that "ism" and "sdi" spend on the inversion.
        rate: How fast the noise of "consistent" is renewed: 1 is SDS, 0 keeps the first. [0..1]
        interval: t - s of "ism". [u]
        inversion_guidance: Of the inversion of "sdi"; None is minus the guidance scale, as its authors have it.

    Raises:
        InputError: `steps` is too small for "ism".
    """
    if name == "sds":
        return Sds()
    if name == "consistent":
        return Consistent(rate)
    if name == "ism":
        return Ism(steps, interval)
    if name == "sdi":
        return Sdi(steps, inversion_guidance)
    raise ValueError(f"estimator {name!r} is not {', '.join(NAMES)}")


def slots(iteration: int, views: int) -> list[int]:
    """Numbers of a step's clips by what they show: the same place among the views, and the same side of the character.

    Sides alternate from clip to clip, so that an odd number of views has each place on the other side at every other step.
    """
    return [(iteration * views + index) % math.lcm(views, 2) for index in range(views)]


class Sds:
    """Score distillation sampling: equation (7), fresh noise at every step (DreamFusion, Poole et al. 2023, equation 3)."""

    name = "sds"
    calls = 1

    def draw(self, shape: Sequence[int], slots: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Fresh noise."""
        return torch.randn(tuple(shape), generator=generator)

    def __call__(self, prior: VideoPrior, latent: torch.Tensor, u: float, text: TextCondition, *, guidance_scale: float, weighting: str, noise: Noise) -> Score:
        """w(t) (z - z0_hat(z_t, t, y))."""
        return score(prior, latent, u, text, guidance_scale=guidance_scale, weighting=weighting, noise=noise)

    def passes(self, guidance_scale: float) -> int:
        """Of the one call."""
        return _passes(guidance_scale)

    def state(self) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to take up."""


class Consistent(Sds):
    """SDS whose noise persists over the steps.

    With noise that stays the same while the noise level falls, steps of SDS follow the probability flow of the video
    model instead of averaging over many (Flow Score Distillation, Yan et al. 2024, arXiv 2405.10988; Consistent Flow
    Distillation, Yan et al. 2025, arXiv 2501.05445, section 3; a fixed noise is also in the consistency loss of
    Consistent3D, Wu et al. 2024, arXiv 2401.09050). Noise that is the same for good biases the motion towards one draw,
    hence it walks (after the second one's SDE, in the discrete steps of an Ornstein-Uhlenbeck process):

        eps_k = sqrt(1 - r) eps_{k-1} + sqrt(r) xi_k,  xi_k ~ N(0, 1),

    which leaves the distribution at every step N(0, 1) and correlates noise k steps apart by (1 - r)^(k/2). Every slot
    has noise of its own. Theirs moves with the surface of a static asset; ours stays with the image, as the asset moves.
    """

    name = "consistent"

    def __init__(self, rate: float = RATE) -> None:
        self.rate = rate
        self.kept: dict[int, torch.Tensor] = {}

    def draw(self, shape: Sequence[int], slots: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """The slots' noise after one more step of its walk."""
        fresh = super().draw(shape, slots, generator)
        old, new = math.sqrt(1 - self.rate), math.sqrt(self.rate)
        for index, slot in enumerate(slots):
            kept = self.kept.get(slot)
            self.kept[slot] = fresh[index].clone() if kept is None else old * kept + new * fresh[index]
        return torch.stack([self.kept[slot] for slot in slots])

    def state(self) -> dict[str, Any]:
        """The noise of every slot."""
        return {"noise": dict(self.kept)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the noise of a `state`."""
        self.kept = dict(state["noise"])


class Ism(Sds):
    """Interval score matching (LucidDreamer, Liang et al. 2024, arXiv 2311.11284, section 3.2, the gradient of L_ISM).

    The render is inverted by DDIM without text to x_s, from there by one step to x_t, t = s + interval; the gradient is
    (sigma_t / alpha_t) w(t) (eps(x_t, t, y) - eps(x_s, s, null)) on z, the factor being that between (7) and noise
    predictions. As x_t = alpha_t z0_hat(x_s) + sigma_t eps(x_s), this is

        w(t) (z0_hat(x_s, s, null) - z0_hat(x_t, t, y)),

    which is how it is computed: no division by a small alpha. No noise is drawn. The inversion's last call is the one
    at x_s.
    """

    name = "ism"

    def __init__(self, steps: int = 5, interval: float = INTERVAL) -> None:
        if steps < 2:
            raise InputError(f"--estimator-steps {steps}: ism takes 2 or more.")
        self.steps, self.interval, self.calls = steps, interval, steps + 1

    @torch.no_grad()
    def __call__(self, prior: VideoPrior, latent: torch.Tensor, u: float, text: TextCondition, *, guidance_scale: float, weighting: str, noise: Noise) -> Score:
        """w(t) (z0_hat(x_s, s, null) - z0_hat(x_t, t, y)), the second one guided."""
        s = max(u - self.interval, 0.5 * u)
        unconditional = _denoiser(prior, without_text(text), 1.0)
        at_s = invert(unconditional, latent.detach().float(), s, self.steps - 1, prior.alpha_sigma)
        clean = unconditional(at_s, s)
        at_t = _step(at_s, clean, prior.alpha_sigma(s), prior.alpha_sigma(u))
        return _scored(prior, clean - _denoiser(prior, text, guidance_scale)(at_t, u), u, weighting)

    def passes(self, guidance_scale: float) -> int:
        """The inversion is not guided."""
        return self.steps + _passes(guidance_scale)


class Sdi(Sds):
    """Score distillation via inversion (Score Distillation via Reparametrized DDIM, Lukoianov et al. 2024, arXiv 2405.15891).

    SDS is DDIM in the variable z0_hat, but for its noise: DDIM's is the one that its earlier predictions imply. That
    noise is recovered by inverting DDIM from the render to the level t, with the prompt and a negative guidance scale;
    then the gradient is that of (7). The inversion is deterministic here (their eta = 0). No noise is drawn.
    """

    name = "sdi"

    def __init__(self, steps: int = 5, inversion_guidance: float | None = None) -> None:
        self.steps, self.inversion_guidance, self.calls = steps, inversion_guidance, steps + 1

    @torch.no_grad()
    def __call__(self, prior: VideoPrior, latent: torch.Tensor, u: float, text: TextCondition, *, guidance_scale: float, weighting: str, noise: Noise) -> Score:
        """w(t) (z - z0_hat(z_t, t, y)), z_t found by inversion."""
        latent = latent.detach().float()
        noisy = invert(_denoiser(prior, text, self._scale(guidance_scale)), latent, u, self.steps, prior.alpha_sigma)
        return _scored(prior, latent - _denoiser(prior, text, guidance_scale)(noisy, u), u, weighting)

    def _scale(self, guidance_scale: float) -> float:
        return -guidance_scale if self.inversion_guidance is None else self.inversion_guidance

    def passes(self, guidance_scale: float) -> int:
        """The inversion is guided too."""
        return self.steps * _passes(self._scale(guidance_scale)) + _passes(guidance_scale)


def invert(denoise: Denoise, latent: torch.Tensor, u: float, steps: int, alpha_sigma: Callable[[float], tuple[float, float]]) -> torch.Tensor:
    """DDIM inversion: the noisy latents at level u from which DDIM would come to `latent`, to first order in 1 / steps.

    DDIM (Song et al. 2021, equation 12 with sigma = 0) run backwards in `steps` equal steps of u. As DDIM is not known
    backwards exactly, a step from a to b takes the noise that the model sees in x_a when told level b: that is defined
    at a = 0 too, where x_a has no noise.

    Parameters:
        denoise: The denoiser, with its text and guidance.
        latent: Clean latents. [(B, ...), float32]
    """
    noisy, before = latent, (1.0, 0.0)
    for k in range(steps):
        level = u * (k + 1) / steps
        alpha, sigma = alpha_sigma(level)
        eps = (noisy - alpha * denoise(noisy, level)) / sigma
        noisy = alpha / before[0] * (noisy - before[1] * eps) + sigma * eps
        before = alpha, sigma
    return noisy


def without_text(text: TextCondition) -> TextCondition:
    """The condition of the unconditional prediction: the negative prompt in place of the prompt, the same image."""
    return dataclasses.replace(text, positive=text.negative)


def _denoiser(prior: VideoPrior, text: TextCondition, guidance_scale: float) -> Denoise:
    return lambda noisy, level: prior.predict_x0(noisy, level, text, guidance_scale).float()


def _step(noisy: torch.Tensor, clean: torch.Tensor, here: tuple[float, float], there: tuple[float, float]) -> torch.Tensor:
    """DDIM from one level to another, given z0_hat."""
    eps = (noisy - here[0] * clean) / here[1]
    return there[0] * clean + there[1] * eps


def _scored(prior: VideoPrior, difference: torch.Tensor, u: float, weighting: str) -> Score:
    told = getattr(prior, "diagnostics", {}).get("guidance_rms", float("nan"))
    return Score(weight(weighting, *prior.alpha_sigma(u)) * difference, float(difference.square().mean().sqrt()), float(told))


def _passes(guidance_scale: float) -> int:
    return 1 if guidance_scale == 1 else 2
