"""Write an asset, its skeleton, skin and motion as one binary glTF 2.0 file (DESIGN.md, contract 4).

The same content gives the same bytes. Never morph targets: a skin with inverse bind matrices, rotation channels for
every joint and a translation channel for the root.
"""

from __future__ import annotations

import copy
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from .artifact import AKD_VERSION
from .asset import Asset
from .atomic import write_bytes
from .errors import InputError
from .motion import Motion
from .rig import Rig

_FLOAT, _UBYTE, _USHORT, _UINT = 5126, 5121, 5123, 5125
_COMPONENT = {"f4": _FLOAT, "u1": _UBYTE, "u2": _USHORT, "u4": _UINT}
_KIND = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
INFLUENCES = 4


class _Builder:
    """Collects binary data and the JSON that describes it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        self.data.extend(b"\0" * (-len(self.data) % 4))
        entry: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        if target:
            entry["target"] = target
        self.data.extend(data)
        self.views.append(entry)
        return len(self.views) - 1

    def accessor(self, values: np.ndarray, kind: str, *, target: int | None = None, bounds: bool = False, normalized: bool = False) -> int:
        """`values` is (count, components); each row must be a multiple of 4 bytes where it is a vertex attribute."""
        values = np.ascontiguousarray(values, dtype="<" + kind)
        values = values.reshape(len(values), -1)
        entry: dict[str, Any] = {
            "bufferView": self.view(values.tobytes(), target),
            "componentType": _COMPONENT[kind],
            "count": len(values),
            "type": _KIND[values.shape[1]],
        }
        if normalized:
            entry["normalized"] = True
        if bounds:
            entry["min"], entry["max"] = values.min(0).tolist(), values.max(0).tolist()
        self.accessors.append(entry)
        return len(self.accessors) - 1


def write(
    path: str | os.PathLike[str],
    asset: Asset,
    rig: Rig | None = None,
    weights: np.ndarray | None = None,
    motion: Motion | None = None,
    *,
    name: str = "",
    way: tuple[np.ndarray, np.ndarray] | None = None,
) -> Path:
    """Write a .glb atomically.

    Parameters:
        path: Target.
        asset: Geometry, materials, textures.
        rig: Adds the skeleton. Without `weights` every vertex follows its nearest bone, a preview of the rig.
        weights: Skinning weights; the four largest of each row are kept and normalised. [(V, J)]
        motion: Adds one animation at the motion's frame rate.
        name: Name of the animation, default the prompt.
        way: Adds a bone above the root joint that moves by these positions and rotations, and the motion is relative to it;
            see `stages.render.travel`. [m (F, 3), xyzw (F, 4)]

    Returns:
        The path.

    Raises:
        InputError: The parts do not fit together.
        StorageError: The disk refused.
    """
    _check(asset, rig, weights, motion)
    builder, document = _Builder(), _document(asset, motion)
    node: dict[str, Any] = {"name": asset.name or "asset", "mesh": 0}
    attributes = _geometry(builder, asset)
    document["nodes"], document["scenes"], roots = [node], [{"name": asset.name or "scene", "nodes": [0]}], [0]
    if rig is not None:
        attributes |= _influences(builder, rig, nearest_bone(asset.vertices, rig) if weights is None else weights)
        document["nodes"] += _joint_nodes(rig)
        document["skins"] = [_skin(builder, rig, way is not None)]
        node["skin"], roots = 0, [0, 1]
    if way is not None and rig is not None:
        document["nodes"].append({"name": root_name(rig), "children": [1]})
        roots = [0, len(document["nodes"]) - 1]
    document["scenes"][0]["nodes"] = roots
    document["meshes"] = [{"name": asset.name or "mesh", "primitives": _primitives(builder, asset, attributes)}]
    if rig is not None and motion is not None:
        document["animations"] = [_animation(builder, rig, motion, name or motion.prompt, way)]
    _materials(builder, document, asset)
    document |= {"accessors": builder.accessors, "bufferViews": builder.views}
    write_bytes(path, pack(document, bytes(builder.data)))
    return Path(path)


def top_influences(weights: np.ndarray, count: int = INFLUENCES) -> tuple[np.ndarray, np.ndarray]:
    """Joints and weights of the largest influences, normalised; unused slots are joint 0 with weight 0.

    [(V, J) -> (V, count) int, (V, count) float32]
    """
    if weights.shape[1] < count:
        weights = np.pad(weights, ((0, 0), (0, count - weights.shape[1])))
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(weights, joints, 1).astype(np.float64)
    values = (values / np.maximum(values.sum(1, keepdims=True), 1e-30)).astype(np.float32)
    values[values < 1e-6] = 0
    # the largest takes what rounding leaves: the validator asks for sums within 2e-7
    values[:, 0] = 1 - values[:, 1:].sum(1, dtype=np.float64)
    return np.where(values > 0, joints, 0), values


def root_name(rig: Rig) -> str:
    """The name of a bone above the root joint: "root", as engines call it, unless a joint has it."""
    return next(name for name in ("root", "root_motion", *(f"root_motion_{n}" for n in range(rig.joint_count))) if name not in rig.joint_names)


def nearest_bone(vertices: np.ndarray, rig: Rig) -> np.ndarray:
    """Weights of 1 for the bone whose segment is nearest. [m (V, 3) -> (V, J)]"""
    start, along = rig.positions.astype(np.float64), (rig.tails - rig.positions).astype(np.float64)
    square = np.maximum((along**2).sum(1), 1e-12)
    best, closest = np.full(len(vertices), np.inf), np.zeros(len(vertices), int)
    for joint in range(rig.joint_count):
        share = np.clip((vertices - start[joint]) @ along[joint] / square[joint], 0, 1)
        distance = np.linalg.norm(vertices - start[joint] - share[:, None] * along[joint], axis=1)
        closer = distance < best
        best[closer], closest[closer] = distance[closer], joint
    return np.eye(rig.joint_count, dtype=np.float32)[closest]


def local_rotations(rig: Rig, motion: Motion) -> np.ndarray:
    """Rotations of the joint nodes relative to their parents, xyzw, without sign flips between frames. [(F, J, 4)]"""
    from scipy.spatial.transform import Rotation

    frames = motion.frame_count
    rest = [Rotation.from_quat(q) for q in rig.rotations]
    turned: list[Rotation] = []  # delta from rest, in world axes
    result = np.empty((frames, rig.joint_count, 4))
    for joint, parent in enumerate(rig.parents):
        if parent < 0:
            turned.append(Rotation.from_quat(motion.root_rotations))
            local = turned[0] * rest[0]
        else:
            axes = Rotation.from_matrix(rig.axes[joint])
            delta = axes * Rotation.from_euler("XYZ", motion.angles[:, joint].astype(np.float64)) * axes.inv()
            turned.append(turned[parent] * delta)
            local = rest[parent].inv() * delta * rest[joint]
        result[:, joint] = local.as_quat()
    for frame in range(1, frames):
        flip = (result[frame] * result[frame - 1]).sum(1) < 0
        result[frame, flip] *= -1
    return result.astype(np.float32)


def _check(asset: Asset, rig: Rig | None, weights: np.ndarray | None, motion: Motion | None) -> None:
    if rig is None and (weights is not None or motion is not None):
        raise InputError(f"{asset.name}: weights or motion without a rig.")
    if rig is not None and weights is not None and weights.shape != (len(asset.vertices), rig.joint_count):
        raise InputError(f"{asset.name}: the skin has shape {weights.shape}, ({len(asset.vertices)}, {rig.joint_count}) is needed;", "run `akd skin` again.")
    if rig is not None and motion is not None and motion.joint_names != rig.joint_names:
        raise InputError(f"{asset.name}: the motion was made for another rig ({len(motion.joint_names)} joints, not {rig.joint_count});", "make it again.")


def _document(asset: Asset, motion: Motion | None) -> dict[str, Any]:
    extras: dict[str, Any] = {"akd": {"name": asset.name}}
    if motion is not None:
        extras["akd"] |= {"prompt": motion.prompt, "fps": motion.fps, "frames": motion.frame_count, "artifact": motion.SCHEMA}
        extras["akd"] |= {key: motion.report[key] for key in ("feet",) if key in motion.report}  # of tracked motions
    return {"asset": {"version": "2.0", "generator": f"akd {AKD_VERSION}", "extras": extras}, "scene": 0}


def _geometry(builder: _Builder, asset: Asset) -> dict[str, int]:
    normals = asset.normals.astype(np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 1e-6, normals / np.maximum(length, 1e-12), [0, 1, 0])
    attributes = {
        "POSITION": builder.accessor(asset.vertices, "f4", target=_ARRAY_BUFFER, bounds=True),
        "NORMAL": builder.accessor(normals, "f4", target=_ARRAY_BUFFER),
    }
    if asset.uvs is not None:
        attributes["TEXCOORD_0"] = builder.accessor(asset.uvs, "f4", target=_ARRAY_BUFFER)
    if (asset.colors < 1).any():
        attributes["COLOR_0"] = builder.accessor(asset.colors, "f4", target=_ARRAY_BUFFER)
    return attributes


def _influences(builder: _Builder, rig: Rig, weights: np.ndarray) -> dict[str, int]:
    joints, values = top_influences(weights)
    return {
        "JOINTS_0": builder.accessor(joints, "u1" if rig.joint_count <= 256 else "u2", target=_ARRAY_BUFFER),
        "WEIGHTS_0": builder.accessor(values, "f4", target=_ARRAY_BUFFER),
    }


def _primitives(builder: _Builder, asset: Asset, attributes: dict[str, int]) -> list[dict[str, Any]]:
    kind = "u2" if len(asset.vertices) < 65535 else "u4"
    primitives = []
    for material in np.unique(asset.face_materials):
        indices = asset.faces[asset.face_materials == material].reshape(-1, 1)
        entry: dict[str, Any] = {"attributes": attributes, "indices": builder.accessor(indices, kind, target=_ELEMENT_BUFFER), "mode": 4}
        if asset.materials.get("list"):
            entry["material"] = int(material)
        primitives.append(entry)
    return primitives


def _joint_nodes(rig: Rig) -> list[dict[str, Any]]:
    """Joint j is node j + 1; translations and rotations relative to the parent."""
    from scipy.spatial.transform import Rotation

    rest = [Rotation.from_quat(q) for q in rig.rotations]
    nodes = []
    for joint, parent in enumerate(rig.parents):
        position, turn = rig.positions[joint].astype(np.float64), rest[joint]
        if parent >= 0:
            position, turn = rest[parent].inv().apply(position - rig.positions[parent]), rest[parent].inv() * turn
        node: dict[str, Any] = {"name": rig.joint_names[joint], "translation": _floats(position), "rotation": _floats(turn.as_quat())}
        children = [int(c) + 1 for c in np.flatnonzero(rig.parents == joint)]
        if children:
            node["children"] = children
        if rig.roles[joint]:
            node["extras"] = {"role": rig.roles[joint]}
        nodes.append(node)
    return nodes


def _skin(builder: _Builder, rig: Rig, rooted: bool) -> dict[str, Any]:
    """Joints in the order of the rig; a bone above them, at the origin, comes last, so that no index changes."""
    from scipy.spatial.transform import Rotation

    bind = np.tile(np.eye(4), (rig.joint_count, 1, 1))
    bind[:, :3, :3] = Rotation.from_quat(rig.rotations).as_matrix()
    bind[:, :3, 3] = rig.positions
    inverse = np.linalg.inv(bind)
    inverse[:, 3] = [0, 0, 0, 1]
    joints = [j + 1 for j in range(rig.joint_count + rooted)]
    inverse = np.concatenate([inverse, np.eye(4)[None]]) if rooted else inverse
    matrices = inverse.transpose(0, 2, 1).reshape(-1, 16)  # column-major
    return {
        "name": rig.name or "skin",
        "skeleton": joints[-1] if rooted else 1,
        "joints": joints,
        "inverseBindMatrices": builder.accessor(matrices, "f4"),
    }


def _animation(builder: _Builder, rig: Rig, motion: Motion, name: str, way: tuple[np.ndarray, np.ndarray] | None) -> dict[str, Any]:
    times = builder.accessor(np.arange(motion.frame_count)[:, None] / motion.fps, "f4", bounds=True)
    tracks = [(1, "translation", motion.root_positions)]
    rotations = local_rotations(rig, motion)
    tracks += [(joint + 1, "rotation", rotations[:, joint]) for joint in range(rig.joint_count)]
    if way is not None:
        tracks += [(rig.joint_count + 1, path, values) for path, values in zip(("translation", "rotation"), way, strict=True)]
    samplers = [{"input": times, "output": builder.accessor(values, "f4"), "interpolation": "LINEAR"} for _, _, values in tracks]
    channels = [{"sampler": index, "target": {"node": node, "path": path}} for index, (node, path, _) in enumerate(tracks)]
    return {"name": " ".join(name.split())[:120] or "motion", "samplers": samplers, "channels": channels}


def _materials(builder: _Builder, document: dict[str, Any], asset: Asset) -> None:
    """The asset's own materials and textures; what has no texture coordinates loses its textures."""
    materials = copy.deepcopy(asset.materials.get("list") or [])
    if not materials:
        return
    images, textures = asset.materials.get("images") or [], asset.materials.get("textures") or []
    if asset.uvs is None:
        materials, images, textures = [_untextured(m) for m in materials], [], []
    document["materials"] = materials
    samplers: list[dict[str, Any]] = []
    entries = []
    for texture in textures:
        entry = {"source": int(texture["image"])}
        if texture.get("sampler"):
            if texture["sampler"] not in samplers:
                samplers.append(texture["sampler"])
            entry["sampler"] = samplers.index(texture["sampler"])
        entries.append(entry)
    blobs = [{"bufferView": builder.view(asset.image_bytes(i)), "mimeType": image["mime"]} for i, image in enumerate(images)]
    document |= {key: value for key, value in (("textures", entries), ("images", blobs), ("samplers", samplers)) if value}
    used = sorted(_extensions(materials))
    if used:
        document["extensionsUsed"] = used


def _untextured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untextured(entry) for key, entry in value.items() if not key.endswith("Texture")}
    return value


def _extensions(value: Any) -> set[str]:
    """Names of all glTF extensions in a JSON value."""
    if isinstance(value, list):
        return set().union(*map(_extensions, value))
    if not isinstance(value, dict):
        return set()
    own = set(value.get("extensions", {})) if isinstance(value.get("extensions"), dict) else set()
    return own.union(*map(_extensions, value.values()))


def pack(document: dict[str, Any], data: bytes) -> bytes:
    """The bytes of a .glb; the length of its buffer is put into the document."""
    data += b"\0" * (-len(data) % 4)
    document["buffers"] = [{"byteLength": len(data)}]
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _floats(values: np.ndarray) -> list[float]:
    return [float(np.float32(v)) for v in values]
