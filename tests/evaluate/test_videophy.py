"""VideoPhy's rater: frames, questions and the arithmetic; its network against transformers' CLIP and against plain formulas."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from schemas.errors import InputError, MissingError, SchemaError
from stages.evaluate.videophy import frames, questions, rater, vision
from stages.evaluate.videophy.rater import Owl, Rater, share_of_yes

from .owl import CONFIG, build


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install 'akd[priors]'")
    return build(tmp_path_factory.mktemp("owl"))


@pytest.fixture(scope="module")
def loaded(folder):
    return Rater.load(folder, "cpu")


def clip(seed=0, count=32, size=(40, 56)):
    return list(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def test_32_frames_are_spread_evenly():
    assert frames.indices(32).tolist() == [round(31 / 32 * k) for k in range(32)]
    # half way between two frames it is the even one, as in the rater's training; a short clip shows frames twice
    assert frames.indices(17).tolist() == [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 8, 8, 8, 9, 10, 10, 10, 11, 12, 12, 12, 13, 14, 14, 14, 15, 16]
    assert frames.indices(321).tolist() == [5 + 10 * k for k in range(32)]
    assert frames.indices(1).tolist() == [0] * 32
    for count in (2, 49, 100, 1000):
        chosen = frames.indices(count)
        assert len(chosen) == 32 and chosen.min() >= 0 and chosen.max() < count and (np.diff(chosen) >= 0).all()
    with pytest.raises(InputError, match="no frames"):
        frames.indices(0)


def test_pixels_are_stretched_and_normalised(tmp_path):
    pixels = frames.Pixels()
    grey = np.full((90, 160, 3), 128, np.uint8)
    made = frames.prepare([grey] * 3, pixels)
    assert made.shape == (3, 3, 224, 224) and made.dtype == np.float32
    assert made[:, 0, 5, 7] == pytest.approx((128 / 255 - np.array(pixels.mean)) / pixels.deviation, abs=1e-6)
    # the whole frame is seen: what is at its right edge is at the square's
    split = np.zeros((90, 160, 3), np.uint8)
    split[:, 80:] = 255
    seen = frames.prepare([split], dataclasses.replace(pixels, mean=(0, 0, 0), deviation=(1, 1, 1)))[0, 0, 100]
    assert seen[:108].max() < 0.05 and seen[116:].min() > 0.95
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    assert frames.Pixels.read(tmp_path, 28) == frames.Pixels(28, (0.5,) * 3, (0.25,) * 3)
    assert frames.Pixels.read(tmp_path / "nowhere", 224) == pixels


def test_videos_are_read_in_order(tmp_path):
    from stages.render.video import writer

    with writer(tmp_path / "v.mp4", 64, 48, 16, 10) as append:
        for index in range(9):
            append(np.full((48, 64, 3), 20 * index, np.uint8))
    found = frames.read_video(tmp_path / "v.mp4")
    assert len(found) == 32 and [round(frame.mean() / 20) for frame in found] == frames.indices(9).tolist()
    with pytest.raises(MissingError, match="no such file"):
        frames.read_video(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(InputError, match="cannot be read as a video"):
        frames.read_video(tmp_path / "text.mp4")


def test_questions_are_those_of_the_raters_training():
    asked = questions.semantic_adherence("a tiger walking")
    assert asked.endswith('Human: <|video|>\nHuman: Does this video entail the description: "a tiger walking"?\nAI: ')
    physics = questions.physical_commonsense()
    assert physics.startswith("The following is a conversation between a curious human and AI assistant.")
    parts = questions.pieces(physics)
    assert "".join(parts) == physics
    assert parts[1:] == ["\nHuman: ", "<|video|>", "\nHuman: ", "Does this video follow the physical laws?\n", "AI: "]
    # braces and quotes of a caption are text
    assert '"{question} "x""' in questions.semantic_adherence('{question} "x"')


def test_tokens(loaded):
    tokens, room = loaded.tokens, loaded.model.room
    numbers = tokens.encode(questions.physical_commonsense(), room)
    assert room == CONFIG["num_query_tokens"] + 1 and numbers.count(-1) == room and numbers[0] == 1 and min(n for n in numbers if n >= 0) > 0
    place = numbers.index(-1)
    assert numbers[place : place + room] == [-1] * room
    rest = [*numbers[1:place], *numbers[place + room :]]
    assert tokens._model.decode(rest).split() == questions.physical_commonsense().replace("<|video|>", "").split()
    assert [tokens._model.id_to_piece(one) for one in (tokens.yes, tokens.no)] == ["\u2581Yes", "\u2581No"]


def test_the_score_is_the_share_of_yes():
    logits = torch.tensor([0.3, 2.0, -1.0, 7.0])
    chances = torch.softmax(logits, 0)
    assert share_of_yes(logits, 1, 2) == pytest.approx(float(chances[1] / (chances[1] + chances[2])), abs=1e-7)
    assert share_of_yes(logits, 1, 1) == 0.5 and share_of_yes(logits, 1, 2) == pytest.approx(1 - share_of_yes(logits, 2, 1))
    assert share_of_yes(torch.tensor([900.0, -900.0]), 0, 1) == 1.0


def test_the_tower_without_time_is_clips():
    """Weights of one frame's tower, put into transformers' CLIP, give the same tokens."""
    from transformers import CLIPVisionConfig, CLIPVisionModel

    told = CONFIG["vision_config"]
    ours = Owl(CONFIG).vision_model.eval()
    for parameter in ours.parameters():
        parameter.data.normal_(0, 0.2, generator=torch.Generator().manual_seed(3))
    clip_ = CLIPVisionModel(CLIPVisionConfig(**told, layer_norm_eps=1e-6, hidden_act="quick_gelu")).eval()
    weights = dict(clip_.state_dict())
    root = next(name for name in weights if name.endswith("embeddings.class_embedding")).removesuffix("embeddings.class_embedding")
    mine = ours.state_dict()
    weights[f"{root}embeddings.class_embedding"] = mine["embeddings.cls_token"][0, 0]
    weights[f"{root}embeddings.patch_embedding.weight"] = mine["embeddings.patch_embed.weight"]
    weights[f"{root}embeddings.position_embedding.weight"] = mine["embeddings.position_embedding"][0]
    names = {"pre_layrnorm": "embeddings.pre_layernorm", "post_layernorm": "post_layernorm"}
    for index in range(told["num_hidden_layers"]):
        here, there = f"encoder.layers.{index}", f"{root}encoder.layers.{index}"
        names |= {f"encoder.layers.{index}.{a}": f"{here}.{b}" for a, b in (
            ("layer_norm1", "input_layernorm"), ("layer_norm2", "post_attention_layernorm"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2"),
            ("self_attn.out_proj", "self_attn.dense"))}  # fmt: skip
        for kind in ("weight", "bias"):
            mixed = mine[f"{here}.self_attn.query_key_value.{kind}"].unflatten(0, (told["num_attention_heads"], 3, -1))
            for part, name in enumerate(("q_proj", "k_proj", "v_proj")):
                weights[f"{there}.self_attn.{name}.{kind}"] = mixed[:, part].flatten(0, 1)
    weights |= {f"{root}{a}.{kind}": mine[f"{b}.{kind}"] for a, b in names.items() for kind in ("weight", "bias")}
    clip_.load_state_dict(weights)
    image = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = ours.post_layernorm(clip_(image).last_hidden_state)  # CLIP leaves its last norm to the class token
        assert torch.allclose(ours(image[:, :, None])[:, 0], theirs, atol=2e-5)


def test_along_time_a_patch_sees_its_neighbours_in_time_only():
    config = Owl(CONFIG).vision_model.encoder.layers[0].temporal
    for parameter in config.parameters():
        parameter.data.normal_(0, 0.5, generator=torch.Generator().manual_seed(2))
    x = torch.randn(1, 6, 17, 32, generator=torch.Generator().manual_seed(4), requires_grad=True)
    made = config(x)
    assert torch.equal(made[:, :, 0], x[:, :, 0])
    (slope,) = torch.autograd.grad(made[0, 3, 5].sum(), x)
    seen = slope[0].abs().sum(-1) > 0
    assert seen.nonzero().tolist() == [[2, 5], [3, 5], [4, 5]]


def test_the_abstractor_by_hand():
    """Its first layer in double precision from the formulas."""
    model = Owl(CONFIG).abstractor.double()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(5))
    layer = model.encoder.layers[0].crossattention
    generator = torch.Generator().manual_seed(6)
    x, seen = (torch.randn(1, n, 32, generator=generator, dtype=torch.float64) for n in (4, 9))

    def norm(v, module):
        v = (v - v.mean(-1, keepdim=True)) / torch.sqrt(v.var(-1, keepdim=True, unbiased=False) + module.eps)
        return v * module.weight + module.bias

    q = norm(x, layer.norm1)
    both = torch.cat([q, norm(seen, layer.normk)], 1)
    heads = []
    for head in range(4):
        pick = slice(8 * head, 8 * head + 8)
        query, key, value = (v @ m.weight[pick].T + m.bias[pick] for v, m in (
            (q, layer.attention.query), (both, layer.attention.key), (both, layer.attention.value)))  # fmt: skip
        heads.append(torch.softmax(query @ key.transpose(1, 2) / 8**0.5, -1) @ value)
    y = q + layer.output.out_proj(torch.cat(heads, -1))
    inner, mlp = norm(y, layer.output.norm2), layer.output.mlp
    gate = mlp.w1(inner)
    expected = y + mlp.w2(norm(gate * torch.sigmoid(gate) * mlp.w3(inner), mlp.ffn_ln))
    # norms are computed in single precision
    assert torch.allclose(layer(x, seen), expected, atol=1e-4)
    assert mlp.w1.out_features == 256  # two thirds of 64, rounded up


def test_a_rating(loaded):
    first, again = loaded.rate(clip(0), "a tiger walking"), loaded.rate(clip(0), "a tiger walking")
    assert first == again and set(first) == {"sa", "pc"} and all(0 < score < 1 for score in first.values())
    other, film = loaded.rate(clip(0), "a horse running"), loaded.rate(clip(1), "a tiger walking")
    assert other["pc"] == first["pc"] and other["sa"] != first["sa"]  # only one question names the caption
    assert film["pc"] != first["pc"]
    backward = loaded.rate(clip(0)[::-1], "a tiger walking")
    assert backward != first  # time has a direction


def test_a_rating_is_what_the_language_model_says_of_the_whole_text(loaded):
    """Without shortcuts: embeddings put together by hand, softmax over the vocabulary."""
    model, tokens = loaded.model, loaded.tokens
    video = torch.from_numpy(frames.prepare(clip(0), loaded.pixels))[None]
    with torch.no_grad():
        seen = model.look(video)[0]
        assert seen.shape == (6, 32) and torch.equal(seen[-1], model.abstractor.vit_eos[0, 0])
        numbers = tokens.encode(questions.physical_commonsense(), model.room)
        place = numbers.index(-1)
        table = model.language_model.get_input_embeddings().weight
        text = torch.cat([table[numbers[:place]], seen, table[numbers[place + 6 :]]])[None]
        chances = torch.softmax(model.language_model(inputs_embeds=text).logits[0, -1], 0)
    assert loaded.rate(clip(0), "x")["pc"] == pytest.approx(float(chances[tokens.yes] / (chances[tokens.yes] + chances[tokens.no])), abs=1e-5)


def test_both_kinds_of_weight_files_give_the_same(loaded, tmp_path):
    other = Rater.load(build(tmp_path / "safe", safetensors=True), "cpu")
    assert other.rate(clip(0), "a tiger walking") == loaded.rate(clip(0), "a tiger walking")


def test_what_is_missing_is_said(folder, tmp_path):
    with pytest.raises(MissingError, match=r"no such folder.*videocon_physics.*hf download.*14.3 GB"):
        Rater.load(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match=r"lacks config.json, tokenizer.model, the weights"):
        rater.check(tmp_path / "empty")
    broken = build(tmp_path / "broken")
    path = broken / "pytorch_model-00001-of-00002.bin"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SchemaError, match=r"pytorch_model-00001.*cannot be read"):
        Rater.load(broken, "cpu")
    path.unlink()
    with pytest.raises(SchemaError, match="weights are missing, such as"):
        Rater.load(broken, "cpu")
    (broken / "config.json").write_text(json.dumps(CONFIG | {"num_query_tokens": 7}))
    with pytest.raises(SchemaError, match="query_tokens.*has shape"):
        Rater.load(broken, "cpu")
    (broken / "config.json").write_text("{")
    with pytest.raises(SchemaError, match="config.json"):
        Rater.load(broken, "cpu")


def test_the_released_model_has_the_size_that_is_told():
    told = {"text_config": {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}}
    parameters = rater.count(told)
    assert f"{parameters / 1e9:.2f} billion" in rater.DOWNLOAD and f"{2 * parameters / 1e9:.1f} GB" in rater.DOWNLOAD
    assert isinstance(vision.Norm(4), torch.nn.LayerNorm) and Image.Resampling.BICUBIC == 3


def test_the_command_rates_videos_motions_and_says_what_is_missing(folder, tmp_path, capsys):
    from akd_cli import app
    from schemas import gltf
    from stages.evaluate.figures import named, paths
    from stages.render.video import writer
    from tests.schemas import samples

    def call(*words):
        capsys.readouterr()
        code = app.run(["evaluate", *map(str, words)])
        return code, *capsys.readouterr()

    for name, one in (("asset", samples.asset()), ("rig", samples.rig()), ("skin", samples.skin())):
        one.save(tmp_path / f"{name}.h5")
    (tmp_path / "workspace.json").write_text("{}")
    place = tmp_path / "motions" / "walk"
    place.mkdir(parents=True)
    dataclasses.replace(samples.motion(), prompt="a tetrahedron walking").save(place / "distill.h5")
    code, out, _ = call(place / "distill.h5", "--videophy", folder, "--json")
    figures = json.loads(out)["figures"]
    assert code == 0 and set(figures["distill"]["videophy"]) == {"sa", "pc", "sa_plain", "pc_plain"}
    assert [name for name, _ in paths(figures["distill"]) if named(name) is None] == []
    rated = figures["distill"]["videophy"]
    assert rated["sa"] != rated["sa_plain"]  # the ground is seen
    assert "SA plain" in call(place / "distill.h5", "--videophy", folder)[1]
    with writer(tmp_path / "film.mp4", 64, 48, 16, 20) as append:
        for frame in clip(3, 5, (48, 64)):
            append(frame)
    code, out, _ = call(tmp_path / "film.mp4", "--videophy", folder, "--caption", "a tiger walking")
    assert code == 0 and "semantic adherence 0." in out
    gltf.write(tmp_path / "a.glb", samples.asset(), samples.rig(), samples.skin().weights, samples.motion())
    for words, says in (
        ((place / "distill.h5", "--videophy", tmp_path / "none"), "hf download"),
        ((tmp_path / "film.mp4", "--videophy", folder), "--caption"),
        ((tmp_path / "film.mp4",), "--videophy FOLDER"),
        ((place / "distill.h5", "--caption", "x"), "--caption"),
        ((tmp_path / "a.glb", "--videophy", folder), "not"),
        (("--ablation", "--videophy", folder), "--ablation"),
        (("--suite", "--videophy", tmp_path / "none", "--out", tmp_path / "out"), "hf download"),
    ):
        code, out, err = call(*words)
        assert code == 2 and out == "" and says in err and len(err.strip().splitlines()) == 1, err
