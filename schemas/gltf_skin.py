"""Nodes, joints and bind poses of a glTF file.

The rest pose akd works in is the *bind pose*: the pose in which the mesh was modelled and weighted. A file gives it
as inverse bind matrices, in the mesh's own coordinates; the nodes may meanwhile stand in some frame of an animation
(many converters leave them there). What is missing is the map from mesh to scene coordinates. Were the nodes in the
bind pose, jointWorld * inverseBind would be that map, the same for all joints; otherwise it is the mesh node's own
transform, at which exporters bind (glTF ignores that transform only when it draws), if its scale agrees.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .gltf_accessor import read_accessor
from .gltf_document import Document

MAX_NODES = 100_000
MAX_JOINTS = 4096
_ROUNDING = 1e-5
_AGREE = 1e-3  # of the mesh's extent: joints whose maps differ by less are in the bind pose


@dataclasses.dataclass
class Nodes:
    """The node tree of a file.

    Attributes:
        parents: Parent of each node, -1 for roots.
        order: All nodes, parents before children, in the file's depth-first order.
        locals, worlds: Node transforms. [(N, 4, 4)]
        visible: Whether the node belongs to the scene that is shown. [(N,)]
        names: Node names, "" where absent.
    """

    parents: list[int]
    order: list[int]
    locals: np.ndarray
    worlds: np.ndarray
    visible: np.ndarray
    names: list[str]


@dataclasses.dataclass
class Skin:
    """One skin: node of each joint, without doubles, and inverse bind matrices. [(K,), (K, 4, 4)]

    `slots` maps the file's joint numbers to positions in `nodes` (doubled joints share one).
    """

    nodes: list[int]
    slots: np.ndarray
    inverse_binds: np.ndarray
    guessed: bool


def read_nodes(document: Document) -> Nodes:
    """The node tree with world transforms.

    Raises:
        InputError: A cycle, a node with two parents, or numbers that are not finite.
    """
    entries = document.objects("nodes")
    if len(entries) > MAX_NODES:
        raise document.error(f"has {len(entries)} nodes, akd reads up to {MAX_NODES}", "simplify the model.")
    parents = [-1] * len(entries)
    children = [document.indices(entry, "children", "nodes", f"node {i}") for i, entry in enumerate(entries)]
    for index, kids in enumerate(children):
        for kid in kids:
            if parents[kid] >= 0 or kid == index:
                raise document.error(f"node {kid} has two parents or is its own parent", "the file is damaged, export it again.")
            parents[kid] = index
    roots = [i for i, parent in enumerate(parents) if parent < 0]
    order = _depth_first(roots, children)
    if len(order) != len(entries):
        raise document.error("its nodes form a cycle", "the file is damaged, export it again.")
    local = np.stack([_local_matrix(document, entry, i) for i, entry in enumerate(entries)]) if entries else np.zeros((0, 4, 4))
    world = local.copy()
    for index in order:
        if parents[index] >= 0:
            world[index] = world[parents[index]] @ local[index]
    if not np.isfinite(world).all():
        raise document.error("its node transforms are too large to be multiplied")
    visible = np.zeros(len(entries), bool)
    visible[_depth_first(_scene_roots(document, roots), children)] = True
    names = [entry.get("name") if isinstance(entry.get("name"), str) else "" for entry in entries]
    return Nodes(parents, order, local, world, visible, names)


def _scene_roots(document: Document, roots: list[int]) -> list[int]:
    if not document.objects("scenes"):
        return roots
    scene = document.object("scenes", document.json.get("scene", 0), "the file")
    if len(document.objects("scenes")) > 1:
        document.note(f"only scene {document.json.get('scene', 0)} of {len(document.objects('scenes'))} is read")
    return document.indices(scene, "nodes", "nodes", "the scene")


def _depth_first(roots: list[int], children: list[list[int]]) -> list[int]:
    order: list[int] = []
    stack = list(reversed(roots))
    while stack and len(order) <= len(children):
        index = stack.pop()
        order.append(index)
        stack.extend(reversed(children[index]))
    return order


def _local_matrix(document: Document, entry: dict[str, Any], index: int) -> np.ndarray:
    if "matrix" in entry:
        return np.array(document.numbers(entry["matrix"], 16, f"'matrix' of node {index}")).reshape(4, 4).T
    t = document.numbers(entry.get("translation", [0, 0, 0]), 3, f"'translation' of node {index}")
    r = document.numbers(entry.get("rotation", [0, 0, 0, 1]), 4, f"'rotation' of node {index}")
    s = document.numbers(entry.get("scale", [1, 1, 1]), 3, f"'scale' of node {index}")
    return compose(np.array(t), np.array(r), np.array(s))


def compose(translation: np.ndarray, rotation: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Matrices T R S. [(..., 3), xyzw (..., 4), (..., 3) -> (..., 4, 4)]"""
    matrix = np.zeros(rotation.shape[:-1] + (4, 4))
    matrix[..., :3, :3] = quaternion_matrix(rotation) * scale[..., None, :]
    matrix[..., :3, 3] = translation
    matrix[..., 3, 3] = 1
    return matrix


