"""Parameters of the asset stage."""

from __future__ import annotations

import dataclasses

from schemas.params import param


@dataclasses.dataclass(frozen=True)
class Params:
    """Reading an asset."""

    name: str = param("", "Name of the asset; default the file's.")
