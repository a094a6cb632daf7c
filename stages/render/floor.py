"""The film's ground as a mesh in a .glb."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from .clips import Parts, append_data, join, separate

TEXELS = 128  # an edge of the texture, two squares
MARGIN = 6  # how far the ground goes beyond the way: two sizes of the body [squares]


def bake_ground(model: bytes, paths: list[np.ndarray], cell: float, light: tuple[float, ...], dark: tuple[float, ...]) -> bytes:
    """The model with a checkerboard at y = 0 as a node of its own, "ground", outside the skeleton.

    Parameters:
        model: A .glb of `schemas.gltf.write`.
        paths: Where the root goes, one path a clip. [m, (F, 3)]
        cell: Edge of a square; a corner of squares lies at the origin, as in the film. [m]
        light, dark: sRGB. [0..1, (3,)]
    """
    parts = separate(model)
    document = parts.document
    every = np.concatenate(paths)[:, [0, 2]]
    # whole pairs of squares, so that the texture begins where a square does
    low = 2 * cell * np.floor((every.min(0) - MARGIN * cell) / (2 * cell))
    high = 2 * cell * np.ceil((every.max(0) + MARGIN * cell) / (2 * cell))
    mesh = {"name": "ground", "primitives": [_plane(parts, low, high, cell)]}
    view = append_data(parts, _squares(light, dark))
    for name, entry in (
        ("images", {"name": "ground", "mimeType": "image/png", "bufferView": view}),
        ("samplers", {"wrapS": 10497, "wrapT": 10497, "magFilter": 9729, "minFilter": 9987}),
        ("meshes", mesh),
    ):
        document.setdefault(name, []).append(entry)
    document.setdefault("textures", []).append({"source": len(document["images"]) - 1, "sampler": len(document["samplers"]) - 1})
    look = {"baseColorTexture": {"index": len(document["textures"]) - 1}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    document.setdefault("materials", []).append({"name": "ground", "pbrMetallicRoughness": look})
    mesh["primitives"][0]["material"] = len(document["materials"]) - 1
    document["nodes"].append({"name": "ground", "mesh": len(document["meshes"]) - 1})
    document["scenes"][0]["nodes"].append(len(document["nodes"]) - 1)
    return join(parts)


def _plane(parts: Parts, low: np.ndarray, high: np.ndarray, cell: float) -> dict:
    """A rectangle facing up; one unit of its texture coordinates is two squares."""
    corners = np.array([[low[0], low[1]], [low[0], high[1]], [high[0], high[1]], [high[0], low[1]]])
    points = np.stack([corners[:, 0], np.zeros(4), corners[:, 1]], 1).astype("<f4")
    accessors = parts.document["accessors"]

    def add(values: np.ndarray, component: int, kind: str, target: int, **more: list[float]) -> int:
        view = append_data(parts, values.tobytes(), target)
        accessors.append({"bufferView": view, "componentType": component, "count": len(values), "type": kind, **more})
        return len(accessors) - 1

    attributes = {
        "POSITION": add(points, 5126, "VEC3", 34962, min=points.min(0).tolist(), max=points.max(0).tolist()),
        "NORMAL": add(np.tile([0, 1, 0], (4, 1)).astype("<f4"), 5126, "VEC3", 34962),
        "TEXCOORD_0": add((corners / (2 * cell)).astype("<f4"), 5126, "VEC2", 34962),
    }
    return {"attributes": attributes, "indices": add(np.array([0, 1, 2, 0, 2, 3], "<u2"), 5123, "SCALAR", 34963), "mode": 4}


def _squares(light: tuple[float, ...], dark: tuple[float, ...]) -> bytes:
    """Two by two squares as a PNG; light where both coordinates round down to even numbers of squares, or both to odd ones."""
    one = np.arange(TEXELS) * 2 // TEXELS
    even = (one[:, None] + one[None]) % 2 == 0
    pixels = np.where(even[..., None], light, dark)
    stream = io.BytesIO()
    Image.fromarray((pixels * 255 + 0.5).astype(np.uint8)).save(stream, "PNG", optimize=True)
    return stream.getvalue()
