"""akd evaluate: figures of a motion: gait, leg phases, foot slide, ground contact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import ReadOptions
from .status import Workspace
from .track import Motion

File = Annotated[str | None, typer.Argument(help="A motion file (distill.h5, track.h5) or a workspace.", show_default=False)]
EXAMPLES = "akd evaluate", "akd evaluate runs/tiger/motions/a-tiger-walking/track.h5 --json"


def evaluate(file: File = None, motion: Motion = "", workspace: Workspace = None, options: ReadOptions = ReadOptions()) -> None:  # noqa: B008 (frozen)
    """Measure a motion on its skeleton, without images: which gait it shows, and how well its feet meet the ground.

    Without a file it measures the distilled and the tracked motion and writes metrics.json beside them.
    """
    from schemas.atomic import write_text
    from schemas.errors import MissingError
    from stages.evaluate.gait import analyse, summary

    from .chain import Chain
    from .console import Console
    from .workspace import resolve

    found, _ = resolve(workspace, file)
    chain = Chain(found)
    rig = chain.load("rig")
    alone = file is not None and Path(file).suffix == ".h5"
    slug = "" if alone else found.motion(motion)
    paths = [Path(str(file))] if alone else [path for stage in ("distill", "track") for path in [chain.path(stage, slug)] if path.exists()]
    if not paths:
        raise MissingError(f"{found}: the motion '{slug}' has neither distill.h5 nor track.h5;", "run akd distill.")
    figures = {path.stem: analyse(rig, _load(path)) for path in paths}
    data: dict[str, Any] = {"workspace": str(found), "motions": {path.stem: str(path) for path in paths}, "figures": figures}
    lines = [f"{name}: {summary(values)}" for name, values in figures.items()]
    if not alone:
        target = found.path("metrics.json", slug)
        write_text(target, json.dumps(figures, indent=1, sort_keys=True) + "\n")
        lines.append(f"  {target}")
    Console(options.quiet, options.json).result(data, *lines)


def _load(path: Path) -> Any:
    from schemas.artifact import read_header
    from schemas.errors import InputError
    from schemas.motion import Motion as MotionArtifact
    from schemas.track import Track

    kinds = {"akd.motion": MotionArtifact, "akd.track": Track}
    header = read_header(path)
    if header.schema not in kinds:
        raise InputError(f"{path}: holds '{header.schema}', a motion is needed here;", "give a distill.h5 or track.h5.")
    return kinds[header.schema].load(path)
