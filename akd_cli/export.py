"""A motion for other programs: `akd render --export FORMAT`."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .options import Options

FORMATS = ("bvh", "glb", "usd", "gif", "webm", "png-sequence", "ply-sequence")


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the export's own flags ask for.

    Attributes:
        clips: Further motions, "MOTION" or "MOTION=NAME".
        name: Of the first clip.
        in_place: Without the way.
        root_motion: The way on a bone above the root joint.
        ground: With the film's ground.
    """

    clips: tuple[str, ...] = ()
    name: str = ""
    in_place: bool = False
    root_motion: bool = False
    ground: bool = False

    def check(self, form: str) -> None:
        """Raise InputError where flags do not go with each other or the format."""
        from schemas.errors import InputError

        for flag, given in (("--clip", self.clips), ("--name", self.name), ("--bake-ground", self.ground)):
            if given and form != "glb":
                raise InputError(f"{flag}: only a .glb holds clips by name and a ground, not {form};", "leave it out, or use --export glb.")
        if self.root_motion and form not in ("glb", "bvh", "usd"):
            raise InputError(f"--root-motion: {form} has no bones;", "leave it out, or use --export glb, bvh or usd.")
        if self.root_motion and self.in_place:
            raise InputError("--root-motion and --in-place: the way cannot be on a bone and be taken out;", "give one of the two.")


@dataclasses.dataclass(frozen=True)
class Job:
    """An export: what the writers need.

    Attributes:
        motions: By clip name; all but glb write the first only.
    """

    target: Path
    chain: Any
    motions: dict[str, Any]
    wish: Wish
    params: Any
    progress: Any

    @property
    def first(self) -> Any:
        return next(iter(self.motions.values()))

    def parts(self, motion: Any) -> tuple[Any, Any]:
        """The way on a bone of its own (None where none is wanted) and the motion relative to it."""
        if not self.wish.root_motion:
            return None, motion
        from stages.render.travel import split

        return split(self.chain.load("rig"), motion)


def run(form: str, source: str | None, motion: str, wish: Wish, options: Options, params: Any) -> None:
    """Write the export and print where it is.

    Raises:
        InputError: No such format, or flags that do not go together.
    """
    from schemas.errors import InputError
    from stages.render.resample import in_place, resample

    from .console import Console

    if form not in FORMATS:
        raise InputError(f"--export {form}: there is no such format;", f"choose one of {', '.join(FORMATS)}.")
    wish.check(form)
    ending = "" if form.endswith("-sequence") else f".{form}"
    if options.output and Path(options.output).suffix != ending:
        raise InputError(f"--output {options.output}: --export {form} writes {f'a {ending} file' if ending else 'a folder'};", "give it such a name.")
    console = Console(options.quiet, options.json)
    chain, stem, motions = _source(source, motion, wish, options, console)
    # track.glb and distill.glb belong to their stages
    name = "clips.glb" if form == "glb" else f"{stem.name}{ending}" if ending else f"{stem.name}-{form.split('-')[0]}"
    changed = {name: resample(in_place(one) if wish.in_place else one, params.fps) for name, one in motions.items()}
    with console.progress("render") as progress:
        job = Job(Path(options.output or stem.with_name(name)), chain, changed, wish, params, progress)
        WRITERS[form](job)
    frames, fps = job.first.frame_count, float(job.first.fps)
    data = {"stage": "render", "action": "made", "export": form, "outputs": [str(job.target)], "figures": {"frames": frames, "fps": fps}}
    if form == "glb":
        data["clips"] = list(changed)
    console.result(data, f"{form}: {frames} frames at {fps:g} Hz{f', {len(changed)} clips' if len(changed) > 1 else ''}", f"  {job.target}")


