"""The rater: loads VideoCon-Physics from a folder and rates videos by P(Yes) / (P(Yes) + P(No))."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from schemas.errors import InputError, MissingError, SchemaError

from .frames import Pixels, prepare
from .questions import Tokens, physical_commonsense, semantic_adherence
from .vision import Abstractor, Vision

REPOSITORY = "videophysics/videocon_physics"
DOWNLOAD = f"get it: hf download {REPOSITORY} --local-dir FOLDER (7.15 billion parameters, 14.3 GB in 16-bit floats)."

_VISION = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 224, "patch_size": 14,
           "layer_norm_eps": 1e-6}  # fmt: skip
_ABSTRACTOR = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 6, "num_attention_heads": 16, "encoder_hidden_size": 1024,
               "layer_norm_eps": 1e-6}  # fmt: skip
_IGNORED = ("rotary_emb.inv_freq", "position_ids")  # buffers that old files hold and that are computed today


class Owl(nn.Module):
    """mPLUG-Owl-video: eyes, abstractor and LLaMA.

    Parameters:
        config: Content of config.json; the released model's numbers stand in for what it leaves out.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        vision = SimpleNamespace(**_VISION | config.get("vision_config", {}))
        abstractor = SimpleNamespace(**_ABSTRACTOR | config.get("visual_abstractor_config", {}))
        language = LlamaConfig(**{key: value for key, value in config.get("text_config", {}).items() if key not in ("architectures", "torch_dtype", "dtype")})
        self.size = vision.image_size
        self.vision_model = Vision(vision)
        self.query_tokens = nn.Parameter(torch.zeros(1, config.get("num_query_tokens", 64), abstractor.hidden_size))
        self.temporal_query_tokens = nn.Parameter(torch.zeros_like(self.query_tokens))
        self.abstractor = Abstractor(abstractor, language.hidden_size)
        self.language_model = LlamaForCausalLM(language)

    @property
    def room(self) -> int:
        """Tokens that a video takes in the text."""
        return self.query_tokens.shape[1] + 1

    def look(self, video: torch.Tensor) -> torch.Tensor:
        """A video as tokens of the language model. [(B, 3, T, H, W) -> (B, room, L)]"""
        return self.abstractor(self.query_tokens, self.temporal_query_tokens, self.vision_model(video))

    def next_token(self, numbers: list[int], seen: torch.Tensor) -> torch.Tensor:
        """Logits of the token that follows a text, of which -1 stands for the video's tokens. [(1, room, L) -> (V,)]"""
        text = torch.tensor([numbers], device=seen.device)
        embedded = self.language_model.get_input_embeddings()(text.clamp(min=0))
        embedded = embedded.masked_scatter((text < 0)[..., None], seen.to(embedded.dtype))
        return self.language_model(inputs_embeds=embedded, use_cache=False).logits[0, -1].float()


def share_of_yes(logits: torch.Tensor, yes: int, no: int) -> float:
    """P(Yes) / (P(Yes) + P(No)): the softmax's denominator cancels out. [(V,) -> 0..1]"""
    return float(torch.sigmoid(logits[yes].double() - logits[no].double()))


class Rater:
    """A loaded model with its tokenizer.

    Attributes:
        model: On its device, in inference mode.
        pixels: How frames are prepared.
    """

    def __init__(self, model: Owl, tokens: Tokens, pixels: Pixels, device: str) -> None:
        self.model, self.tokens, self.pixels, self.device = model.eval(), tokens, pixels, device

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Rater:
        """Read a folder of the hub's layout; nothing is downloaded.

        Parameters:
            device: "auto" takes a GPU where there is one. Weights are kept in bfloat16 there and on the CPU as they are stored.

        Raises:
            MissingError: The folder, a file or a package is missing; says how to get it. SchemaError: The files do not fit.
        """
        check(folder)
        device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        tokens = Tokens(folder)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            with torch.device("meta"):
                model = Owl(config)
        except (ValueError, TypeError, AttributeError) as error:
            raise SchemaError(f"{folder / 'config.json'}: does not describe an mPLUG-Owl-video model ({error});", DOWNLOAD) from error
        _fill(model, folder, torch.bfloat16 if device == "cuda" else None)
        return cls(model.to(device), tokens, Pixels.read(folder, model.size), device)

    @torch.inference_mode()
    def rate(self, frames: Iterable[np.ndarray], caption: str) -> dict[str, float]:
        """Rate a video.

        Parameters:
            frames: The frames that are looked at, uint8 RGB (`frames.indices`). [(H, W, 3)]
            caption: What it should show.

        Returns:
            sa (semantic adherence) and pc (physical commonsense). [0..1]
        """
        video = torch.from_numpy(prepare(frames, self.pixels))[None].to(self.device, self.model.query_tokens.dtype)
        seen = self.model.look(video)
        asked = {"sa": semantic_adherence(caption), "pc": physical_commonsense()}
        logits = {name: self.model.next_token(self.tokens.encode(text, self.model.room), seen) for name, text in asked.items()}
        return {name: round(share_of_yes(value, self.tokens.yes, self.tokens.no), 6) for name, value in logits.items()}


def check(folder: Path) -> None:
    """Raise MissingError, before anything heavy is imported, where a folder is no model."""
    if not folder.is_dir():
        raise MissingError(f"--videophy {folder}: no such folder; VideoPhy's rater {REPOSITORY} is needed;", DOWNLOAD)
    missing = [name for name in ("config.json", "tokenizer.model") if not (folder / name).is_file()] + ([] if weight_files(folder) else ["the weights"])
    if missing:
        raise MissingError(f"--videophy {folder}: lacks {', '.join(missing)};", DOWNLOAD)


def weight_files(folder: Path) -> list[Path]:
    """The files of weights, safetensors before pickles."""
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def count(config: dict[str, Any]) -> int:
    """Parameters of a model, without making it."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Owl(config).parameters())


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for path in weight_files(folder):
        try:
            if path.suffix == ".safetensors":
                from safetensors.torch import load_file

                held = load_file(path)
            else:
                held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # whatever a damaged file makes the readers raise
            raise SchemaError(f"{path}: cannot be read ({type(error).__name__}: {error});", DOWNLOAD) from error
        yield from held.items()


def _fill(model: Owl, folder: Path, dtype: torch.dtype | None) -> None:
    """Give the model the folder's weights, file by file; buffers are computed anew."""
    wanted, given = model.state_dict(), set()
    for name, tensor in _tensors(folder):
        if name.endswith(_IGNORED):
            continue
        if name not in wanted or wanted[name].shape != tensor.shape:
            why = "is not of this model" if name not in wanted else f"has shape {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}"
            raise SchemaError(f"{folder}: the weight '{name}' {why};", DOWNLOAD)
        model.load_state_dict({name: tensor if dtype is None else tensor.to(dtype)}, strict=False, assign=True)
        given.add(name)
    lacking = sorted(set(wanted) - given)
    if lacking:
        raise SchemaError(f"{folder}: {len(lacking)} weights are missing, such as '{lacking[0]}';", DOWNLOAD)
    _recompute(model)


def _recompute(model: Owl) -> None:
    """Buffers that no file holds: LLaMA's rotary frequencies."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    model.language_model.model.rotary_emb = LlamaRotaryEmbedding(model.language_model.config)
    left = [name for name, value in [*model.named_parameters(), *model.named_buffers()] if value.is_meta]
    if left:
        raise InputError(f"the installed transformers has buffers that are not known here ({', '.join(left)});", "install transformers 4.45 to 5.")
