"""Schema akd.skin: skinning weights of every render vertex (METHOD 3)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .artifact import Artifact, array, record, text
from .errors import SchemaError


@dataclasses.dataclass(kw_only=True)
class Skin(Artifact):
    """Skinning weights, all influences (glTF export keeps the four largest).

    Attributes:
        name: Slug of the asset.
        method: "heat" or "file".
        weights: Non-negative, rows sum to 1 within 1e-5. [(V, J)]
        report: {"bones_used": n, "forced_components": n, "seconds": s, ...}.
    """

    SCHEMA: ClassVar[str] = "akd.skin"
    VERSION: ClassVar[str] = "1.0"

    name: str = text()
    method: str = text()
    weights: np.ndarray = array("f4", "V", "J", low=0, high=1.00001)
    report: dict = record()

    def check(self, where: str) -> None:
        check_rows(where, "weights", self.weights)


def check_rows(where: str, name: str, weights: np.ndarray) -> None:
    """Raise unless every row of `weights` sums to 1 within 1e-5."""
    error = np.abs(weights.sum(1, dtype=np.float64) - 1)
    if error.size and error.max() > 1e-5:
        row = int(error.argmax())
        raise SchemaError(f"{where}: '{name}' row {row} sums to {weights[row].sum():.6f}, all rows must sum to 1.")
