"""Built-in characters, sculpted in code, each with its skeleton: `find` one, then `sculpt` it."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .template import Sculpture

_WORDS = {
    "tiger": ("tiger", "tigress", "tigresse"),
    "horse": ("horse", "pony", "ponie", "stallion", "mare", "foal"),
    "elephant": ("elephant",),
    "dog": ("dog", "puppy", "puppie", "hound", "beagle"),
    "ostrich": ("ostrich", "ostriche"),
    "human": ("human", "person", "people", "man", "men", "woman", "women", "boy", "girl"),
    "t-rex": ("t rex", "trex", "t rexe", "tyrannosaur", "tyrannosaurus", "dinosaur"),
}
"""Slug -> the words by which a prompt may call it (a plural "s" is allowed); the module is the slug without hyphens."""

NAMES: tuple[str, ...] = tuple(_WORDS)
"""Slugs of the built-in characters."""


def find(name_or_prompt: str) -> str | None:
    """The built-in character that a slug or a sentence such as "a tiger walking" names first; None if it names none."""
    text = re.sub(r"[\s_-]+", " ", name_or_prompt.lower())
    hits = []
    for name, words in _WORDS.items():
        pattern = "|".join(re.escape(word) for word in words)
        match = re.search(rf"\b(?:{pattern})s?\b", text)
        if match:
            hits.append((match.start(), name))
    return min(hits)[1] if hits else None


def sculpt(name: str, *, resolution: float | None = None) -> Sculpture:
    """Sculpt a built-in character.

    Args:
        name: One of NAMES, or anything `find` understands.
        resolution: Edge length of the mesh away from its finer places, in place of the character's own. [m]

    Raises:
        InputError: No built-in character has that name.
    """
    from schemas.errors import InputError

    slug = find(name)
    if slug is None:
        raise InputError(f"'{name}': no built-in character of that name; there are {', '.join(NAMES)}.")
    from . import template

    module = importlib.import_module(f".{slug.replace('-', '')}", __name__)
    return template.model(module.animal(), cell=resolution)
