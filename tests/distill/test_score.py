"""Score distillation: exact gradients, the identities of METHOD 5, guidance in float32."""

from __future__ import annotations

import math

import pytest
import torch

from stages.distill.priors.base import PriorSpec, TextCondition, VideoPrior
from stages.distill.schedule import weight
from stages.distill.score import add_noise, clean_estimate, frame_norms, guide, normal, score, surrogate


class Shrink:
    """A prior that takes every clean latent for `factor` times what it is, up to noise."""

    spec = PriorSpec("shrink", "v", 5, 8, 8, 8.0, "4k+1", 8, 1, 1, 3)

    def __init__(self, factor):
        self.factor, self.diagnostics = factor, {"guidance_rms": 0.25}

    def encode_prompt(self, prompt, negative="", *, facing=""):
        return TextCondition(torch.ones(1, 1), torch.zeros(1, 1))

    def encode_video(self, video):
        return 2 * video - 1

    def alpha_sigma(self, u):
        return math.cos(0.5 * math.pi * u), math.sin(0.5 * math.pi * u)

    def predict_x0(self, noisy, u, text, guidance_scale):
        return self.factor * noisy


def noise_generator():
    return torch.Generator().manual_seed(5)


def test_the_surrogate_gives_the_gradient_bit_for_bit():
    latent = torch.randn(2, 3, 4, requires_grad=True)
    gradient = torch.randn(2, 3, 4) * 1e3
    surrogate(latent, gradient).backward()
    assert torch.equal(latent.grad, gradient)


def test_score_is_the_weighted_difference_of_equation_7():
    prior, latent, u = Shrink(0.5), torch.randn(1, 5, 3, generator=noise_generator()), 0.3
    alpha, sigma = prior.alpha_sigma(u)
    result = score(prior, latent, u, prior.encode_prompt(""), guidance_scale=1, weighting="sigma2", noise=normal(noise_generator()))
    noisy = alpha * latent + sigma * torch.randn(latent.shape, generator=noise_generator())
    assert torch.allclose(result.gradient, sigma**2 * (latent - 0.5 * noisy), atol=1e-6)
    assert result.rms == pytest.approx((latent - 0.5 * noisy).square().mean().sqrt().item(), rel=1e-5)
    assert result.guidance_rms == 0.25
    assert isinstance(prior, VideoPrior)


def test_no_gradient_flows_through_the_prior():
    prior, latent = Shrink(0.5), torch.randn(1, 4, requires_grad=True)
    result = score(prior, latent, 0.5, prior.encode_prompt(""), guidance_scale=1, weighting="one", noise=normal(noise_generator()))
    assert not result.gradient.requires_grad


@pytest.mark.parametrize("u", [0.05, 0.4, 0.9])
def test_identities_between_latent_velocity_and_noise(u):
    generator = noise_generator()
    latent, noise, predicted = (torch.randn(4, 50, generator=generator, dtype=torch.float64) for _ in range(3))
    alpha, sigma = math.cos(0.5 * math.pi * u), math.sin(0.5 * math.pi * u)
    noisy, velocity = alpha * latent + sigma * noise, alpha * noise - sigma * latent
    clean = alpha * noisy - sigma * predicted
    noise_hat = alpha * predicted + sigma * noisy
    assert torch.allclose(latent - clean, sigma * (predicted - velocity), atol=1e-6)
    assert torch.allclose(latent - clean, sigma / alpha * (noise_hat - noise), atol=1e-6)
    assert torch.allclose(weight("eps", alpha, sigma) * (latent - clean), noise_hat - noise, atol=1e-6)


@pytest.mark.parametrize("kind", ["v", "flow", "epsilon"])
def test_the_true_prediction_gives_the_clean_latent_back(kind):
    generator = noise_generator()
    latent, noise = (torch.randn(3, 40, generator=generator) for _ in range(2))
    alpha, sigma = (0.6, 0.8) if kind != "flow" else (0.4, 0.6)
    truth = {"v": alpha * noise - sigma * latent, "flow": noise - latent, "epsilon": noise}[kind]
    assert torch.allclose(clean_estimate(kind, add_noise(latent, noise, alpha, sigma), truth, alpha, sigma), latent, atol=1e-5)


def test_guidance_subtracts_in_float32():
    negative = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    positive = torch.tensor([1.0078125, 2.0], dtype=torch.bfloat16)
    value, rms = guide(negative, positive, 100.0)
    assert value.dtype == torch.float32 and value.tolist() == [1.78125, 2.0]
    assert rms == pytest.approx(0.0078125 / math.sqrt(2))


def test_frame_norms():
    gradient = torch.zeros(2, 3, 4, 5, 3)
    gradient[0, 1], gradient[1, 2, 0, 0, 0] = 1.0, -2.0
    assert frame_norms(gradient).tolist() == pytest.approx([0, math.sqrt(60), 2])
