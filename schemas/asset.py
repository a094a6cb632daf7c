"""Schema akd.asset: a checked, oriented, scaled mesh with its look, and the skeleton its file or template carries."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .artifact import Artifact, array, record, strings, text
from .errors import SchemaError


@dataclasses.dataclass(kw_only=True)
class Asset(Artifact):
    """A static mesh in akd's frame: +Y up, facing +Z, metres, lowest point on y = 0, centred in x.

    Vertices are render vertices (split at UV and normal seams); `weld` maps them to geometric vertices.

    Attributes:
        name: Slug used for folders, such as "tiger".
        category: "quadruped", "biped", "bird", ... or "" when unknown.
        vertices: Rest-pose positions. [m, (V, 3)]
        faces: Vertex indices, counter-clockwise seen from outside. [(T, 3)]
        normals: Unit vertex normals. [(V, 3)]
        colors: Linear RGBA vertex colour, white where the file has none. [0..1, (V, 4)]
        uvs: glTF texture coordinates, origin top left. [(V, 2), optional]
        face_materials: Index into `materials["list"]`. [(T,)]
        weld: Index of the welded (unique position) vertex, 0..W-1. [(V,)]
        materials: {"list": [glTF material objects; texture indices refer to `materials["textures"]`],
            "textures": [{"image": i, "sampler": {...}}], "images": [{"mime": "image/png", "start": b, "size": n}]}.
        images: Encoded bytes of all images, concatenated. [uint8, (I,)]
        transform: From the source file's coordinates to akd's frame, column vectors. [(4, 4)]
        source: {"file": name, "kind": "glb|gltf|obj|ply|stl|builtin", "notes": [what was mended or assumed]}.
        joint_names: Joints of the skeleton that the source brings, if it does. [(J,), optional]
        joint_parents: Their parents, topologically ordered, the root's is -1. [(J,), optional]
        joint_matrices: World bind matrices in akd's frame, rotation and translation only. [(J, 4, 4), optional]
        joint_weights: Its skinning weights, all influences. [(V, J), optional]
        joint_roles: Semantic roles where the template knows them ("" elsewhere). [(J,), optional]
        joint_tails: Bone tips where the template knows them. [m, (J, 3), optional]
    """

    SCHEMA: ClassVar[str] = "akd.asset"
    VERSION: ClassVar[str] = "1.0"

    name: str = text()
    category: str = text("")
    vertices: np.ndarray = array("f4", "V", 3)
    faces: np.ndarray = array("i4", "T", 3, low=0)
    normals: np.ndarray = array("f4", "V", 3, low=-1.001, high=1.001)
    colors: np.ndarray = array("f4", "V", 4, low=0, high=1)
    uvs: np.ndarray | None = array("f4", "V", 2, optional=True)
    face_materials: np.ndarray = array("i4", "T", low=0)
    weld: np.ndarray = array("i4", "V", low=0)
    materials: dict = record()
    images: np.ndarray | None = array("u1", "I", optional=True)
    transform: np.ndarray = array("f8", 4, 4)
    source: dict = record()
    joint_names: list[str] | None = strings("J", optional=True)
    joint_parents: np.ndarray | None = array("i4", "J", optional=True, low=-1)
    joint_matrices: np.ndarray | None = array("f4", "J", 4, 4, optional=True)
    joint_weights: np.ndarray | None = array("f4", "V", "J", optional=True, low=0, high=1.00001)
    joint_roles: list[str] | None = strings("J", optional=True)
    joint_tails: np.ndarray | None = array("f4", "J", 3, optional=True)

    def check(self, where: str) -> None:
        if not len(self.vertices) or not len(self.faces):
            raise SchemaError(f"{where}: the mesh is empty ({len(self.vertices)} vertices, {len(self.faces)} faces).")
        if self.faces.max() >= len(self.vertices):
            raise SchemaError(f"{where}: 'faces' names vertex {self.faces.max()}, there are {len(self.vertices)}.")
        if len(self.face_materials) and self.face_materials.max() >= max(len(self.materials.get("list", [])), 1):
            raise SchemaError(f"{where}: 'face_materials' names material {self.face_materials.max()}, which does not exist.")
        if self.joint_parents is not None:
            check_parents(where, "joint_parents", self.joint_parents)
            for name in ("joint_names", "joint_matrices"):
                if getattr(self, name) is None:
                    raise SchemaError(f"{where}: 'joint_parents' without '{name}'.")

    @property
    def has_skeleton(self) -> bool:
        """Whether the source brought a skeleton."""
        return self.joint_parents is not None

    @property
    def height(self) -> float:
        """Extent along +Y. [m]"""
        return float(np.ptp(self.vertices[:, 1]))

    def welded(self) -> tuple[np.ndarray, np.ndarray]:
        """Geometric vertices (W, 3) and faces (T', 3) over them, faces that collapse in the weld removed."""
        count = int(self.weld.max()) + 1
        points = np.zeros((count, 3), np.float32)
        points[self.weld] = self.vertices
        faces = self.weld[self.faces]
        keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        return points, faces[keep]

    def image_bytes(self, index: int) -> bytes:
        """The encoded bytes (PNG or JPEG) of image `index`."""
        entry = self.materials["images"][index]
        return self.images[entry["start"] : entry["start"] + entry["size"]].tobytes()


def check_parents(where: str, name: str, parents: np.ndarray) -> None:
    """Raise unless `parents` is one tree, root first, every parent before its children."""
    if not len(parents) or parents[0] != -1:
        raise SchemaError(f"{where}: '{name}' must start with the root (-1).")
    for joint, parent in enumerate(parents[1:], 1):
        if not 0 <= parent < joint:
            raise SchemaError(f"{where}: '{name}'[{joint}] is {parent}; parents must come before their children and only joint 0 is a root.")
