"""The cost models of Wan, LTX-Video and the tiny encoders against the networks themselves; CogVideoX's are in test_plan.py."""

from __future__ import annotations

import pytest
import torch

from stages.distill import costs
from stages.distill.priors.taehv import TinyEncoder
from stages.distill.priors.wan_vae import encode_mean

from .counting import Alive, flops, on_meta, parameters, there_and_back

WAN = {
    "tiny": {"num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4, "text_dim": 16, "freq_dim": 16, "ffn_dim": 32},
    "mid": {"num_attention_heads": 3, "in_channels": 8, "ffn_dim": 512, "cross_attn_norm": False},
}
LTX = {"tiny": {"num_attention_heads": 2, "attention_head_dim": 12, "cross_attention_dim": 24, "in_channels": 8, "caption_channels": 16}, "mid": {}}
SMALL = {
    "2.1": {"base_dim": 8, "z_dim": 4, "dim_mult": [1, 2, 2, 4], "num_res_blocks": 1},
    "2.2": {**costs.wan.CONFIGS["wan2.2-ti2v-5b"]["vae"], "base_dim": 4, "z_dim": 6, "out_channels": 12},
}
WAYS = {"none": "none", "blocks": "chunks", "nested": "segments"}


def wan_transformer(config):
    from diffusers import WanTransformer3DModel

    return lambda **extra: WanTransformer3DModel(**{k: v for k, v in {**config, **extra}.items() if k != "_class_name"})


def wan_vae(config):
    from diffusers import AutoencoderKLWan

    given = {**costs.wan.VAE, **config}
    given["dim_mult"] = list(given["dim_mult"])  # the library joins it to another list
    return on_meta(AutoencoderKLWan, **given, latents_mean=[0.0] * given["z_dim"], latents_std=[1.0] * given["z_dim"])


def ltx_vae(mode, dtype=torch.float32, **config):
    from diffusers import AutoencoderKLLTXVideo

    from stages.distill.priors.ltx import LTXVideo

    prior = LTXVideo.__new__(LTXVideo)
    prior.vae = on_meta(AutoencoderKLLTXVideo, dtype, **config)
    prior.set_checkpointing(mode)
    return prior.vae


def wan_inputs(config, frames, height, width, dtype=torch.float32):
    noisy = torch.empty(1, config["in_channels"], frames, height, width, device="meta", dtype=dtype)
    return noisy, torch.empty(1, device="meta"), torch.empty(1, 512, config["text_dim"], device="meta", dtype=dtype)


def ltx_inputs(config, frames, height, width, dtype=torch.float32):
    return {
        "hidden_states": torch.empty(1, frames * height * width, config["in_channels"], device="meta", dtype=dtype),
        "encoder_hidden_states": torch.empty(1, 128, config["caption_channels"], device="meta", dtype=dtype),
        "timestep": torch.empty(1, device="meta"),
        "encoder_attention_mask": torch.empty(1, 128, device="meta"),
        "num_frames": frames,
        "height": height,
        "width": width,
        "rope_interpolation_scale": (1.0, 1.0, 1.0),
    }


def video(dtype=torch.float32, *size):
    return torch.empty(1, 3, *size, device="meta", dtype=dtype, requires_grad=True)


@pytest.fixture
def fused(monkeypatch):
    """As CUDA's kernels of attention, which never store the products of all pairs of tokens."""
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda *q, **k: torch.empty_like(q[0] if q else k["query"]))


@pytest.mark.parametrize("name", WAN)
def test_wans_transformer_costs_what_is_counted(name):
    config = {**costs.wan.TRANSFORMER, **WAN[name], "num_layers": 2}
    network = on_meta(wan_transformer(config))
    with torch.no_grad():
        counted, _ = flops(lambda: network(*wan_inputs(config, 3, 6, 8), return_dict=False))
    cost = costs.wan.transformer(config, 3, 6, 8)
    assert cost.flops == counted and cost.parameters == parameters(network) and cost.tokens == 3 * 3 * 4 and not cost.batched


