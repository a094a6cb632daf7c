"""akd track: the distilled motion, performed by a simulated body."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stages.track.params import Params

from .asset import Source
from .options import Options

Motion = Annotated[
    str, typer.Option("--motion", "-m", help="Which motion, by prompt or folder name (default: the one used last).", rich_help_panel="Where and how")
]
Export = Annotated[str, typer.Option("--export", help="Also write the simulated body for another program.", metavar="mjcf", rich_help_panel="Where and how")]
Strict = Annotated[bool, typer.Option("--strict", help="End with exit code 2 if the body cannot follow.", rich_help_panel="Where and how")]
EXAMPLES = "akd track", "akd track --export mjcf", 'akd track --motion "a tiger walking" --iterations 100'


def track(
    source: Source = None,
    motion: Motion = "",
    export: Export = "",
    strict: Strict = False,
    options: Options = Options(),  # noqa: B008 (frozen)
    params: Params = Params(),  # noqa: B008 (frozen)
) -> None:
    """Make the motion physical: a body of cuboids follows it under gravity, friction and joint torques.

    Writes track.h5 and track.glb beside the distilled motion; with --export mjcf also track.xml, a model for MuJoCo, and
    track.npz, the controls that drive it and the motion they give. A body that cannot follow (it falls, it stays behind)
    is said on one line; its motion is written all the same, and with --strict the exit code is 2.
    """
    from schemas.errors import InputError

    from .execute import run

    if export not in ("", "mjcf"):
        raise InputError(f"--export {export}: there is no such format;", "choose mjcf.")
    artifact = run("track", options, params, source=source, motion=motion, export=export)
    if strict and artifact.report.get("failed"):
        raise InputError(f"--strict: tracking failed: {artifact.report['reason']};", "see docs/track.md for what helps.")


def make(job: Any) -> Any:
    """Run the stage, resuming what an earlier run left behind."""
    from stages.track import stage

    partial = _partial(job)
    if job.force:
        partial.unlink(missing_ok=True)
    return stage.run(job.load("rig"), job.load("distill"), job.params, progress=job.progress, checkpoint=partial)


def write_views(job: Any, artifact: Any) -> None:
    """Write track.glb, with the motion as its animation."""
    from schemas import gltf

    gltf.write(job.path("track.glb"), job.load("asset"), job.load("rig"), job.load("skin").weights, artifact, name=artifact.prompt)


def export_as(job: Any) -> list[Any]:
    """Write track.xml and track.npz."""
    from stages.track import mjcf

    return mjcf.export(job.path("track.xml"), job.load("rig"), job.load("distill"), job.load("track"))


def clean(job: Any) -> None:
    """Remove the checkpoint: the artifact is saved."""
    _partial(job).unlink(missing_ok=True)


def _partial(job: Any) -> Any:
    path = job.path("track.h5")
    return path.with_name(path.name + ".partial")
