"""Materials, textures and images of a glTF file, with their encoded bytes kept as they are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from .gltf_document import Document, extensions_of, is_number, unsupported

DEFAULT_MATERIAL = {"name": "default", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}
_CORE = ("name", "pbrMetallicRoughness", "normalTexture", "occlusionTexture", "emissiveTexture", "emissiveFactor", "alphaMode", "alphaCutoff", "doubleSided")
_SURFACE = ("baseColorFactor", "baseColorTexture", "metallicFactor", "roughnessFactor", "metallicRoughnessTexture")
_FILTERS, _WRAPS = (9728, 9729, 9984, 9985, 9986, 9987), (33071, 33648, 10497)
_SAMPLER = {"magFilter": _FILTERS[:2], "minFilter": _FILTERS, "wrapS": _WRAPS, "wrapT": _WRAPS}
_FOREIGN = {"EXT_texture_webp": "EXT_texture_webp", "KHR_texture_basisu": "KHR_texture_basisu", "EXT_texture_avif": "EXT_texture_avif"}


@dataclasses.dataclass
class Look:
    """Materials in the form that `schemas.asset.Asset` keeps them.

    Attributes:
        materials: {"list", "textures", "images"}, see Asset.
        images: Encoded bytes, concatenated. [uint8, (I,)] or None
        index: Place in materials["list"] of each material index of the file (None: no material).
        uv_sets: For each entry of the list, which TEXCOORD_n its textures use.
        uv_maps: For each entry, the 2 x 3 matrix of KHR_texture_transform to bake into the coordinates, or None.
    """

    materials: dict[str, Any]
    images: np.ndarray | None
    index: dict[int | None, int]
    uv_sets: list[int]
    uv_maps: list[np.ndarray | None]


def texture_slots(owner: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every place in a material that names a texture: yields (object, key) with object[key]["index"] an index."""
    if isinstance(owner, dict):
        for key in list(owner):
            value = owner[key]
            if key.endswith("Texture") and isinstance(value, dict) and "index" in value:
                yield owner, key
            elif key != "extras":
                yield from texture_slots(value)


def read_look(document: Document, used: list[int | None]) -> Look:
    """The materials that primitives use (`used`, indices into the file's list or None), with textures and images.

    Raises:
        InputError: An index out of range, or an image of a kind that glTF does not have.
    """
    look = Look({"list": [], "textures": [], "images": []}, None, {}, [], [])
    textures: dict[int, int] = {}
    for index in sorted(set(used), key=lambda i: (i is None, i or 0)):
        material = json.loads(json.dumps(DEFAULT_MATERIAL if index is None else _material(document, index)))
        uv_set, uv_map = _choose_coordinates(document, material)
        for owner, key in texture_slots(material):
            number = document.integer(owner[key]["index"], f"material {index} names texture", high=len(document.objects("textures")) - 1)
            textures.setdefault(number, len(textures))
            owner[key]["index"] = textures[number]
        look.index[index] = len(look.materials["list"])
        look.materials["list"].append(material)
        look.uv_sets.append(uv_set)
        look.uv_maps.append(uv_map)
    _read_textures(document, look, list(textures))
    return look


def _material(document: Document, index: int) -> dict[str, Any]:
    """Core properties and KHR_materials_* of a material; anything else is dropped with a note."""
    source = document.objects("materials")[index]
    result = {key: source[key] for key in _CORE if key in source}
    _drop_invalid(document, index, result)
    kept = {}
    for name, value in extensions_of(source).items():
        if name == "KHR_materials_pbrSpecularGlossiness" and isinstance(value, dict):
            result["pbrMetallicRoughness"] = _from_specular_glossiness(value)
            document.note("specular-glossiness materials were turned into metallic-roughness ones (diffuse colour kept)")
        elif name.startswith("KHR_materials_") and name != "KHR_materials_variants" and isinstance(value, dict) and _storable(value):
            kept[name] = value
        else:
            document.note(f"material extension {name} is ignored")
    if kept:
        result["extensions"] = kept
    return result


def _drop_invalid(document: Document, index: int, material: dict[str, Any]) -> None:
    """Remove the core properties whose values glTF does not allow, each with a note."""
    surface = material.get("pbrMetallicRoughness", {})
    if not isinstance(surface, dict):
        surface = {}
        material.pop("pbrMetallicRoughness")
    rules: list[tuple[dict[str, Any], str, Any]] = [
        (surface, "baseColorFactor", lambda v: _numbers(v, 4)),
        (surface, "metallicFactor", lambda v: _numbers([v], 1)),
        (surface, "roughnessFactor", lambda v: _numbers([v], 1)),
        (material, "emissiveFactor", lambda v: _numbers(v, 3)),
        (material, "alphaMode", lambda v: v in ("OPAQUE", "MASK", "BLEND")),
        (material, "alphaCutoff", lambda v: is_number(v) and v >= 0),
        (material, "doubleSided", lambda v: isinstance(v, bool)),
        (material, "name", lambda v: isinstance(v, str) and v.isprintable()),
    ]
    rules += [(owner, key, _is_texture) for owner in (surface, material) for key in list(owner) if key.endswith("Texture")]
    rules += [(surface, key, lambda v: False) for key in list(surface) if key not in _SURFACE]
    for owner, key, allowed in rules:
        if key in owner and not allowed(owner[key]):
            document.note(f"{key} of material {index} is not what glTF allows and was left out")
            del owner[key]


