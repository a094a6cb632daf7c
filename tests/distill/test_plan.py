"""The cost model against the networks themselves: FLOPs and memory are counted on the meta device, where nothing is computed."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from akd_cli.distill import plan_lines
from schemas.errors import InputError
from stages.distill import costs, plan
from stages.distill.params import Params, resolve
from stages.distill.priors import registry

from . import test_ltx, test_wan
from .counting import Alive, flops
from .test_cogvideox import SIZE, build, clip

A100 = plan.Device("cuda", "A100", 42.4e9, 250e12)
SMALL = {"block_out_channels": (32, 64, 64), "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 8}
MODELS = {
    "mid": {"num_attention_heads": 8, "num_layers": 3, "text_embed_dim": 128},
    "tiny": {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 1,
        "in_channels": 4,
        "out_channels": 4,
        "time_embed_dim": 8,
        "text_embed_dim": 16,
    },
    "newer": {"num_attention_heads": 4, "num_layers": 2, "patch_size_t": 2, "patch_bias": False, "use_rotary_positional_embeddings": True},
    "learned": {"num_attention_heads": 4, "num_layers": 1, "use_rotary_positional_embeddings": True, "use_learned_positional_embeddings": True},
}


def vae(**config):
    from diffusers import AutoencoderKLCogVideoX

    levels = len(config.get("block_out_channels", (1, 2, 3, 4)))
    kinds = {"down_block_types": ("CogVideoXDownBlock3D",) * levels, "up_block_types": ("CogVideoXUpBlock3D",) * levels}
    with torch.device("meta"):
        return AutoencoderKLCogVideoX(**{**costs.cogvideox.VAE, **kinds, **config}).requires_grad_(False)


def set_mode(network, mode):
    from stages.distill.priors.cogvideox import CogVideoX

    prior = CogVideoX.__new__(CogVideoX)
    prior.vae = network
    prior.set_checkpointing(mode)


def pixels(frames, height, width):
    return torch.empty(1, 3, frames, height, width, device="meta", requires_grad=True)


def transformer(config):
    from diffusers import CogVideoXTransformer3DModel

    with torch.device("meta"):
        return CogVideoXTransformer3DModel(**{key: value for key, value in config.items() if key != "_class_name"}).requires_grad_(False)


def inputs(config, frames, height, width):
    noisy = torch.empty(1, frames, config["in_channels"], height, width, device="meta")
    text = torch.empty(1, config["max_text_seq_length"], config["text_embed_dim"], device="meta")
    return noisy, text, torch.zeros(1, dtype=torch.long, device="meta")


@pytest.mark.parametrize("name", MODELS)
def test_the_transformer_costs_what_is_counted(name):
    config = {**costs.cogvideox.TRANSFORMER, **MODELS[name]}
    network, frames = transformer(config), {"newer": 14, "learned": 13}.get(name, 3)
    cells = frames // (config["patch_size_t"] or 1) * 30 * 45
    rotary = (torch.empty(cells, config["attention_head_dim"], device="meta"),) * 2 if config["use_rotary_positional_embeddings"] else None
    with torch.no_grad():
        counted, _ = flops(lambda: network(*inputs(config, frames, 60, 90), image_rotary_emb=rotary, return_dict=False))
    cost = costs.cogvideox.transformer(config, frames, 60, 90)
    assert cost.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert cost.tokens == 226 + cells and cost.flops == counted


@pytest.mark.parametrize("name", ["cogvideox-5b", "cogvideox1.5-5b"])
def test_published_transformers_have_as_many_parameters(name):
    config = costs.CONFIGS[name]["transformer"]
    assert costs.cogvideox.transformer(config, 2, 8, 8).parameters == sum(parameter.numel() for parameter in transformer(config).parameters())


def test_the_transformer_holds_what_is_counted(monkeypatch):
    config = {**costs.cogvideox.TRANSFORMER, "num_layers": 2}
    network = transformer(config)
    # as CUDA's kernels, which never store the products of all pairs of tokens
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda query, *_, **__: torch.empty_like(query))
    with torch.no_grad(), Alive([*network.parameters(), *network.buffers()]) as alive:
        network(*inputs(config, 13, 60, 90), return_dict=False)
    assert 4 * costs.cogvideox.transformer(config, 13, 60, 90).activations == pytest.approx(alive.peak, rel=0.15)


@pytest.mark.parametrize("mode", costs.MODES)
def test_the_encoder_costs_and_holds_what_is_counted(mode):
    network, size = vae(**SMALL), (25, 64, 80)
    set_mode(network, mode)
    video = pixels(*size)
    with Alive(network.parameters()) as alive:
        latent = network.encode(video).latent_dist.mean
        saved = alive.now
        torch.autograd.grad(latent, video, torch.empty_like(latent))
    forward, latent = flops(lambda: network.encode(video).latent_dist.mean)
    backward, _ = flops(lambda: torch.autograd.grad(latent, video, torch.empty_like(latent)))
    cost = costs.cogvideox.encoder(SMALL, *size, mode)
    assert cost.parameters == sum(parameter.numel() for parameter in network.encoder.parameters())
    assert (cost.forward, cost.backward) == (forward, backward)
    assert 4 * cost.saved == pytest.approx(saved, rel=0.05)
    assert 0.97 < 4 * cost.peak / alive.peak < 1.2, "of so small a network; see below for the published one"


def test_the_published_encoder_holds_what_is_counted():
    network = vae()
    set_mode(network, "nested")
    video = pixels(16, 480, 720)
    with Alive(network.parameters()) as alive:
        latent = network.encode(video).latent_dist.mean
        torch.autograd.grad(latent, video, torch.empty_like(latent))
    cost = costs.cogvideox.encoder({}, 16, 480, 720, "nested")
    assert 0.97 < 4 * cost.peak / alive.peak < 1.1
    assert cost.parameters == sum(parameter.numel() for parameter in network.encoder.parameters())


def test_the_tables_of_the_findings():
    """49 x 480 x 720 with guidance: the transformers, and the encoder by mode, as counted before. [TFLOP]"""
    five = plan.plan(Params(prior="cogvideox-5b"), A100, kernels=4000)
    two = plan.plan(Params(prior="cogvideox-2b"), A100, kernels=4000)
    assert round(five.tflop["transformer"]) == 664 and round(two.tflop["transformer"]) == 240
    whole = {mode: (lambda e: round((e.forward + e.backward) / 1e12))(costs.cogvideox.encoder({}, 49, 480, 720, mode)) for mode in costs.MODES}
    assert whole == {"none": 298, "resnets": 378, "blocks": 443, "nested": 522}
    assert five.tokens == 17776 and five.parameters["transformer"] == 5570283072
    assert 8 < five.seconds["likely"] < 11, "the paper has 9 s"


def test_the_5b_model_fits_into_40_gigabytes_computed():
    free = dataclasses.replace(A100, free=40e9)
    offloaded = plan.plan(Params(prior="cogvideox-5b", offload=True), free, kernels=4000)
    assert offloaded.fits and offloaded.checkpointing == "blocks" and offloaded.memory_gb["used"] < 40
    resident = plan.plan(Params(prior="cogvideox-5b"), A100, kernels=4000)  # what such a card has free is 42.4e9 bytes
    assert resident.fits and resident.checkpointing == "nested"


def test_more_memory_is_spent_on_less_work():
    modes = [plan.plan(Params(prior="cogvideox-5b"), dataclasses.replace(A100, free=free), kernels=4000) for free in (140e9, 80e9, 50e9, 45e9, 10e9)]
    assert [one.checkpointing for one in modes] == ["none", "resnets", "blocks", "nested", "nested"]
    assert [one.fits for one in modes] == [True, True, True, True, False]
    assert all(a.tflop["backward"] <= b.tflop["backward"] for a, b in zip(modes, modes[1:], strict=False))
    assert plan.plan(Params(prior="cogvideox-5b", checkpointing="resnets"), A100, kernels=10).checkpointing == "resnets"


def test_cost_grows_with_views_and_halves_without_guidance():
    one, two = (plan.plan(Params(prior="cogvideox-2b", views=views), A100, kernels=4000) for views in (1, 2))
    assert two.tflop["transformer"] == 2 * one.tflop["transformer"] and two.memory_gb["none"] > 1.8 * one.memory_gb["none"]
    plain = plan.plan(Params(prior="cogvideox-2b", guidance_scale=1), A100, kernels=4000)
    assert plain.tflop["transformer"] == one.tflop["transformer"] / 2


def test_estimators_and_answers_used_again_cost_what_they_ask():
    def transformer(**more):
        return plan.plan(Params(prior="cogvideox-5b", guidance_scale=6.0, **more), A100, kernels=4000).tflop["transformer"]

    once = transformer()
    assert transformer(refresh=4) == pytest.approx(once / 4)
    assert transformer(estimator="consistent") == once
    assert transformer(estimator="ism", estimator_steps=5) == pytest.approx(once * 7 / 2), "five unguided calls and a guided one"
    assert transformer(estimator="sdi", estimator_steps=3, refresh=2) == pytest.approx(once * 2)


def test_the_built_in_prior_costs_what_is_counted():
    from stages.distill.priors.embedded.model import Denoiser, ModelConfig

    config = ModelConfig(layers=2)
    network = Denoiser(config).eval()
    noisy, image, step = torch.zeros(1, 5, config.channels, 6, 8), torch.zeros(1, config.image_channels, 6, 8), torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        counted, _ = flops(lambda: network(noisy, image, step, torch.zeros(1, 3, dtype=torch.long)))
    made = plan._embedded({"model": dataclasses.asdict(config)}, 1, False, A100)
    codec = 2 * 48 * 192 * config.image_channels
    assert made["flops"]["transformer"] - codec == pytest.approx(counted, rel=1e-12)
    missing = network.words.num_embeddings * config.width + network.places.numel()
    assert made["parameters"]["transformer"] == sum(p.numel() for p in network.parameters()) and missing > 0


@pytest.mark.parametrize("mode", costs.MODES)
def test_every_mode_gives_the_same_gradient(tmp_path_factory, mode, shared={}):  # noqa: B006 (the model is built once)
    folder = shared.setdefault("folder", None) or build(tmp_path_factory.mktemp("models") / "tiny-2b")
    shared["folder"] = folder
    prior = registry.load_prior(str(folder))
    settings = resolve(Params(prior=str(folder), checkpointing=mode), prior.spec)
    assert f"checkpointing: {mode};" in prior.prepare(settings)
    video = clip(17).requires_grad_()
    latent = prior.encode_video(video)
    (gradient,) = torch.autograd.grad(latent.square().sum(), video)
    assert gradient.abs().max() > 0 and torch.equal(gradient, shared.setdefault("gradient", gradient))
    assert video.shape[2:4] == SIZE


def test_an_offloaded_transformer_predicts_the_same(tmp_path, monkeypatch):
    from stages.distill.priors.offload import Offload

    monkeypatch.setenv("AKD_CACHE", str(tmp_path / "cache"))
    prior = registry.load_prior(str(build(tmp_path / "tiny-2b")))
    text, noisy = prior.encode_prompt("a tiger walking"), torch.randn(1, 3, 4, 4, 6, generator=torch.Generator().manual_seed(0))
    expected = prior.predict_x0(noisy, 0.5, text, 3.0)
    prior.offloaded = Offload(prior.transformer, prior.device)
    assert torch.equal(prior.predict_x0(noisy, 0.5, text, 3.0), expected)


def test_a_folder_is_planned_from_its_configuration(tmp_path):
    folder = build(tmp_path / "tiny-2b")
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    made = plan.plan(Params(prior=str(folder)), plan.Device("cpu", "CPU", 8e9, 5e10), kernels=100, joints=4)
    assert made.here and made.latent == (3, 4, 4, 6) and made.tokens == 6 + 3 * 2 * 3 and made.checkpointing == "none"


def test_the_other_families_are_planned_before_the_download():
    """Wan2.1 at its small size, one pass, as counted before: 18 TFLOP; LTX-Video's whole iteration at 49 x 480 x 704: 45."""
    small = plan.plan(Params(prior="wan2.1-1.3b", frames=49, height=240, width=416), A100, kernels=4000)
    assert not small.here and small.latent == (13, 16, 30, 52) and small.tokens == 13 * 15 * 26
    assert round(small.tflop["transformer"] / 2) == 18 and small.parameters["transformer"] == 1_418_996_800
    ltx = plan.plan(Params(prior="ltx-video", frames=49, height=480, width=704, checkpointing="none"), A100, kernels=4000)
    assert ltx.latent == (7, 128, 15, 22) and ltx.tokens == 7 * 15 * 22 and round(ltx.tflop["total"]) in range(40, 51)
    assert "research" in ltx.licence
    for name in ("wan2.1-14b", "wan2.2-ti2v-5b"):
        made = plan.plan(Params(prior=name), A100, kernels=4000)
        assert made.checkpointing in ("none", "blocks", "nested") and "blocks+offload" in made.memory_gb
        text = "\n".join(plan_lines(made, 4000, False, remedy="get it"))
        assert f"{made.tokens} tokens" in text and "Apache-2.0" in text
        json.dumps(dataclasses.asdict(made), allow_nan=False)


