"""akd splat: the mesh as 3D Gaussians bound to the skeleton."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stages.splat.params import Params

from .asset import Source
from .options import Options

Splats = Annotated[
    str | None,
    typer.Option(help="Take the Gaussians of this 3DGS .ply or .spz (in the asset file's frame), less the background.", rich_help_panel="Parameters"),
]
EXAMPLES = "akd splat tiger", "akd splat --kernels 20000 --iterations 1000 -o tiger.ply", "akd splat scan.obj --splats scan.ply"


def splat(source: Source = None, splats: Splats = None, options: Options = Options(), params: Params = Params()) -> None:  # noqa: B008 (frozen)
    """Turn the mesh into Gaussians, fitted to rendered views of it; or bind Gaussians of your own to it.

    Writes splat.h5, and splat.ply and splat.spz (a quarter as large), which open in viewers of 3D Gaussian splats.
    """
    from .execute import run

    run("splat", options, params, source=source, files={"splats": splats})


def make(job: Any) -> Any:
    """Run the stage."""
    from stages.splat import stage

    return stage.run(job.load("asset"), job.load("skin"), job.params, progress=job.progress, splats=job.file("splats"))


def write_views(job: Any, artifact: Any) -> None:
    """Write splat.ply and splat.spz."""
    from schemas import ply, spz

    ply.write(job.path("splat.ply"), artifact)
    spz.write(job.path("splat.spz"), artifact)
