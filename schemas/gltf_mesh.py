"""Triangles and vertex attributes of glTF mesh primitives."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .gltf_accessor import read_accessor
from .gltf_document import Document, extensions_of, unsupported
from .gltf_material import Look
from .gltf_skin import Skin

MAX_VERTICES = 4_000_000
MAX_TRIANGLES = 8_000_000
_MODES = {0: "points", 1: "lines", 2: "line loops", 3: "line strips"}


@dataclasses.dataclass
class Block:
    """The vertices of one mesh as stored, and the triangles of its primitives.

    Attributes:
        points: [(P, 3)]
        normals: Zero rows where the file has none. [(P, 3)]
        colors: Linear RGBA. [(P, 4)]
        uvs: Zero rows where the file has none. [(P, 2)]
        has_uvs: Whether any primitive brought texture coordinates.
        faces, materials: Triangles and the material of each, as a place in the look's list. [(T, 3), (T,)]
        weights: Dense weights over the joints of the skin, rows sum to 1. [(P, K)] or None
    """

    points: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    uvs: np.ndarray
    has_uvs: bool
    faces: np.ndarray
    materials: np.ndarray
    weights: np.ndarray | None


class Budget:
    """Counts vertices and triangles over all instances, so that a small hostile file cannot fill the memory."""

    def __init__(self, document: Document) -> None:
        self.document, self.vertices, self.triangles = document, 0, 0

    def spend(self, vertices: int, triangles: int) -> None:
        """Add to the totals; InputError above the limits."""
        self.vertices += vertices
        self.triangles += triangles
        if self.vertices > MAX_VERTICES or self.triangles > MAX_TRIANGLES:
            raise self.document.error(f"has more than {MAX_VERTICES} vertices or {MAX_TRIANGLES} triangles", "simplify the model.")


def primitives_of(document: Document, index: int) -> list[dict[str, Any]]:
    """The triangle primitives of a mesh; points and lines are left out with a note."""
    primitives = document.objects("meshes")[index].get("primitives")
    if not isinstance(primitives, list) or not primitives or not all(isinstance(p, dict) for p in primitives):
        raise document.error(f"mesh {index} has no primitives")
    result = []
    for primitive in primitives:
        mode = document.integer(primitive.get("mode", 4), f"a primitive of mesh {index} has mode", high=6)
        if mode in _MODES:
            document.note(f"{_MODES[mode]} in mesh {index} are left out, akd animates surfaces")
            continue
        if not isinstance(primitive.get("attributes"), dict) or "POSITION" not in primitive["attributes"]:
            raise document.error(f"a primitive of mesh {index} has no POSITION")
        if "KHR_draco_mesh_compression" in extensions_of(primitive):
            raise unsupported(document.path, "KHR_draco_mesh_compression")
        if primitive.get("targets"):
            document.note("morph targets are left out, akd animates by joints")
        result.append(primitive)
    return result


def material_of(document: Document, primitive: dict[str, Any]) -> int | None:
    """The material index of a primitive, None where it has none."""
    index = primitive.get("material")
    return None if index is None else document.integer(index, "a primitive names material", high=len(document.objects("materials")) - 1)


def read_block(document: Document, mesh: int, look: Look, skin: Skin | None, budget: Budget) -> Block | None:
    """All triangle primitives of a mesh as one block; primitives that share their vertices keep sharing them.

    Raises:
        InputError: Attributes that are missing, of different lengths or not finite, or indices out of range.
    """
    parts: dict[str, tuple[int, dict[str, np.ndarray | None]]] = {}
    faces, materials, count = [], [], 0
    for primitive in primitives_of(document, mesh):
        place = look.index[material_of(document, primitive)]
        key = f"{sorted(primitive['attributes'].items(), key=str)} {look.uv_sets[place]} {look.uv_maps[place]}"
        if key not in parts:
            part = _attributes(document, mesh, primitive["attributes"], look, place, skin, budget)
            parts[key] = count, part
            count += len(part["points"])
        start, part = parts[key]
        triangles = _triangles(document, mesh, primitive, len(part["points"]), budget)
        faces.append(triangles + start)
        materials.append(np.full(len(triangles), place, np.int32))
    if not faces:
        return None
    every = [part for _, part in parts.values()]

    def join(name: str, default: float, width: int) -> np.ndarray:
        return np.concatenate([p[name] if p[name] is not None else np.full((len(p["points"]), width), default) for p in every])

    weights = None
    if skin is not None and any(p["weights"] is not None for p in every):
        weights = _mend_weights(document, mesh, join("points", 0, 3), join("weights", 0, len(skin.nodes)))
    return Block(
        points=join("points", 0, 3),
        normals=join("normals", 0, 3),
        colors=join("colors", 1, 4),
        uvs=join("uvs", 0, 2),
        has_uvs=any(p["uvs"] is not None for p in every),
        faces=np.concatenate(faces),
        materials=np.concatenate(materials),
        weights=weights,
    )


def _attributes(document: Document, mesh: int, attributes: dict[str, Any], look: Look, place: int, skin: Skin | None, budget: Budget) -> dict[str, Any]:
    def read(name: str, *types: str, normalize: bool = True) -> np.ndarray | None:
        return read_accessor(document, attributes[name], f"{name} of mesh {mesh}", types, normalize=normalize) if name in attributes else None

    entry = document.object("accessors", attributes["POSITION"], f"POSITION of mesh {mesh}")
    budget.spend(document.integer(entry.get("count"), "POSITION has count", low=1), 0)
    points = read("POSITION", "VEC3").astype(np.float64)
    bad = ~np.isfinite(points).all(1)
    if bad.any():
        raise document.error(f"mesh {mesh} has {int(bad.sum())} vertices with NaN or infinite positions", "repair the model and export it again.")
    uvs = read(f"TEXCOORD_{look.uv_sets[place]}", "VEC2")
    uv_map = look.uv_maps[place]
    if uvs is not None and uv_map is not None:
        uvs = uvs.astype(np.float64) @ uv_map[:, :2].T + uv_map[:, 2]
    part = {"points": points, "normals": read("NORMAL", "VEC3"), "uvs": uvs, "colors": _colors(document, mesh, read("COLOR_0", "VEC3", "VEC4"))}
    for name in ("normals", "uvs"):
        if part[name] is not None and not np.isfinite(part[name]).all():
            document.note(f"NaN in the {name} of mesh {mesh} was set to zero")
            part[name] = np.where(np.isfinite(part[name]), part[name], 0)
    part["weights"] = _weights(document, mesh, attributes, skin, read) if skin is not None else None
    for name, value in part.items():
        if value is not None and len(value) != len(points):
            raise document.error(f"mesh {mesh} has {len(points)} positions, but {len(value)} {name}")
    return part


def _colors(document: Document, mesh: int, colors: np.ndarray | None) -> np.ndarray | None:
    if colors is None:
        return None
    if colors.dtype.kind in "iu":
        document.note(f"COLOR_0 of mesh {mesh} holds integers that are not marked as normalised; they are taken as such")
        colors = colors.astype(np.float32) / np.float32(np.iinfo(colors.dtype).max)
    if colors.shape[1] == 3:
        colors = np.concatenate([colors, np.ones((len(colors), 1), colors.dtype)], 1)
    return np.clip(np.nan_to_num(colors, nan=1.0, posinf=1.0, neginf=0.0), 0, 1)


def _weights(document: Document, mesh: int, attributes: dict[str, Any], skin: Skin, read: Any) -> np.ndarray | None:
    """Dense weights as stored, without repairs. [(P, K)]"""
    result: np.ndarray | None = None
    number = 0
    while f"JOINTS_{number}" in attributes and f"WEIGHTS_{number}" in attributes:
        joints, values = read(f"JOINTS_{number}", "VEC4", normalize=False), read(f"WEIGHTS_{number}", "VEC4")
        if joints.dtype.kind != "u":
            raise document.error(f"JOINTS_{number} of mesh {mesh} are not unsigned integers")
        if joints.shape != values.shape:
            raise document.error(f"mesh {mesh} has {len(joints)} JOINTS_{number}, but {len(values)} WEIGHTS_{number}")
        if values.dtype.kind in "iu":
            values = values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
        values = values.astype(np.float64)
        bad = ~np.isfinite(values) | (values < 0)
        if bad.any():
            document.note(f"{int(bad.any(1).sum())} vertices of mesh {mesh} had NaN or negative weights, which were set to 0")
            values[bad] = 0
        if (joints[values > 0] >= len(skin.slots)).any():
            raise document.error(f"mesh {mesh} names joint {int(joints[values > 0].max())}, its skin has {len(skin.slots)}")
        if result is None:
            if len(joints) * len(skin.nodes) > 2**27:
                raise document.error(f"mesh {mesh} has {len(joints)} vertices and {len(skin.nodes)} joints, too many for dense weights", "simplify the model.")
            result = np.zeros((len(joints), len(skin.nodes)))
        if len(joints) != len(result):
            raise document.error(f"mesh {mesh} has weight sets of different lengths")
        slots = skin.slots[np.minimum(joints, len(skin.slots) - 1).astype(np.int64)]
        np.add.at(result, (np.arange(len(joints))[:, None], slots), values)
        number += 1
    return result


def _mend_weights(document: Document, mesh: int, points: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Rows summing to 1; a vertex without weights takes those of the nearest vertex that has some."""
    total = weights.sum(1)
    empty = total <= 1e-9
    if empty.all():
        document.note(f"mesh {mesh} has a skin, but no weights at all")
        return None
    if empty.any():
        from scipy.spatial import cKDTree

        nearest = cKDTree(points[~empty]).query(points[empty])[1]
        weights[empty] = weights[~empty][nearest]
        total = weights.sum(1)
        document.note(f"{int(empty.sum())} vertices of mesh {mesh} without weights took those of their nearest neighbours")
    if np.abs(total - 1).max() > 0.01:
        document.note(f"weights of mesh {mesh} summed to {total.min():.3f}..{total.max():.3f} and were normalised")
    return weights / total[:, None]


