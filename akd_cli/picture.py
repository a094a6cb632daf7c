"""Pictures of a motion or an asset: `akd render --picture KIND`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from .options import Options

KINDS = ("sheet", "onion", "strip", "turntable")


class Subject(NamedTuple):
    """What is drawn: the workspace's artifacts, the motion, and the path of its file without the ending (of the asset, "turntable")."""

    chain: Any
    motion: Any
    stem: Path


def run(kinds: list[str], source: str | None, motion: str, options: Options, params: Any) -> None:
    """Draw and print where the pictures are.

    Raises:
        InputError: No such picture, or what it needs is missing.
    """
    from schemas.errors import InputError

    from .console import Console

    kinds = list(dict.fromkeys(kinds))
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"--picture {kind}: there is no such picture;", f"choose one of {', '.join(KINDS)}.")
    if options.output and (len(kinds) > 1 or Path(options.output).suffix != (".mp4" if kinds == ["turntable"] else ".png")):
        wanted = "one picture at a time goes there" if len(kinds) > 1 else f"--picture {kinds[0]} writes {'.mp4' if kinds == ['turntable'] else '.png'}"
        raise InputError(f"--output {options.output}: {wanted};", "give another name, or leave it out.")
    console = Console(options.quiet, options.json)
    outputs: list[Path] = []
    moving = [kind for kind in kinds if kind != "turntable"]
    subject = _moving(source, motion, options, console) if moving else None
    with console.progress("render") as progress:
        for kind in kinds:
            if kind == "turntable":
                outputs += _turntable(subject or _still(source, options, console), options, params, progress)
            else:
                assert subject is not None
                outputs.append(_draw(kind, subject, Path(options.output or f"{subject.stem}.{kind}.png"), params, progress))
    data = {"stage": "render", "action": "made", "pictures": kinds, "outputs": [str(path) for path in outputs]}
    console.result(data, f"{', '.join(kinds)}:", *(f"  {path}" for path in outputs))


def _draw(kind: str, subject: Subject, target: Path, params: Any, progress: Any) -> Path:
    from stages.render import still

    asset, rig, skin = (subject.chain.load(name) for name in ("asset", "rig", "skin"))
    if kind == "sheet":
        splat = subject.chain.load("splat") if params.look == "splat" else None
        return still.draw_sheet(target, asset, rig, skin, splat, subject.motion, params, progress)
    if kind == "onion":
        return still.draw_onion(target, asset, rig, skin, subject.motion, params, progress)
    return still.draw_strip(target, asset, rig, skin, *_both(subject), params, progress)


def _both(subject: Subject) -> list[Any]:
    """The distilled and the tracked motion of the subject's folder."""
    from schemas.errors import MissingError

    from .evaluate import load_motion

    paths = [subject.stem.with_name(f"{stage}.h5") for stage in ("distill", "track")]
    for path in paths:
        if not path.exists():
            raise MissingError(f"--picture strip: {path} is missing;", f"run akd {path.stem}.")
    return [load_motion(path) for path in paths]


def _turntable(subject: Subject, options: Options, params: Any, progress: Any) -> list[Path]:
    from stages.render.turntable import turntable

    asset, rig, skin = (subject.chain.load(name) for name in ("asset", "rig", "skin"))
    splat = subject.chain.load("splat") if params.look == "splat" else None
    film = Path(options.output or subject.chain.workspace.path("turntable.mp4"))
    turntable(asset, rig, skin, splat, params, video=film, sheet=film.with_suffix(".png"), progress=progress)
    return [film, film.with_suffix(".png")]


def _moving(source: str | None, motion: str, options: Options, console: Any) -> Subject:
    """The motion of a file as it is, or the tracked motion of a workspace, brought up to date."""
    from .chain import Chain
    from .evaluate import load_motion
    from .execute import adopt, ensure
    from .workspace import resolve

    alone = source is not None and Path(source).suffix == ".h5"
    workspace, adopted = resolve(options.workspace, source, write=not alone)
    chain = Chain(workspace)
    if alone:
        path = Path(str(source))
        return Subject(chain, load_motion(path), path.with_suffix(""))
    with workspace.locked():
        adopt(workspace, adopted)
        slug = workspace.motion(motion)
        for need in ("asset", "rig", "skin", "splat", "distill", "track"):
            ensure(chain, console, need, slug)
    return Subject(chain, chain.load("track", slug), chain.path("track", slug).with_suffix(""))


def _still(source: str | None, options: Options, console: Any) -> Subject:
    """The asset with its skeleton, brought up to date; no motion is needed."""
    from .chain import Chain
    from .execute import adopt, ensure
    from .workspace import resolve

    workspace, adopted = resolve(options.workspace, source, write=True)
    with workspace.locked():
        adopt(workspace, adopted)
        chain = Chain(workspace)
        for need in ("asset", "rig", "skin"):
            ensure(chain, console, need)
    return Subject(chain, None, workspace.path("turntable"))
