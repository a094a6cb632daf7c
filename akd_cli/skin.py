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

    Writes skin.h5 and skin.glb, which opens in Blender, three.js and game engines.
    """
    from .execute import run

    run("skin", options, params, source=source, files={"weights": weights})


def make(job: Any) -> Any:
    """Run the stage."""
    from stages.skin import stage

    return stage.run(job.load("asset"), job.load("rig"), job.params, weights=job.file("weights"), progress=job.progress)


def write_views(job: Any, artifact: Any) -> None:
    """Write skin.glb."""
    from schemas import gltf

    gltf.write(job.path("skin.glb"), job.load("asset"), job.load("rig"), artifact.weights, name=artifact.name)
