"""Skeletons given beside the mesh: a JSON file, or the joints of another rigged glTF file.

The JSON form, in any right-handed frame named by "up" and "facing", lengths in "unit" metres:

    {"up": "y", "facing": "z", "unit": 1.0, "category": "quadruped",
     "joints": [{"name": "hips", "parent": null, "position": [0, 0.9, -0.4], "tail": [0, 0.9, 0], "role": "pelvis"}, ...]}

Only "joints" with "name", "parent" and "position" is required. Positions are those of the asset in akd's frame once
"up", "facing" and "unit" are applied.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError, MissingError
from schemas.roles import is_role

from .skeleton import Joints

_AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1), "-x": (-1, 0, 0), "-y": (0, -1, 0), "-z": (0, 0, -1)}
_TOP = {"joints", "up", "facing", "unit", "category", "name"}
_JOINT = {"name", "parent", "position", "tail", "role"}
_MOST = 1000  # joints


def load(path: str | Path, asset: Asset) -> tuple[Joints, str]:
    """Read a skeleton for an asset; returns it with the category it names ("" if none).

    Raises:
        MissingError: No such file. InputError: Of another kind, or not a skeleton; the message names the entry.
    """
    path = Path(path)
    if not path.exists():
        raise MissingError(f"{path}: no such file;", "give a skeleton as .json, .glb or .gltf.")
    suffix = path.suffix.lower()
    if suffix == ".json":
        joints, category = _from_json(path)
    elif suffix in (".glb", ".gltf"):
        joints, category = _from_gltf(path, asset), ""
    else:
        raise InputError(f"{path}: '{suffix}' is no skeleton file;", "give a .json, .glb or .gltf.")
    if _misfit(joints.positions, asset.vertices) > 0.5:
        raise InputError(f"{path}: its joints do not lie in the mesh of '{asset.name}';", "give a skeleton in the asset's coordinates.")
    return joints, category


def _from_json(path: Path) -> tuple[Joints, str]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error});", "see the skeleton format in the documentation.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror});", "check its permissions.") from error
    _known(path, "the file", data, _TOP)
    entries = data.get("joints")
    if not isinstance(entries, list) or not 1 <= len(entries) <= _MOST:
        raise InputError(f"{path}: 'joints' must be a list of 1 to {_MOST} joints.")
    for index, entry in enumerate(entries):
        _known(path, f"joints[{index}]", entry, _JOINT)
    names, parents, order = _tree(path, entries)
    turn = _frame(path, data.get("up", "y"), data.get("facing", "z"))
    unit = data.get("unit", 1.0)
    if not _is_number(unit) or not 1e-6 <= unit <= 1e6:
        raise InputError(f"{path}: 'unit' {unit!r} must be metres, between 1e-6 and 1e6.")
    positions = np.stack([_point(path, names[i], "position", entries[i].get("position")) for i in order]) @ turn.T * unit
    tails = np.full_like(positions, np.nan)
    for row, index in enumerate(order):
        if entries[index].get("tail") is not None:
            tails[row] = turn @ _point(path, names[index], "tail", entries[index]["tail"]) * unit
    roles = [_role(path, names[i], entries[i].get("role", "")) for i in order]
    category = data.get("category", "")
    if not isinstance(category, str):
        raise InputError(f"{path}: 'category' {category!r} must be a word.")
    place = {old: new for new, old in enumerate(order)}
    rows = np.array([-1 if parents[i] < 0 else place[parents[i]] for i in order], np.int32)
    return Joints([names[i] for i in order], rows, positions, np.tile(np.eye(3), (len(order), 1, 1)), roles, tails), category


def _known(path: Path, where: str, value: Any, keys: set[str]) -> None:
    if not isinstance(value, dict):
        raise InputError(f"{path}: {where} must be an object with {', '.join(sorted(keys))}.")
    strange = sorted(set(value) - keys)
    if strange:
        raise InputError(f"{path}: {where} has '{strange[0]}', known are {', '.join(sorted(keys))}.")


def _tree(path: Path, entries: list[dict[str, Any]]) -> tuple[list[str], list[int], list[int]]:
    """Names, parents by index, and an order with parents first."""
    names = []
    for index, entry in enumerate(entries):
        name = entry.get("name")
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{path}: joints[{index}] has no 'name'.")
        if name in names:
            raise InputError(f"{path}: two joints are called '{name}'.")
        names.append(name)
    parents = []
    for entry in entries:
        parent = entry.get("parent")
        if parent is not None and parent not in names:
            raise InputError(f"{path}: joint '{entry['name']}' has the parent '{parent}', which is not there.")
        parents.append(-1 if parent is None else names.index(parent))
    roots = [names[i] for i, parent in enumerate(parents) if parent < 0]
    if len(roots) != 1:
        raise InputError(f"{path}: {len(roots)} joints have no parent ({', '.join(roots) or 'none'}), exactly one must be the root.")
    order, rest = [parents.index(-1)], set(range(len(names))) - {parents.index(-1)}
    while rest:
        ready = sorted(i for i in rest if parents[i] in order)
        if not ready:
            raise InputError(f"{path}: the parents of '{names[min(rest)]}' go round in a circle.")
        order += ready
        rest -= set(ready)
    return names, parents, order


def _frame(path: Path, up: Any, facing: Any) -> np.ndarray:
    """Rotation from the file's frame to akd's. [(3, 3)]"""
    for key, value in (("up", up), ("facing", facing)):
        if value not in _AXES:
            raise InputError(f"{path}: '{key}' {value!r} must be one of {', '.join(_AXES)}.")
    y, z = np.array(_AXES[up], float), np.array(_AXES[facing], float)
    if abs(y @ z) > 0:
        raise InputError(f"{path}: 'up' {up} and 'facing' {facing} lie along one line.")
    return np.stack([np.cross(y, z), y, z])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _point(path: Path, name: str, key: str, value: Any) -> np.ndarray:
    if not isinstance(value, list) or len(value) != 3 or not all(_is_number(v) for v in value):
        raise InputError(f"{path}: joint '{name}' needs '{key}' as three numbers, it has {value!r}.")
    return np.array(value, float)


def _role(path: Path, name: str, value: Any) -> str:
    if not isinstance(value, str) or (value and not is_role(value)):
        raise InputError(f"{path}: joint '{name}' has the unknown role {value!r}.")
    return value


def _from_gltf(path: Path, asset: Asset) -> Joints:
    """The joints of another file, in akd's frame as akd writes it, or in the frame of the asset's source: where they fit the mesh."""
    from schemas.gltf import read

    scene = read(path)
    if scene.joint_names is None:
        raise InputError(f"{path}: has no skeleton;", "give a rigged .glb, or a .json.")
    matrices = np.asarray(scene.joint_matrices, np.float64)
    transform = np.asarray(asset.transform, np.float64)
    scale = np.cbrt(max(np.linalg.det(transform[:3, :3]), 1e-30))
    as_written = (matrices[:, :3, 3], matrices[:, :3, :3])
    from_source = (matrices[:, :3, 3] @ transform[:3, :3].T + transform[:3, 3], transform[:3, :3] / scale @ matrices[:, :3, :3])
    positions, rotations = min((as_written, from_source), key=lambda fit: _misfit(fit[0], asset.vertices))
    count = len(positions)
    return Joints(list(scene.joint_names), np.array(scene.joint_parents, np.int32), positions, rotations, [""] * count, np.full((count, 3), np.nan))


def _misfit(positions: np.ndarray, vertices: np.ndarray) -> float:
    """How far the middle joints lie outside the mesh's bounding box, and how much smaller than it they spread, in extents."""
    low, high = vertices.min(0), vertices.max(0)
    extent = float((high - low).max())
    outside = np.maximum(np.maximum(low - positions, positions - high), 0).max(1)
    spread = float(np.ptp(positions, axis=0).max())
    return float(np.median(outside)) / extent + max(0.0, 0.3 - spread / extent)
