"""Small glTF files, built in code, for the tests of the reader."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

_CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
TRIANGLES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)


class Maker:
    """Collects accessors and turns a glTF object into the bytes of a .glb."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.json: dict[str, Any] = {"asset": {"version": "2.0"}, "bufferViews": [], "accessors": []}

    def view(self, data: bytes, **more: Any) -> int:
        """Append bytes as a bufferView."""
        self.body += b"\0" * (-len(self.body) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.body), "byteLength": len(data), **more})
        self.body += data
        return len(self.json["bufferViews"]) - 1

    def accessor(self, values: Any, dtype: str = "f4", **more: Any) -> int:
        """Append an array as an accessor."""
        values = np.asarray(values, "<" + dtype)
        values = values.reshape(len(values), -1)
        entry = {"bufferView": self.view(values.tobytes()), "componentType": _CODES[dtype], "count": len(values), "type": _TYPES[values.shape[1]]}
        self.json["accessors"].append({**entry, **more})
        return len(self.json["accessors"]) - 1

    def matrices(self, values: Any) -> int:
        """Append (K, 4, 4) matrices, column-major."""
        return self.accessor(np.asarray(values, np.float32).transpose(0, 2, 1).reshape(-1, 16))

    def mesh(self, attributes: dict[str, int], **primitive: Any) -> None:
        """One mesh, one node that shows it."""
        self.json |= {"meshes": [{"primitives": [{"attributes": attributes, **primitive}]}], "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}]}

    def bytes(self) -> bytes:
        """The file."""
        body = bytes(self.body) + b"\0" * (-len(self.body) % 4)
        text = json.dumps(self.json | {"buffers": [{"byteLength": len(body)}]}).encode()
        return glb(text, body)


def glb(text: bytes, body: bytes = b"") -> bytes:
    """A .glb of a JSON text and a binary chunk."""
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if body:
        chunks += struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON object and the binary chunk of a .glb."""
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def quad(**primitive: Any) -> Maker:
    """Four vertices and two triangles."""
    maker = Maker()
    maker.mesh({"POSITION": maker.accessor(TRIANGLES)}, indices=maker.accessor([0, 1, 2, 2, 1, 3], "u2"), **primitive)
    return maker


def skinned(joint_nodes: list[dict[str, Any]], joints: list[int], binds: Any, weights: Any, indices: Any, **mesh_node: Any) -> Maker:
    """A quad with a skin: node 0 is the mesh, the joints' nodes follow; `binds` are joint world bind matrices or None."""
    maker = quad()
    attributes = maker.json["meshes"][0]["primitives"][0]["attributes"]
    attributes |= {"JOINTS_0": maker.accessor(indices, "u1"), "WEIGHTS_0": maker.accessor(weights)}
    skin: dict[str, Any] = {"joints": joints}
    if binds is not None:
        skin["inverseBindMatrices"] = maker.matrices(np.linalg.inv(np.asarray(binds, float)))
    nodes = [{"mesh": 0, "skin": 0, **mesh_node}, *joint_nodes]
    children = {c for node in nodes for c in node.get("children", [])}
    maker.json |= {"nodes": nodes, "skins": [skin], "scenes": [{"nodes": [i for i in range(len(nodes)) if i not in children]}]}
    return maker
