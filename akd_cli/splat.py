"""akd splat: the mesh as 3D Gaussians bound to the skeleton."""

from __future__ import annotations

from typing import Any

from stages.splat.params import Params

from .asset import Source
from .options import Options

EXAMPLES = "akd splat tiger", "akd splat --kernels 20000 --iterations 1000 -o tiger.ply"


def splat(source: Source = None, options: Options = Options(), params: Params = Params()) -> None:  # noqa: B008 (frozen)
    """Turn the mesh into Gaussians, fitted to rendered views of it.

    Writes splat.h5 and splat.ply, which opens in every 3D Gaussian splatting viewer.
    """
    from .execute import run

    run("splat", options, params, source=source)


def make(job: Any) -> Any:
    """Run the stage."""
    from stages.splat import stage

    return stage.run(job.load("asset"), job.load("skin"), job.params, progress=job.progress)


def write_views(job: Any, artifact: Any) -> None:
    """Write splat.ply."""
    from schemas import ply

    ply.write(job.path("splat.ply"), artifact)
