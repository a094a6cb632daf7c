"""akd asset: read, check, orient and scale a model file, or sculpt a built-in character."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stages.asset.params import Params

from .options import Options

Source = Annotated[str | None, typer.Argument(help="A model file, a built-in character, a workspace, or an artifact in one.", show_default=False)]
EXAMPLES = "akd asset tiger", "akd asset path/to/dragon.glb -w runs/dragon"


def asset(source: Source = None, options: Options = Options(), params: Params = Params()) -> None:  # noqa: B008 (frozen)
    """Read a model file (.glb .gltf .obj .ply .stl) or sculpt a built-in character: checked, upright, in metres.

    Up is +Y, but +Z in .obj, .ply and .stl files that clearly stand that way; what was chosen is said, --up overrides.
    Writes asset.h5 and asset.glb.
    """
    from .execute import run

    run("asset", options, params, source=source)


def make(job: Any) -> Any:
    """Run the stage."""
    from schemas.errors import MissingError
    from stages.asset import stage

    if not job.source:
        raise MissingError(f"{job.chain.workspace}: does not say where its asset comes from;", "name it: akd asset FILE -w ...")
    return stage.run(job.source, job.params, job.progress)


def write_views(job: Any, artifact: Any) -> None:
    """Write asset.glb."""
    from schemas import gltf

    gltf.write(job.path("asset.glb"), artifact, name=artifact.name)
