"""LTX-Video as a prior, on a tiny random model in diffusers format: exactness does not need trained weights."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import shutil

import pytest
import torch

from schemas.errors import InputError, MissingError
from stages.distill import stage
from stages.distill.params import Params
from stages.distill.priors import registry
from stages.distill.priors.base import VideoPrior
from stages.distill.priors.flow import read_schedule
from stages.distill.priors.ltx import LTXVideo, make_spec, read_spec
from stages.distill.priors.text_encoder import TextEncoder

from . import beast
from .tiny import CHANNELS, clip, noise, randomise, score_through, text_encoder, tokenizer

SIZE = (16, 32)  # height, width in pixels: 2 x 4 latent cells
SHAPE = (8, 2, 2, 4)  # channels, latent frames, rows, columns of 9 frames


def build(folder):
    """Save a random LTX-Video pipeline; its encoder has the strides 8 x 8 x 8."""
    import diffusers

    torch.manual_seed(0)
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=SHAPE[0],
        block_out_channels=(8, 8, 8, 16),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        patch_size=1,
        scaling_factor=0.7,
    )
    vae.latents_mean, vae.latents_std = noise(SHAPE[0]), 0.5 + torch.rand(SHAPE[0])
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=SHAPE[0],
        out_channels=SHAPE[0],
        num_attention_heads=2,
        attention_head_dim=12,
        cross_attention_dim=24,
        num_layers=2,
        caption_channels=CHANNELS,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, max_image_seq_len=4096, shift_terminal=0.1
    )
    diffusers.LTXPipeline(scheduler, vae, text_encoder("t5"), tokenizer(128), randomise(transformer)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("models") / "tiny-ltx")


@pytest.fixture(scope="module")
def loaded(folder):
    return registry.load_prior(str(folder))


@pytest.fixture
def prior(loaded):
    return copy.copy(loaded)


@pytest.fixture(scope="module")
def pipeline(folder):
    from diffusers import LTXPipeline

    pipeline = LTXPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("AKD_CACHE", str(tmp_path / "cache"))


def velocity(prior, noisy, sigma, text):
    """The network called as the pipeline does: packed latents, mask beside the embedding, 25 frames a second."""
    from diffusers import LTXPipeline

    tokens = prior.transformer(
        hidden_states=LTXPipeline._pack_latents(noisy),
        encoder_hidden_states=text[..., :-1],
        timestep=torch.full((len(noisy),), 1000 * sigma),
        encoder_attention_mask=text[..., -1].bool().long(),
        num_frames=SHAPE[1],
        height=SHAPE[2],
        width=SHAPE[3],
        rope_interpolation_scale=(8 / 25, 8, 8),
        return_dict=False,
    )[0]
    return LTXPipeline._unpack_latents(tokens, *SHAPE[1:])


def test_the_specification_comes_from_the_model(prior):
    spec = prior.spec
    assert isinstance(prior, VideoPrior) and isinstance(prior, LTXVideo)
    assert (spec.frames, spec.height, spec.width, spec.fps, spec.frame_rule, spec.size_multiple) == (73, 480, 704, 25.0, "8k+1", 8)
    assert (spec.prediction, spec.temporal_stride, spec.spatial_stride, spec.latent_channels) == ("flow", 8, 8, 8)
    spec.check_clip(spec.frames, spec.height, spec.width)


def test_it_is_loaded_as_it_was_saved(prior, pipeline):
    for ours, theirs in ((prior.transformer, pipeline.transformer), (prior.vae, pipeline.vae)):
        states = ours.state_dict(), theirs.state_dict()
        assert states[0].keys() == states[1].keys() and all(torch.equal(a, states[1][name]) for name, a in states[0].items())


def test_latents_are_normalised_as_the_pipeline_undoes_it(prior, pipeline):
    video = clip(9, *SIZE)
    with torch.no_grad():
        latent = prior.encode_video(video)
        mean = pipeline.vae.encode((2 * video - 1).permute(0, 4, 1, 2, 3)).latent_dist.mode()
    assert latent.shape == (1, *SHAPE)
    factor = pipeline.vae.config.scaling_factor
    assert torch.allclose(latent, pipeline._normalize_latents(mean, pipeline.vae.latents_mean, pipeline.vae.latents_std, factor), atol=1e-6)
    assert torch.allclose(pipeline._denormalize_latents(latent, pipeline.vae.latents_mean, pipeline.vae.latents_std, factor), mean, atol=1e-5)


@pytest.mark.parametrize("mode", ["resnets", "blocks", "nested"])
def test_the_score_reaches_latent_and_pixels_exactly(prior, pipeline, mode):
    prior.set_checkpointing(mode)
    video = clip(9, *SIZE).requires_grad_()
    gradient = score_through(prior, video)
    again = video.detach().clone().requires_grad_()
    vae = pipeline.vae  # without checkpoints
    mean = vae.encode((2 * again - 1).permute(0, 4, 1, 2, 3)).latent_dist.mean
    plain = (mean - vae.latents_mean.view(1, -1, 1, 1, 1)) / vae.latents_std.view(1, -1, 1, 1, 1) * 0.7
    (expected,) = torch.autograd.grad(plain, again, gradient)
    assert torch.equal(video.grad, expected) and expected.abs().amax((0, 2, 3, 4)).min() > 0


def test_only_the_residual_blocks_are_checkpointed_by_default(folder):
    prior = registry.load_prior(str(folder))
    assert not prior.vae.encoder.gradient_checkpointing and prior.vae.encoder.mid_block.gradient_checkpointing
    assert all(block.gradient_checkpointing for block in prior.vae.encoder.down_blocks)


def test_levels_are_shifted_as_by_the_pipeline_for_the_models_own_clip(prior, pipeline):
    from diffusers.pipelines.ltx.pipeline_ltx import calculate_shift

    tokens = 10 * (480 // 8) * (704 // 8)
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, shift_terminal=None)  # the end of sampling only
    scheduler.set_timesteps(sigmas=[0.9, 0.5, 0.1], mu=calculate_shift(tokens, 1024, 4096, 0.95, 2.05))
    for u, sigma in zip((0.9, 0.5, 0.1), scheduler.sigmas.tolist(), strict=False):
        assert prior.alpha_sigma(u) == pytest.approx((1 - sigma, sigma), abs=1e-6)


@pytest.mark.parametrize("u", [0.03, 0.5, 0.97])
def test_x0_agrees_with_the_scheduler(prior, pipeline, u):
    prior.schedule = dataclasses.replace(prior.schedule, shift=math.exp(1.2))
    text, noisy = prior.encode_prompt("a tiger walking"), noise(1, *SHAPE, seed=2)
    predicted = velocity(prior, noisy, prior.alpha_sigma(u)[1], text.positive)
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, shift_terminal=None)
    scheduler.set_timesteps(sigmas=[u], mu=1.2)
    expected = scheduler.step(predicted.double(), scheduler.timesteps[0], noisy.double()).prev_sample  # a step to sigma 0
    assert torch.allclose(prior.predict_x0(noisy, u, text, 1.0).double(), expected, atol=2e-5)


def test_one_step_of_the_pipeline_is_the_guided_estimate(prior, pipeline, monkeypatch):
    from diffusers import FlowMatchEulerDiscreteScheduler

    monkeypatch.setattr(pipeline, "scheduler", FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True))
    start = noise(1, 8, 2, 4, 8, seed=3)
    prompts = {"prompt": "a tiger walking", "negative_prompt": "a beast"}
    shown = {"height": 32, "width": 64, "num_frames": 9, "frame_rate": 25}
    packed = pipeline._pack_latents(start)
    made = pipeline(**prompts, **shown, num_inference_steps=1, guidance_scale=5.0, latents=packed, output_type="latent", return_dict=False)[0]
    expected = pipeline._unpack_latents(made, *start.shape[2:])
    prior.schedule = dataclasses.replace(prior.schedule, max_time=1.0)
    text = prior.encode_prompt("a tiger walking", "a beast")
    assert torch.allclose(prior.predict_x0(start, 1.0, text, 5.0), expected, atol=1e-4)
    prior.frame_rate = 12.0
    assert not torch.allclose(prior.predict_x0(start, 1.0, text, 5.0), expected, atol=1e-2), "the network is told the frame rate"


def test_guidance_is_between_negative_and_positive_in_the_pipelines_order(prior):
    text = prior.encode_prompt("a tiger walking", "a beast running")
    noisy = noise(2, *SHAPE, seed=4)
    _, sigma = prior.alpha_sigma(0.5)
    first, second = (velocity(prior, noisy, sigma, t.expand(2, -1, -1)) for t in (text.negative, text.positive))
    expected = noisy - sigma * (first + 7.0 * (second - first))
    assert torch.allclose(prior.predict_x0(noisy, 0.5, text, 7.0), expected, atol=1e-4)
    rms = (second - first).square().mean().sqrt().item()
    assert prior.diagnostics["guidance_rms"] == pytest.approx(rms, rel=1e-3) and rms > 0


def test_the_difference_is_sigma_times_the_error_in_velocity(prior):
    text = prior.encode_prompt("a tiger walking")
    latent, eps = noise(1, *SHAPE, seed=5), noise(1, *SHAPE, seed=6)
    alpha, sigma = prior.alpha_sigma(0.6)
    noisy = alpha * latent + sigma * eps
    difference = latent - prior.predict_x0(noisy, 0.6, text, 1.0)
    assert torch.allclose(difference, sigma * (velocity(prior, noisy, sigma, text.positive) - (eps - latent)), atol=1e-5)


def test_text_is_encoded_once_as_by_the_pipeline_with_its_mask(prior, pipeline, folder, monkeypatch):
    positive, mask, negative, other = pipeline.encode_prompt("a tiger walking", "a beast")
    ours = prior.encode_prompt("a tiger walking", "a beast")
    assert ours.positive.shape == (1, 128, CHANNELS + 1)
    for embedding, expected, attended in ((ours.positive, positive, mask), (ours.negative, negative, other)):
        assert torch.allclose(embedding[..., :-1], expected, atol=1e-4) and torch.equal(embedding[..., -1].bool(), attended)
    assert mask.sum() == 4 and prior.text.parts is None, "three words and the end; the text encoder is released"
    monkeypatch.setattr(TextEncoder, "_load", lambda self: pytest.fail("the text encoder was loaded again"))
    again = registry.load_prior(str(folder)).encode_prompt("a tiger walking", "a beast")
    assert torch.equal(ours.positive, again.positive) and torch.equal(ours.negative, again.negative)


def test_a_tokenizer_of_sentencepiece_is_read_and_its_absence_explained(prior, folder, tmp_path, monkeypatch):
    whole = tmp_path / "as-published"
    shutil.copytree(folder, whole)
    shutil.rmtree(whole / "tokenizer")
    with pytest.raises(MissingError, match="has no folder 'tokenizer' and the prompt is not in the cache"):
        registry.load_prior(str(whole)).encode_prompt("a tiger")
    (whole / "tokenizer").mkdir()
    with pytest.raises(MissingError, match=r"tokenizer: cannot be read .*; pip install 'akd\[priors\]' brings sentencepiece and protobuf"):
        registry.load_prior(str(whole)).encode_prompt("a tiger")
    pieces = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed (extra 'priors')")
    pytest.importorskip("google.protobuf", reason="protobuf is not installed (extra 'priors')")
    sentences = iter(["a tiger is walking", "the beast runs over the ground", "an animal jumps high"] * 20)
    file = whole / "tokenizer" / "spiece.model"
    with open(file, "wb") as stream:
        pieces.SentencePieceTrainer.train(
            sentence_iterator=sentences, model_writer=stream, vocab_size=32, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2, hard_vocab_limit=False
        )
    kept = {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "extra_ids": 0}
    (whole / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(kept))
    encoder = TextEncoder(whole, 128, prior.device, prior.dtype)
    encoder._load()
    seen = encoder.parts[0]("a tiger", padding="max_length", max_length=32).input_ids
    words = pieces.SentencePieceProcessor(model_file=str(file)).encode("a tiger")
    assert seen == [*words, 1, *[0] * (31 - len(words))]


def test_half_precision_gives_float32_estimates(prior, folder):
    half = LTXVideo(folder, dtype=torch.bfloat16)
    assert {half.transformer.dtype, half.vae.dtype} == {torch.bfloat16}
    noisy = noise(1, *SHAPE)
    results = [model.predict_x0(noisy, 0.5, model.encode_prompt("a tiger walking"), 1.0) for model in (prior, half)]
    assert results[1].dtype == torch.float32 and 0 < (results[0] - results[1]).abs().max() < 0.1 * results[0].abs().max()
    latents = [model.encode_video(clip(9, *SIZE)) for model in (prior, half)]
    assert latents[1].dtype == torch.float32 and (latents[0] - latents[1]).abs().max() < 0.1 * latents[0].abs().max()


def test_clips_the_model_does_not_take_are_refused(prior):
    with pytest.raises(InputError, match="--frames 13: the prior tiny-ltx takes 8k.1 .such as 17. frames"):
        prior.spec.check_clip(13, *SIZE)
    with pytest.raises(InputError, match="--width 20: the prior tiny-ltx takes multiples of 8 pixels"):
        prior.encode_video(torch.rand(1, 9, 16, 20, 3))


def test_other_and_missing_models_are_refused(folder, tmp_path, monkeypatch):
    other = tmp_path / "patched"
    shutil.copytree(folder, other)
    path = other / "transformer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"patch_size": 2}))
    with pytest.raises(InputError, match="joins latent cells into patches"):
        registry.load_prior(str(other))
    monkeypatch.setattr(registry, "_snapshot", lambda repository: None)
    with pytest.raises(MissingError, match="hf download Lightricks/LTX-Video --exclude 'ltx.*safetensors' gets it .29 GB of disk, about 16 GB of GPU memory"):
        registry.load_prior("ltx-video")


def test_the_published_configuration_is_understood(folder, tmp_path):
    # Lightricks/LTX-Video in diffusers format: what its configuration files say of the sizes
    published = {
        "transformer": {"_class_name": "LTXVideoTransformer3DModel", "in_channels": 128, "patch_size": 1, "patch_size_t": 1},
        "vae": {"latent_channels": 128, "patch_size": 4, "patch_size_t": 1, "spatio_temporal_scaling": [True, True, True, False]},
    }
    for part, values in published.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(values))
    shutil.copytree(folder / "scheduler", tmp_path / "scheduler")
    spec = read_spec(tmp_path, "ltx-video")
    assert (spec.frame_rule, spec.size_multiple, spec.latent_channels) == ("8k+1", 32, 128)
    spec.check_clip(spec.frames, spec.height, spec.width)
    assert spec.licence == registry.MODELS["ltx-video"].licence and "research and academic use only" in spec.licence
    later = make_spec(published["transformer"], published["vae"] | {"down_block_types": ["LTXVideo095DownBlock3D"] * 4}, "later")
    assert "research" not in later.licence and "its LTX-Video version" in later.licence
    assert read_schedule(tmp_path, 10 * 15 * 22).shift == pytest.approx(math.exp(0.95 + 1.1 * (3300 - 1024) / 3072))


def test_the_stage_runs_with_it_and_tells_it_the_frame_rate(folder, prior):
    params = Params(prior=str(folder), iterations=2, views=2, frames=9, height=32, width=48, fps=12, device="cpu")
    motion = stage.run(beast.rig(), beast.splat(beads=3), "a tiger walking", params, prior=prior)
    motion.validate()
    assert prior.frame_rate == 12
    assert motion.frame_count == 9 and motion.fps == 12 and motion.report["prior"] == "tiny-ltx"
    assert abs(motion.angles).max() > 0 and motion.losses[:, motion.loss_names.index("guidance_rms")].min() > 0
