"""Several motions of one asset as the clips of one .glb, as game engines want a character."""

from __future__ import annotations

import copy
import json
import struct
from typing import Any

Parts = tuple[dict[str, Any], bytes]


def merge(models: list[bytes], names: list[str]) -> bytes:
    """One .glb with the animations of several that hold the same asset.

    Parameters:
        models: Bytes of .glb files that `schemas.gltf.write` made of one asset, rig and skin, each with one animation.
        names: Names of the clips; a name that comes twice gets a number.
    """
    document, data = _split(models[0])
    document["asset"]["extras"]["akd"] = {"name": document["asset"]["extras"]["akd"]["name"], "clips": len(models)}
    binary = bytearray(data)
    document["animations"] = [copy.deepcopy(document["animations"][0])]
    for model in models[1:]:
        _append(document, binary, *_split(model))
    for animation, name in zip(document["animations"], unique(names), strict=True):
        animation["name"] = name
    document["buffers"] = [{"byteLength": len(binary)}]
    return _join(document, bytes(binary))


def unique(names: list[str]) -> list[str]:
    """The names, numbered where one comes again: walk, run, walk 2."""
    found: list[str] = []
    for name in names:
        number, candidate = 2, name
        while candidate in found:
            number, candidate = number + 1, f"{name} {number}"
        found.append(candidate)
    return found


def _append(document: dict[str, Any], binary: bytearray, other: dict[str, Any], data: bytes) -> None:
    """Add the animation of another file with the accessors, views and bytes that it uses."""
    moved: dict[int, int] = {}

    def take(accessor: int) -> int:
        if accessor not in moved:
            entry = copy.deepcopy(other["accessors"][accessor])
            view = copy.deepcopy(other["bufferViews"][entry["bufferView"]])
            start = view.get("byteOffset", 0)
            binary.extend(b"\0" * (-len(binary) % 4))
            view["byteOffset"] = len(binary)
            binary.extend(data[start : start + view["byteLength"]])
            entry["bufferView"] = len(document["bufferViews"])
            document["bufferViews"].append(view)
            moved[accessor] = len(document["accessors"])
            document["accessors"].append(entry)
        return moved[accessor]

    animation = copy.deepcopy(other["animations"][0])
    for sampler in animation["samplers"]:
        sampler["input"], sampler["output"] = take(sampler["input"]), take(sampler["output"])
    document["animations"].append(animation)


def _split(model: bytes) -> Parts:
    length = struct.unpack_from("<I", model, 12)[0]
    return json.loads(model[20 : 20 + length]), model[20 + length + 8 :]


def _join(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    document_chunk = struct.pack("<I4s", len(text), b"JSON") + text
    return struct.pack("<4sII", b"glTF", 2, 20 + len(text) + 8 + len(binary)) + document_chunk + struct.pack("<I4s", len(binary), b"BIN\0") + binary
