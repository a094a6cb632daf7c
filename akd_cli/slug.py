"""File names from names and prompts. Standard library only: the Makefile runs it before anything is installed."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from pathlib import Path

LONGEST = 60
_MODEL_SUFFIXES = {".glb", ".gltf", ".obj", ".ply", ".stl"}


def slug(text: str) -> str:
    """A file name for any text: lower-case ASCII letters, digits and single dashes, never empty, at most 69 characters.

    Where letters or digits are lost (other scripts, over-long text) eight hex digits of the text's sha256 keep different
    texts apart. Case, accents and punctuation make no difference.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))
    name = "-".join(re.findall(r"[a-z0-9]+", plain))
    lost = any(c.isalnum() and not c.isascii() for c in plain)
    limit = LONGEST + 9 if re.search(r"-[0-9a-f]{8}$", name) else LONGEST  # a slug stays what it is
    if name and not lost and len(name) <= limit:
        return name
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[:LONGEST].rstrip('-') or 'x'}-{mark}"


def asset_name(source: str) -> str:
    """The workspace name for an asset: the file's stem, or the built-in character's own name."""
    path = Path(source)
    return slug(path.stem if path.suffix.lower() in _MODEL_SUFFIXES else path.name)


if __name__ == "__main__":
    print(asset_name(sys.argv[2]) if sys.argv[1] == "--asset" else slug(sys.argv[1]))
