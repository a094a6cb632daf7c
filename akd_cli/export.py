"""A motion for other programs: `akd render --export FORMAT`."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .options import Options

FORMATS = ("bvh", "glb", "usd", "gif", "webm", "png-sequence", "ply-sequence")


class Source(NamedTuple):
    """What is exported: motions by name (all but glb take the first only), of one workspace, and the path without its ending."""

    chain: Any
    motions: dict[str, Any]
    stem: Path


def run(form: str, source: str | None, motion: str, clips: list[str], in_place: bool, options: Options, params: Any) -> None:
    """Write the export and print where it is.

    Raises:
        InputError: No such format, or flags that do not go together.
    """
    from schemas.errors import InputError
    from stages.render.resample import in_place as stay
    from stages.render.resample import resample

    from .console import Console

    if form not in FORMATS:
        raise InputError(f"--export {form}: there is no such format;", f"choose one of {', '.join(FORMATS)}.")
    if clips and form != "glb":
        raise InputError(f"--clip: only a .glb holds several clips, not {form};", "export each motion for itself, or use --export glb.")
    console = Console(options.quiet, options.json)
    found = _source(source, motion, clips, options, console)
    ending = "" if form.endswith("-sequence") else f".{form}"
    if options.output and Path(options.output).suffix != ending:
        raise InputError(f"--output {options.output}: --export {form} writes {f'a {ending} file' if ending else 'a folder'};", "give it such a name.")
    default = found.stem.with_name(f"{found.stem.name}-{form.split('-')[0]}") if not ending else found.stem.with_suffix(ending)
    if form == "glb":  # track.glb and distill.glb belong to their stages
        default = found.stem.with_name("clips.glb")
    target = Path(options.output or default)
    changed = {name: resample(stay(one) if in_place else one, params.fps) for name, one in found.motions.items()}
    with console.progress("render") as progress:
        WRITERS[form](target, found.chain, changed, params, progress)
    first = next(iter(changed.values()))
    data = {"stage": "render", "action": "made", "export": form, "outputs": [str(target)], "figures": {"frames": first.frame_count, "fps": float(first.fps)}}
    console.result(data, f"{form}: {first.frame_count} frames at {first.fps:g} Hz{f', {len(changed)} clips' if len(changed) > 1 else ''}", f"  {target}")


def _source(source: str | None, motion: str, clips: list[str], options: Options, console: Any) -> Source:
    from .chain import STAGES, Chain
    from .evaluate import load_motion
    from .execute import adopt, ensure
    from .workspace import resolve

    alone = source is not None and Path(source).suffix == ".h5"
    workspace, adopted = resolve(options.workspace, source, write=not alone)
    chain = Chain(workspace)
    if alone:
        path = Path(str(source))
        motions = {path.stem: load_motion(path)}
        motions |= {slug: chain.load("track", slug) for slug in map(workspace.motion, clips)}
        return Source(chain, motions, path.with_suffix(""))
    with workspace.locked():
        adopt(workspace, adopted)
        slugs = list(dict.fromkeys([workspace.motion(motion), *map(workspace.motion, clips)]))
        for slug in slugs:
            for need in [name for name in STAGES if name != "render"]:
                ensure(chain, console, need, slug)
    return Source(chain, {slug: chain.load("track", slug) for slug in slugs}, chain.path("track", slugs[0]).with_suffix(""))


def _first(motions: dict[str, Any]) -> Any:
    return next(iter(motions.values()))


def _bvh(target: Path, chain: Any, motions: dict[str, Any], params: Any, progress: Any) -> None:
    from stages.render import bvh

    bvh.write(target, chain.load("rig"), _first(motions))


def _glb(target: Path, chain: Any, motions: dict[str, Any], params: Any, progress: Any) -> None:
    from schemas import gltf
    from schemas.atomic import write_bytes
    from stages.render.clips import merge

    models = []
    with tempfile.TemporaryDirectory() as folder:
        for motion in motions.values():
            made = gltf.write(Path(folder) / "clip.glb", chain.load("asset"), chain.load("rig"), chain.load("skin").weights, motion)
            models.append(made.read_bytes())
    write_bytes(target, merge(models, [" ".join(motion.prompt.split())[:120] or "motion" for motion in motions.values()]))


def _usd(target: Path, chain: Any, motions: dict[str, Any], params: Any, progress: Any) -> None:
    from stages.render import usd

    usd.write(target, chain.load("asset"), chain.load("rig"), chain.load("skin").weights, _first(motions))


def _frames(chain: Any, motions: dict[str, Any], params: Any, progress: Any) -> Any:
    from stages.render.stage import shoot

    splat = chain.load("splat") if params.look == "splat" else None
    film = shoot(*(chain.load(name) for name in ("asset", "rig", "skin")), splat, _first(motions), dataclasses.replace(params, fps=None))
    progress.begin("render", film.motion.frame_count)
    for count, frame in enumerate(film.frames(), 1):
        yield frame
        progress.update(count)


def _gif(target: Path, chain: Any, motions: dict[str, Any], params: Any, progress: Any) -> None:
    from stages.render.pictures import write_gif

    write_gif(target, _frames(chain, motions, params, progress), _first(motions).fps)


def _webm(target: Path, chain: Any, motions: dict[str, Any], params: Any, progress: Any) -> None:
    from stages.render.pictures import write_webm

    write_webm(target, _frames(chain, motions, params, progress), _first(motions).fps, params.quality)


def _png(target: Path, chain: Any, motions: dict[str, Any], params: Any, progress: Any) -> None:
    from stages.render.pictures import write_png_sequence

    write_png_sequence(target, _frames(chain, motions, params, progress))


def _ply(target: Path, chain: Any, motions: dict[str, Any], params: Any, progress: Any) -> None:
    from stages.render.splats import write_ply_sequence

    write_ply_sequence(target, chain.load("rig"), chain.load("splat"), _first(motions), progress)


WRITERS: dict[str, Callable[[Path, Any, dict[str, Any], Any, Any], None]] = {
    "bvh": _bvh, "glb": _glb, "usd": _usd, "gif": _gif, "webm": _webm, "png-sequence": _png, "ply-sequence": _ply,
}  # fmt: skip
