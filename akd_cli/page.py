"""The page of a motion: gathers artifacts, models and figures, and has them put into one HTML file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

NAME = "index.html"
BESIDE = ("render.mp4", "render.png", "distill.glb", "track.glb", "distill.h5", "track.h5", "metrics.json", "track.xml")
"""Files of a motion's folder that the page links to."""

ROWS = (
    ("gait", "", "label", "", 1), ("sure of it", "%", "confidence", ".0f", 100), ("stride time", "s", "period", ".2f", 1),
    ("duty factor", "", "duty", ".2f", 1),
    ("speed", "m/s", "speed", ".2f", 1), ("distance", "m", "distance", ".2f", 1), ("turn", "rad", "path.turn", ".2f", 1), ("bob", "cm", "bob", ".1f", 100),
    ("foot slide", "of speed", "slide", ".2f", 1), ("in stance", "of speed", "slide_stance", ".2f", 1), ("feet in contact", "%", "contact", ".0f", 100),
    ("deepest below ground", "cm", "penetration", ".1f", 100), ("floating", "cm", "floating", ".1f", 100), ("jerk", "heights/s³", "jerk", ".0f", 1),
    ("acceleration", "rad/s²", "smoothness.acceleration", ".1f", 1), ("jump where it loops", "rad", "loop.pose", ".3f", 1),
    ("beyond joint limits", "%", "limits.share", ".1f", 100), ("edge length change", "%", "shape.mean", ".1f", 100),
)  # fmt: skip
"""The page's table of figures: name, unit, path of the figure, format, factor."""


def write(path: Path, chain: Any, motions: dict[str, Any], *, beside: bool = True) -> Path:
    """Write the page atomically.

    Parameters:
        chain: Of the workspace the motions belong to.
        motions: One or two motion artifacts, by "distill" and "track".
        beside: Link to the files that lie in the folder.
    """
    from schemas.atomic import write_text

    write_text(path, build(chain, motions, path.parent if beside else None))
    return path


def build(chain: Any, motions: dict[str, Any], folder: Path | None) -> str:
    """The page's HTML; `folder` is where files to link to lie."""
    from schemas.errors import InputError
    from stages.render.page import content, document, kernels
    from stages.render.stage import check_joints

    from .slug import slug

    if not motions:
        raise InputError("a page needs a motion;", "run akd distill.")
    rig = chain.load("rig")
    for motion in motions.values():
        check_joints(motion, rig)
    figures = {name: _measured(chain, motion) for name, motion in motions.items()}
    shown = [_shown(chain, name, motion, figures[name], folder) for name, motion in motions.items()]
    files = [folder / name for name in BESIDE if (folder / name).is_file()] if folder else []
    found = content.content(rig, shown, _rows(list(figures.values())), slug=slug(shown[-1].motion.prompt), files=files)
    splat = chain.load("splat") if chain.path("splat").exists() else None
    packed = kernels.encode(splat) if splat and len(splat.means) <= kernels.MOST else None
    return document.document(found, {one.id: one.model for one in shown}, packed)


def of_motion(chain: Any, slug: str) -> dict[str, Any]:
    """The motions of a folder that are there, by stage."""
    return {stage: chain.load(stage, slug) for stage in ("distill", "track") if chain.path(stage, slug).exists()}


def _measured(chain: Any, motion: Any) -> dict[str, Any]:
    from stages.evaluate.gait import analyse

    from .evaluate import mesh_of

    return analyse(chain.load("rig"), motion, mesh_of(chain))


def _shown(chain: Any, name: str, motion: Any, figures: dict[str, Any], folder: Path | None) -> Any:
    from stages.evaluate.feet import on_ground
    from stages.evaluate.gait import summary
    from stages.evaluate.trajectory import trajectory_of
    from stages.render.page.content import Shown

    path = trajectory_of(chain.load("rig"), motion)
    contact = on_ground(path.soles, path.height) if path.names else path.root[:, :0] > 0
    return Shown(name, motion, _model(chain, name, motion, folder), path.names, contact, summary(figures))


def _model(chain: Any, name: str, motion: Any, folder: Path | None) -> bytes:
    """The motion's .glb: the one beside it where it is not older, else made anew."""
    from schemas import gltf

    if folder is not None:
        model, artifact = folder / f"{name}.glb", folder / f"{name}.h5"
        if model.is_file() and artifact.is_file() and model.stat().st_mtime_ns >= artifact.stat().st_mtime_ns:
            return model.read_bytes()
    with tempfile.TemporaryDirectory() as place:
        made = gltf.write(Path(place) / "motion.glb", chain.load("asset"), chain.load("rig"), chain.load("skin").weights, motion, name=motion.prompt)
        return made.read_bytes()


def _rows(figures: list[dict[str, Any]]) -> list[Any]:
    from stages.evaluate.figures import FIGURES, named
    from stages.render.page.content import Figure

    from .evaluate import cell

    rows = []
    for name, unit, path, form, factor in ROWS:
        values = [cell(one, (name, path, form, factor)) for one in figures]
        if any(value != "-" for value in values):
            rows.append(Figure(name, unit, values, FIGURES[named(path) or path].words))
    return rows