def _triangles(document: Document, mesh: int, primitive: dict[str, Any], count: int, budget: Budget) -> np.ndarray:
    """Triangles of a list, strip or fan, with those of equal corners removed. [(T, 3)]"""
    mode = primitive.get("mode", 4)
    if "indices" in primitive:
        corners = read_accessor(document, primitive["indices"], f"indices of mesh {mesh}", ("SCALAR",), normalize=False)[:, 0]
        if corners.dtype.kind != "u":
            raise document.error(f"indices of mesh {mesh} are not unsigned integers")
        corners = corners.astype(np.int64)
        if corners.max() >= count:
            raise document.error(f"indices of mesh {mesh} name vertex {int(corners.max())}, there are {count}")
    else:
        corners = np.arange(count)
    if mode == 4:
        if len(corners) % 3:
            document.note(f"mesh {mesh} has {len(corners) % 3} indices too many for triangles, which were left out")
        faces = corners[: len(corners) // 3 * 3].reshape(-1, 3)
    elif len(corners) < 3:
        faces = np.zeros((0, 3), np.int64)
    elif mode == 5:
        faces = np.stack([corners[:-2], corners[1:-1], corners[2:]], 1)
        faces[1::2] = faces[1::2][:, [1, 0, 2]]  # every other triangle of a strip runs the other way
    else:
        faces = np.stack([corners[1:-1], corners[2:], np.full(len(corners) - 2, corners[0])], 1)
    budget.spend(0, len(faces))
    return faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
