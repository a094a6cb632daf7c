"""A tiny model of the rater's class in the hub's layout: untrained weights, a tokenizer of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from stages.evaluate.videophy.questions import physical_commonsense, semantic_adherence
from stages.evaluate.videophy.rater import Owl

CONFIG: dict[str, Any] = {
    "num_query_tokens": 5,
    "vision_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28, "patch_size": 7},
    "visual_abstractor_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "encoder_hidden_size": 32},
    "text_config": {
        "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 512,
    },
}  # fmt: skip


def tokenizer(folder: Path) -> None:
    """Write tokenizer.model, a SentencePiece model that treats spaces, new lines and unknown bytes as LLaMA's does."""
    from sentencepiece import SentencePieceTrainer

    lines = folder / "lines.txt"
    words = [semantic_adherence(f"a {name} {verb}") + answer for name in ("tiger", "horse") for verb in ("walking", "running") for answer in ("Yes", "No")]
    lines.write_text("\n".join(" ".join(text.split()) for text in [*words, physical_commonsense(), "Yes No Yes No"]))
    SentencePieceTrainer.train(
        input=str(lines), model_prefix=str(folder / "tokenizer"), vocab_size=CONFIG["text_config"]["vocab_size"], model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, hard_vocab_limit=False, minloglevel=2,
        user_defined_symbols=["\u2581Yes", "\u2581No"],
    )  # fmt: skip
    lines.unlink()


def build(folder: Path, *, safetensors: bool = False) -> Path:
    """Write the model's folder; the weights are drawn large enough for answers to depend on the video."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    model = Owl(CONFIG)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(0.0, 0.3, generator=generator)
    weights = dict(model.state_dict())
    if safetensors:
        from safetensors.torch import save_file

        save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
        return folder
    # as old files are: in shards, with buffers that nobody reads any more
    weights["language_model.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)
    names = sorted(weights)
    for number, part in enumerate((names[::2], names[1::2]), 1):
        torch.save({name: weights[name] for name in part}, folder / f"pytorch_model-0000{number}-of-00002.bin")
    return folder
