"""akd rig: a skeleton with compound joints, limits, cuboids and roles."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stages.rig.params import Params

from .asset import Source
from .options import Options

Skeleton = Annotated[
    str | None, typer.Option(help="Take the skeleton from this file instead of the asset (.json, or a rigged .glb or .gltf).", rich_help_panel="Parameters")
]
EXAMPLES = "akd rig tiger", "akd rig path/to/dragon.glb --limits free"


def rig(source: Source = None, skeleton: Skeleton = None, options: Options = Options(), params: Params = Params()) -> None:  # noqa: B008 (frozen)
    """Give the asset a skeleton: the file's own, a built-in character's, or one from a file given with --skeleton.

    Writes rig.h5 and rig.glb.
    """
    from .execute import run

    run("rig", options, params, source=source, files={"skeleton": skeleton})


def make(job: Any) -> Any:
    """Run the stage."""
    from stages.rig import stage

    return stage.run(job.load("asset"), job.params, skeleton=job.file("skeleton"), progress=job.progress)


def write_views(job: Any, artifact: Any) -> None:
    """Write rig.glb: every vertex follows its nearest bone."""
    from schemas import gltf

    gltf.write(job.path("rig.glb"), job.load("asset"), artifact, name=artifact.name)