def _numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(is_number(v) and 0 <= v <= 1 for v in value)


def _is_texture(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("index"), int) and _storable(value)


def _storable(value: Any) -> bool:
    """Whether a JSON value can be written again: finite numbers, valid text."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _from_specular_glossiness(value: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"metallicFactor": 0.0}
    if _numbers(value.get("diffuseFactor"), 4):
        result["baseColorFactor"] = value["diffuseFactor"]
    if _is_texture(value.get("diffuseTexture")):
        result["baseColorTexture"] = value["diffuseTexture"]
    gloss = value.get("glossinessFactor", 1.0)
    result["roughnessFactor"] = 1.0 - gloss if isinstance(gloss, (int, float)) and 0 <= gloss <= 1 else 1.0
    return result


def _choose_coordinates(document: Document, material: dict[str, Any]) -> tuple[int, np.ndarray | None]:
    """One texture coordinate set for the material: that of its base colour. Slots that differ are dropped with a note."""
    slots = list(texture_slots(material))
    slots.sort(key=lambda slot: slot[1] != "baseColorTexture")
    chosen: tuple[int, tuple[float, ...] | None] | None = None
    for owner, key in slots:
        mapping = _mapping(document, owner[key])
        chosen = chosen or mapping
        if mapping != chosen:
            document.note(f"{key} of material {material.get('name', '')!r} has texture coordinates of its own and is dropped")
            del owner[key]
            continue
        owner[key].pop("texCoord", None)
        owner[key].pop("extensions", None)
    if chosen is None:
        return 0, None
    return chosen[0], None if chosen[1] is None else np.array(chosen[1]).reshape(2, 3)


def _mapping(document: Document, info: dict[str, Any]) -> tuple[int, tuple[float, ...] | None]:
    """(texCoord, KHR_texture_transform as a flat 2 x 3 matrix or None) of a textureInfo."""
    which = document.integer(info.get("texCoord", 0), "a texture has texCoord", high=64)
    transform = extensions_of(info).get("KHR_texture_transform")
    if not isinstance(transform, dict):
        return which, None
    which = document.integer(transform.get("texCoord", which), "a texture transform has texCoord", high=64)
    u, v = document.numbers(transform.get("offset", [0, 0]), 2, "the offset of a texture transform")
    a, b = document.numbers(transform.get("scale", [1, 1]), 2, "the scale of a texture transform")
    (turn,) = document.numbers([transform.get("rotation", 0)], 1, "the rotation of a texture transform")
    c, s = float(np.cos(turn)), float(np.sin(turn))
    return which, (c * a, s * b, u, -s * a, c * b, v)


def _read_textures(document: Document, look: Look, numbers: list[int]) -> None:
    """Fill the textures and images of `look` with those numbered `numbers` in the file."""
    images: dict[int, int] = {}
    blobs: list[bytes] = []
    for number in numbers:
        texture = document.objects("textures")[number]
        source = texture.get("source")
        if source is None:
            for name in extensions_of(texture):
                if name in _FOREIGN:
                    raise unsupported(document.path, name)
            raise document.error(f"texture {number} has no image")
        source = document.integer(source, f"texture {number} names image", high=len(document.objects("images")) - 1)
        if source not in images:
            images[source] = len(blobs)
            blobs.append(_image(document, source))
        entry: dict[str, Any] = {"image": images[source]}
        if "sampler" in texture:
            sampler = document.object("samplers", texture["sampler"], f"texture {number}")
            entry["sampler"] = {key: sampler[key] for key, allowed in _SAMPLER.items() if key in sampler and sampler[key] in allowed}
        look.materials["textures"].append(entry)
    start = 0
    for blob in blobs:
        look.materials["images"].append({"mime": image_mime(blob), "start": start, "size": len(blob)})
        start += len(blob)
    if blobs:
        look.images = np.frombuffer(b"".join(blobs), np.uint8)


def _image(document: Document, index: int) -> bytes:
    image = document.objects("images")[index]
    if "bufferView" in image:
        data, offset, length, _ = document.view(image["bufferView"], f"image {index}")
        blob = data[offset : offset + length]
    else:
        blob = document.fetch(image.get("uri"), f"image {index}")
    if not image_mime(blob):
        kind = "KTX2" if blob[1:4] == b"KTX" else "WebP" if blob[8:12] == b"WEBP" else "unknown"
        raise document.error(f"image {index} is neither PNG nor JPEG ({kind})", "convert its textures to PNG.")
    return blob


def image_mime(blob: bytes) -> str:
    """ "image/png" or "image/jpeg" by the first bytes, "" for anything else."""
    if blob[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    return "image/jpeg" if blob[:3] == b"\xff\xd8\xff" else ""