@pytest.mark.parametrize("name", LTX)
def test_ltxs_transformer_costs_what_is_counted(name):
    from diffusers import LTXVideoTransformer3DModel

    config = {**costs.ltx.TRANSFORMER, **LTX[name], "num_layers": 2}
    network = on_meta(LTXVideoTransformer3DModel, **{k: v for k, v in config.items() if k != "_class_name"})
    with torch.no_grad():
        counted, _ = flops(lambda: network(**ltx_inputs(config, 3, 4, 5), return_dict=False))
    cost = costs.ltx.transformer(config, 3, 4, 5)
    assert cost.flops == counted and cost.parameters == parameters(network) and cost.tokens == 60


def test_published_models_have_as_many_parameters():
    """Wan2.1 1.3B and 14B, Wan2.2 5B and LTX-Video 2B, as built from the configurations that are kept here."""
    from diffusers import LTXVideoTransformer3DModel

    for name in ("wan2.1-1.3b", "wan2.2-ti2v-5b"):
        config = costs.CONFIGS[name]["transformer"]
        assert costs.wan.transformer(config, 1, 2, 2).parameters == parameters(on_meta(wan_transformer(config))), name
    assert costs.wan.transformer(costs.CONFIGS["wan2.1-14b"]["transformer"], 1, 2, 2).parameters == 14_288_491_584  # counted once: it is slow to build
    assert costs.ltx.transformer({}, 1, 1, 1).parameters == parameters(on_meta(LTXVideoTransformer3DModel))
    for name in ("wan2.1-1.3b", "wan2.2-ti2v-5b"):
        vae = wan_vae(costs.CONFIGS[name]["vae"])
        cost = costs.wan.encoder(costs.CONFIGS[name]["vae"], 1, 32, 32, "none")
        assert cost.parameters == parameters(vae.encoder, vae.quant_conv)
        if name == "wan2.1-1.3b":
            assert cost.decoder == pytest.approx(parameters(vae.decoder), rel=0.01)
    assert costs.ltx.encoder({}, 1, 32, 32, "none").parameters == parameters(ltx_vae("none").encoder)


@pytest.mark.parametrize("mode", WAYS)
@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("frames", [1, 9])
def test_wans_encoder_costs_what_is_counted(kind, mode, frames):
    network, clip = wan_vae(SMALL[kind]), video(torch.float32, frames, 64, 96)
    forward, latent = flops(lambda: encode_mean(network, clip, WAYS[mode]))
    backward, _ = flops(lambda: torch.autograd.grad(latent, clip, torch.empty_like(latent)))
    cost = costs.wan.encoder(SMALL[kind], frames, 64, 96, mode)
    assert (cost.forward, cost.backward) == (forward, backward) and cost.parameters == parameters(network.encoder, network.quant_conv)


@pytest.mark.parametrize(("name", "mode"), [("wan2.1-1.3b", "none"), ("wan2.2-ti2v-5b", "blocks"), ("wan2.1-1.3b", "nested")])
def test_wans_published_encoders_hold_what_is_counted(name, mode):
    config = costs.CONFIGS[name]["vae"]
    network = wan_vae(config)
    saved, peak = there_and_back(lambda pixels: encode_mean(network, pixels, WAYS[mode]), video(torch.float32, 13, 480, 832), network)
    cost = costs.wan.encoder(config, 13, 480, 832, mode)
    assert 0.98 < 4 * cost.peak / peak < 1.05 and cost.size == 4
    assert 4 * cost.saved == pytest.approx(saved, rel=0.08)