@pytest.mark.parametrize(("module", "args", "latent"), [(test_wan, ("wan2.1",), (3, 4, 2, 4)), (test_ltx, (), (2, 8, 2, 4))])
def test_folders_of_the_other_families_are_planned(tmp_path, module, args, latent):
    folder = module.build(tmp_path / "tiny", *args)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    size = {"frames": 9, "height": 16, "width": 32}
    made = plan.plan(Params(prior=str(folder), **size), plan.Device("cpu", "CPU", 8e9, 5e10), kernels=100, joints=4)
    assert made.here and made.latent == latent and made.fits


def test_a_long_clip_costs_a_step_what_its_window_costs():
    one, long = (plan.plan(Params(prior="wan2.1-1.3b", frames=frames), A100, kernels=4000) for frames in (49, 200))
    assert long.frames == 200 and long.window == one.window == 49 and long.tflop == one.tflop and long.memory_gb == one.memory_gb


def test_a_float32_encoder_takes_twice_its_share_of_the_time():
    made = plan.plan(Params(prior="wan2.1-1.3b", offload=True), A100, kernels=0)
    networks = made.tflop["transformer"] + 2 * (made.tflop["encode"] + made.tflop["backward"] - 2 * made.tflop["render"])
    assert made.seconds["least"] == pytest.approx(1e12 * networks / A100.rate + 3 * 1e12 * made.tflop["render"] / plan.RENDER_RATE["cuda"])


