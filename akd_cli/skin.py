"""akd skin: skinning weights by bone heat."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stages.skin.params import Params

from .asset import Source
from .options import Options

Weights = Annotated[str | None, typer.Option(help="Take the weights from this file (.glb with a skin, skin.h5).", rich_help_panel="Parameters")]
EXAMPLES = "akd skin tiger", "akd skin path/to/dragon.glb --heat 1"


def skin(source: Source = None, weights: Weights = None, options: Options = Options(), params: Params = Params()) -> None:  # noqa: B008 (frozen)
    """Bind the mesh to the skeleton by bone heat.

    Writes skin.h5, skin.glb, which opens in Blender, three.js and game engines, and skin.png: the mesh in test poses (see --preview).
    """
    from .execute import run

    run("skin", options, params, source=source, files={"weights": weights})


def make(job: Any) -> Any:
    """Run the stage."""
    from stages.skin import stage

    return stage.run(job.load("asset"), job.load("rig"), job.params, weights=job.file("weights"), progress=job.progress)


def write_views(job: Any, artifact: Any) -> None:
    """Write skin.glb and skin.png."""
    import numpy as np

    from schemas import gltf
    from schemas.atomic import atomic_path
    from stages.skin.poses import sheet

    asset, rig = job.load("asset"), job.load("rig")
    gltf.write(job.path("skin.glb"), asset, rig, artifact.weights, name=artifact.name)
    points, faces = asset.welded()
    _, first = np.unique(asset.weld, return_index=True)
    with atomic_path(job.path("skin.png")) as temporary:
        sheet(points, faces, rig, artifact.weights[first], rest_only=not job.params.preview).save(temporary, format="PNG")