def quaternion_matrix(q: np.ndarray) -> np.ndarray:
    """Rotation matrices of quaternions xyzw, normalised first; the identity for zero. [(..., 4) -> (..., 3, 3)]"""
    q = np.asarray(q, np.float64)
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    q = np.where(length > 1e-12, q / np.maximum(length, 1e-12), [0.0, 0.0, 0.0, 1.0])
    x, y, z, w = np.moveaxis(q, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def rigid(matrices: np.ndarray) -> np.ndarray:
    """The nearest rotation, with the translation kept: scale, shear and reflection are dropped. [(..., 4, 4)]"""
    u, _, vt = np.linalg.svd(matrices[..., :3, :3])
    sign = np.linalg.det(u @ vt)
    u = u.copy()
    u[..., :, 2] *= np.where(sign < 0, -1.0, 1.0)[..., None]
    result = np.zeros_like(matrices)
    result[..., :3, :3] = u @ vt
    result[..., :3, 3] = matrices[..., :3, 3]
    result[..., 3, 3] = 1
    return result


def read_skin(document: Document, index: int) -> Skin:
    """One skin of the file.

    Raises:
        InputError: No joints, an index out of range, or inverse bind matrices that do not fit.
    """
    entry = document.objects("skins")[index]
    listed = document.indices(entry, "joints", "nodes", f"skin {index}")
    if not listed or len(listed) > MAX_JOINTS:
        raise document.error(f"skin {index} has {len(listed)} joints, 1 to {MAX_JOINTS} are possible")
    nodes = list(dict.fromkeys(listed))
    if len(nodes) < len(listed):
        document.note(f"skin {index} lists {len(listed) - len(nodes)} joints twice; they are merged")
    place = {node: slot for slot, node in enumerate(nodes)}
    guessed = "inverseBindMatrices" not in entry
    matrices = np.tile(np.eye(4), (len(listed), 1, 1))
    if not guessed:
        flat = read_accessor(document, entry["inverseBindMatrices"], f"inverseBindMatrices of skin {index}", ("MAT4",)).astype(np.float64)
        if len(flat) < len(listed):
            raise document.error(f"skin {index} has {len(listed)} joints, but {len(flat)} inverse bind matrices")
        matrices = flat[: len(listed)].reshape(-1, 4, 4).transpose(0, 2, 1).copy()
        matrices[:, 3] = [0, 0, 0, 1]
    first = [listed.index(node) for node in nodes]
    return Skin(nodes, np.array([place[node] for node in listed]), matrices[first], guessed)


def bind_matrices(document: Document, nodes: Nodes, skin: Skin, mesh_node: int, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """World matrices of the joints of one skinned mesh in the bind pose (see the module's head). [(K, 4, 4)]

    Parameters:
        points: The mesh as stored. [(P, 3)]
        weights: Dense weights over the joints of `skin`. [(P, K)]
    """
    worlds = nodes.worlds[skin.nodes]
    maps = worlds @ skin.inverse_binds  # mesh -> scene, one a joint
    volumes = np.abs(np.linalg.det(skin.inverse_binds[:, :3, :3]))
    if skin.guessed or not np.isfinite(skin.inverse_binds).all() or (volumes < 1e-18).any():
        document.note("a skin has no usable inverse bind matrices: the nodes' own pose is taken as the rest pose")
        return worlds
    total = weights.sum(0)
    used = np.flatnonzero(total > 0)
    best = int(total.argmax()) if len(used) else 0
    chosen = maps[best]
    if len(used):
        low, high = points.min(0), points.max(0)
        box = np.array([[x, y, z, 1.0] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
        placed = np.einsum("kij,cj->kci", maps[used], box)[..., :3]
        reference = (box @ chosen.T)[:, :3]
        spread = np.abs(placed - reference).max()
        if spread > _AGREE * max(np.ptp(reference, axis=0).max(), 1e-12):
            chosen = _bind_map(document, nodes, skin, mesh_node, maps, used, best)
    if np.abs(chosen - np.eye(4)).max() < _ROUNDING:
        chosen = np.eye(4)  # float32 inverses leave that much
    return chosen @ np.linalg.inv(skin.inverse_binds)


def bind_maps(binds: np.ndarray, inverse_binds: np.ndarray) -> np.ndarray:
    """bind * inverseBind, mesh to scene in the bind pose; exactly the same for all joints where it is so but for rounding. [(K, 4, 4)]"""
    maps = binds @ inverse_binds
    size = max(np.abs(maps[0]).max(), 1e-30)
    if np.abs(maps - maps[0]).max() < _ROUNDING * size:
        one = np.eye(4) if np.abs(maps[0] - np.eye(4)).max() < _ROUNDING else maps[0]
        return np.broadcast_to(one, maps.shape)
    return maps


def _bind_map(document: Document, nodes: Nodes, skin: Skin, mesh_node: int, maps: np.ndarray, used: np.ndarray, best: int) -> np.ndarray:
    """Mesh to scene when the nodes are not in the bind pose."""
    document.note("the nodes stand in another pose than the bind pose: the bind pose is taken as the rest pose")
    node = nodes.worlds[mesh_node]
    ours, theirs = np.linalg.det(node[:3, :3]), np.linalg.det(maps[best][:3, :3])
    if ours * theirs > 0 and abs(np.cbrt(ours / theirs) - 1) < 0.02:
        return node
    rank = {index: place for place, index in enumerate(nodes.order)}
    top = min(used, key=lambda k: rank[skin.nodes[k]])
    return maps[top]
