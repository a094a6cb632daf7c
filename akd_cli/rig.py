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
    """Give the asset a skeleton: the file's own, a built-in character's, one from a file given with --skeleton, or an automatic one.

    Writes rig.h5, rig.glb and rig.png, which shows the skeleton inside the mesh. A mesh without a skeleton gets the template
    (see --template) that fits it best. Corrected by hand: move the bones of rig.glb, then akd rig --skeleton edited.glb.
    """
    from .execute import run

    run("rig", options, params, source=source, files={"skeleton": skeleton})


def make(job: Any) -> Any:
    """Run the stage."""
    from stages.rig import stage

    return stage.run(job.load("asset"), job.params, skeleton=job.file("skeleton"), progress=job.progress)


def write_views(job: Any, artifact: Any) -> None:
    """Write rig.glb, where every vertex follows its nearest bone, and rig.png."""
    from schemas import gltf
    from schemas.atomic import atomic_path
    from stages.rig.picture import draw

    asset = job.load("asset")
    gltf.write(job.path("rig.glb"), asset, artifact, name=artifact.name)
    with atomic_path(job.path("rig.png")) as temporary:
        draw(*asset.welded(), artifact).save(temporary, format="PNG")
