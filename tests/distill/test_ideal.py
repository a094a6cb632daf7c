"""The ideal denoiser: exact on its bank, and strong enough to show that distillation makes an animal walk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from schemas.errors import InputError
from stages.body.kinematics import Skeleton, pose_of
from stages.distill import stage
from stages.distill.gaits import GAITS, OFFSETS, legs_of
from stages.distill.params import Params
from stages.distill.priors.ideal import IdealPrior

from . import beast


@pytest.fixture(scope="module")
def prior():
    return IdealPrior(beast.rig(), beast.splat(beads=4), cameras=2, phases=4)


def swings(motion):
    """Forward angle of each leg from hip to foot, by the leg's name. [rad, (F,)]"""
    rig = beast.rig()
    joints = pose_of(motion, Skeleton.from_rig(rig)).joints.numpy()
    legs = {leg.name: joints[:, leg.joints[2]] - joints[:, leg.joints[0]] for leg in legs_of(rig)}
    return {name: np.arctan2(leg[:, 2], -leg[:, 1]) for name, leg in legs.items()}


def phases(angles, period):
    """Phase lead of each leg over the left hind one at a period in frames. [cycles]"""
    time = np.arange(len(next(iter(angles.values()))))
    terms = np.stack([np.cos(2 * np.pi * time / period), np.sin(2 * np.pi * time / period), np.ones_like(time)], 1)
    fits = {name: np.linalg.lstsq(terms, angle, rcond=None)[0] for name, angle in angles.items()}
    turn = {name: np.arctan2(-fit[1], fit[0]) / (2 * np.pi) for name, fit in fits.items()}
    return {name: (value - turn["left_hind"]) % 1 for name, value in turn.items()}


def test_a_clip_of_the_bank_is_recognised_at_low_noise(prior):
    clip = prior.bank[5].reshape(1, *prior.shape)
    alpha, sigma = prior.alpha_sigma(0.3)
    noisy = alpha * clip + sigma * torch.randn(clip.shape, generator=torch.Generator().manual_seed(0))
    text = prior.encode_prompt("a beast " + GAITS[prior.gaits[5]])
    assert torch.allclose(prior.predict_x0(noisy, 0.3, text, 1.0), clip, atol=1e-3)
    assert prior.diagnostics["certainty"] > 0.999


def test_the_prediction_is_the_posterior_mean(prior):
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, *prior.shape, generator=generator)
    u = 0.97
    alpha, sigma = prior.alpha_sigma(u)
    text = prior.encode_prompt("a beast running")
    bank = prior.bank[torch.tensor(prior.gaits) == GAITS.index("running")].double()
    distance = (noisy.flatten(1).double()[:, None] - alpha * bank[None]).square().sum(2)
    expected = torch.softmax(-distance / (2 * sigma**2), 1) @ bank
    assert torch.allclose(prior.predict_x0(noisy, u, text, 1.0).flatten(1).double(), expected, atol=1e-4)


def test_guidance_goes_from_all_gaits_to_the_prompts(prior):
    noisy = torch.randn(1, *prior.shape, generator=torch.Generator().manual_seed(2))
    text = prior.encode_prompt("a beast jumping")
    one, two, none = (prior.predict_x0(noisy, 0.95, text, scale) for scale in (1.0, 2.0, 0.0))
    assert torch.allclose(two, 2 * one - none, atol=1e-5) and not torch.allclose(one, none)


def test_latents_are_normalised_and_linear_in_the_pixels(prior):
    assert prior.bank.mean().abs() < 1e-3 and prior.bank.std().item() == pytest.approx(1, abs=1e-3)
    videos = torch.rand(2, 17, 48, 64, 3, generator=torch.Generator().manual_seed(0))
    latents = prior.encode_video(videos)
    assert latents.shape == (2, 17, 3, 24, 32)
    assert latents[1, 3, 2, 5, 7].item() == pytest.approx((videos[1, 3, 10:12, 14:16, 2].mean().item() - prior.mean) / prior.scale, rel=1e-4)


def test_only_known_gaits(prior):
    assert prior.encode_prompt("").positive.tolist() == [[1.0] * 4]
    with pytest.raises(InputError, match="knows walking, running, jumping, standing"):
        prior.encode_prompt("a beast thinking")


def test_distillation_makes_the_beast_walk(prior):
    """The acceptance test of the machinery: legs swing in the lateral sequence and the body goes forward."""
    params = Params(prior="ideal", iterations=120, device="cpu")
    motion = stage.run(beast.rig(), beast.splat(beads=4), "a beast walking", params, prior=prior)
    angles = swings(motion)
    found = phases(angles, period=16.5)
    for name, angle in angles.items():
        assert np.ptp(angle) > 0.45, (name, np.ptp(angle))
        assert abs((found[name] - OFFSETS["walking"][name] + 0.5) % 1 - 0.5) < 0.12, found
    distance = motion.root_positions[-1, 2] - motion.root_positions[0, 2]
    assert 0.6 < distance < 1.1, distance
    assert np.abs(motion.root_positions[:, 0]).max() < 0.15, "the root must not drift off sideways"
