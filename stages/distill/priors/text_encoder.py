"""The text encoders of the big video models (T5 and UMT5): run for prompts that are not in the cache, then released."""

from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path
from typing import Any

import torch

from schemas.errors import MissingError

from .folder import check_parts, read_config
from .text_cache import TextCache

# what becomes of the tokens that fill a prompt up to the model's length
ATTENDED, MARKED, ZEROED = "attended", "marked", "zeroed"


@dataclasses.dataclass
class TextEncoder:
    """T5 or UMT5 of a model folder, loaded at the first prompt that the cache does not hold.

    Attributes:
        folder: Of the model; the parts are its "tokenizer" and "text_encoder".
        length: Every prompt is cut or padded to this many tokens.
        device, dtype: Where and how it runs; the embedding has this dtype.
        padding: How the model was trained to see padding. ATTENDED: as any other token (CogVideoX). MARKED: encoded
            as any other, but 0 instead of 1 in an additional last channel (LTX-Video). ZEROED: not attended to by the
            encoder, and replaced by zeros after it (Wan).
        clean: Undo HTML escapes and repeated spaces first, as Wan does.
        parts: Tokenizer and network while loaded.
    """

    folder: Path
    length: int
    device: torch.device
    dtype: torch.dtype
    padding: str = ATTENDED
    clean: bool = False
    parts: Any = None

    def cached(self, cache: TextCache | None, *prompts: str) -> list[torch.Tensor]:
        """Embeddings from the cache (by default the user's own), encoding those it lacks; then the network is released. [(1, L, C), on the device]"""
        cache = cache or TextCache(self.identity())
        try:
            found = [cache.get(prompt, self) for prompt in prompts]
        finally:
            self.release()
        return [value.to(self.device, self.dtype) for value in found]

    @torch.no_grad()
    def __call__(self, prompt: str) -> torch.Tensor:
        """Encode one prompt. [(1, length, channels); one channel more if MARKED]"""
        tokenizer, encoder = self._load()
        prompt = clean(prompt) if self.clean else prompt
        tokens = tokenizer(prompt, padding="max_length", max_length=self.length, truncation=True, add_special_tokens=True, return_tensors="pt")
        mask = tokens.attention_mask.to(self.device)
        hidden = encoder(tokens.input_ids.to(self.device), attention_mask=mask if self.padding == ZEROED else None)[0].to(self.dtype)
        if self.padding == MARKED:
            return torch.cat([hidden, mask[..., None].to(self.dtype)], -1)
        return hidden * mask[..., None].to(self.dtype) if self.padding == ZEROED else hidden

    def identity(self) -> str:
        """Names everything that an embedding depends on but the prompt."""
        folder = self.folder.resolve() / "text_encoder"
        files = sorted(f"{p.name}:{p.stat().st_size}" for p in folder.glob("*")) if folder.is_dir() else []
        return f"{self.folder.resolve()} {self.length} {self.dtype} {self.padding} {self.clean} {' '.join(files)}"

    def release(self) -> None:
        """Free its memory."""
        self.parts = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self) -> Any:
        if self.parts is None:
            import transformers

            for part in ("tokenizer", "text_encoder"):
                if not (self.folder / part).is_dir():
                    raise MissingError(f"{self.folder}: has no folder '{part}' and the prompt is not in the cache;", "download the whole model.")
            check_parts(self.folder, "whole", ("text_encoder",))
            kind = read_config(self.folder / "text_encoder").get("model_type")
            network = transformers.UMT5EncoderModel if kind == "umt5" else transformers.T5EncoderModel
            try:
                tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder / "tokenizer", local_files_only=True)
            except (ImportError, OSError, ValueError) as error:  # without protobuf transformers takes a sentencepiece file for another kind
                remedy = "pip install 'akd[priors]' brings sentencepiece and protobuf; if it is there, download the model again."
                raise MissingError(f"{self.folder / 'tokenizer'}: cannot be read ({type(error).__name__});", remedy) from error
            encoder = network.from_pretrained(self.folder / "text_encoder", dtype=self.dtype, local_files_only=True)
            self.parts = tokenizer, encoder.to(self.device).eval().requires_grad_(False)
        return self.parts


def clean(prompt: str) -> str:
    """Without HTML escapes, each run of white space one space."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(prompt))).strip()


def half_or_float(device: torch.device, dtype: torch.dtype | None = None) -> torch.dtype:
    """The precision of a transformer: bfloat16 as trained on CUDA, float32 on the CPU, or the one asked for."""
    return dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
