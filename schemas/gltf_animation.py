"""The animations of a glTF file, sampled as world matrices of the joints that `schemas.gltf.read` returns."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from .gltf_accessor import read_accessor
from .gltf_document import Document, open_document
from .gltf_read import guarded, instances_of, joints_of
from .gltf_skin import Nodes, compose, read_nodes, rigid

MAX_FRAMES = 20_000
_MAX_MATRICES = 2**23  # frames x nodes
_TYPES = {"translation": ("VEC3",), "rotation": ("VEC4",), "scale": ("VEC3",)}


@dataclasses.dataclass
class Animation:
    """One animation, sampled evenly.

    Attributes:
        name: As in the file, "animation N" where it has none.
        fps: Samples per second. [Hz]
        joint_names: Those of the scene, in its order. [(J,)]
        matrices: World matrices of the joints in the file's coordinates, rotation and translation only. [(F, J, 4, 4)]
    """

    name: str
    fps: float
    joint_names: list[str]
    matrices: np.ndarray

    @property
    def frame_count(self) -> int:
        """Number of samples F."""
        return len(self.matrices)

    def deltas(self, bind: np.ndarray) -> np.ndarray:
        """Motion of each bone from the bind pose: a point x at rest moves to D x. [(J, 4, 4) -> (F, J, 4, 4)]"""
        return self.matrices @ np.linalg.inv(bind)


@dataclasses.dataclass
class _Track:
    """Keys of one property of one node; values (K, w), or (K, 3, w) with tangents for CUBICSPLINE."""

    times: np.ndarray
    values: np.ndarray
    mode: str


def read_animations(path: str | Path, *, fps: float = 24.0) -> list[Animation]:
    """All animations of a file that move its joints; empty where it has no skeleton.

    Raises:
        MissingError, InputError: as `schemas.gltf.read`.
    """
    return guarded(Path(path), lambda: _read(open_document(Path(path)), fps))


def key_rate(path: str | Path, *, least: float = 12.0, most: float = 60.0) -> float:
    """A sampling rate that meets the keys of a file's animations, so that straight lines between keys show no corners of their own.

    The median rate of all keys; sparse keys are met by a multiple of their rate from `least` up, dense ones are left out
    from `most` on. `least` for a file without keys. [Hz]

    Raises:
        MissingError, InputError: as `schemas.gltf.read`.
    """
    steps = guarded(Path(path), lambda: _key_steps(open_document(Path(path))))
    if not len(steps):
        return least
    rate = float(1 / np.median(steps))
    rate = round(rate) if abs(rate - round(rate)) < 1e-3 * rate else rate
    return float(min(rate * np.ceil(least / rate - 1e-9), most)) if rate < least else float(min(rate, most))


def _key_steps(document: Document) -> np.ndarray:
    """Times between neighbouring keys of all animations. [s, (K,)]"""
    steps = [np.diff(track.times) for number, entry in enumerate(document.objects("animations")) for track in _tracks(document, entry, number).values()]
    every = np.concatenate(steps) if steps else np.zeros(0)
    return every[every > 1e-6]


def _read(document: Document, fps: float) -> list[Animation]:
    if not document.objects("animations"):
        return []
    with np.errstate(all="ignore"):
        nodes = read_nodes(document)
        tree, _ = joints_of(document, nodes, instances_of(document, nodes)[0])
        if tree is None:
            return []
        result = []
        for number, entry in enumerate(document.objects("animations")):
            tracks = _tracks(document, entry, number)
            name = entry.get("name") if isinstance(entry.get("name"), str) else f"animation {number}"
            if tracks:
                result.append(Animation(name, fps, tree.names, _sample(document, nodes, tree.nodes, tracks, fps)))
    return result


def _tracks(document: Document, entry: dict[str, Any], number: int) -> dict[tuple[int, str], _Track]:
    """Tracks by (node, path); morph weights and pointers of extensions are left out."""
    channels, samplers = entry.get("channels"), entry.get("samplers")
    if not isinstance(channels, list) or not isinstance(samplers, list):
        raise document.error(f"animation {number} has no channels or no samplers")
    result = {}
    for channel in channels:
        target = channel["target"]
        if target.get("path") not in _TYPES or "node" not in target:
            continue
        node = document.integer(target["node"], f"animation {number} names node", high=len(document.objects("nodes")) - 1)
        sampler = samplers[document.integer(channel["sampler"], f"animation {number} names sampler", high=len(samplers) - 1)]
        result[node, target["path"]] = _track(document, sampler, target["path"], f"animation {number}")
    return result


def _track(document: Document, sampler: dict[str, Any], path: str, user: str) -> _Track:
    times = read_accessor(document, sampler["input"], f"times of {user}", ("SCALAR",))[:, 0].astype(np.float64)
    values = read_accessor(document, sampler["output"], f"{path} of {user}", _TYPES[path]).astype(np.float64)
    mode = sampler.get("interpolation", "LINEAR")
    if mode not in ("LINEAR", "STEP", "CUBICSPLINE"):
        raise document.error(f"{user} has interpolation {mode!r}, which glTF does not know")
    per_key = 3 if mode == "CUBICSPLINE" else 1
    if len(values) != per_key * len(times):
        raise document.error(f"{user} has {len(times)} times, but {len(values)} values of {path}")
    if not np.isfinite(times).all() or not np.isfinite(values).all() or (np.diff(times) < 0).any():
        raise document.error(f"{user} has times or values that are not finite or do not rise")
    return _Track(times, values.reshape(len(times), 3, -1) if per_key == 3 else values, mode)


def _sample(document: Document, nodes: Nodes, joints: list[int], tracks: dict[tuple[int, str], _Track], fps: float) -> np.ndarray:
    start = min(track.times[0] for track in tracks.values())
    end = max(track.times[-1] for track in tracks.values())
    needed = _with_ancestors(nodes, joints)
    count = (end - start) * fps + 1.5
    if not count <= MAX_FRAMES or int(count) * len(needed) > _MAX_MATRICES:
        raise document.error(f"has an animation of {end - start:.6g} s, too long to be sampled")
    frames = start + np.arange(int(count)) / fps
    worlds: dict[int, np.ndarray] = {}
    for node in (n for n in nodes.order if n in needed):
        local = _local(nodes, node, tracks, frames, document)
        parent = nodes.parents[node]
        worlds[node] = worlds[parent] @ local if parent >= 0 else local
    matrices = np.stack([worlds[node] for node in joints], 1)
    if not np.isfinite(matrices).all():
        raise document.error("has an animation that goes to infinity")
    return rigid(matrices)


def _with_ancestors(nodes: Nodes, joints: list[int]) -> set[int]:
    needed: set[int] = set()
    for node in joints:
        while node >= 0 and node not in needed:
            needed.add(node)
            node = nodes.parents[node]
    return needed


def _local(nodes: Nodes, node: int, tracks: dict[tuple[int, str], _Track], frames: np.ndarray, document: Document) -> np.ndarray:
    """Local matrices of a node over time. [(F, 4, 4)]"""
    if not any((node, path) in tracks for path in _TYPES):
        return np.broadcast_to(nodes.locals[node], (len(frames), 4, 4))
    entry = document.objects("nodes")[node]
    parts = []
    for path, default in (("translation", [0, 0, 0]), ("rotation", [0, 0, 0, 1]), ("scale", [1, 1, 1])):
        track = tracks.get((node, path))
        rest = np.array(document.numbers(entry.get(path, default), len(default), f"'{path}' of node {node}"))
        parts.append(np.broadcast_to(rest, (len(frames), len(rest))) if track is None else interpolate(track.times, track.values, track.mode, path, frames))
    return compose(*parts)


def interpolate(times: np.ndarray, values: np.ndarray, mode: str, path: str, at: np.ndarray) -> np.ndarray:
    """Values of a glTF sampler at the times `at`, clamped at both ends; rotations by the shorter arc. [(F, w)]"""
    right = np.clip(np.searchsorted(times, at, side="right"), 1, max(len(times) - 1, 1))
    if len(times) == 1:
        return np.repeat(values[:, 1] if mode == "CUBICSPLINE" else values, len(at), axis=0)
    left = right - 1
    span = times[right] - times[left]
    share = np.clip((at - times[left]) / np.where(span > 0, span, 1), 0, 1)[:, None]
    if mode == "STEP":
        return np.where(share >= 1, values[right], values[left])
    if mode == "CUBICSPLINE":
        t, d = share, span[:, None]
        start, end = values[left], values[right]
        return (
            (2 * t**3 - 3 * t**2 + 1) * start[:, 1]
            + (t**3 - 2 * t**2 + t) * d * start[:, 2]
            + (3 * t**2 - 2 * t**3) * end[:, 1]
            + (t**3 - t**2) * d * end[:, 0]
        )
    if path != "rotation":
        return values[left] * (1 - share) + values[right] * share
    return _slerp(values[left], values[right], share)


def _slerp(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    cosine = (a * b).sum(-1, keepdims=True)
    b, cosine = np.where(cosine < 0, -b, b), np.clip(np.abs(cosine), 0, 1)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1, sine)
    blended = np.where(near, a * (1 - share) + b * share, (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / safe)
    return blended / np.maximum(np.linalg.norm(blended, axis=-1, keepdims=True), 1e-12)
