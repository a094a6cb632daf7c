"""The page as one HTML file: the built viewer (web/) with a motion's content and models put into it."""

from __future__ import annotations

import base64
import html
import json
import re
import struct
from importlib import resources
from typing import Any

_SLOT = re.compile(r"@(TITLE|DATA|MODELS)@")


def document(content: dict[str, Any], models: dict[str, bytes], splats: tuple[dict[str, Any], bytes] | None = None) -> str:
    """The page's HTML.

    Nothing in `content` can leave its place: the title is escaped as HTML, all else lies in a JSON element without a
    single "<", and the viewer sets text as text. The page's content security policy allows the viewer's own script
    and no network at all.

    Parameters:
        content: JSON values from `content.content`.
        models: Bytes of .glb files by the ids of the motions.
        splats: From `kernels.encode`.
    """
    packed = pack(models)
    data = {**content, "models": [{"id": name, "parts": parts} for name, (parts, _) in packed.items()], "splats": splats and splats[0]}
    elements = {f"model-{html.escape(name)}": own for name, (_, own) in packed.items()} | ({"splats-data": splats[1]} if splats else {})
    stored = "\n".join(f'<script type="text/plain" id="{name}">{base64.b64encode(own).decode("ascii")}</script>' for name, own in elements.items())
    slots = {"TITLE": html.escape(content["prompt"] or "motion"), "DATA": script_json(data), "MODELS": stored}
    template = (resources.files(__package__) / "page.html").read_text(encoding="utf-8")
    # in one pass, so that a prompt which spells a slot's name stays what it is
    return _SLOT.sub(lambda match: slots[match[1]], template)


def script_json(value: Any) -> str:
    """JSON that is safe between <script> tags: no markup, no line separators that end a line of script; NaN is refused."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def pack(models: dict[str, bytes]) -> dict[str, tuple[list[tuple[str, int, int]], bytes]]:
    """Models without what each shares with the one before it.

    Two animations of one asset differ in the glTF text and in the keys at the end of the binary part; the mesh and
    the textures, most of the file, are the same bytes and are stored once.

    Returns:
        By id: the parts that make up the file, each ("own" or "before", first byte, length), and the own bytes.
    """
    packed: dict[str, tuple[list[tuple[str, int, int]], bytes]] = {}
    before = b""
    for name, data in models.items():
        start, other = _binary(data), _binary(before)
        shared = _common(data[start:], before[other:]) if before else 0
        own = data[:start] + data[start + shared :]
        parts = [("own", 0, start), ("before", other, shared), ("own", start, len(data) - start - shared)]
        packed[name] = [part for part in parts if part[2]], own
        before = data
    return packed


def _binary(data: bytes) -> int:
    """Where the binary chunk's content of a .glb begins."""
    return 20 + struct.unpack_from("<I", data, 12)[0] + 8 if len(data) >= 20 else 0


def _common(one: bytes, other: bytes) -> int:
    """Length of the common beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
