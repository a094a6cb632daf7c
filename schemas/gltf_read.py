"""Read a glTF file: one mesh, one look, one joint tree in the bind pose, and its animations."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np

from .errors import AkdError, InputError
from .gltf_document import Document, open_document
from .gltf_material import read_look
from .gltf_mesh import Block, Budget, material_of, primitives_of, read_block
from .gltf_skin import Nodes, Skin, bind_maps, bind_matrices, read_nodes, read_skin, rigid


@dataclasses.dataclass
class Scene:
    """What a glTF file shows, in its own world coordinates and units, in the bind pose.

    Attributes:
        path: The file.
        kind: "glb" or "gltf".
        vertices: Render vertices. [(V, 3) float64]
        faces: Counter-clockwise from outside. [(T, 3) int64]
        normals: Unit normals, zero rows where the file has none. [(V, 3)]
        colors: Linear RGBA vertex colours, white where the file has none. [(V, 4)]
        uvs: Texture coordinates, origin top left. [(V, 2)] or None
        face_materials: Index into materials["list"]. [(T,)]
        materials, images: As `schemas.asset.Asset` keeps them.
        joint_names: Unique names; one tree, root first, parents before children. [(J,)] or None without a skeleton
        joint_parents: [(J,)] or None
        joint_matrices: World bind matrices, rotation and translation only. [(J, 4, 4)] or None
        joint_weights: Dense, rows sum to 1. [(V, J)] or None
        notes: What was mended, ignored or assumed.
        extras: The file's own "extras" object.
    """

    path: Path
    kind: str
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    uvs: np.ndarray | None
    face_materials: np.ndarray
    materials: dict[str, Any]
    images: np.ndarray | None
    joint_names: list[str] | None
    joint_parents: np.ndarray | None
    joint_matrices: np.ndarray | None
    joint_weights: np.ndarray | None
    notes: list[str]
    extras: dict[str, Any]


@dataclasses.dataclass
class JointTree:
    """The joints of all skins as one tree: node of each joint, parent, unique name. [(J,)] each"""

    nodes: list[int]
    parents: np.ndarray
    names: list[str]


@dataclasses.dataclass
class Instance:
    """A mesh as one node places it."""

    node: int
    block: Block
    skin: Skin | None


def read(path: str | Path) -> Scene:
    """Read a .glb or .gltf file.

    Raises:
        MissingError: The file, or one that it refers to, is not there.
        InputError: Damaged, hostile, empty, or in need of an extension that akd does not read. Never another exception.
    """
    return guarded(Path(path), lambda: _read(open_document(Path(path))))


def guarded(path: Path, work: Any) -> Any:
    """Run `work`, turning what malformed JSON types can still provoke into an InputError."""
    try:
        return work()
    except AkdError:
        raise
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        OverflowError,
        AttributeError,
        RecursionError,
        MemoryError,
        struct.error,
        np.linalg.LinAlgError,
    ) as error:
        raise InputError(f"{path}: is malformed glTF ({type(error).__name__}: {str(error)[:80]});", "export the file again.") from error


def _read(document: Document) -> Scene:
    with np.errstate(all="ignore"):  # hostile numbers overflow; results are checked to be finite
        nodes = read_nodes(document)
        instances = instances_of(document, nodes)
        tree, binds = joints_of(document, nodes, instances[0])
        look, placed = instances[1], [_place(nodes, instance, binds) for instance in instances[0]]
    columns = {} if tree is None else {node: j for j, node in enumerate(tree.nodes)}
    vertices = np.concatenate([p[0] for p in placed])
    if not np.isfinite(vertices).all() or np.abs(vertices).max() > 1e15:
        raise document.error("its transforms send vertices to infinity")
    starts = np.cumsum([0] + [len(p[0]) for p in placed])
    faces = np.concatenate([p[2] + start for p, start in zip(placed, starts, strict=False)])
    weights = None if tree is None else _merged_weights(document, nodes, instances[0], columns, starts)
    has_uvs = any(i.block.has_uvs for i in instances[0])
    if not has_uvs and look.materials["textures"]:
        document.note("there are textures, but no texture coordinates: the textures are not used")
    blocks = [i.block for i in instances[0]]
    keep, faces = _used_vertices(document, faces, len(vertices))
    return Scene(
        path=document.path,
        kind=document.kind,
        vertices=vertices[keep],
        faces=faces,
        normals=np.concatenate([p[1] for p in placed])[keep],
        colors=np.concatenate([b.colors for b in blocks])[keep],
        uvs=np.concatenate([b.uvs for b in blocks])[keep] if has_uvs else None,
        face_materials=np.concatenate([b.materials for b in blocks]),
        materials=look.materials,
        images=look.images,
        joint_names=tree.names if tree else None,
        joint_parents=tree.parents if tree else None,
        joint_matrices=rigid(np.stack([binds[node] for node in tree.nodes])) if tree else None,
        joint_weights=weights[keep] if tree else None,
        notes=document.notes,
        extras=document.json["extras"] if isinstance(document.json.get("extras"), dict) else {},
    )


def instances_of(document: Document, nodes: Nodes) -> tuple[list[Instance], Any]:
    """Every mesh that the scene shows, and the look of them all."""
    entries = document.objects("nodes")
    shown = [i for i in nodes.order if nodes.visible[i] and entries[i].get("mesh") is not None]
    meshes = {i: document.integer(entries[i]["mesh"], f"node {i} names mesh", high=len(document.objects("meshes")) - 1) for i in shown}
    used = [material_of(document, p) for mesh in sorted(set(meshes.values())) for p in primitives_of(document, mesh)]
    look = read_look(document, used)
    budget, skins, result = Budget(document), {}, []
    for index in shown:
        number = entries[index].get("skin")
        if number is not None:
            number = document.integer(number, f"node {index} names skin", high=len(document.objects("skins")) - 1)
            if number not in skins:
                skins[number] = read_skin(document, number)
        block = read_block(document, meshes[index], look, skins.get(number), budget)
        if block is not None and len(block.faces):
            if number is not None and block.weights is None:
                document.note(f"node {index} has a skin, but its mesh has no weights: it is taken as rigid")
            result.append(Instance(index, block, skins[number] if block.weights is not None else None))
    if not result:
        raise document.error("has no triangles", "give a file with a mesh.")
    return result, look


def joints_of(document: Document, nodes: Nodes, instances: list[Instance]) -> tuple[JointTree | None, dict[int, np.ndarray]]:
    """The merged joint tree and the bind matrix of each joint node, scale included."""
    binds: dict[int, np.ndarray] = {}
    mass: dict[int, float] = {}
    skinned = [i for i in instances if i.skin is not None]
    for instance in sorted(skinned, key=lambda i: -len(i.block.points)):  # the largest mesh decides where skins share joints
        worlds = bind_matrices(document, nodes, instance.skin, instance.node, instance.block.points, instance.block.weights)
        for slot, node in enumerate(instance.skin.nodes):
            binds.setdefault(node, worlds[slot])
            mass[node] = mass.get(node, 0.0) + float(instance.block.weights[:, slot].sum())
    if not binds:
        return None, {}
    if not all(np.isfinite(matrix).all() for matrix in binds.values()):
        raise document.error("its bind matrices are not finite")
    return _tree(document, nodes, mass), binds


def _tree(document: Document, nodes: Nodes, mass: dict[int, float]) -> JointTree:
    """One tree: nodes between joints are skipped, further roots hang under the one that carries the most weight."""
    above: dict[int, int] = {}  # nearest joint at or above each node
    parent: dict[int, int] = {}
    for node in nodes.order:
        up = above.get(nodes.parents[node], -1)
        above[node] = node if node in mass else up
        if node in mass:
            parent[node] = up
    top: dict[int, int] = {}
    carried: dict[int, float] = {}
    for node in (n for n in nodes.order if n in mass):
        top[node] = node if parent[node] < 0 else top[parent[node]]
        carried[top[node]] = carried.get(top[node], 0.0) + mass[node]
    root = max(carried, key=lambda n: carried[n])
    ordered = [n for n in nodes.order if n in mass and top[n] == root] + [n for n in nodes.order if n in mass and top[n] != root]
    listed = list(mass)  # the file's own order is kept where it is one tree, parents first
    rank = {node: j for j, node in enumerate(listed)}
    if len(carried) == 1 and all(rank.get(parent[n], -1) < rank[n] for n in listed):
        ordered = listed
    place = {node: j for j, node in enumerate(ordered)}
    others = [nodes.names[n] or f"node {n}" for n in carried if n != root]
    if others:
        document.note(f"{len(others)} further root joints ({', '.join(others[:4])}{', ...' if len(others) > 4 else ''}) hang under {nodes.names[root] or root}")
    parents = np.array([-1 if n == root else place[parent[n]] if parent[n] >= 0 else 0 for n in ordered], np.int32)
    return JointTree(ordered, parents, _unique_names(document, [nodes.names[n] for n in ordered]))


def _unique_names(document: Document, names: list[str]) -> list[str]:
    taken: set[str] = set()
    result = []
    for number, name in enumerate(names):
        name = "".join(c if c.isprintable() else "_" for c in name)[:128] or f"joint{number}"
        unique, copy = name, 2
        while unique in taken:
            unique, copy = f"{name}_{copy}", copy + 1
        if unique != name:
            document.note(f"two joints are called {name}; the second is now {unique}")
        taken.add(unique)
        result.append(unique)
    return result


def _place(nodes: Nodes, instance: Instance, binds: dict[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, normals and faces of an instance in scene coordinates, in the bind pose."""
    block = instance.block
    if instance.skin is None:
        joint = _joint_above(nodes, instance.node, binds)
        world = nodes.worlds[instance.node]
        if joint >= 0:  # rigid on a joint: it follows that joint from the nodes' pose to the bind pose
            world = binds[joint] @ np.linalg.inv(nodes.worlds[joint]) @ world
        linear, shift = np.broadcast_to(world[:3, :3], (len(block.points), 3, 3)), world[:3, 3]
    else:
        maps = bind_maps(np.stack([binds[node] for node in instance.skin.nodes]), instance.skin.inverse_binds)
        same = bool((maps == maps[0]).all())
        blended = np.broadcast_to(maps[0], (len(block.points), 4, 4)) if same else (block.weights @ maps.reshape(-1, 16)).reshape(-1, 4, 4)
        linear, shift = blended[:, :3, :3], blended[:, :3, 3]
    vertices = np.einsum("vij,vj->vi", linear, block.points) + shift
    rows = [linear[:, 1], linear[:, 2], linear[:, 0]]
    cofactors = np.stack([np.cross(rows[0], rows[1]), np.cross(rows[1], rows[2]), np.cross(rows[2], rows[0])], 1)
    signs = np.sign(np.einsum("vi,vi->v", linear[:, 0], cofactors[:, 0]))
    normals = np.einsum("vij,vj->vi", cofactors, block.normals) * signs[:, None]
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where((length > 0) & np.isfinite(length), normals / np.where(length > 0, length, 1), 0)
    mirrored = signs.sum() < 0
    return vertices, normals, block.faces[:, ::-1] if mirrored else block.faces


