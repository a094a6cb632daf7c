"""Parameters of the skin stage."""

from __future__ import annotations

import dataclasses

from schemas.params import param


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of skin weights."""

    method: str = param("heat", "bone heat, or the weights that a file (the asset's own, or the one given) carries", choices=("heat", "file"))
    heat: float = param(4.0, "strength c of the heat that flows in from the closest visible bone, H = c / d^2", low=1e-3, high=1e3)
    normal_weighting: bool = param(True, "prefer bones that lie inward along the surface normal")
    solver: str = param("auto", "sparse solver: cholespy where installed, else scipy", choices=("auto", "cholespy", "scipy"), invalidating=False)
    preview: bool = param(True, "show the mesh in test poses in skin.png, what turns inside out in red; without it only at rest", invalidating=False)
