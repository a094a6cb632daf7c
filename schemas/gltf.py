"""glTF, the face to the world: read any character file, write what each stage made (DESIGN.md, contract 4)."""

from __future__ import annotations

from .gltf_read import Scene, read
from .gltf_write import write

__all__ = ["Scene", "read", "write"]
