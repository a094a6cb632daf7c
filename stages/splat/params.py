"""Parameters of the splat stage."""

from __future__ import annotations

import dataclasses

from schemas.params import param


@dataclasses.dataclass(frozen=True)
class Params:
    """Mesh to Gaussians (METHOD 8): a surface start, then optimisation against rendered views."""

    kernels: str = param("auto", "Number of Gaussians, met within a few percent; auto: from the surface's area and --size.", low=10, high=1000000)
    views: int = param(48, "Views of the mesh to fit to (the paper renders 200).", low=1, high=10_000)
    size: int = param(160, "Edge of a view.", unit="px", low=16, high=2048)
    iterations: int = param(300, "Optimisation steps; 0 keeps the surface start.", low=0, high=100_000)
    shaded: bool = param(True, "Bake a soft light into the colours, so that shape shows.")
    reach: float = param(0.03, "Kernels of --splats farther from the mesh are background, as a share of its size.", low=0.0, high=10.0)
    seed: int = param(0, "Seed of the samples, views and backgrounds.", low=0)
    device: str = param("auto", "Where to compute.", choices=("auto", "cpu", "cuda"), invalidating=False)