def _source(source: str | None, motion: str, wish: Wish, options: Options, console: Any) -> tuple[Any, Path, dict[str, Any]]:
    """The workspace's chain, the path of the first motion without its ending, and the motions by clip name."""
    from .chain import STAGES, Chain
    from .evaluate import load_motion
    from .execute import adopt, ensure
    from .workspace import resolve

    alone = source is not None and Path(source).suffix == ".h5"
    workspace, adopted = resolve(options.workspace, source, write=not alone)
    chain, clips = Chain(workspace), [clip.partition("=")[::2] for clip in wish.clips]
    if alone:
        path = Path(str(source))
        found = [(wish.name, load_motion(path)), *((name, chain.load("track", workspace.motion(one))) for one, name in clips)]
        return chain, path.with_suffix(""), _named(found)
    with workspace.locked():
        adopt(workspace, adopted)
        wanted = [(workspace.motion(one), name) for one, name in [(motion, wish.name), *clips]]
        for slug in dict.fromkeys(slug for slug, _ in wanted):
            for need in [name for name in STAGES if name != "render"]:
                ensure(chain, console, need, slug)
    return chain, chain.path("track", wanted[0][0]).with_suffix(""), _named([(name, chain.load("track", slug)) for slug, name in wanted])


def _named(motions: list[tuple[str, Any]]) -> dict[str, Any]:
    """Motions by the names of their clips: what was asked for, else the prompt."""
    from stages.render.clips import unique

    names = [" ".join((name or motion.prompt).split())[:120] or "motion" for name, motion in motions]
    return dict(zip(unique(names), (motion for _, motion in motions), strict=True))


def _bvh(job: Job) -> None:
    from stages.render import bvh

    way, motion = job.parts(job.first)
    bvh.write(job.target, job.chain.load("rig"), motion, way)


def _glb(job: Job) -> None:
    from schemas import gltf
    from schemas.atomic import write_bytes
    from stages.render.clips import merge

    asset, rig, weights = job.chain.load("asset"), job.chain.load("rig"), job.chain.load("skin").weights
    models = []
    with tempfile.TemporaryDirectory() as folder:
        for one in job.motions.values():
            way, motion = job.parts(one)
            tracks = (way.positions, way.rotations) if way else None
            models.append(gltf.write(Path(folder) / "clip.glb", asset, rig, weights, motion, way=tracks).read_bytes())
    made = merge(models, list(job.motions))
    write_bytes(job.target, _on_ground(job, made) if job.wish.ground else made)


def _on_ground(job: Job, model: bytes) -> bytes:
    """The model with the ground of the first motion's film."""
    from stages.render.floor import bake_ground

    look = _film(job, None).ground
    return bake_ground(model, [motion.root_positions for motion in job.motions.values()], look.cell, look.light, look.dark)


def _usd(job: Job) -> None:
    from stages.render import usd

    way, motion = job.parts(job.first)
    usd.write(job.target, job.chain.load("asset"), job.chain.load("rig"), job.chain.load("skin").weights, motion, way)


def _film(job: Job, splat: Any) -> Any:
    from stages.render.stage import shoot

    look = "mesh" if splat is None else "splat"
    return shoot(*(job.chain.load(name) for name in ("asset", "rig", "skin")), splat, job.first, dataclasses.replace(job.params, fps=None, look=look))


def _frames(job: Job) -> Any:
    film = _film(job, job.chain.load("splat") if job.params.look == "splat" else None)
    job.progress.begin("render", film.motion.frame_count)
    for count, frame in enumerate(film.frames(), 1):
        yield frame
        job.progress.update(count)


def _gif(job: Job) -> None:
    from stages.render.pictures import write_gif

    write_gif(job.target, _frames(job), job.first.fps)


def _webm(job: Job) -> None:
    from stages.render.pictures import write_webm

    write_webm(job.target, _frames(job), job.first.fps, job.params.quality)


def _png(job: Job) -> None:
    from stages.render.pictures import write_png_sequence

    write_png_sequence(job.target, _frames(job))


def _ply(job: Job) -> None:
    from stages.render.splats import write_ply_sequence

    write_ply_sequence(job.target, job.chain.load("rig"), job.chain.load("splat"), job.first, job.progress)


WRITERS: dict[str, Callable[[Job], None]] = {
    "bvh": _bvh, "glb": _glb, "usd": _usd, "gif": _gif, "webm": _webm, "png-sequence": _png, "ply-sequence": _ply,
}  # fmt: skip
