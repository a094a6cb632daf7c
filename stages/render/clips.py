"""Several motions of one asset as the clips of one .glb, as game engines want a character."""

from __future__ import annotations

import copy
import json
import struct
from typing import Any, NamedTuple

from schemas.gltf_write import pack


class Parts(NamedTuple):
    """A .glb taken apart: its JSON and its binary data, both to be changed."""

    document: dict[str, Any]
    data: bytearray


def merge(models: list[bytes], names: list[str]) -> bytes:
    """One .glb with the animations of several that hold the same asset.

    Parameters:
        models: Bytes of .glb files that `schemas.gltf.write` made of one asset, rig and skin, each with one animation.
        names: Names of the clips; a name that comes twice gets a number.
    """
    whole = separate(models[0])
    document = whole.document
    document["asset"]["extras"]["akd"] = {"name": document["asset"]["extras"]["akd"]["name"], "clips": len(models)}
    for model in models[1:]:
        _append(whole, separate(model))
    for animation, name in zip(document["animations"], unique(names), strict=True):
        animation["name"] = name
    return join(whole)


def unique(names: list[str]) -> list[str]:
    """The names, numbered where one comes again: walk, run, walk 2."""
    found: list[str] = []
    for name in names:
        number, candidate = 2, name
        while candidate in found:
            number, candidate = number + 1, f"{name} {number}"
        found.append(candidate)
    return found


def separate(model: bytes) -> Parts:
    """The parts of a .glb with one binary chunk."""
    length = struct.unpack_from("<I", model, 12)[0]
    return Parts(json.loads(model[20 : 20 + length]), bytearray(model[20 + length + 8 :]))


def join(parts: Parts) -> bytes:
    """The bytes of a .glb."""
    return pack(parts.document, bytes(parts.data))


def append_data(parts: Parts, data: bytes, target: int | None = None) -> int:
    """Add bytes; the index of the buffer view that holds them."""
    parts.data.extend(b"\0" * (-len(parts.data) % 4))
    view = {"buffer": 0, "byteOffset": len(parts.data), "byteLength": len(data)} | ({"target": target} if target else {})
    parts.data.extend(data)
    parts.document["bufferViews"].append(view)
    return len(parts.document["bufferViews"]) - 1


def _append(whole: Parts, other: Parts) -> None:
    """Add the animation of another file with the accessors, views and bytes that it uses."""
    moved: dict[int, int] = {}

    def take(accessor: int) -> int:
        if accessor not in moved:
            entry = copy.deepcopy(other.document["accessors"][accessor])
            view = other.document["bufferViews"][entry["bufferView"]]
            start = view.get("byteOffset", 0)
            entry["bufferView"] = append_data(whole, bytes(other.data[start : start + view["byteLength"]]), view.get("target"))
            moved[accessor] = len(whole.document["accessors"])
            whole.document["accessors"].append(entry)
        return moved[accessor]

    animation = copy.deepcopy(other.document["animations"][0])
    for sampler in animation["samplers"]:
        sampler["input"], sampler["output"] = take(sampler["input"]), take(sampler["output"])
    whole.document["animations"].append(animation)