@pytest.mark.parametrize("mode", costs.MODES)
def test_ltxs_encoder_costs_what_is_counted(mode):
    config = {"block_out_channels": (8, 8, 16, 16), "layers_per_block": (1, 2, 1, 1, 2), "latent_channels": 8, "patch_size": 2}
    network, clip = ltx_vae(mode, **config, decoder_block_out_channels=(8, 8, 8, 8)), video(torch.float32, 9, 64, 96)
    forward, latent = flops(lambda: network.encode(clip).latent_dist.mean)
    backward, _ = flops(lambda: torch.autograd.grad(latent, clip, torch.empty_like(latent)))
    cost = costs.ltx.encoder(config, 9, 64, 96, mode)
    assert (cost.forward, cost.backward) == (forward, backward) and cost.parameters == parameters(network.encoder)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("mode", costs.MODES)
def test_ltxs_published_encoder_holds_what_is_counted(mode, dtype):
    network = ltx_vae(mode, dtype)
    saved, peak = there_and_back(lambda pixels: network.encode(pixels).latent_dist.mean, video(dtype, 33, 480, 704), network)
    cost = costs.ltx.encoder({}, 33, 480, 704, mode, dtype == torch.bfloat16)
    assert dtype.itemsize * cost.peak == pytest.approx(peak, rel=0.03) and dtype.itemsize * cost.saved == pytest.approx(saved, rel=0.03)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", ["wan2.1-1.3b", "wan2.1-14b", "wan2.2-ti2v-5b"])
def test_wans_transformers_hold_what_is_counted(name, dtype, fused):
    config = {**costs.CONFIGS[name]["transformer"], "num_layers": 1}
    network = on_meta(wan_transformer(config), dtype)
    for part, parameter in network.named_parameters():
        if any(island in part for island in network._keep_in_fp32_modules):
            parameter.data = parameter.data.float()
    with torch.no_grad(), Alive([*network.parameters(), *network.buffers()]) as alive:
        network(*wan_inputs(config, 13, 30, 52, dtype), return_dict=False)
    assert dtype.itemsize * costs.wan.transformer(config, 13, 30, 52, dtype == torch.bfloat16).activations == pytest.approx(alive.peak, rel=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_ltxs_transformer_holds_what_is_counted(dtype, fused):
    from diffusers import LTXVideoTransformer3DModel

    config = {**costs.ltx.TRANSFORMER, "num_layers": 1}
    network = on_meta(LTXVideoTransformer3DModel, dtype, num_layers=1)
    with torch.no_grad(), Alive([*network.parameters(), *network.buffers()]) as alive:
        network(**ltx_inputs(config, 10, 15, 22, dtype), return_dict=False)
    assert dtype.itemsize * costs.ltx.transformer(config, 10, 15, 22, dtype == torch.bfloat16).activations == pytest.approx(alive.peak, rel=0.05)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("mode", costs.tiny.CHOICES)
def test_tiny_encoders_cost_and_hold_what_is_counted(mode, patch):
    network = on_meta(TinyEncoder, channels=16 * patch, patch=patch)
    network.checkpointing = mode != "none"
    clip = torch.empty(1, 49, 3, 256, 384, device="meta", requires_grad=True)
    forward, latent = flops(lambda: network(clip))
    backward, _ = flops(lambda: torch.autograd.grad(latent, clip, torch.empty_like(latent)))
    cost = costs.tiny.encoder(16 * patch, 49, 256, 384, mode, patch)
    assert (cost.forward, cost.backward) == (forward, backward) and cost.parameters == parameters(network)
    saved, peak = there_and_back(network, clip, network)
    assert 4 * cost.saved == pytest.approx(saved, rel=0.03) and 0.98 < 4 * cost.peak / peak < 1.1


def test_a_tiny_encoder_is_a_fraction_of_the_full_one():
    """taecvx at 49 x 480 x 720: 5.4 TFLOP there and back instead of 298."""
    small, full = costs.tiny.encoder(16, 49, 480, 720, "none"), costs.cogvideox.encoder({}, 49, 480, 720, "none")
    assert round((small.forward + small.backward) / 1e12, 1) == 5.4 and full.forward + full.backward > 50 * (small.forward + small.backward)
