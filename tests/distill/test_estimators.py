"""Estimators of the score against a video model whose data are Gaussian, so that every gradient is known in closed form."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch

from schemas.errors import InputError
from stages.distill.estimators import Consistent, Ism, Sdi, Sds, invert, make_estimator, slots, without_text
from stages.distill.loop import Distillation
from stages.distill.params import Params, resolve
from stages.distill.priors.base import PriorSpec, TextCondition
from stages.distill.priors.ideal import IdealPrior
from stages.distill.score import clean_estimate, normal
from stages.distill.stage import run
from tests.bench import estimators as bench

from . import beast
from .stops import StopAt

SPREAD = 0.6  # of the data
LATENT = torch.linspace(-1.5, 2.0, 12).reshape(2, 6)
MEAN, OTHER = torch.full((1, 6), 0.7), torch.full((1, 6), -0.2)
LEVEL = 0.6


class Gaussian:
    """Data are N(mean, SPREAD^2), with the mean told by the text; the network predicts v, flow or noise, exactly."""

    def __init__(self, kind: str = "v") -> None:
        self.spec, self.kind, self.diagnostics = PriorSpec("gaussian", kind, 5, 8, 8, 8.0, "4k+1", 8, 1, 1, 3), kind, {"guidance_rms": 0.5}
        self.calls = self.passes = 0

    def alpha_sigma(self, u):
        return (1 - u, u) if self.kind == "flow" else (math.cos(0.5 * math.pi * u), math.sin(0.5 * math.pi * u))

    def predict_x0(self, noisy, u, text, guidance_scale):
        self.calls, self.passes = self.calls + 1, self.passes + (1 if guidance_scale == 1 else 2)
        negative, positive = (self._clean(noisy, u, mean) for mean in (text.negative, text.positive))
        return negative + guidance_scale * (positive - negative)

    def _clean(self, noisy, u, mean):
        alpha, sigma = self.alpha_sigma(u)
        eps = sigma * (noisy - alpha * mean) / variance(alpha, sigma)
        clean = mean + alpha * SPREAD**2 * (noisy - alpha * mean) / variance(alpha, sigma)
        return clean_estimate(self.kind, noisy, {"v": alpha * eps - sigma * clean, "flow": eps - clean, "epsilon": eps}[self.kind], alpha, sigma)


def variance(alpha, sigma):
    """Of noisy data."""
    return (alpha * SPREAD) ** 2 + sigma**2


def flowed(latent, prior, u, mean=MEAN):
    """Where the probability flow of the Gaussian carries a clean latent: it keeps the number of standard deviations."""
    alpha, sigma = prior.alpha_sigma(u)
    return alpha * mean + math.sqrt(variance(alpha, sigma)) / SPREAD * (latent - mean)


def text():
    """The prompt is MEAN, no prompt is OTHER."""
    return TextCondition(MEAN, OTHER)


def same(mean=MEAN):
    """Prompt and no prompt are one."""
    return TextCondition(mean, mean)


def gradient(estimator, prior, latent=LATENT, condition=None, u=LEVEL, scale=1.0, weighting="one", seed=0):
    generator = torch.Generator().manual_seed(seed)

    def noise(shape):
        return estimator.draw(shape, range(len(latent)), generator)

    return estimator(prior, latent, u, condition or text(), guidance_scale=scale, weighting=weighting, noise=noise).gradient


def test_sds_is_equation_7_bit_for_bit():
    prior, generator = Gaussian(), torch.Generator().manual_seed(3)
    alpha, sigma = prior.alpha_sigma(LEVEL)
    drawn = torch.randn(LATENT.shape, generator=generator)
    wanted = sigma * sigma * (LATENT - prior.predict_x0(alpha * LATENT + sigma * drawn, LEVEL, text(), 4.0))
    result = make_estimator("sds")(prior, LATENT, LEVEL, text(), guidance_scale=4.0, weighting="sigma2", noise=normal(torch.Generator().manual_seed(3)))
    assert torch.equal(result.gradient, wanted)
    assert torch.equal(gradient(make_estimator("sds"), prior, scale=4.0, weighting="sigma2", seed=3), wanted)
    assert result.guidance_rms == 0.5


@pytest.mark.parametrize("kind", ["v", "flow", "epsilon"])
def test_inversion_follows_the_flow_to_first_order(kind):
    prior = Gaussian(kind)
    errors = [
        float((invert(lambda noisy, u: prior.predict_x0(noisy, u, same(), 1), LATENT, 0.8, n, prior.alpha_sigma) - flowed(LATENT, prior, 0.8)).abs().max())
        for n in (40, 80, 160)
    ]
    assert errors[0] < 0.06
    assert [a / b for a, b in zip(errors, errors[1:], strict=False)] == pytest.approx([2, 2], abs=0.15)


def test_sampling_undoes_inversion_to_first_order():
    prior, errors = Gaussian(), []
    for steps in (20, 40, 80):
        at = invert(lambda noisy, u: prior.predict_x0(noisy, u, same(), 1), LATENT, 0.8, steps, prior.alpha_sigma)
        for k in range(steps, 0, -1):
            (alpha, sigma), (later_alpha, later_sigma) = prior.alpha_sigma(0.8 * k / steps), prior.alpha_sigma(0.8 * (k - 1) / steps)
            clean = prior.predict_x0(at, 0.8 * k / steps, same(), 1)
            at = later_alpha * clean + later_sigma * (at - alpha * clean) / sigma
        errors.append(float((at - LATENT).abs().max()))
    assert errors[0] < 0.15 and [a / b for a, b in zip(errors, errors[1:], strict=False)] == pytest.approx([2, 2], abs=0.1)


@pytest.mark.parametrize("kind", ["v", "flow", "epsilon"])
def test_sdi_uses_the_noise_of_the_flow(kind):
    prior = Gaussian(kind)
    alpha, sigma = prior.alpha_sigma(LEVEL)
    wanted = (1 - alpha * SPREAD / math.sqrt(variance(alpha, sigma))) * (LATENT - MEAN)
    found = gradient(Sdi(400, inversion_guidance=1.0), prior)
    assert torch.allclose(found, wanted, atol=5e-3)
    assert torch.allclose(gradient(Sdi(400, 1.0), prior, weighting="sigma2"), sigma**2 * found)


def test_sdi_inverts_with_minus_the_guidance_scale():
    asked, prior = [], Gaussian()
    predict = prior.predict_x0
    prior.predict_x0 = lambda noisy, u, text, scale: asked.append((round(u, 6), scale)) or predict(noisy, u, text, scale)
    gradient(Sdi(3), prior, scale=7.5)
    assert asked == [(0.2, -7.5), (0.4, -7.5), (0.6, -7.5), (0.6, 7.5)]


@pytest.mark.parametrize("kind", ["v", "flow", "epsilon"])
def test_ism_is_the_difference_of_two_noise_predictions(kind):
    prior, s = Gaussian(kind), LEVEL - 0.1
    (alpha_s, sigma_s), (alpha, sigma) = prior.alpha_sigma(s), prior.alpha_sigma(LEVEL)
    at_s = flowed(LATENT, prior, s, OTHER)
    noise_s = sigma_s * (at_s - alpha_s * OTHER) / variance(alpha_s, sigma_s)
    at_t = alpha / alpha_s * (at_s - sigma_s * noise_s) + sigma * noise_s  # one step of DDIM
    noise_t = sigma * (at_t - alpha * MEAN) / variance(alpha, sigma)
    found = gradient(Ism(400, interval=0.1), prior, weighting="eps")
    assert torch.allclose(found, noise_t - noise_s, atol=5e-3)
    assert float((noise_t - noise_s).abs().max()) > 0.5


def test_ism_becomes_the_guidance_term_of_sds():
    prior, scale = Gaussian(), 7.5
    term = gradient(Sds(), prior, scale=scale) - gradient(Sds(), prior, condition=without_text(text()))  # the same noise
    far, near = (gradient(Ism(5, interval), prior, scale=scale) - term for interval in (0.05, 1e-4))
    assert float(near.abs().max()) < 2e-3 < float(far.abs().max())
    assert float(term.abs().min()) > 1


@pytest.mark.parametrize("estimator", [Sds(), Consistent(0.1), Ism(5), Sdi(5), Sdi(5, 1.0)], ids=lambda e: e.name)
@pytest.mark.parametrize("kind", ["v", "flow"])
def test_descent_leads_to_the_data(estimator, kind):
    """To within the noise that is left: the gradient vanishes at the mean and points away from it elsewhere."""
    prior, latent, generator = Gaussian(kind), LATENT.clone(), torch.Generator().manual_seed(0)
    rate = 0.3 if estimator.name == "ism" else 0.05  # over a short interval noise predictions differ little
    for _ in range(400):
        latent = latent - rate * estimator(
            prior, latent, LEVEL, same(), guidance_scale=1.0, weighting="one", noise=lambda shape: estimator.draw(shape, (0, 1), generator)
        ).gradient  # fmt: skip
    start, left = (LATENT - MEAN).square().mean(), (latent - MEAN).square().mean()
    assert left < (0.005 if estimator.name in ("ism", "sdi") else 0.06) * start


def test_variance_between_draws():
    """At one latent: that of SDS is known; ISM and SDI do not vary; the walk varies by its rate, given where it is."""
    prior, latent = Gaussian(), torch.zeros(2, 4000)
    condition = TextCondition(torch.full((1, 4000), 0.7), torch.zeros(1, 4000))
    alpha, sigma = prior.alpha_sigma(LEVEL)
    known = (alpha * SPREAD**2 * sigma / variance(alpha, sigma)) ** 2
    assert float(torch.stack([gradient(Sds(), prior, latent, condition, seed=k) for k in range(8)]).var(0).mean()) == pytest.approx(known, rel=0.05)
    for estimator in (Ism(), Sdi()):
        assert torch.equal(*(gradient(estimator, prior, latent, condition, seed=k) for k in (0, 1)))
    walk = Consistent(0.1)
    gradient(walk, prior, latent, condition, seed=99)
    start, found = walk.state(), []
    for k in range(8):
        walk.restore(start)
        found.append(gradient(walk, prior, latent, condition, seed=k))
    assert float(torch.stack(found).var(0).mean()) == pytest.approx(0.1 * known, rel=0.05)


def test_the_walk_of_the_noise():
    walk, generator = Consistent(0.2), torch.Generator().manual_seed(0)
    drawn = torch.stack([walk.draw((2, 40000), (0, 1), generator) for _ in range(12)])
    assert drawn.mean((1, 2)).abs().max() < 0.02 and (drawn.std((1, 2)) - 1).abs().max() < 0.02
    for apart in (1, 2, 5):
        assert float((drawn[0] * drawn[apart]).mean()) == pytest.approx(0.8 ** (apart / 2), abs=0.02)
    assert abs(float((drawn[:, 0] * drawn[:, 1]).mean())) < 0.02  # slots have noise of their own


def test_the_walk_at_its_ends():
    generators = [torch.Generator().manual_seed(1) for _ in range(3)]
    fresh, walk, still = Sds(), Consistent(1.0), Consistent(0.0)
    drawn = [[e.draw((2, 5), (0, 1), g) for _ in range(3)] for e, g in zip((fresh, walk, still), generators, strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert torch.equal(drawn[2][0], drawn[2][2]) and not torch.equal(drawn[0][0], drawn[0][2])
    assert len({tuple(g.get_state().tolist()) for g in generators}) == 1  # all take as much from the generator


def test_a_run_that_is_taken_up_again_goes_on_bit_for_bit():
    whole, generator = make_estimator("consistent"), torch.Generator().manual_seed(0)
    for k in range(3):
        whole.draw((1, 7), slots(k, 1), generator)
    file = io.BytesIO()
    torch.save({"estimator": whole.state(), "generator": generator.get_state()}, file)
    kept = whole.state()
    later = [whole.draw((1, 7), slots(k, 1), generator) for k in range(3, 6)]
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again, generator = make_estimator("consistent"), torch.Generator()
    again.restore(saved["estimator"])
    generator.set_state(saved["generator"])
    assert all(torch.equal(kept["noise"][slot], saved["estimator"]["noise"][slot]) for slot in (0, 1))  # later draws left it alone
    assert all(torch.equal(a, again.draw((1, 7), slots(k, 1), generator)) for k, a in enumerate(later, 3))


@pytest.mark.parametrize("name", ["sds", "ism", "sdi"])
def test_the_others_keep_nothing(name):
    estimator = make_estimator(name)
    assert estimator.state() == {}
    estimator.restore({})


@pytest.mark.parametrize("scale", [1.0, 7.5])
@pytest.mark.parametrize("name", ["sds", "consistent", "ism", "sdi"])
def test_calls_and_passes_are_what_is_asked_of_the_prior(name, scale):
    prior, estimator = Gaussian(), make_estimator(name, steps=4)
    assert estimator.name == name
    gradient(estimator, prior, scale=scale)
    assert (prior.calls, prior.passes) == (estimator.calls, estimator.passes(scale))
    assert estimator.calls == (5 if name in ("ism", "sdi") else 1)


@pytest.mark.parametrize("name", ["ism", "sdi"])
def test_a_text_for_each_clip(name):
    prior, estimator = Gaussian(), make_estimator(name)
    each = TextCondition(MEAN.repeat(2, 1), OTHER.repeat(2, 1))
    assert torch.equal(gradient(estimator, prior, condition=each, scale=3.0), gradient(estimator, prior, scale=3.0))


def test_without_text_keeps_the_image():
    image = torch.rand(1, 2, 2, 3)
    condition = without_text(TextCondition(MEAN, OTHER, image))
    assert condition.positive is OTHER and condition.negative is OTHER and condition.image is image


def test_slots_tell_sides_apart():
    assert [slots(k, 2) for k in range(2)] == [[0, 1], [0, 1]]
    assert [slots(k, 1) for k in range(4)] == [[0], [1], [0], [1]]
    assert [slots(k, 3) for k in range(2)] == [[0, 1, 2], [3, 4, 5]]


def test_errors():
    with pytest.raises(InputError, match="--estimator-steps 1"):
        make_estimator("ism", steps=1)
    with pytest.raises(ValueError, match="'vsd' is not"):
        make_estimator("vsd")


@pytest.fixture(scope="module")
def ideal():
    return IdealPrior(beast.rig(), beast.splat(beads=3), cameras=2, phases=2)


@pytest.mark.parametrize("name", ["consistent", "ism", "sdi"])
def test_a_run_with_every_estimator_goes_on_after_an_interruption(ideal, name, tmp_path):
    def distil(estimator=name, **more):
        params = Params(prior="ideal", iterations=3, estimator=estimator, estimator_steps=2, device="cpu", checkpoint_every=0.0)
        return run(beast.rig(), beast.splat(beads=3), "a beast walking", params, prior=ideal, **more)

    path = tmp_path / "distill.h5.partial"
    with pytest.raises(KeyboardInterrupt):
        distil(progress=StopAt(2), checkpoint=path)
    whole, resumed = distil(), distil(checkpoint=path)
    assert np.array_equal(whole.angles, resumed.angles) and np.array_equal(whole.losses, resumed.losses, equal_nan=True)
    assert not np.array_equal(whole.angles, distil("sds").angles)


def test_the_bench_measures_variance_without_moving(ideal):
    settings = resolve(Params(prior="ideal", device="cpu", speed=1.0, lambda_smooth=0.0, lambda_ground=0.0), ideal.spec)
    loop = Distillation(beast.rig(), beast.splat(beads=3), "a beast walking", settings, ideal, "cpu")
    before = loop.state()["variables"]["joints"]
    found = {}
    for name in ("sds", "sdi"):
        loop.estimator = make_estimator(name, steps=1)
        found[name] = bench.gradients(loop, 3, noise_only=True)
    assert torch.equal(before, loop.state()["variables"]["joints"])
    assert bench.spread(found["sds"]) > 1e-6 and bench.spread(found["sdi"]) < 1e-9


def test_the_bench_s_spread_does_not_depend_on_the_number_of_draws():
    draws = 2.0 + 3.0 * torch.randn(4000, 500, generator=torch.Generator().manual_seed(0))
    assert [bench.spread(draws[:n]) for n in (8, 100, 4000)] == pytest.approx([9 / 4] * 3, rel=0.2)