def _joint_above(nodes: Nodes, node: int, binds: dict[int, np.ndarray]) -> int:
    while node >= 0 and node not in binds:
        node = nodes.parents[node]
    return node


def _merged_weights(document: Document, nodes: Nodes, instances: list[Instance], columns: dict[int, int], starts: np.ndarray) -> np.ndarray:
    """Weights of all instances over the merged joints; rigid ones get weight 1 on the joint above, or the root."""
    if int(starts[-1]) * len(columns) > 2**28:
        raise document.error(f"has {int(starts[-1])} vertices and {len(columns)} joints, too many for dense weights", "simplify the model.")
    weights = np.zeros((int(starts[-1]), len(columns)), np.float32)
    for instance, start in zip(instances, starts, strict=False):
        rows = slice(int(start), int(start) + len(instance.block.points))
        if instance.skin is not None:
            weights[rows, [columns[node] for node in instance.skin.nodes]] = instance.block.weights
            continue
        joint = _joint_above(nodes, instance.node, columns)
        weights[rows, columns.get(joint, 0)] = 1
        name = nodes.names[instance.node] or f"node {instance.node}"
        document.note(f"{name} has no weights and is fixed to " + (nodes.names[joint] or f"node {joint}" if joint >= 0 else "the root joint"))
    return weights


def _used_vertices(document: Document, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices that a face uses, in their order, and the faces over them."""
    used = np.zeros(count, bool)
    used[faces] = True
    if used.all():
        return np.arange(count), faces
    document.note(f"{int((~used).sum())} vertices that no face uses were left out")
    return np.flatnonzero(used), (np.cumsum(used) - 1)[faces]
