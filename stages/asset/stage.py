"""The asset stage: any 3D file or built-in character -> a checked mesh in akd's frame."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError
from schemas.gltf import Scene
from schemas.params import check
from stages.progress import SILENT, Progress

from . import library, orient, upright
from .geometry import face_areas, vertex_normals, weld
from .params import Params
from .reading import SUFFIXES, load

SMALLEST, LARGEST, USUAL = 0.1, 30.0, 1.5  # m, of the largest extent: kept between the first two, else set to the third


def run(source: str | Path, params: Params | None = None, progress: Progress = SILENT) -> Asset:
    """Make an asset.

    Parameters:
        source: A .glb, .gltf, .obj, .ply or .stl file, or the name of a built-in character ("tiger").
        params: How to orient, scale and name it.

    Raises:
        MissingError: No such file. InputError: Neither a file nor a built-in name, damaged, empty or out of bounds.
    """
    params = params or Params()
    check(params)
    text = str(source)
    path = Path(text)
    if text.strip() and ((path.exists() and not path.is_dir()) or path.suffix.lower() in SUFFIXES or len(path.parts) > 1):
        asset = from_scene(load(path), params)
    else:
        slug = library.find(text)
        if slug is None:
            raise InputError(f"'{text}': neither a file nor a built-in character;", f"give a path, or one of {', '.join(library.NAMES)}.")
        asset = _from_library(slug, params)
    for message in asset.source["notes"]:
        progress.note(message)
    asset.validate(text)
    return asset.stamped(params=params)


def from_scene(scene: Scene, params: Params) -> Asset:
    """Check, orient, scale and weld what a file holds."""
    notes = list(scene.notes)
    extent = np.ptp(scene.vertices, axis=0)
    if extent.max() <= 0 or face_areas(scene.vertices, scene.faces).max() <= 1e-14 * extent.max() ** 2:
        raise InputError(f"{scene.path}: all its triangles are without area;", "give a file with a surface.")
    turn = _turn(scene, params, notes)
    scale = _scale(float(np.ptp(scene.vertices @ turn.T, axis=0).max()), params, notes)
    transform = _place(scene.vertices, turn, scale)
    vertices = (scene.vertices @ transform[:3, :3].T + transform[:3, 3]).astype(np.float32)
    welded = weld(vertices)
    asset = Asset(
        name=slug(params.name or scene.path.stem),
        vertices=vertices,
        faces=scene.faces,
        normals=_normals(scene, vertices, turn, welded, notes),
        colors=scene.colors,
        uvs=scene.uvs,
        face_materials=scene.face_materials,
        weld=welded,
        materials=scene.materials,
        images=scene.images,
        transform=transform,
        source={"file": scene.path.name, "kind": scene.kind, "notes": notes},
        joint_names=scene.joint_names,
        joint_parents=scene.joint_parents,
        joint_matrices=_joint_matrices(scene, turn, transform),
        joint_weights=scene.joint_weights,
    )
    return asset


def slug(text: str) -> str:
    """A short name of lower-case ASCII letters, digits and dashes; "asset" where nothing is left."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:60].rstrip("-") or "asset"


def _turn(scene: Scene, params: Params, notes: list[str]) -> np.ndarray:
    """The rotation into akd's frame. [(3, 3)]"""
    up = orient.axis(_up(scene, params, notes))
    if params.facing != "auto":
        facing = orient.axis(params.facing)
        if abs(facing @ up) > 0.5:
            raise InputError(f"--facing {params.facing}: lies along the up axis;", "choose another --facing or --up.")
        return orient.rotation(up, facing)
    found = orient.Facing(None, "")
    if scene.joint_names is not None:
        found = orient.facing_by_names(scene.joint_names, scene.joint_parents, scene.joint_matrices[:, :3, 3].astype(np.float64), up)
    if found.direction is None:
        level = orient.rotation(up, orient.axis("z") if abs(up[2]) < 0.5 else orient.axis("-y") * up[2])
        found = orient.facing_by_shape(scene.vertices @ level.T, conventional=scene.kind in ("glb", "gltf"))
        if found.direction is None:
            notes.append("it is taken to face +Z; say --facing if it does not")
            return level
        found = orient.Facing(level.T @ found.direction, found.reason)
    turn = orient.rotation(up, orient.snap(found.direction))
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    if angle > 0.5:
        notes.append(f"turned by {angle:.0f} degrees to face +Z, by {found.reason}")
    return turn


