"""Parameters of the asset stage."""

from __future__ import annotations

import dataclasses

from schemas.params import param

AXES = ("x", "-x", "y", "-y", "z", "-z")


@dataclasses.dataclass(frozen=True)
class Params:
    """How a model is brought into akd's frame: +Y up, facing +Z, metres."""

    name: str = param("", "name of the asset; default: the file's name")
    up: str = param("auto", "axis of the file that points up; auto: +Y, but +Z in .obj, .ply and .stl that clearly stand that way", choices=("auto", *AXES))
    facing: str = param("auto", "axis of the file that the character faces; auto: from the skeleton's names, else from the shape", choices=("auto", *AXES))
    length: float = param(0.0, "largest extent the asset shall get; 0: see scale", unit="m", low=0.0, high=1000.0)
    scale: float = param(0.0, "metres per unit of the file; 0: keep a size of 0.1 to 30 m, else make it 1.5 m", low=0.0, high=1e6)
