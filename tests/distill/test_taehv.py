"""Tiny video encoders: the architecture against a plain loop over frames, the weights' names, and how they replace a model's own."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn import functional

from schemas.errors import InputError, MissingError
from stages.distill.priors import registry, taehv
from stages.distill.priors.taehv import TinyDecoder, TinyEncoder, attach_tiny, load_decoder, load_encoder

from . import test_cogvideox, test_ltx, test_wan
from .tiny import clip, noise, randomise, stored


def small(channels=4, patch=1, pools=(2, 2), width=4, seed=0):
    """A random encoder in float64 that stays in range."""
    torch.manual_seed(seed)
    return randomise(TinyEncoder(channels, patch, pools, width), 0.25).double().requires_grad_(False)


def save(network, file):
    """As published: half precision, encoder and decoder in one file."""
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    if file.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, file)
    else:
        torch.save(state, file)
    return file


def block(state, place, frame, before):
    """What a block makes of one frame and the one before it."""
    x = torch.cat([frame, torch.zeros_like(frame) if before is None else before], 1)
    for k in (0, 2, 4):
        x = functional.conv2d(x, state[f"{place}.conv.{k}.weight"], state[f"{place}.conv.{k}.bias"], padding=1)
        x = functional.relu(x) if k < 4 else x
    return functional.relu(x + frame)


def encode_plainly(state, video):
    """Frame after frame and layer after layer from the names alone: what is known of the architecture. [(1, F, 3, H, W) -> (1, F', C, h, w)]"""
    last = max(int(name.split(".")[1]) for name in state)
    frames = [functional.relu(functional.conv2d(f, state["encoder.0.weight"], state["encoder.0.bias"], padding=1)) for f in video.unbind(1)]
    for place in range(2, last, 5):
        pool = state[f"encoder.{place}.conv.weight"]
        stride = pool.shape[1] // pool.shape[0]
        joined = [torch.cat(frames[k : k + stride], 1) for k in range(0, len(frames), stride)]
        frames = [functional.conv2d(functional.conv2d(f, pool), state[f"encoder.{place + 1}.weight"], stride=2, padding=1) for f in joined]
        for k in (2, 3, 4):
            frames = [block(state, f"encoder.{place + k}", f, b) for f, b in zip(frames, [None, *frames], strict=False)]
    return torch.stack([functional.conv2d(f, state[f"encoder.{last}.weight"], state[f"encoder.{last}.bias"], padding=1) for f in frames], 1)


def decode_plainly(state, latent, grows):
    """The same for a decoder of one pixel per cell."""
    frames = [
        functional.relu(functional.conv2d(3 * torch.tanh(f / 3), state["decoder.1.weight"], state["decoder.1.bias"], padding=1)) for f in latent.unbind(1)
    ]
    for start, stride in zip((3, 9, 15), grows, strict=True):
        for k in (0, 1, 2):
            frames = [block(state, f"decoder.{start + k}", f, b) for f, b in zip(frames, [None, *frames], strict=False)]
        doubled = [f.repeat_interleave(2, -1).repeat_interleave(2, -2) for f in frames]
        grown = [part for f in doubled for part in functional.conv2d(f, state[f"decoder.{start + 4}.conv.weight"]).chunk(stride, 1)]
        frames = [functional.conv2d(f, state[f"decoder.{start + 5}.weight"], padding=1) for f in grown]
    last = [functional.conv2d(functional.relu(f), state["decoder.22.weight"], state["decoder.22.bias"], padding=1) for f in frames]
    return torch.stack(last, 1)


@pytest.mark.parametrize(("frames", "pools"), [(8, (2, 2)), (4, (2, 2, 1)), (1, (1, 1))])
def test_an_encoder_does_what_a_loop_over_frames_does(frames, pools):
    network, video = small(pools=pools), torch.rand(1, frames, 3, 16, 24, dtype=torch.float64)
    expected = encode_plainly(network.state_dict(), video)
    assert torch.allclose(network(video), expected, rtol=1e-12, atol=1e-12) and expected.std() > 0
    assert expected.shape == (1, frames // network.temporal_stride, 4, 16 // network.spatial_stride, 24 // network.spatial_stride)


def test_pixels_are_joined_first():
    network, video = small(patch=2), torch.rand(2, 4, 3, 16, 32, dtype=torch.float64)
    cells = functional.pixel_unshuffle(video, 2)
    assert torch.allclose(network(video)[:1], encode_plainly(network.state_dict(), cells[:1]), atol=1e-12) and network.spatial_stride == 8


def test_a_decoder_does_what_a_loop_over_frames_does():
    torch.manual_seed(0)
    network = randomise(TinyDecoder(4, 1, (1, 2, 2), (8, 4, 4, 4)), 0.15).double()
    latent = noise(1, 3, 4, 2, 3).double()
    frames = network(latent)
    expected = decode_plainly(network.state_dict(), latent, network.grows)
    assert expected.shape == (1, 12, 3, 16, 24)
    assert torch.allclose(frames, expected[:, 3:].clamp(0, 1), atol=1e-12), "the first latent frame is one frame"
    assert TinyDecoder(4, 2, (1, 1, 1), (4, 4, 4, 4))(noise(1, 2, 4, 2, 3)).shape == (1, 2, 3, 32, 48)


@pytest.mark.parametrize(("front", "first"), [(True, lambda k: -(-k // 4)), (False, lambda k: k // 4)])
def test_it_is_causal(front, first):
    """A frame changes no latent frame before its own group: groups end at frames 0, 4, 8 in CogVideoX, begin there in Wan."""
    network, video = small(), torch.rand(1, 9, 3, 8, 8, dtype=torch.float64)
    before = network(video, front=front)
    assert before.shape[1] == 3
    for k in range(9):
        changed = video.clone()
        changed[:, k] = 1 - changed[:, k]
        moved = (network(changed, front=front) - before).abs().amax((0, 2, 3, 4)) > 0
        assert moved.nonzero().min() == first(k), k


def test_what_lacks_to_a_group_is_repeated():
    network, video = small(), torch.rand(1, 5, 3, 8, 8, dtype=torch.float64)
    front, behind = torch.cat([video[:, :1]] * 3 + [video], 1), torch.cat([video] + [video[:, -1:]] * 3, 1)
    assert torch.equal(network(video, front=True), network(front)) and torch.equal(network(video), network(behind))
    assert not torch.equal(network(video, front=True), network(video))


def test_its_gradient_is_that_of_finite_differences():
    network, video = small(), torch.rand(1, 5, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    pull = noise(1, 2, 4, 2, 2).double()
    (gradient,) = torch.autograd.grad((network(video, front=True) * pull).sum(), video)
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):
        direction, step = torch.randn(video.shape, generator=generator, dtype=torch.float64), 1e-6
        ends = [float((network((video + sign * step * direction).detach(), front=True) * pull).sum()) for sign in (1, -1)]
        assert float((gradient * direction).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


def test_checkpoints_change_nothing_and_store_less():
    network, pull = small(width=8), noise(1, 3, 4, 8, 8).double()
    gradients, kept = [], []
    for network.checkpointing in (False, True):
        video = torch.rand(1, 9, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        gradients.append(torch.autograd.grad(network(video), video, pull)[0])
        kept.append(stored(lambda video=video: network(video), network))
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0 and kept[1] < 0.35 * kept[0]


@pytest.mark.parametrize(("channels", "patch", "megabytes"), [(16, 1, 22.64), (48, 2, 22.85)], ids=["taew2_1", "taew2_2"])
def test_names_and_sizes_are_the_published_ones(channels, patch, megabytes):
    """The names of the layers, and the sizes of the files, which hold both halves in float16."""
    encoder, decoder = TinyEncoder(channels, patch), TinyDecoder(channels, patch)
    state = encoder.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items() if name.split(".")[1] in ("0", "2", "3", "4", "12", "17")} == {
        "encoder.0.weight": (64, 3 * patch**2, 3, 3),
        "encoder.0.bias": (64,),
        "encoder.2.conv.weight": (64, 128, 1, 1),
        "encoder.3.weight": (64, 64, 3, 3),
        "encoder.4.conv.0.weight": (64, 128, 3, 3),
        "encoder.4.conv.0.bias": (64,),
        "encoder.4.conv.2.weight": (64, 64, 3, 3),
        "encoder.4.conv.2.bias": (64,),
        "encoder.4.conv.4.weight": (64, 64, 3, 3),
        "encoder.4.conv.4.bias": (64,),
        "encoder.12.conv.weight": (64, 64, 1, 1),
        "encoder.17.weight": (channels, 64, 3, 3),
        "encoder.17.bias": (channels,),
    }
    assert tuple(decoder.state_dict()["decoder.13.conv.weight"].shape) == (256, 128, 1, 1)
    assert sum(2 * p.numel() for half in (encoder, decoder) for p in half.parameters()) / 1e6 == pytest.approx(megabytes, abs=0.06)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_go_round(tmp_path, ending):
    both = torch.nn.Module()
    both.encoder, both.decoder = TinyEncoder(6, 2, (2, 2, 1), 8).encoder, TinyDecoder(6, 2, (1, 2, 2), (8, 8, 4, 4)).decoder
    file = save(both, tmp_path / f"tiny{ending}")
    encoder, decoder = load_encoder(file), load_decoder(file)
    assert (encoder.channels, encoder.patch, encoder.pools) == (6, 2, (2, 2, 1)) and (decoder.channels, decoder.patch, decoder.grows) == (6, 2, (1, 2, 2))
    for half in (encoder, decoder):
        assert all(torch.equal(value, both.state_dict()[name].half().float()) for name, value in half.state_dict().items())
        assert not any(parameter.requires_grad for parameter in half.parameters())


class Bad:
    """Would run a command when unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


def test_files_of_other_kinds_are_refused(tmp_path, capsys):
    cases = {"damaged.pth": b"no weights", "damaged.safetensors": b"no weights", "evil.pth": pickle.dumps({"encoder.0.weight": Bad()}, protocol=2)}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"--encoder .*{name}: cannot be read"):
            load_encoder(tmp_path / name)
    assert "unpickled" not in capsys.readouterr().out
    torch.save({"encoder.0.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="is no encoder of the TAEHV family"):
        load_encoder(tmp_path / "other.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="holds no tensors by name"):
        load_encoder(tmp_path / "list.pth")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "cogvideox": test_cogvideox.build(root / "tiny-2b"),
        "cogvideox1.5": test_cogvideox.build(root / "tiny-15", rotary=True, patch_t=2),
        "wan2.1": test_wan.build(root / "tiny-wan", "wan2.1"),
        "ti2v": test_wan.build(root / "tiny-ti2v", "ti2v", "euler"),
    }


SIZES = {"cogvideox": (16, 24), "cogvideox1.5": (16, 24), "wan2.1": (16, 32), "ti2v": (32, 64)}
SHAPES = {"cogvideox": (4, 1, (2, 2)), "cogvideox1.5": (4, 1, (2, 2)), "wan2.1": (4, 1, (2, 2, 1)), "ti2v": (6, 2, (2, 2, 1))}


@pytest.fixture(autouse=True)
def own_caches(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setenv("AKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("kind", SIZES)
def test_it_takes_the_place_of_a_models_own(folders, tmp_path, kind):
    file = save(randomise(TinyEncoder(*SHAPES[kind], width=8)), tmp_path / "tiny.pth")
    full = registry.load_prior(str(folders[kind]))
    prior = registry.load_prior(str(folders[kind]), encoder=str(file))
    video = clip(9, *SIZES[kind], batch=2).requires_grad_()
    latent = prior.encode_video(video)
    assert latent.shape == full.encode_video(video.detach()).shape and latent.dtype == torch.float32
    (gradient,) = torch.autograd.grad(latent.square().sum(), video)
    assert gradient.abs().amax((0, 2, 3, 4)).min() > 0, "every frame is seen"
    alone = [prior.encode_video(one) for one in video.detach().split(1)]
    assert torch.equal(latent, torch.cat(alone)), "clips are encoded one by one"
    cogvideox = kind.startswith("cogvideox")
    raw = load_encoder(file)(video.detach().permute(0, 1, 4, 2, 3), front=cogvideox)
    expected = 0.7 * raw if cogvideox else raw.transpose(1, 2)  # what the model's own latents are scaled by; Wan's come normalised
    assert torch.equal(latent[:, -3:] if cogvideox else latent, expected)
    if kind == "cogvideox1.5":
        assert latent.shape[1] == 4 and torch.equal(latent[:, 0], latent[:, 1])


def test_memory_is_chosen_for_it(folders, tmp_path, monkeypatch):
    from stages.distill import costs, plan

    prior = registry.load_prior(str(folders["wan2.1"]), encoder=str(save(TinyEncoder(4, 1, (2, 2, 1)), tmp_path / "tiny.pth")))
    settings = test_wan.Settings(1, 49, 480, 832)
    how = {"guided": True, "offload": False, "kind": "cpu", "small": True}
    need = {mode: costs.need(prior.config(), (1, 49, 480, 832), mode, **how).total for mode in costs.tiny.CHOICES}
    for free, mode in ((need["none"], "none"), (0, "nested")):
        monkeypatch.setattr(plan, "free_memory", lambda kind, free=free: free)
        assert prior.prepare(settings).startswith(f"encoder checkpointing: {mode}, tiny encoder; about ")
        assert prior.tiny.checkpointing == (mode != "none")


def test_encoders_of_other_models_are_refused(folders, tmp_path):
    file = save(TinyEncoder(4, 1, (2, 2), 8), tmp_path / "tiny.pth")
    with pytest.raises(InputError, match="makes latents of 4 channels and strides of 4 frames and 4 pixels; the prior tiny-wan takes .* 8 pixels"):
        registry.load_prior(str(folders["wan2.1"]), encoder=str(file))
    with pytest.raises(MissingError, match=r"--encoder .*none.pth: there is no such file; give the weights of a tiny encoder"):
        registry.load_prior(str(folders["wan2.1"]), encoder=str(tmp_path / "none.pth"))
    for name in ("embedded", "ideal"):
        with pytest.raises(InputError, match=f"--encoder tiny: the prior {name} has no other than its own"):
            registry.load_prior(name, encoder="tiny")
        with pytest.raises(InputError, match=f"--encoder tiny: the prior {name} has no other than its own"):
            registry.check_request(name, "a tiger walking", encoder="tiny")


def published_spec(name):
    from stages.distill import costs

    config = costs.CONFIGS[name]
    return config["transformer"]["_class_name"], registry.make_spec(config, name)


@pytest.mark.parametrize(("prior", "name"), [("cogvideox-5b", "taecvx"), ("wan2.1-14b", "taew2_1"), ("wan2.2-ti2v-5b", "taew2_2")])
def test_the_published_ones_are_found_or_said_how_to_get(tmp_path, prior, name):
    asked = ("tiny", *published_spec(prior))
    url = f"https://github.com/madebyollin/taehv/raw/main/{name}.pth"
    with pytest.raises(
        MissingError, match=rf"--encoder tiny: {name} is not on this machine; curl -L --create-dirs -o .*tiny/{name}.pth {url} gets it .23 MB, MIT"
    ):
        taehv.find_file(*asked)
    hub = tmp_path / "hub" / "models--Somebody--vae" / "snapshots" / "1234" / "vae" / f"{name}.safetensors"
    hub.parent.mkdir(parents=True)
    hub.write_bytes(b"")
    assert taehv.find_file(*asked) == hub
    own = tmp_path / "cache" / "tiny" / f"{name}.pth"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"")
    assert taehv.find_file(*asked) == own


def test_none_is_published_for_ltx_video(tmp_path):
    with pytest.raises(InputError, match="--encoder tiny: none is published for the prior ltx-video; use --encoder full"):
        taehv.find_file("tiny", *published_spec("ltx-video"))
    prior = registry.load_prior(str(test_ltx.build(tmp_path / "tiny-ltx")))
    with pytest.raises(InputError, match="none is published for the prior tiny-ltx"):
        attach_tiny(copy.copy(prior), "tiny")