def _up(scene: Scene, params: Params, notes: list[str]) -> str:
    """The axis of the file that points up; where neither the format nor the user says it, from the shape."""
    if params.up != "auto":
        return params.up
    if scene.kind not in upright.FORMATS or scene.joint_names is not None or params.facing.endswith("z"):
        return "y"
    found, note = upright.find(scene.vertices, scene.faces)
    if note:
        notes.append(note)
    return found


def _scale(extent: float, params: Params, notes: list[str]) -> float:
    """Metres per unit of the file."""
    if params.length > 0:
        factor = params.length / extent
    elif params.scale > 0:
        factor = params.scale
    elif SMALLEST <= extent <= LARGEST:
        return 1.0
    else:
        factor = USUAL / extent
    notes.append(f"scaled by {factor:.6g}: the largest extent was {extent:.6g}, it is {extent * factor:.6g} m now")
    if not 1e-4 <= extent * factor <= 1e4:
        raise InputError(f"{extent * factor:.3g} m: no size for a character;", "choose another --scale or --length.")
    return factor


def _place(vertices: np.ndarray, turn: np.ndarray, scale: float) -> np.ndarray:
    """Source coordinates to akd's frame: turned, scaled, standing on y = 0, centred in x (in z only where far off). [(4, 4)]"""
    moved = vertices @ (scale * turn).T
    low, high = moved.min(0), moved.max(0)
    transform = np.eye(4)
    transform[:3, :3] = scale * turn
    far = low[2] > 0 or high[2] < 0
    transform[:3, 3] = [-(low[0] + high[0]) / 2, -low[1], -(low[2] + high[2]) / 2 if far else 0.0]
    return transform


def _normals(scene: Scene, vertices: np.ndarray, turn: np.ndarray, welded: np.ndarray, notes: list[str]) -> np.ndarray:
    normals = scene.normals @ turn.T
    missing = np.linalg.norm(normals, axis=1) < 0.5
    if missing.any():
        normals[missing] = vertex_normals(vertices.astype(np.float64), scene.faces, welded)[missing]
        notes.append(f"normals of {int(missing.sum())} vertices were computed" if not missing.all() else "smooth normals were computed, the file has none")
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _joint_matrices(scene: Scene, turn: np.ndarray, transform: np.ndarray) -> np.ndarray | None:
    """World bind matrices in akd's frame, rotation and translation only. [(J, 4, 4)]"""
    if scene.joint_matrices is None:
        return None
    result = np.tile(np.eye(4), (len(scene.joint_matrices), 1, 1))
    result[:, :3, :3] = turn @ scene.joint_matrices[:, :3, :3]
    result[:, :3, 3] = scene.joint_matrices[:, :3, 3] @ transform[:3, :3].T + transform[:3, 3]
    return result


def _from_library(name: str, params: Params) -> Asset:
    """A built-in character: it stands in akd's frame already."""
    model = library.sculpt(name)
    notes: list[str] = []
    positions, points = np.asarray(model.positions, np.float64), np.asarray(model.vertices, np.float64)
    turn = np.eye(3)
    if params.up != "auto" or params.facing != "auto":
        raise InputError(f"'{name}': built-in characters stand upright and face +Z;", "leave out --up and --facing.")
    transform = np.eye(4)
    if params.length > 0 or params.scale > 0:
        transform = _place(points, turn, _scale(float(np.ptp(points, axis=0).max()), params, notes))
    factor, shift = transform[0, 0], transform[:3, 3]
    vertices = (points * factor + shift).astype(np.float32)
    welded = weld(vertices)
    matrices = np.tile(np.eye(4), (len(positions), 1, 1))
    matrices[:, :3, 3] = positions * factor + shift
    return Asset(
        name=slug(params.name or model.name),
        category=model.category,
        vertices=vertices,
        faces=model.faces,
        normals=vertex_normals(vertices.astype(np.float64), model.faces, welded),
        colors=model.colors,
        face_materials=np.zeros(len(model.faces), np.int32),
        weld=welded,
        materials={"list": [{"name": model.name, "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}], "textures": [], "images": []},
        transform=transform,
        source={"file": model.name, "kind": "builtin", "notes": notes},
        joint_names=list(model.joint_names),
        joint_parents=model.parents,
        joint_matrices=matrices,
        joint_roles=list(model.roles),
        joint_tails=np.asarray(model.tails) * factor + shift,
    )
