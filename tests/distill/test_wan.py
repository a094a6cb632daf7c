"""Wan as a prior, on tiny random models in diffusers format: exactness does not need trained weights."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from schemas.errors import InputError, MissingError
from stages.distill import costs, stage
from stages.distill.params import Params
from stages.distill.priors import registry
from stages.distill.priors.base import VideoPrior
from stages.distill.priors.flow import read_schedule
from stages.distill.priors.offload import Offload
from stages.distill.priors.text_encoder import TextEncoder
from stages.distill.priors.wan import Wan, read_spec
from stages.distill.priors.wan_vae import CHUNKS, MODES, NONE, SEGMENTS, encode_mean

from . import beast
from .tiny import CHANNELS, clip, noise, randomise, score_through, stored, text_encoder, tokenizer

SIZES = {"wan2.1": (16, 32), "ti2v": (32, 64)}  # height, width in pixels: 2 x 4 latent cells
SHAPE = (3, 2, 4)  # latent frames, rows, columns of 9 frames


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `prepare` reads of the parameters."""

    views: int
    frames: int
    height: int
    width: int
    guidance_scale: float = 5.0
    checkpointing: str = "auto"
    offload: bool = False


def build(folder, kind, solver="unipc"):
    """Save a random Wan pipeline: "wan2.1" with its encoder of stride 8, "ti2v" with the residual one of stride 16."""
    import diffusers

    torch.manual_seed(0)
    large = kind == "ti2v"
    channels = 6 if large else 4
    extra = {"is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16} if large else {}
    vae = diffusers.AutoencoderKLWan(
        base_dim=4,
        z_dim=channels,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        latents_mean=[0.3 * k - 0.5 for k in range(channels)],
        latents_std=[0.2 + 0.1 * k for k in range(channels)],
        **extra,
    )
    transformer = diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=channels, out_channels=channels, text_dim=CHANNELS, freq_dim=16, ffn_dim=32, num_layers=2
    )
    scheduler = {
        "unipc": diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        "euler": diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0),
    }[solver]
    pipeline = diffusers.WanPipeline(tokenizer(512), text_encoder("umt5"), vae, scheduler, randomise(transformer), expand_timesteps=large)
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {"wan2.1": build(root / "tiny-wan", "wan2.1"), "ti2v": build(root / "tiny-ti2v", "ti2v", "euler")}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("AKD_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def loaded(folders):
    return {kind: registry.load_prior(str(folder)) for kind, folder in folders.items()}


@pytest.fixture(params=SIZES)
def prior(request, loaded):
    return copy.copy(loaded[request.param])


def size(prior):
    return SIZES["ti2v" if prior.spec.spatial_stride == 16 else "wan2.1"]


def latent_noise(prior, batch=1, seed=0):
    return noise(batch, prior.spec.latent_channels, *SHAPE, seed=seed)


def pipeline_of(folder):
    from diffusers import WanPipeline

    pipeline = WanPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def scheduler_of(prior):
    import diffusers

    kind = json.loads((prior.text.folder / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
    return getattr(diffusers, kind).from_pretrained(prior.text.folder, subfolder="scheduler")


def test_the_specification_comes_from_the_model(loaded):
    small, large = (loaded[kind].spec for kind in SIZES)
    assert (small.frames, small.height, small.width, small.fps, small.size_multiple, small.frame_rule) == (49, 480, 832, 16.0, 16, "4k+1")
    assert (large.frames, large.height, large.width, large.fps, large.size_multiple, large.spatial_stride) == (73, 704, 1280, 24.0, 32, 16)
    assert small.prediction == large.prediction == "flow" and small.licence == "Apache-2.0" and small.latent_channels == 4


@pytest.mark.parametrize(
    ("vae", "transformer", "expected"),
    [
        ({"base_dim": 96}, {"in_channels": 16, "patch_size": [1, 2, 2]}, (16, 8, 16)),
        ({"z_dim": 48, "patch_size": 2, "scale_factor_spatial": 16}, {"in_channels": 48, "patch_size": [1, 2, 2]}, (48, 16, 32)),
    ],
    ids=["Wan2.1-T2V", "Wan2.2-TI2V-5B"],
)
def test_the_published_configurations_are_understood(folders, tmp_path, vae, transformer, expected):
    # what the files of Wan-AI on the hub say of the sizes; those of Wan2.1 are older than most names
    for part, values in (("vae", vae), ("transformer", {"_class_name": "WanTransformer3DModel"} | transformer)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(values))
    shutil.copytree(folders["wan2.1"] / "scheduler", tmp_path / "scheduler")
    (tmp_path / "model_index.json").write_text('{"_class_name": "WanPipeline", "boundary_ratio": null, "transformer_2": [null, null]}')
    spec = read_spec(tmp_path, "wan")
    assert (spec.latent_channels, spec.spatial_stride, spec.size_multiple) == expected and spec.frame_rule == "4k+1"
    spec.check_clip(spec.frames, spec.height, spec.width)
    assert read_schedule(tmp_path, 1).shift == 3.0


def test_it_is_a_prior_loaded_as_it_was_saved(prior, folders):
    assert isinstance(prior, VideoPrior) and isinstance(prior, Wan)
    saved = pipeline_of(prior.text.folder)
    for ours, theirs in ((prior.transformer, saved.transformer), (prior.vae, saved.vae)):
        states = ours.state_dict(), theirs.state_dict()
        assert states[0].keys() == states[1].keys() and all(torch.equal(a, states[1][name]) for name, a in states[0].items())


def test_latents_are_normalised_as_by_the_pipeline(prior):
    from diffusers import FlowMatchEulerDiscreteScheduler, WanVideoToVideoPipeline

    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.add_noise = lambda latents, noise, time: latents
    pipeline = WanVideoToVideoPipeline(None, None, prior.transformer, prior.vae, scheduler)
    video = clip(9, *size(prior))
    pixels = (2 * video - 1).permute(0, 4, 1, 2, 3)
    with torch.no_grad():
        expected = pipeline.prepare_latents(pixels, dtype=torch.float32, device=torch.device("cpu"), timestep=torch.tensor([1.0]), generator=torch.Generator())
        ours = prior.encode_video(video)
    assert ours.shape == expected.shape == (1, prior.spec.latent_channels, *SHAPE)
    assert torch.allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("mode", [CHUNKS, SEGMENTS])
def test_the_score_reaches_latent_and_pixels_exactly(prior, mode):
    prior.checkpointing = mode
    video = clip(9, *size(prior)).requires_grad_()
    gradient = score_through(prior, video)
    again = video.detach().clone().requires_grad_()
    mean = prior.vae.encode((2 * again - 1).permute(0, 4, 1, 2, 3)).latent_dist.mean  # the library's own, without checkpoints
    spread = torch.tensor(prior.vae.config.latents_std).view(1, -1, 1, 1, 1)
    centre = torch.tensor(prior.vae.config.latents_mean).view(1, -1, 1, 1, 1)
    (expected,) = torch.autograd.grad((mean - centre) / spread, again, gradient)
    assert torch.equal(video.grad, expected) and expected.abs().amax((0, 2, 3, 4)).min() > 0


@pytest.mark.parametrize("frames", [1, 5, 13])
def test_checkpoints_change_nothing_in_clips_of_any_length(prior, frames):
    pixels = noise(1, 3, frames, *size(prior)).requires_grad_()
    plain = prior.vae.encode(pixels).latent_dist.mean
    pull = noise(*plain.shape, seed=1)
    (expected,) = torch.autograd.grad(plain, pixels, pull)
    for mode in MODES:
        mean = encode_mean(prior.vae, pixels, mode)
        assert torch.equal(mean, plain) and torch.equal(torch.autograd.grad(mean, pixels, pull)[0], expected), mode


def test_checkpoints_store_less(prior):
    kept = {mode: stored(lambda mode=mode: encode_mean(prior.vae, noise(1, 3, 13, *size(prior)).requires_grad_(), mode), prior.vae) for mode in MODES}
    assert kept[CHUNKS] < 0.5 * kept[NONE]
    with pytest.raises(ValueError, match="'all' is not one of none, chunks, segments"):
        encode_mean(prior.vae, noise(1, 3, 5, *size(prior)), "all")


def test_a_run_chooses_what_fits(prior, monkeypatch):
    from stages.distill import plan

    settings = Settings(2, 49, 480, 832)
    how = {"guided": True, "offload": False, "kind": "cpu"}
    need = {mode: costs.need(prior.config(), (2, 49, 480, 832), mode, **how).total for mode in ("none", "blocks", "nested")}
    assert need["none"] > need["blocks"] > need["nested"]
    for free, mode in ((need["none"], NONE), (need["blocks"], CHUNKS), (need["nested"], SEGMENTS), (0, SEGMENTS)):
        monkeypatch.setattr(plan, "free_memory", lambda kind, free=free: free)
        note = prior.prepare(settings)
        assert prior.checkpointing == mode and note.startswith("encoder checkpointing: ")
    prior.prepare(dataclasses.replace(settings, checkpointing="none"))
    assert prior.checkpointing == NONE


def test_weights_that_wait_in_the_host_give_the_same_estimate(prior):
    text, noisy = prior.encode_prompt("a tiger walking"), latent_noise(prior)
    expected = prior.predict_x0(noisy, 0.5, text, 5.0)
    prior.offloaded = Offload(prior.transformer, prior.device)
    assert torch.equal(prior.predict_x0(noisy, 0.5, text, 5.0), expected)


def test_levels_are_shifted_as_by_the_scheduler(prior):
    scheduler = scheduler_of(prior)
    scheduler.set_timesteps(sigmas=np.array([0.9, 0.5, 0.1]), num_inference_steps=3)
    for u, sigma in zip((0.9, 0.5, 0.1), scheduler.sigmas.tolist(), strict=False):
        assert prior.alpha_sigma(u) == pytest.approx((1 - sigma, sigma), abs=1e-6)
    assert prior.alpha_sigma(1.0) == prior.alpha_sigma(prior.spec.max_time) and prior.alpha_sigma(0.0) == (1.0, 0.0)


@pytest.mark.parametrize("u", [0.03, 0.5, 0.97])
def test_x0_agrees_with_the_scheduler(prior, u):
    text = prior.encode_prompt("a tiger walking")
    noisy = latent_noise(prior, seed=2)
    alpha, sigma = prior.alpha_sigma(u)
    velocity = prior.transformer(noisy, torch.tensor([1000 * sigma]), text.positive, return_dict=False)[0]
    scheduler = scheduler_of(prior)
    scheduler.set_timesteps(sigmas=np.array([u]), num_inference_steps=1)
    scheduler.set_begin_index(0)
    if hasattr(scheduler, "convert_model_output"):
        scheduler._step_index = 0
        expected = scheduler.convert_model_output(velocity.double(), sample=noisy.double())
    else:
        expected = scheduler.step(velocity.double(), scheduler.timesteps[0], noisy.double()).prev_sample  # a step to sigma 0
    assert torch.allclose(prior.predict_x0(noisy, u, text, 1.0).double(), expected.double(), atol=2e-5)
    assert alpha + sigma == 1


def test_one_step_of_the_pipeline_is_the_guided_estimate(prior):
    from diffusers import FlowMatchEulerDiscreteScheduler

    pipeline = pipeline_of(prior.text.folder)
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    start = latent_noise(prior, seed=3)
    height, width = size(prior)
    expected = pipeline(
        "a  tiger walking", "a beast", height, width, 9, num_inference_steps=1, guidance_scale=5.0, latents=start, output_type="latent", return_dict=False
    )[0]
    prior.schedule = dataclasses.replace(prior.schedule, max_time=1.0)
    ours = prior.predict_x0(start, 1.0, prior.encode_prompt("a  tiger walking", "a beast"), 5.0)
    assert torch.allclose(ours, expected, atol=1e-4)


def test_guidance_goes_from_negative_to_positive(prior):
    text = prior.encode_prompt("a tiger walking", "a beast running")
    noisy = latent_noise(prior, batch=2, seed=4)
    alpha, sigma = prior.alpha_sigma(0.5)
    time = torch.full((2,), 1000 * sigma)
    first, second = (prior.transformer(noisy, time, t.expand(2, -1, -1), return_dict=False)[0] for t in (text.negative, text.positive))
    expected = noisy - sigma * (first + 7.0 * (second - first))
    assert torch.allclose(prior.predict_x0(noisy, 0.5, text, 7.0), expected, atol=1e-4)
    rms = (second - first).square().mean().sqrt().item()
    assert prior.diagnostics["guidance_rms"] == pytest.approx(rms, rel=1e-4) and rms > 0


def test_the_difference_is_sigma_times_the_error_in_velocity(prior):
    text = prior.encode_prompt("a tiger walking")
    latent, eps = latent_noise(prior, seed=5), latent_noise(prior, seed=6)
    alpha, sigma = prior.alpha_sigma(0.6)
    noisy = alpha * latent + sigma * eps
    predicted = prior.transformer(noisy, torch.tensor([1000 * sigma]), text.positive, return_dict=False)[0]
    difference = latent - prior.predict_x0(noisy, 0.6, text, 1.0)
    assert torch.allclose(difference, sigma * (predicted - (eps - latent)), atol=1e-5)


def test_one_time_for_all_tokens_equals_a_time_per_token(loaded):
    prior = loaded["ti2v"]
    text, noisy = prior.encode_prompt("a tiger walking"), latent_noise(prior)
    tokens = SHAPE[0] * SHAPE[1] // 2 * SHAPE[2] // 2
    with torch.no_grad():
        one = prior.transformer(noisy, torch.tensor([400.0]), text.positive, return_dict=False)[0]
        each = prior.transformer(noisy, torch.full((1, tokens), 400.0), text.positive, return_dict=False)[0]
    assert torch.allclose(one, each, atol=1e-5)


def test_text_is_encoded_once_as_by_the_pipeline(prior, monkeypatch):
    positive, negative = pipeline_of(prior.text.folder).encode_prompt("a tiger  walking &amp; running", "a beast", max_sequence_length=512)
    ours = prior.encode_prompt("a tiger  walking &amp; running", "a beast")
    assert ours.positive.shape == (1, 512, CHANNELS) and torch.equal(ours.positive[:, 8:], torch.zeros(1, 504, CHANNELS))
    assert torch.allclose(ours.positive, positive, atol=1e-4) and torch.allclose(ours.negative, negative, atol=1e-4)
    assert prior.text.parts is None, "the text encoder is released"
    monkeypatch.setattr(TextEncoder, "_load", lambda self: pytest.fail("the text encoder was loaded again"))
    again = registry.load_prior(str(prior.text.folder)).encode_prompt("a tiger  walking &amp; running", "a beast")
    assert torch.equal(ours.positive, again.positive) and torch.equal(ours.negative, again.negative)


def test_half_precision_leaves_the_islands_in_float32(loaded, folders):
    full, half = loaded["wan2.1"], Wan(folders["wan2.1"], dtype=torch.bfloat16)
    kinds = {name: parameter.dtype for name, parameter in half.transformer.named_parameters()}
    islands = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
    assert all((dtype == torch.float32) == any(part in name for part in islands) for name, dtype in kinds.items())
    assert torch.float32 in kinds.values() and torch.bfloat16 in kinds.values() and half.vae.dtype == torch.float32
    noisy = latent_noise(full)
    results = [prior.predict_x0(noisy, 0.5, prior.encode_prompt("a tiger walking"), 1.0) for prior in (full, half)]
    assert results[1].dtype == torch.float32 and 0 < (results[0] - results[1]).abs().max() < 0.1 * results[0].abs().max()


def test_clips_the_model_does_not_take_are_refused(prior):
    height, width = size(prior)
    with pytest.raises(InputError, match="--frames 8: the prior tiny-.* takes 4k.1 .such as 9. frames"):
        prior.spec.check_clip(8, height, width)
    with pytest.raises(InputError, match=f"--width {width - 8}: the prior tiny-.* takes multiples of {prior.spec.size_multiple} pixels"):
        prior.encode_video(torch.rand(1, 9, height, width - 8, 3))


def changed(folder, target, file, **values):
    """A copy of a model folder with other values in a configuration file."""
    shutil.copytree(folder, target)
    path = target / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return str(target)


def test_models_of_other_kinds_are_refused(folders, tmp_path):
    folder = folders["wan2.1"]
    with pytest.raises(InputError, match="second transformer"):
        registry.load_prior(changed(folder, tmp_path / "a14b", "model_index.json", boundary_ratio=0.875))
    with pytest.raises(InputError, match="image-to-video model .it takes 36"):
        registry.load_prior(changed(folder, tmp_path / "i2v", "transformer/config.json", in_channels=36))
    with pytest.raises(InputError, match="UniPCMultistepScheduler with prediction type 'epsilon' is no flow matching"):
        registry.load_prior(changed(folder, tmp_path / "eps", "scheduler/scheduler_config.json", prediction_type="epsilon"))
    with pytest.raises(InputError, match="names WanImageToVideoPipeline; akd knows CogVideoXPipeline, WanPipeline"):
        registry.load_prior(changed(folder, tmp_path / "image", "model_index.json", _class_name="WanImageToVideoPipeline"))


def test_damaged_folders_are_refused(folders, tmp_path):
    index = {"weight_map": {"a": "one-of-two.safetensors", "b": "two-of-two.safetensors"}}
    folder = tmp_path / "broken"
    shutil.copytree(folders["wan2.1"], folder)
    (folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    for use in (registry.load_prior, lambda name: registry.check_request(name, "a tiger walking")):
        with pytest.raises(MissingError, match="lacks one-of-two.safetensors .2 of its files"):
            use(str(folder))
    shutil.rmtree(folder / "transformer")
    with pytest.raises(MissingError, match="no folder 'transformer'; give the folder of a Wan model"):
        registry.load_prior(str(folder))


@pytest.mark.parametrize(
    ("name", "repository"),
    [("wan2.1-1.3b", "Wan2.1-T2V-1.3B-Diffusers"), ("wan2.1-14b", "Wan2.1-T2V-14B-Diffusers"), ("wan2.2-ti2v-5b", "Wan2.2-TI2V-5B-Diffusers")],
)
def test_missing_models_say_how_to_get_them(monkeypatch, name, repository):
    monkeypatch.setattr(registry, "_snapshot", lambda repository: None)
    with pytest.raises(MissingError, match=f"hf download Wan-AI/{repository} gets it .* GB of disk, about .* GB of GPU memory to run, Apache-2.0"):
        registry.load_prior(name)


def test_models_are_found_in_the_cache_without_a_network(folders, tmp_path, monkeypatch):
    import huggingface_hub

    calls = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **how: calls.append((name, how)) or str(folders["wan2.1"]))
    prior = registry.load_prior("wan2.1-1.3b")
    assert prior.spec.name == "wan2.1-1.3b" and calls == [("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", {"local_files_only": True})]
    assert registry.read_model("wan2.1-1.3b") == prior.spec
    status = {row.name: row for row in registry.prior_status()}
    assert status["wan2.1-1.3b"].usable and "Apache-2.0, about 42 GB of GPU memory" in status["wan2.1-1.3b"].detail


def test_an_interrupted_download_is_not_taken_for_the_model(folders, tmp_path, monkeypatch):
    import huggingface_hub

    folder = tmp_path / "half"
    shutil.copytree(folders["wan2.1"], folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **how: str(folder))
    assert registry.find_model("wan2.1-1.3b") == folder
    (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text('{"weight_map": {"a": "one-of-two.safetensors"}}')
    with pytest.raises(MissingError, match="is not on this machine; hf download Wan-AI/Wan2.1-T2V-1.3B-Diffusers gets it"):
        registry.find_model("wan2.1-1.3b")


def test_the_stage_runs_with_it(folders):
    params = Params(prior=str(folders["wan2.1"]), iterations=2, views=2, frames=5, height=32, width=48, device="cpu")
    motion = stage.run(beast.rig(), beast.splat(beads=3), "a tiger walking", params)
    motion.validate()
    assert motion.frame_count == 5 and motion.fps == 16 and motion.report["prior"] == "tiny-wan"
    assert abs(motion.angles).max() > 0 and motion.losses[:, motion.loss_names.index("guidance_rms")].min() > 0
