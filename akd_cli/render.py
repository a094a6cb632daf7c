"""akd render: a video, a contact sheet and a page of a motion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.errors import InputError
from stages.render.params import Params

from .export import FORMATS, Wish
from .options import Options
from .track import Motion

Source = Annotated[
    str | None, typer.Argument(help="A motion file (distill.h5, track.h5), a workspace, a model file or a built-in character.", show_default=False)
]
Html = Annotated[
    bool, typer.Option("--html", help="Also write index.html: one file, to be opened in a browser, that plays the motion.", rich_help_panel="Where and how")
]
EXPORTS = "Exports"
Export = Annotated[
    str,
    typer.Option(
        help=f"Write the motion for another program instead of the video: {', '.join(FORMATS)}.",
        show_default=False,
        metavar="FORMAT",
        rich_help_panel=EXPORTS,
    ),
]
Clip = Annotated[
    list[str] | None,
    typer.Option(
        help="With --export glb: another motion of the workspace in the same file, as MOTION or MOTION=NAME; may come again.",
        show_default=False,
        rich_help_panel=EXPORTS,
    ),
]
Name = Annotated[str, typer.Option(help="With --export glb: the name of the first clip (default: its prompt).", show_default=False, rich_help_panel=EXPORTS)]
InPlace = Annotated[bool, typer.Option("--in-place", help="With --export: without the way it covers.", rich_help_panel=EXPORTS)]
RootMotion = Annotated[
    bool,
    typer.Option(
        "--root-motion",
        help="With --export glb, bvh or usd: the smooth way and heading on a bone 'root' above the skeleton, as game engines want it.",
        rich_help_panel=EXPORTS,
    ),
]
Ground = Annotated[bool, typer.Option("--bake-ground", help="With --export glb: the film's checkerboard as a mesh in the file.", rich_help_panel=EXPORTS)]
Picture = Annotated[
    list[str] | None,
    typer.Option(
        help="Draw a picture instead of the video: sheet, onion, strip (before and after physics) or turntable (the asset at rest); may come again.",
        show_default=False,
        metavar="KIND",
        rich_help_panel="Pictures",
    ),
]
EXAMPLES = (
    "akd render",
    "akd render --html",
    "akd render --export bvh",
    "akd render --export glb --motion 'a tiger walking' --name walk --clip 'a tiger running=run' --root-motion --fps 30",
    "akd render --camera left --look splat --size 640x360",
    "akd render --camera turntable --repeat 4 --size 1080p -o film.mp4",
    "akd render --picture onion --picture strip --picture turntable",
    "akd render runs/tiger/motions/a-tiger-walking/distill.h5",
)


def render(
    source: Source = None,
    motion: Motion = "",
    html: Html = False,
    export: Export = "",
    clip: Clip = None,
    name: Name = "",
    in_place: InPlace = False,
    root_motion: RootMotion = False,
    bake_ground: Ground = False,
    picture: Picture = None,
    options: Options = Options(),  # noqa: B008 (frozen)
    params: Params = Params(),  # noqa: B008 (frozen)
) -> None:
    """Film the motion over a checkerboard, with a soft shadow and a camera that follows.

    Without a file it films the tracked motion and writes render.mp4 and render.png; of a file such as distill.h5 it
    writes distill.mp4 and distill.png beside it. With --html also a page that plays it: index.html, or distill.html.
    With --export it writes one file (or a folder of frames) for another program, with --picture pictures.
    """
    if picture:
        if html or export:
            raise InputError("--picture: writes pictures instead of the video, the page or an export;", "run akd render twice.")
        from .picture import run as draw

        draw(picture, source, motion, options, params)
        return
    wish = Wish(tuple(clip or ()), name, in_place, root_motion, bake_ground)
    if export:
        if html:
            raise InputError("--html: goes with the video, --export writes a file instead of it;", "run akd render twice.")
        from .export import run as write

        write(export, source, motion, wish, options, params)
        return
    if wish != Wish():
        raise InputError("--clip, --name, --in-place, --root-motion, --bake-ground: belong to --export;", "add --export glb, for instance.")
    if source and Path(source).suffix == ".h5":
        _film_file(Path(source), options, params, html)
        return
    from .execute import run

    run("render", options, params, source=source, motion=motion, export="html" if html else "")


def make(job: Any) -> Any:
    """Run the stage on the tracked motion."""
    inputs = [job.load(name) for name in ("asset", "rig", "skin", "splat", "track")]
    return _film(inputs, job.params, job.path("render.mp4"), job.path("render.png"), job.progress)


def export_as(job: Any) -> list[Path]:
    """Write index.html."""
    from . import page

    return [page.write(job.path("render.mp4").with_name(page.NAME), job.chain, page.of_motion(job.chain, job.motion))]


def _film(inputs: list[Any], params: Any, video: Path, sheet: Path, progress: Any) -> Any:
    import dataclasses

    from schemas.artifact import AKD_VERSION, Header, file_digest
    from stages.render import stage

    from .video import Video

    made = stage.run(*inputs, params, video=video, sheet=sheet, progress=progress)
    figures = {"frames": made.frames, "width": made.width, "height": made.height, "fps": float(made.fps)}
    header = Header(schema="akd.render", version="1.0", created_by=AKD_VERSION, params=dataclasses.asdict(params))
    return Video(figures, {path.name: file_digest(path) for path in (video, sheet)}, header, video.parent)


def _film_file(path: Path, options: Options, params: Params, html: bool) -> None:
    """Film any motion artifact of a workspace, fresh or not, without touching the chain."""
    from schemas.artifact import read_header
    from schemas.motion import Motion as MotionArtifact
    from schemas.track import Track

    from .chain import Chain
    from .console import Console
    from .describe import figures, sentence
    from .workspace import resolve

    kinds = {"akd.motion": MotionArtifact, "akd.track": Track}
    header = read_header(path)
    if header.schema not in kinds:
        raise InputError(f"{path}: holds '{header.schema}', a motion is needed here;", "give a distill.h5 or track.h5.")
    target = Path(options.output) if options.output else path.with_suffix(".mp4")
    if target.suffix != ".mp4":
        raise InputError(f"--output {target}: must end in .mp4;", "the contact sheet lies beside it as .png.")
    console = Console(options.quiet, options.json)
    workspace, _ = resolve(options.workspace, None if options.workspace else str(path))
    chain = Chain(workspace)
    splat = chain.load("splat") if params.look == "splat" else None
    inputs = [*(chain.load(name) for name in ("asset", "rig", "skin")), splat, kinds[header.schema].load(path)]
    with console.progress("render") as progress:
        made = _film(inputs, params, target, target.with_suffix(".png"), progress)
    found = figures(made)
    outputs = [str(target), str(target.with_suffix(".png"))]
    if html:
        from . import page

        name = {"akd.motion": "distill", "akd.track": "track"}[header.schema]
        outputs.append(str(page.write(target.with_suffix(".html"), chain, {name: inputs[-1]}, beside=False)))
    console.result({"stage": "render", "action": "made", "outputs": outputs, "figures": found}, f"render done: {sentence(found)}", *(f"  {o}" for o in outputs))
