"""What the rater is asked, and how the question becomes tokens. The wording is the one that it was trained on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from schemas.errors import MissingError, SchemaError

VIDEO = "<|video|>"
_INTRODUCTION = (
    "The following is a conversation between a curious human and AI assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
_ASKED = f"{_INTRODUCTION}\nHuman: {VIDEO}\nHuman: {{question}}\nAI: "
_PIECES = re.compile("|".join(map(re.escape, (VIDEO, "AI: ", "\nHuman: "))))


def semantic_adherence(caption: str) -> str:
    """The conversation that asks whether the video shows the caption (SA)."""
    return _ASKED.format(question=f'Does this video entail the description: "{caption}"?')


def physical_commonsense() -> str:
    """The conversation that asks whether the video obeys physics (PC)."""
    return _ASKED.format(question="Does this video follow the physical laws?")


def pieces(conversation: str) -> list[str]:
    """The parts of a conversation that are made into tokens each for itself: the video's place, the speakers, the text between."""
    found, start = [], 0
    for match in _PIECES.finditer(conversation):
        found += [conversation[start : match.start()], match[0]]
        start = match.end()
    return [piece for piece in [*found, conversation[start:]] if piece]


class Tokens:
    """The tokenizer of a model's folder: tokenizer.model, a SentencePiece model as LLaMA's.

    Raises:
        MissingError: No such file, or sentencepiece is not installed. SchemaError: It cannot tell Yes from No.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as error:
            raise MissingError(f"--videophy: needs sentencepiece ({error});", "pip install 'akd[priors]'.") from error
        path = folder / "tokenizer.model"
        if not path.is_file():
            raise MissingError(f"{path}: no such file;", "download the model again.")
        self._model: Any = SentencePieceProcessor(model_file=str(path))
        # the first token of each word, with the space before it that a new word has
        self.yes, self.no = (int(self._model.encode(word)[0]) for word in ("Yes", "No"))
        if self.yes == self.no:
            raise SchemaError(f"{path}: Yes and No begin with the same token;", "it is not the tokenizer of VideoPhy's rater.")

    def encode(self, conversation: str, room: int) -> list[int]:
        """Token numbers, a start token first; -1 stands `room` times where the video belongs."""
        numbers = [self._model.bos_id()] if self._model.bos_id() > 0 else []
        for piece in pieces(conversation):
            numbers += [-1] * room if piece == VIDEO else self._model.encode(piece)
        return numbers
