"""The built-in prior: vocabulary, latents, network, shipped weights, training that resumes exactly."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from schemas.errors import InputError, MissingError, SchemaError
from stages.distill.priors.embedded import data, latent, text
from stages.distill.priors.embedded.bodies import KINDS, as_splat, random_body
from stages.distill.priors.embedded.model import Denoiser, ModelConfig, alpha_sigma, velocity
from stages.distill.priors.embedded.prior import CARD, SPEC, WEIGHTS, EmbeddedPrior, export, load
from stages.distill.priors.embedded.train import TrainConfig, Trainer, train
from stages.distill.scene import Scene

SMALL = ModelConfig(channels=16, width=32, heads=2, layers=1, time_width=16)
shipped = pytest.mark.skipif(not WEIGHTS.exists(), reason="the weights are not in this checkout")


@pytest.fixture(scope="module")
def clips():
    return [clip for seed in range(5) for clip in data.clips(seed, Scene())]


@pytest.fixture(scope="module")
def videos(clips):
    return torch.stack([clip.video for clip in clips])


@pytest.fixture(scope="module")
def codec(videos):
    codec = latent.PatchCodec(SMALL.channels)
    codec.fit(videos)
    return codec


def test_words_and_their_inflections():
    assert text.tokens("a tiger walking") == text.tokens("The tigers, walks") == text.tokens("tiger strolling slowly")
    assert text.tokens("a t-rex is running") == text.tokens("a human running")
    assert text.tokens("a horse trots") == text.tokens("a horse running")
    assert text.tokens("running", facing="left") != text.tokens("running", facing="right") != text.tokens("running")
    every = [text.tokens(f"{word} standing") for word in text.BODIES]
    assert all(len(ids) == text.LENGTH and max(ids) < len(text.TOKENS) for ids in every)


@pytest.mark.parametrize(
    ("prompt", "message"), [("a tiger flying", "flying"), ("a sofa walking", "sofa"), ("a tiger", "no gait"), ("walking and running", "2 gaits")]
)
def test_unknown_prompts_name_the_known_words(prompt, message):
    with pytest.raises(InputError, match=message) as caught:
        text.tokens(prompt)
    assert "walking, running, jumping, standing" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_bodies_are_valid_and_reproducible(kind):
    body, again = random_body(40, kind), random_body(40, kind)
    body.rig.validate("rig")
    splat = as_splat(body)
    splat.validate("splat")
    assert np.array_equal(body.means, again.means)
    assert not np.array_equal(body.rig.positions, random_body(41, kind).rig.positions)
    assert 120 < len(body.means) < 600
    assert body.means[:, 1].min() > 0
    assert np.linalg.eigvalsh(body.covariances).min() > 0


def test_clips_are_deterministic_and_differ(clips):
    again = data.clips(1, Scene())
    assert torch.equal(clips[4].video, again[0].video)
    assert clips[4].ids == again[0].ids
    assert clips[0].video.shape == (17, 48, 64, 3)
    assert 0 <= clips[0].video.min() <= clips[0].video.max() <= 1
    assert (clips[0].video - clips[4].video).abs().mean() > 0.005


def test_codec_is_close_differentiable_and_normalised(videos):
    codec = latent.PatchCodec(64)
    codec.fit(videos)
    z = codec.encode(videos)
    assert z.shape == (len(videos), 5, 64, 6, 8)
    assert z.std() == pytest.approx(1, abs=0.05)
    error = (codec.decode(z) - videos).square().mean()
    assert 10 * torch.log10(1 / error) > 27
    assert torch.equal(latent.unblock(latent.blocks(videos)), videos)
    leaf = videos[:1].clone().requires_grad_()
    codec.encode(leaf).square().sum().backward()
    assert leaf.grad.abs().amax((0, 2, 3, 4)).min() > 0  # every frame is seen


def test_schedule_and_velocity():
    levels = np.array([alpha_sigma(u) for u in np.linspace(0, 1, 41)])
    assert np.allclose((levels**2).sum(1), 1)
    assert (np.diff(levels[:, 0]) < 0).all()
    assert levels[0, 0] > 0.999
    assert levels[-1, 0] == pytest.approx(0, abs=1e-6)
    alpha, sigma = map(torch.tensor, alpha_sigma(0.5))
    clean, noise = torch.randn(2, 4), torch.randn(2, 4)
    v = velocity(alpha * clean + sigma * noise, clean, alpha, sigma)
    assert torch.allclose(v, (alpha * noise - sigma * clean).float(), atol=1e-5)


def test_network_shapes():
    net = Denoiser(SMALL)
    out = net(torch.randn(2, 5, 16, 6, 8), torch.tensor([10, 900]), torch.zeros(2, text.LENGTH, dtype=torch.long))
    assert out.shape == (2, 5, 16, 6, 8)
    assert out.dtype == torch.float32


def trainer_of(clips, videos, codec, **config):
    latents = codec.encode(videos).half()
    ids = torch.tensor([clip.ids for clip in clips])
    few = latents.repeat(5, 1, 1, 1, 1), ids.repeat(5, 1)
    return Trainer(SMALL, TrainConfig(batch=4, matrix_rate=3e-3, **config), *few)


def test_training_resumes_bit_exactly_and_exports(clips, videos, codec, tmp_path):
    whole = trainer_of(clips, videos, codec, steps=6)
    train(whole, tmp_path)
    part = trainer_of(clips, videos, codec, steps=6)
    for _ in range(3):
        part.advance()
    part.save(tmp_path / "half.pt")
    rest = trainer_of(clips, videos, codec, steps=6)
    rest.load(tmp_path / "half.pt")
    while rest.done() < 1:
        rest.advance()
    for a, b in zip(whole.average.parameters(), rest.average.parameters(), strict=True):
        assert torch.equal(a, b)
    export(whole, codec, tmp_path)
    card, codec_again, net = load(tmp_path / WEIGHTS.name, tmp_path / CARD.name)
    assert card["training"]["steps_done"] == 6
    assert torch.allclose(codec_again.basis, codec.basis, atol=1e-3)
    assert sum(p.numel() for p in net.parameters()) == card["parameters"]
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((tmp_path / WEIGHTS.name).read_bytes()[:-4] + b"oops")
    with pytest.raises(SchemaError, match="sha256"):
        load(damaged, tmp_path / CARD.name)
    with pytest.raises(MissingError, match="train"):
        load(tmp_path / "nowhere.safetensors", tmp_path / CARD.name)


def test_chunks_are_written_once(clips, videos, codec, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_CHUNK", 2)
    monkeypatch.setattr(data, "fit_codec", lambda scene, channels: codec)
    data.prepare(tmp_path, 2, SMALL.channels)
    latents, ids, count = data.load_chunks(tmp_path)
    assert (count, len(latents)) == (2, 16)
    assert ids[0].tolist() == clips[0].ids
    first = (tmp_path / "chunk-0000.npz").read_bytes()
    shutil.copy(tmp_path / "chunk-0000.npz", tmp_path / "kept")
    (tmp_path / "chunk-0001.npz").unlink()
    data.prepare(tmp_path, 2, SMALL.channels)
    assert (tmp_path / "chunk-0000.npz").read_bytes() == first
    assert (tmp_path / "chunk-0001.npz").exists()


@shipped
def test_shipped_weights():
    assert WEIGHTS.stat().st_size <= 15e6
    prior = EmbeddedPrior()
    card = json.loads(CARD.read_text())
    assert card["licence"] == SPEC.licence
    assert dataclasses.asdict(prior.net.config) == card["model"]
    assert SPEC.latent_channels == card["model"]["channels"]


@shipped
def test_shipped_prior_cleans_an_unseen_clip(clips):
    prior = EmbeddedPrior()
    clip = data.clips(100001, Scene())[0]
    z = prior.encode_video(clip.video[None])
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(z.shape, generator=generator)
    alpha, sigma = prior.alpha_sigma(0.5)
    noisy = alpha * z + sigma * noise
    ids = torch.tensor([clip.ids])
    condition = prior.encode_prompt("an animal walking", facing="left")
    condition.positive = ids
    clean = prior.predict_x0(noisy, 0.5, condition, 1.0)
    assert clean.shape == z.shape
    # the mean clip, which knows nothing of this one, has an error of about 1
    assert (clean - z).square().mean() < 0.5 * z.square().mean()
    assert torch.equal(clean, prior.predict_x0(noisy, 0.5, condition, 1.0))
    guided = prior.predict_x0(noisy, 0.5, condition, 3.0)
    assert torch.isfinite(guided).all()
    assert prior.diagnostics["guidance_rms"] > 0