@pytest.mark.parametrize("prior", ["cogvideox-5b", "wan2.1-1.3b", "wan2.2-ti2v-5b"])
def test_a_tiny_encoder_is_planned(prior):
    full, tiny = (plan.plan(Params(prior=prior, encoder=name), A100, kernels=4000) for name in ("full", "tiny"))
    assert tiny.tflop["transformer"] == full.tflop["transformer"] and tiny.latent == full.latent
    assert tiny.parameters["encoder"] < 2e6 and tiny.tflop["encode"] < 0.1 * full.tflop["encode"]
    assert set(tiny.memory_gb) == {"none", "nested", "none+offload", "nested+offload", "used"} and tiny.memory_gb["none"] < 0.5 * full.memory_gb["none"]


def test_priors_without_a_cost_model_or_a_tiny_encoder_are_refused(tmp_path):
    with pytest.raises(InputError, match="none is published for the prior ltx-video; use --encoder full"):
        plan.plan(Params(prior="ltx-video", encoder="tiny"), A100, kernels=10)
    with pytest.raises(InputError, match="--encoder tiny: the prior embedded has no other than its own"):
        plan.plan(Params(prior="embedded", encoder="tiny"), A100, kernels=10)
    with pytest.raises(InputError, match="neither a folder"):
        plan.plan(Params(prior="sora"), A100, kernels=10)
    with pytest.raises(InputError, match="--frames 10"):
        plan.plan(Params(prior="cogvideox-2b", frames=10), A100, kernels=10)
    for part in ("transformer", "vae"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text('{"_class_name": "MochiTransformer3DModel"}')
    (tmp_path / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    with pytest.raises(InputError, match="no cost model for MochiTransformer3DModel"):
        plan.plan(Params(prior=str(tmp_path)), A100, kernels=10)


@pytest.mark.parametrize("name", registry.MODELS)
def test_the_registry_says_what_is_computed(name):
    """GPU memory of the prior's own clip with guidance, on a card where only the smallest mode and offloading fit."""
    assert registry.MODELS[name].memory == round(plan.least_memory(name))


def test_the_device_is_measured():
    device = plan.measure("cpu", seconds=0.05)
    assert device.rate > 1e8 and device.free > 1e6 and device.kind == "cpu"


def test_the_plan_reads_well():
    made = plan.plan(Params(prior="cogvideox-5b"), dataclasses.replace(A100, free=30e9), kernels=4000)
    text = "\n".join(plan_lines(made, 4000, False, remedy="get it"))
    assert "1186 TFLOP" in text and "does not fit" in text and "--offload" in text and "assumed" in text and text.endswith("get it")
    json.dumps(dataclasses.asdict(made), allow_nan=False)
    ideal = plan.plan(Params(prior="ideal"), A100, kernels=4000)
    assert ideal.tflop["transformer"] == 0 and "fits" in "\n".join(plan_lines(ideal, 4000, True))


def test_dry_run_writes_nothing(tmp_path, monkeypatch, capsys):
    from akd_cli.app import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "measure", lambda kind: plan.Device(kind, "CPU", 8e9, 5e10))
    assert run(["distill", "--prompt", "a tiger walking", "--prior", "cogvideox-2b", "--dry-run", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["tokens"] == 17776 and data["kernels_assumed"] and not data["here"]
    assert not list(tmp_path.iterdir())
