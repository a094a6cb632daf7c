"""The bench of the trained autoencoder: shapes, causality, that training helps, and that the target is where the joints' error is 0."""

import dataclasses

import numpy as np
import pytest
import torch

from stages.distill.priors.embedded import data
from stages.distill.priors.embedded.model import ModelConfig
from tests.bench import autoencoder as bench


@pytest.fixture(scope="module")
def clips():
    return bench.held_out(2, ModelConfig().scene())


@pytest.fixture(scope="module")
def linear(clips):
    return data.fit_codec(ModelConfig(channels=4), clips)


def batch(clips, count=2):
    return data.unit(clips.videos[:count]), data.unit(clips.references[:count])


def stirred(linear):
    """An autoencoder whose networks say something."""
    torch.manual_seed(0)
    model = bench.Autoencoder(linear, width=16, layers=2)
    for network in (model.encoder, model.decoder):
        torch.nn.init.normal_(network.leave.weight, std=0.1)
    return model.requires_grad_(False)


def test_it_begins_as_the_linear_codec(linear, clips):
    video, reference = batch(clips)
    model = bench.Autoencoder(linear, width=16, layers=1)
    latent = model.encode(video, reference)
    assert torch.equal(latent, linear.encode(video, reference)) and latent.shape == (2, 5, 4, 6, 8)
    again = model.decode(latent, reference)
    assert again.shape == video.shape and torch.equal(again, linear.decode(latent, reference))


@pytest.mark.parametrize("frame", [1, 4, 5, 13])
def test_encoder_and_decoder_are_causal(linear, clips, frame):
    video, reference = batch(clips)
    model = stirred(linear)
    cell = (frame + 3) // 4  # frame 0 alone, then four at a time
    changed = video.clone()
    changed[:, frame:] += 0.3
    latent, other = model.encode(video, reference), model.encode(changed, reference)
    assert torch.equal(latent[:, :cell], other[:, :cell])
    assert not torch.equal(latent[:, cell], other[:, cell])
    different = latent.clone()
    different[:, cell:] += 1
    first = 4 * cell - 3
    before, after = model.decode(latent, reference), model.decode(different, reference)
    assert torch.equal(before[:, :first], after[:, :first]) and not torch.equal(before[:, first], after[:, first])


def test_training_betters_the_linear_codec(linear, clips):
    model = bench.Autoencoder(linear, width=32, layers=1)
    before = bench.psnr(linear, clips)
    assert bench.psnr(model, clips)[:2] == pytest.approx(before[:2])
    bench.train(model, clips, 25, batch=2, rate=3e-3)
    after = bench.psnr(model, clips)
    assert after[0] > before[0] and after[1] > before[1]
    assert torch.equal(linear.basis, model.linear.basis)
    assert bench.milliseconds(model, clips, repeats=1) > 0


def test_psnr_tells_moving_pixels_from_the_rest(linear, clips):
    whole, moving, deviation = bench.psnr(linear, clips)
    assert moving < whole and deviation == pytest.approx(1, abs=0.3)
    still = dataclasses.replace(clips, videos=np.repeat(clips.references[:, None], 17, 1))
    assert bench.psnr(linear, dataclasses.replace(still, videos=still.videos.copy() ^ 1))[0] > 40


def test_the_target_is_reached_from_near_it(clips):
    encoder = bench.pixels_encoder(clips)
    subject = bench.Subject(bench.HELD_OUT + 1, "walking")
    target, reference = subject.truth(0)
    assert target.shape == (1, 17, 48, 64, 3) and reference.shape == (1, 48, 64, 3)
    assert torch.equal(subject.film(subject.angles, subject.roots, subject.turns, 0).detach(), target)
    plain, noisy = bench.gradient_cosines(subject, encoder, torch.Generator().manual_seed(0))
    assert 0.05 < plain < 1 and noisy != plain
    assert bench.photometric_ceiling(subject, encoder, 0) == pytest.approx(1)
    assert bench.photometric_ceiling(subject, encoder, 6) < 1


def test_rotation_vectors_are_those_of_the_quaternions():
    from stages.body import quaternion

    vectors = torch.tensor([[0.0, 0, 0], [0.3, -0.2, 0.1], [0, 3.0, 0]])
    q = quaternion.from_rotation_vector(vectors)
    assert torch.allclose(bench.rotation_vector(q), vectors, atol=1e-5)
    assert torch.allclose(bench.rotation_vector(-q), vectors, atol=1e-5)


def test_rows_and_lines(clips, monkeypatch):
    monkeypatch.setattr(bench, "MOTIONS", ("walking",))
    monkeypatch.setattr(bench, "AMOUNTS", (0.5,))
    found = list(bench.rows([clips], clips, bench.Options(channels=(4,), steps=1, fit=4, subjects=1, adam_steps=1)))
    assert [(row["codec"], row["channels"]) for row in found] == [("pixels", 0), ("linear", 4), ("trained", 4)]
    assert all(np.isfinite(value) for row in found for key, value in row.items() if key != "codec")
    assert {bench.line(row).count("|") for row in found} == {bench.HEAD.splitlines()[0].count("|")}
