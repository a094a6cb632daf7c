"""glTF, the face to the world: read any character file, write what each stage made (DESIGN.md, contract 4)."""

from __future__ import annotations

from .gltf_animation import Animation, key_rate, read_animations
from .gltf_read import Scene, read
from .gltf_write import local_rotations, nearest_bone, root_name, top_influences, write

__all__ = ["Animation", "Scene", "key_rate", "local_rotations", "nearest_bone", "read", "read_animations", "root_name", "top_influences", "write"]
