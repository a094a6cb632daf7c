"""The spread of the score's gradient: a Gaussian convolution of each frame, of the same norm, that draws a thing from afar."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from scipy.ndimage import gaussian_filter

from stages.distill import blur, loop, stage
from stages.distill.params import Params, resolve
from stages.distill.priors.embedded.model import ModelConfig
from stages.distill.priors.embedded.prior import spec_of
from stages.distill.priors.ideal import IdealPrior

from . import beast
from .tiny import noise


def test_it_falls_linearly_to_nothing():
    assert [blur.fading(3.0, step, 100.0) for step in (0, 50, 100, 149)] == [3.0, 1.5, 0.0, 0.0]
    assert blur.fading(3.0, 0, 0.0) == 0


@pytest.mark.parametrize("deviation", [0.5, 1.5, 4.0])
def test_it_is_a_gaussian_convolution_of_every_frame_by_itself(deviation):
    gradient = noise(2, 3, 24, 32, 3).double()
    expected = torch.from_numpy(gaussian_filter(gradient.numpy(), (0, 0, deviation, deviation, 0), mode="constant", truncate=20))
    expected = expected * (gradient.flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1))[:, None, None, None, None]
    assert torch.allclose(blur.spread(gradient, deviation), expected, atol=1e-3 * float(expected.abs().max()), rtol=0)


def test_each_clip_keeps_its_norm_whatever_the_others_are():
    gradient = noise(3, 2, 12, 16, 3)
    gradient[1] *= 1000
    wide = blur.spread(gradient, 2.0)
    assert torch.allclose(wide.flatten(1).norm(dim=1), gradient.flatten(1).norm(dim=1))
    assert torch.allclose(blur.spread(gradient[:1], 2.0), wide[:1], atol=1e-6), "on several processes it is the same run"


def test_without_a_spread_or_a_gradient_nothing_changes():
    gradient = noise(1, 2, 12, 16, 3)
    assert blur.spread(gradient, 0.0) is gradient
    nothing = torch.zeros_like(gradient)
    assert torch.equal(blur.spread(nothing, 3.0), nothing)


def _descend(start: float, goal: float, width: float) -> float:
    """Where a spot 1.2 px wide that starts at `start` comes by descent on the squared difference from one at `goal`. [px]"""
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(48.0), indexing="ij")

    def picture(x):
        spot = torch.exp(-0.5 * ((columns - x) ** 2 + (rows - 12) ** 2) / 1.2**2)
        return spot[None, None, ..., None].expand(1, 1, -1, -1, 3)

    place = torch.tensor(start, requires_grad=True)
    optimiser = torch.optim.Adam([place], lr=0.25)
    for step in range(100):
        now = picture(place)
        gradient = blur.spread((now - picture(torch.tensor(goal))).detach(), blur.fading(width, step, 70))
        optimiser.zero_grad()
        (now * gradient).sum().backward()
        if float(place.grad.abs()) > 1e-4:  # less is rounding, which Adam would follow as well
            optimiser.step()
    return float(place.detach())


def test_a_thing_finds_its_place_from_more_than_its_width_away():
    assert _descend(16.0, 26.0, 3.0) == pytest.approx(26.0, abs=0.1)
    assert _descend(16.0, 26.0, 0.0) == pytest.approx(16.0, abs=0.1), "unspread, nothing draws it there"


def test_a_run_spreads_the_gradient_of_the_prior():
    prior = IdealPrior(beast.rig(), beast.splat(beads=3), cameras=2, phases=2)
    plain, wide = (_gradient(prior, width) for width in (0.0, 2.5))
    assert torch.equal(wide, blur.spread(plain, 2.5)) and not torch.allclose(wide, plain)


def _gradient(prior, width):
    rig, splat = beast.rig(), beast.splat(beads=3)
    settings = dataclasses.replace(stage.resolve(Params(blur=width, device="cpu"), prior.spec), speed=1.0)
    run = loop.Distillation(rig, splat, "a beast walking", settings, prior, "cpu")
    video = torch.rand(settings.views, settings.frames, settings.height, settings.width, 3, generator=torch.Generator().manual_seed(0))
    return run._pixel_gradient(video, loop.Answer([], run.texts["left"], 0.5))[0]


def test_the_built_in_prior_wants_it_and_the_paper_knows_none():
    assert resolve(Params(), spec_of(ModelConfig())).blur == 3
    assert resolve(Params(preset="paper"), spec_of(ModelConfig())).blur == 0
