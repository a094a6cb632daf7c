"""The built-in prior: vocabulary, latents, network, shipped weights, training that resumes exactly."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from schemas.errors import InputError, MissingError, SchemaError
from stages.distill.priors.embedded import data, files, latent, text
from stages.distill.priors.embedded.bodies import KINDS, as_splat, random_body
from stages.distill.priors.embedded.model import Denoiser, ModelConfig, alpha_sigma, velocity
from stages.distill.priors.embedded.prior import EmbeddedPrior
from stages.distill.priors.embedded.train import HELD_OUT, TrainConfig, Trainer, train

SMALL = ModelConfig(channels=16, image_channels=12, width=32, heads=2, layers=1, time_width=16)
shipped = pytest.mark.skipif(not files.MODEL.exists(), reason="the weights are not in this checkout")


@pytest.fixture(scope="module")
def clips():
    source = itertools.chain.from_iterable(data.takes(seed) for seed in range(4))
    return data.shoot(source, SMALL.scene(), np.random.default_rng(0))


@pytest.fixture(scope="module")
def codec(clips):
    return data.fit_codec(SMALL, clips)


def test_words_and_their_inflections():
    assert text.tokens("a tiger walking") == text.tokens("The tigers, walks") == text.tokens("tiger strolling slowly")
    assert text.tokens("a t-rex is running") == text.tokens("a human running")
    assert text.tokens("a horse trots") == text.tokens("a horse running")
    assert text.tokens("running", facing="left") != text.tokens("running", facing="right") != text.tokens("running")
    assert text.tokens("a dog turning left") != text.tokens("a dog turning right") == text.tokens("a dog walking and turning to its right")
    every = [text.tokens(f"{word} standing") for word in text.BODIES] + [text.tokens(f"an animal {motion}") for motion in text.MOTIONS]
    assert all(len(ids) == text.LENGTH and max(ids) < len(text.TOKENS) for ids in every)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a tiger flying", "flying"),
        ("a sofa walking", "sofa"),
        ("a tiger", "no motion"),
        ("walking and running", "2 motions"),
        ("a dog turning", "which side"),
    ],
)
def test_unknown_prompts_name_the_known_words(prompt, message):
    with pytest.raises(InputError, match=message) as caught:
        text.tokens(prompt)
    assert "walking" in str(caught.value) or "turning left" in str(caught.value)


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
    again = data.shoot(data.takes(0), SMALL.scene(), np.random.default_rng(0))
    assert np.array_equal(clips.videos[:4], again.videos)
    assert np.array_equal(clips.ids[:4], again.ids)
    assert clips.videos.shape == (16, 17, 48, 64, 3)
    assert len({tuple(ids[1:2]) for ids in clips.ids[:4]}) == 4  # four different motions of one body
    assert np.abs(clips.videos[0].astype(float) - clips.videos[4]).mean() > 1


def test_cycles_agree_in_the_middle_of_the_clip():
    for seed in range(3):
        for take in data.takes(seed, dict.fromkeys(("walking", "running"), 0.5)):
            period = take.clip.info["period"]
            assert (take.clip.info["phase"] + 8 / period) % 1 == pytest.approx(0, abs=1e-9) or (take.clip.info["phase"] + 8 / period) % 1 > 1 - 1e-9


def test_the_reference_is_the_body_at_rest_in_the_same_place():
    """A clip of a body that stands still at rest is its reference repeated."""
    body = random_body(3, "quadruped")
    clip = data.clip_of(body, "walking", np.random.default_rng(0))
    root = np.tile(body.rig.positions[0].astype(np.float32), (17, 1))
    root[:, 2] += np.linspace(0, 1, 17, dtype=np.float32)
    rest = dataclasses.replace(clip, angles=0 * clip.angles, root_positions=root, root_rotations=np.tile(np.float32([0, 0, 0, 1]), (17, 1)))
    shot = data.film(data.Take(body, rest, "walking"), SMALL.scene(), np.random.default_rng(1))
    assert (shot.video - shot.reference).abs().max() < 1e-3


def test_codec_is_close_differentiable_and_normalised(clips):
    config = ModelConfig(channels=64)
    codec = data.fit_codec(config, clips)
    videos, references = data.unit(clips.videos), data.unit(clips.references)
    z = codec.encode(videos, references)
    assert z.shape == (16, 5, 64, 6, 8)
    assert z.square().mean() == pytest.approx(1, abs=0.05)
    error = (codec.decode(z, references) - videos).square().mean()
    assert 10 * torch.log10(1 / error) > 26
    assert codec.encode(references[:, None].expand(-1, 17, -1, -1, -1), references).abs().max() == 0  # a still body is 0
    for stride in (1, 2, 4):
        assert torch.equal(latent.unblock(latent.blocks(videos, stride), stride), videos)
    leaf = videos[:1].clone().requires_grad_()
    codec.encode(leaf, references[:1]).square().sum().backward()
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


@pytest.mark.parametrize("config", [SMALL, dataclasses.replace(SMALL, reference=False), dataclasses.replace(SMALL, stride_t=2, patch=1)])
def test_network_shapes(config):
    net, t = Denoiser(config), latent.latent_frames(config.stride_t)
    noisy, image, ids = torch.randn(2, t, 16, 6, 8), torch.randn(2, 12, 6, 8), torch.zeros(2, text.LENGTH, dtype=torch.long)
    out = net(noisy, image, torch.tensor([10, 900]), ids)
    assert out.shape == noisy.shape
    assert out.dtype == torch.float32
    sees = not torch.equal(out, net(noisy, image + 1, torch.tensor([10, 900]), ids))
    assert sees == config.reference


def test_attention_is_that_of_diffusers():
    from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0

    torch.manual_seed(0)
    net = Denoiser(SMALL)
    inputs = torch.randn(2, 5, 16, 6, 8), torch.randn(2, 12, 6, 8), torch.tensor([10, 900]), torch.zeros(2, text.LENGTH, dtype=torch.long)
    ours = net(*inputs)
    net.transformer.set_attn_processor(CogVideoXAttnProcessor2_0())
    assert torch.allclose(ours, net(*inputs), atol=1e-5)


def trainer_of(clips, codec, **config):
    latents = data.encode(SMALL, codec, clips)
    many = data.join([latents] * (HELD_OUT // len(latents) + 1))
    return Trainer(SMALL, TrainConfig(batch=4, **config), many)


def test_training_resumes_bit_exactly_and_saves(clips, codec, tmp_path):
    whole = trainer_of(clips, codec, steps=6)
    train(whole, tmp_path)
    part = trainer_of(clips, codec, steps=6)
    for _ in range(3):
        part.advance()
    part.save(tmp_path / "half.pt")
    rest = trainer_of(clips, codec, steps=6)
    rest.load(tmp_path / "half.pt")
    while rest.done() < 1:
        rest.advance()
    for a, b in zip(whole.average.parameters(), rest.average.parameters(), strict=True):
        assert torch.equal(a, b)
    folder = tmp_path / "weights"
    files.save(whole, codec, folder)
    card, codec_again, net = files.load(folder)
    assert card["training"]["steps_done"] == 6
    assert torch.equal(codec_again.basis, codec.basis.half().float())
    for a, b in zip(net.parameters(), whole.average.parameters(), strict=True):
        assert torch.equal(a, b.half().float())
    weights = folder / "transformer/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"oops")
    with pytest.raises(SchemaError, match="sha256"):
        files.load(folder)
    weights.unlink()
    with pytest.raises(MissingError, match="reinstall"):
        files.load(folder)
    with pytest.raises(MissingError, match="train"):
        files.load(tmp_path / "nowhere")


def test_training_learns_what_a_clip_shows(clips, codec):
    """On clips it has seen, a short training explains most of the variance that the still body leaves."""
    trainer = trainer_of(clips, codec, steps=200)
    begin = trainer.validate()
    while trainer.done() < 1:
        trainer.advance()
    end = trainer.validate()
    assert end[0.2] < 0.9 < begin[0.2]


def test_chunks_are_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "BODIES_PER_CHUNK", 1)
    scene = SMALL.scene()
    assert list(data.prepare(tmp_path, 2, scene)) == [0, 1]
    first = data.chunk_path(tmp_path, 0).read_bytes()
    data.chunk_path(tmp_path, 1).unlink()
    assert list(data.prepare(tmp_path, 2, scene)) == [0, 1]
    assert data.chunk_path(tmp_path, 0).read_bytes() == first
    assert data.read_chunk(data.chunk_path(tmp_path, 1)).videos.shape == (4, 17, 48, 64, 3)


@shipped
def test_shipped_weights():
    assert sum(path.stat().st_size for path in files.MODEL.rglob("*")) <= 15e6
    prior = EmbeddedPrior()
    assert prior.card["licence"] == prior.spec.licence == files.LICENCE
    assert dataclasses.asdict(prior.net.config) == prior.card["model"]
    assert prior.spec.latent_channels == prior.card["model"]["channels"]


@shipped
def test_shipped_prior_cleans_an_unseen_clip():
    prior = EmbeddedPrior()
    take = next(data.takes(100001))
    shot = data.film(take, prior.net.config.scene(), np.random.default_rng(5))
    image = shot.reference[None]
    z = prior.encode_video(shot.video[None], image)
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    condition = prior.encode_prompt(f"an animal {take.motion}", facing=shot.facing)
    condition.image = image
    for level, unexplained in ((0.5, 0.3), (1.0, 0.6)):
        alpha, sigma = prior.alpha_sigma(level)
        noisy = alpha * z + sigma * noise
        clean = prior.predict_x0(noisy, level, condition, 1.0)
        assert (clean - z).square().mean() < unexplained * z.square().mean()
        assert torch.equal(clean, prior.predict_x0(noisy, level, condition, 1.0))
    guided = prior.predict_x0(noisy, 1.0, condition, 3.0)
    assert torch.isfinite(guided).all()
    assert prior.diagnostics["guidance_rms"] > 0
