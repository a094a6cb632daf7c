"""CogVideoX as a prior, on tiny random models in diffusers format: exactness does not need trained weights."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch

from schemas.errors import InputError, MissingError
from stages.distill import stage
from stages.distill.params import Params
from stages.distill.priors import registry
from stages.distill.priors.base import VideoPrior
from stages.distill.priors.text_encoder import TextEncoder

from . import beast
from .tiny import score_through

SIZE = (16, 24)  # height, width in pixels: the tiny encoder has a spatial stride of 4


def build(folder, *, rotary=False, patch_t=None, layers=1):
    """Save a random CogVideoX pipeline with the real classes and a word-level tokenizer."""
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    torch.manual_seed(0)
    words = {word: k for k, word in enumerate(["<pad>", "</s>", "<unk>", "a", "tiger", "beast", "walking", "running"])}
    tokens = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        block_out_channels=(4, 4, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
        scaling_factor=0.7,
    )
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        time_embed_dim=8,
        text_embed_dim=16,
        num_layers=layers,
        sample_width=6,
        sample_height=4,
        sample_frames=9,
        patch_size=2,
        patch_size_t=patch_t,
        temporal_compression_ratio=4,
        max_text_seq_length=6,
        use_rotary_positional_embeddings=rotary,
    )
    for parameter in transformer.parameters():  # the library starts some layers at zero, which would hide mistakes
        torch.nn.init.normal_(parameter, std=0.2)
    text = T5EncoderModel(T5Config(vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    scheduler = CogVideoXDDIMScheduler(
        beta_schedule="scaled_linear", prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0, timestep_spacing="trailing"
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    parts = (vae.eval(), transformer.eval(), scheduler, text.eval(), fast)
    for name, part in zip(("vae", "transformer", "scheduler", "text_encoder", "tokenizer"), parts, strict=True):
        part.save_pretrained(folder / name)
    index = {"_class_name": CogVideoXPipeline.__name__, "vae": ["diffusers", "AutoencoderKLCogVideoX"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("models") / "tiny-2b")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("AKD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def prior(folder):
    return registry.load_prior(str(folder))


def clip(frames=9, batch=1):
    return torch.rand(batch, frames, *SIZE, 3, generator=torch.Generator().manual_seed(0))


def test_the_specification_comes_from_the_model(prior):
    spec = prior.spec
    assert (spec.frames, spec.height, spec.width, spec.fps) == (9, 16, 24, 8.0)
    assert (spec.prediction, spec.temporal_stride, spec.spatial_stride, spec.latent_channels, spec.size_multiple) == ("v", 4, 4, 4, 8)
    assert isinstance(prior, VideoPrior) and spec.look == "natural"


def test_latents_are_the_scaled_mean_of_the_encoder(prior):
    video = clip()
    pixels = (2 * video - 1).permute(0, 4, 1, 2, 3)
    expected = 0.7 * prior.vae.encode(pixels).latent_dist.mean.permute(0, 2, 1, 3, 4)
    latent = prior.encode_video(video)
    assert latent.shape == (1, 3, 4, 4, 6) and torch.equal(latent, expected)


def test_the_score_reaches_latent_and_pixels_exactly(prior):
    video = clip().requires_grad_()
    gradient = score_through(prior, video)
    again = video.detach().clone().requires_grad_()
    prior.vae.disable_gradient_checkpointing()  # plain autograd through the encoder
    (expected,) = torch.autograd.grad(prior.encode_video(again), again, gradient)
    assert torch.equal(video.grad, expected) and expected.abs().max() > 0


def test_only_the_residual_blocks_are_checkpointed(prior):
    assert not prior.vae.encoder.gradient_checkpointing
    assert all(block.gradient_checkpointing for block in prior.vae.encoder.down_blocks)


@pytest.mark.parametrize("u", [0.03, 0.5, 0.97])
def test_x0_agrees_with_the_scheduler(prior, u):
    text = prior.encode_prompt("a tiger walking")
    noisy = torch.randn(1, 3, 4, 4, 6, generator=torch.Generator().manual_seed(2))
    clean = prior.predict_x0(noisy, u, text, 1.0)
    step = round(1000 * u)
    velocity = prior.transformer(noisy, text.positive, torch.tensor([step]), return_dict=False)[0]
    prior.scheduler.set_timesteps(1000)
    expected = prior.scheduler.step(velocity.double(), step, noisy.double(), return_dict=True).pred_original_sample
    assert torch.allclose(clean.double(), expected, atol=1e-5)
    alpha, sigma = prior.alpha_sigma(u)
    assert alpha**2 + sigma**2 == pytest.approx(1, abs=1e-12)
    assert alpha == pytest.approx(math.sqrt(prior.scheduler.alphas_cumprod[step].item()), abs=1e-12)


def test_guidance_is_between_negative_and_positive_in_the_pipelines_order(prior):
    text = prior.encode_prompt("a tiger walking", "a beast running")
    noisy = torch.randn(2, 3, 4, 4, 6, generator=torch.Generator().manual_seed(3))
    u, scale = 0.5, 7.0
    velocities = [prior.transformer(noisy, t.expand(2, -1, -1), torch.tensor([500, 500]), return_dict=False)[0] for t in (text.negative, text.positive)]
    alpha, sigma = prior.alpha_sigma(u)
    expected = alpha * noisy - sigma * (velocities[0] + scale * (velocities[1] - velocities[0]))
    assert torch.allclose(prior.predict_x0(noisy, u, text, scale), expected, atol=1e-4)
    rms = (velocities[1] - velocities[0]).square().mean().sqrt().item()
    assert prior.diagnostics["guidance_rms"] == pytest.approx(rms, rel=1e-4) and rms > 0


def test_the_difference_is_sigma_times_the_error_in_velocity(prior):
    text = prior.encode_prompt("a tiger walking")
    generator = torch.Generator().manual_seed(4)
    latent, noise = (torch.randn(1, 3, 4, 4, 6, generator=generator) for _ in range(2))
    alpha, sigma = prior.alpha_sigma(0.6)
    noisy = alpha * latent + sigma * noise
    predicted = prior.transformer(noisy, text.positive, torch.tensor([600]), return_dict=False)[0]
    velocity = alpha * noise - sigma * latent
    difference = latent - prior.predict_x0(noisy, 0.6, text, 1.0)
    assert torch.allclose(difference, sigma * (predicted - velocity), atol=1e-6 * 10)


def test_views_may_differ_in_their_text(prior):
    one, two = prior.encode_prompt("a tiger walking"), prior.encode_prompt("a beast running")
    both = dataclasses.replace(one, positive=torch.cat([one.positive, two.positive]), negative=torch.cat([one.negative, two.negative]))
    noisy = torch.randn(2, 3, 4, 4, 6, generator=torch.Generator().manual_seed(5))
    together = prior.predict_x0(noisy, 0.5, both, 3.0)
    apart = [prior.predict_x0(noisy[k : k + 1], 0.5, text, 3.0) for k, text in enumerate((one, two))]
    assert torch.allclose(together, torch.cat(apart), atol=1e-6)


def test_prompts_are_encoded_once_and_the_text_encoder_is_not_kept(prior, folder, monkeypatch):
    first = prior.encode_prompt("a tiger walking")
    assert first.positive.shape == (1, 6, 16)
    monkeypatch.setattr(TextEncoder, "_load", lambda self: pytest.fail("the text encoder was loaded again"))
    again = registry.load_prior(str(folder)).encode_prompt("a tiger walking")
    assert torch.equal(first.positive, again.positive) and torch.equal(first.negative, again.negative)
    assert prior.text.parts is None


def test_text_embeddings_are_those_of_the_pipeline(prior, folder):
    from diffusers import CogVideoXPipeline
    from transformers import AutoTokenizer, T5EncoderModel

    tokenizer, encoder = AutoTokenizer.from_pretrained(folder / "tokenizer"), T5EncoderModel.from_pretrained(folder / "text_encoder").eval()
    pipeline = CogVideoXPipeline(tokenizer, encoder, prior.vae, prior.transformer, prior.scheduler)
    with torch.no_grad():
        positive, negative = pipeline.encode_prompt("a tiger walking", "", max_sequence_length=6)
    ours = prior.encode_prompt("a tiger walking")
    assert torch.allclose(ours.positive, positive, atol=1e-6) and torch.allclose(ours.negative, negative, atol=1e-6)


@pytest.mark.parametrize("patch_t", [None, 2])
def test_rotary_positions_are_those_of_the_pipeline(tmp_path, patch_t):
    from diffusers import CogVideoXPipeline

    prior = registry.load_prior(str(build(tmp_path / "tiny-5b", rotary=True, patch_t=patch_t)))
    frames = 4 if patch_t else 3
    pipeline = CogVideoXPipeline.__new__(CogVideoXPipeline)
    pipeline.__dict__.update(vae_scale_factor_spatial=4, transformer=prior.transformer)
    expected = CogVideoXPipeline._prepare_rotary_positional_embeddings(pipeline, *SIZE, frames, torch.device("cpu"))
    ours = prior._rotary(SIZE[0] // 4, SIZE[1] // 4, frames)
    assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))
    latent = prior.encode_video(clip())
    assert latent.shape[1] == frames
    if patch_t:
        assert torch.equal(latent[:, 0], latent[:, 1]), "padded in front by a copy of the first latent frame"
    assert prior.predict_x0(latent, 0.5, prior.encode_prompt("a tiger"), 2.0).shape == latent.shape


def test_clips_the_model_does_not_take_are_refused(prior):
    with pytest.raises(InputError, match="--frames 8: the prior tiny-2b takes 4k.1 .such as 9. frames"):
        prior.spec.check_clip(8, *SIZE)
    with pytest.raises(InputError, match="--width 20: the prior tiny-2b takes multiples of 8 pixels"):
        prior.encode_video(torch.rand(1, 9, 16, 20, 3))


def test_missing_models_say_how_to_get_them(monkeypatch, tmp_path, folder):
    monkeypatch.setattr(registry, "_snapshot", lambda repository: None)
    with pytest.raises(MissingError, match="hf download zai-org/CogVideoX-5b gets it .21 GB of disk"):
        registry.load_prior("cogvideox-5b")
    with pytest.raises(InputError, match="neither a folder nor one of embedded, ideal, cogvideox-2b"):
        registry.load_prior("sora")
    with pytest.raises(InputError, match="no model_index.json"):
        registry.load_prior(str(tmp_path))
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(InputError, match="names no pipeline; akd knows CogVideoXPipeline"):
        registry.load_prior(str(tmp_path))
    (tmp_path / "model_index.json").write_text('{"_class_name": "CogVideoXPipeline"}')
    with pytest.raises(MissingError, match="no folder 'transformer'"):
        registry.load_prior(str(tmp_path))
    status = {row.name: row for row in registry.prior_status()}
    large = ["cogvideox-2b", "cogvideox-5b", "cogvideox1.5-5b", "wan2.1-1.3b", "wan2.1-14b", "wan2.2-ti2v-5b", "ltx-video"]
    assert list(status) == ["embedded", "ideal", *large]
    assert status["ideal"].usable and not status["cogvideox-5b"].usable and "hf download" in status["cogvideox-5b"].detail


@pytest.mark.parametrize("owner", ["zai-org", "THUDM"])
def test_the_cache_is_searched_under_both_names_of_a_repository_that_moved(monkeypatch, folder, owner):
    import huggingface_hub

    def snapshot(name, **how):
        if name != f"{owner}/CogVideoX-5b":
            raise huggingface_hub.errors.LocalEntryNotFoundError(name)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert registry.find_model("cogvideox-5b") == folder
    status = {row.name: row for row in registry.prior_status()}
    assert status["cogvideox-5b"].usable and not status["cogvideox-2b"].usable


def test_other_models_are_refused(tmp_path):
    for part, content in (("transformer", {"_class_name": "WanTransformer3DModel"}), ("vae", {}), ("scheduler", {})):
        (tmp_path / part).mkdir()
        (tmp_path / part / ("scheduler_config.json" if part == "scheduler" else "config.json")).write_text(json.dumps(content))
    (tmp_path / "model_index.json").write_text('{"_class_name": "CogVideoXPipeline"}')
    with pytest.raises(InputError, match="is WanTransformer3DModel, CogVideoXTransformer3DModel is needed"):
        registry.load_prior(str(tmp_path))
    (tmp_path / "transformer" / "config.json").write_text('{"_class_name": "CogVideoXTransformer3DModel"}')
    with pytest.raises(InputError, match="configuration has no 'in_channels'"):
        registry.load_prior(str(tmp_path))


def test_the_stage_runs_with_it(folder):
    params = Params(prior=str(folder), iterations=2, views=2, device="cpu")
    motion = stage.run(beast.rig(), beast.splat(beads=3), "a tiger walking", params)
    motion.validate()
    assert motion.frame_count == 9 and motion.fps == 8 and motion.report["prior"] == "tiny-2b"
    assert motion.header.params["guidance_scale"] == 100 and abs(motion.angles).max() > 0
    assert motion.losses[:, motion.loss_names.index("guidance_rms")].min() > 0
