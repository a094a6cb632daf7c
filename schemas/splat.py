"""Schema akd.splat: the asset as 3D Gaussians bound to the skeleton (METHOD 2 and 8)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .artifact import Artifact, array, record, text
from .errors import SchemaError
from .skin import check_rows

DEGREES = {3: 1, 8: 2, 15: 3}  # spherical harmonics beyond the first -> degree


@dataclasses.dataclass(kw_only=True)
class Splat(Artifact):
    """Gaussian kernels at rest in the asset's frame.

    Attributes:
        name: Slug of the asset.
        means: Kernel centres. [m, (N, 3)]
        rotations: Unit quaternions xyzw; columns of the matrix are the principal axes. [(N, 4)]
        scales: Standard deviations along the principal axes. [m, (N, 3)]
        opacities: Of the kernels at their centres. [0..1, (N,)]
        colors: sRGB as displayed (what 3DGS stores), degree 0. [0..1, (N, 3)]
        harmonics: Coefficients of the spherical harmonics of degree 1 to 1, 2 or 3 at rest, in the order of 3DGS; colours
            are seen as colors + sum_k Y_k(d) harmonics_k with d from the camera. None for colours that do not depend
            on the view. [(N, 3 | 8 | 15, 3), optional, since 1.1]
        faces: Nearest triangle of the asset. [(N,)]
        weights: Skinning weights by barycentric interpolation, rows sum to 1. [(N, J)]
        report: {"psnr": dB on held-out views, "psnr_start": dB, "views": n, "dilation": see `filter`, ...}.
    """

    SCHEMA: ClassVar[str] = "akd.splat"
    VERSION: ClassVar[str] = "1.1"

    name: str = text()
    means: np.ndarray = array("f4", "N", 3)
    rotations: np.ndarray = array("f4", "N", 4, low=-1.0001, high=1.0001)
    scales: np.ndarray = array("f4", "N", 3, low=0)
    opacities: np.ndarray = array("f4", "N", low=0, high=1)
    colors: np.ndarray = array("f4", "N", 3, low=0, high=1)
    faces: np.ndarray = array("i4", "N", low=0)
    weights: np.ndarray = array("f4", "N", "J", low=0, high=1.00001)
    harmonics: np.ndarray | None = array("f4", "N", "K", 3, optional=True)
    report: dict = record()

    @property
    def filter(self) -> dict[str, bool | float]:
        """Options of the image model that the kernels were fitted in, as the rasterizer takes them: none for classic 3DGS."""
        return {"antialiased": True, "dilation": float(self.report["dilation"])} if "dilation" in self.report else {}

    def check(self, where: str) -> None:
        check_rows(where, "weights", self.weights)
        if len(self.rotations) and np.abs(np.linalg.norm(self.rotations, axis=1) - 1).max() > 1e-3:
            raise SchemaError(f"{where}: 'rotations' holds quaternions that are not of unit length.")
        if self.harmonics is not None and self.harmonics.shape[1] not in DEGREES:
            raise SchemaError(f"{where}: 'harmonics' has {self.harmonics.shape[1]} coefficients a channel, 3, 8 or 15 are needed.")
