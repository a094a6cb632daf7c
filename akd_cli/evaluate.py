"""akd evaluate: figures of motions: gait, leg phases, ground contact, smoothness, loop, limits, shape; the paper's ablation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from .ablation import Ablation
from .options import ReadOptions
from .status import Workspace
from .suite import Suite
from .track import Motion

SCHEMA = "akd.metrics 1.0"
"""What --json prints: docs/metrics.md."""

File = Annotated[str | None, typer.Argument(help="A motion file (distill.h5, track.h5), an animated model (.glb, .gltf) or a workspace.", show_default=False)]
Fps = Annotated[
    float | None, typer.Option("--fps", help="Samples per second of a model's clips (default: the rate of its keys, 12 to 60).", min=1, max=240, metavar="Hz")
]
Against = Annotated[str, typer.Option("--against", help="Compare limbs with those of this motion file or animated model.", show_default=False)]
Clip = Annotated[str, typer.Option("--clip", help="Which clip of that model, by name or the end of it.", show_default=False)]
Videophy = Annotated[
    str,
    typer.Option(
        "--videophy",
        help="Also rate films of the motion by VideoPhy's rater in this folder; FILE may be a video then. docs/videophy.md",
        show_default=False,
        metavar="FOLDER",
    ),
]
Caption = Annotated[str, typer.Option("--caption", help="With --videophy and a video: what it should show.", show_default=False)]
EXAMPLES = (
    "akd evaluate",
    "akd evaluate runs/tiger/motions/a-tiger-walking/track.h5 --json",
    "akd evaluate wolf.glb",
    "akd evaluate distill.h5 --against wolf.glb --clip Walk",
    "akd evaluate --ablation --asset tiger --asset ostrich --seeds 3 --out runs/ablation",
    "akd evaluate --suite --assets tiger,horse,models/fox.glb --prompts walking,running --seeds 3",
    "akd evaluate --suite suite.toml",
    "akd evaluate film.mp4 --videophy models/videocon_physics --caption 'a tiger walking'",
)


class Take(NamedTuple):
    """A motion with what it is measured on; `treadmill`: speed added to a clip made to run on the spot, m/s, None for other
    motions; `chain`: of the workspace it belongs to."""

    name: str
    rig: Any
    motion: Any
    mesh: Any
    treadmill: float | None
    chain: Any = None


def evaluate(
    file: File = None,
    motion: Motion = "",
    workspace: Workspace = None,
    fps: Fps = None,
    against: Against = "",
    clip: Clip = "",
    videophy: Videophy = "",
    caption: Caption = "",
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
    ablation: Ablation = Ablation(),  # noqa: B008 (frozen)
    suite: Suite = Suite(),  # noqa: B008 (frozen)
) -> None:
    """Measure motions on their skeleton: which gait they show, how well feet meet the ground, whether they are smooth and loop.

    Without a file it measures the distilled and the tracked motion and writes metrics.json beside them; of an animated
    model it measures every clip. docs/metrics.md defines the figures.
    """

    from .console import Console

    console = Console(options.quiet, options.json)
    if ablation != Ablation() or suite != Suite():
        _batch(file, against, ablation, suite, videophy, console)
        return
    if file is not None and _is_video(file, videophy, caption):
        from .videophy import rate_video

        rate_video(Path(file), caption, videophy, console)
        return
    judge = _judge(file, videophy, caption)
    source, takes, folder = _takes(file, motion, workspace, fps)
    reference = _reference(against, clip, fps) if against else None
    figures: dict[str, Any] = {}
    with console.progress("evaluate") as progress:
        progress.begin("motions", len(takes))
        for count, take in enumerate(takes, 1):
            figures[take.name] = _measure(take, reference)
            if judge is not None:
                figures[take.name]["videophy"] = judge.motion(take.chain, take.motion)
            progress.update(count)
    lines = report(figures, model=folder is None)
    if folder is not None and not _alone(file):
        from schemas.atomic import write_text

        write_text(folder / "metrics.json", json.dumps(figures, indent=1, sort_keys=True) + "\n")
        lines.append(f"  {folder / 'metrics.json'}")
    console.result({"schema": SCHEMA, **source, "figures": figures}, *lines)


def _is_video(file: str, videophy: str, caption: str) -> bool:
    """Whether a video file is to be rated.

    Raises:
        InputError: It is one, and nothing here can judge it.
    """
    from schemas.errors import InputError

    from .videophy import VIDEOS

    if Path(file).suffix.lower() not in VIDEOS:
        return False
    if not videophy:
        raise InputError(f"{file}: is a video, figures are of motions;", "give a motion, an animated model, or --videophy FOLDER.")
    return True


def _judge(file: str | None, videophy: str, caption: str) -> Any:
    """The rater that --videophy asks for, None without."""
    from schemas.errors import InputError

    if caption:
        raise InputError("--caption: belongs to --videophy and a video; a motion brings its own prompt;", "leave it out.")
    if not videophy:
        return None
    if file is not None and Path(file).suffix.lower() in (".glb", ".gltf"):
        raise InputError(f"--videophy: rates motions of a workspace and videos, not {file};", "film it first: akd render.")
    from .videophy import Judge

    return Judge(videophy)


def _batch(file: str | None, against: str, ablation: Ablation, suite: Suite, videophy: str, console: Any) -> None:
    """The ablation or the suite."""
    from schemas.errors import InputError

    if ablation.ablation and suite.suite:
        raise InputError("--ablation and --suite: are two different things;", "give one of them.")
    if against or not (ablation.ablation or suite.suite) or (ablation.ablation and file):
        raise InputError(
            "--asset, --seeds, --prior, --iterations and --out belong to --ablation, which takes no file, or to --suite;", "give one or the other."
        )
    if suite.suite:
        from .suite import run as run_suite

        run_suite(file, suite, ablation, videophy, console)
        return
    if videophy:
        raise InputError("--videophy: belongs to motions and to --suite, not to --ablation;", "leave it out.")
    if suite != Suite():
        raise InputError("--assets and --prompts belong to --suite;", "--ablation takes --asset.")
    from .ablation import run

    run(ablation, console)


def _alone(file: str | None) -> bool:
    return file is not None and Path(file).suffix == ".h5"


def _takes(file: str | None, motion: str, workspace: str | None, fps: float | None) -> tuple[dict[str, Any], list[Take], Path | None]:
    """Where the motions come from (for --json), the motions, and the folder of a workspace's motions (None for a model's clips)."""
    from schemas.errors import MissingError

    from .chain import Chain
    from .workspace import resolve

    if file is not None and Path(file).suffix.lower() in (".glb", ".gltf"):
        takes = list(clips(Path(file), fps))
        return {"file": file, "fps": float(takes[0].motion.fps)}, takes, None
    found, _ = resolve(workspace, file)
    chain = Chain(found)
    slug = "" if _alone(file) else found.motion(motion)
    paths = [Path(str(file))] if _alone(file) else [path for stage in ("distill", "track") for path in [chain.path(stage, slug)] if path.exists()]
    if not paths:
        raise MissingError(f"{found}: the motion '{slug}' has neither distill.h5 nor track.h5;", "run akd distill.")
    takes = [Take(path.stem, chain.load("rig"), load_motion(path), mesh_of(chain), None, chain) for path in paths]
    source = {"workspace": str(found), "motions": {path.stem: str(path) for path in paths}}
    return source, takes, paths[0].parent


def clips(path: Path, fps: float | None) -> Iterator[Take]:
    """The animations of a model file as motions of its own skeleton; those made to run on the spot cover ground.

    Parameters:
        fps: Samples per second, None: as its keys. [Hz]

    Raises:
        MissingError, InputError: It cannot be read, or has no skeleton or no animation.
    """
    from schemas.errors import InputError, MissingError
    from schemas.gltf import key_rate
    from stages.asset import stage as asset_stage
    from stages.body.animation import motions
    from stages.evaluate.gait import off_treadmill
    from stages.rig import stage as rig_stage
    from stages.rig.params import Params as RigParams
    from stages.skin import stage as skin_stage
    from stages.skin.params import Params as SkinParams

    if not path.exists():
        raise MissingError(f"{path}: no such file;", "check the name.")
    asset = asset_stage.run(path)
    rig = rig_stage.run(asset, RigParams(template="file"))
    found = motions(path, rig, asset, fps or key_rate(path))
    if not found:
        raise InputError(f"{path}: has no animation of its skeleton;", "give an animated model, or a distill.h5 or track.h5.")
    mesh = asset.vertices, asset.faces, skin_stage.run(asset, rig, SkinParams(method="file")).weights
    for name, motion in found.items():
        moved, speed = off_treadmill(rig, motion)
        yield Take(name, rig, moved, mesh, round(speed, 6))


def _measure(take: Take, reference: tuple[str, dict[str, Any]] | None) -> dict[str, Any]:
    from stages.evaluate.gait import analyse
    from stages.evaluate.limbs import swing_ratios

    figures = analyse(take.rig, take.motion, take.mesh)
    if take.treadmill is not None:
        figures["treadmill"] = take.treadmill
    if reference is not None:
        name, other = reference
        ratios = {limb: round(ratio, 4) for limb, ratio in swing_ratios(figures["limbs"], other["limbs"]).items()}
        both = figures["period"] and other["period"]
        figures["against"] = {"motion": name, "limbs": ratios, "period": round(figures["period"] / other["period"], 4) if both else None}
    return figures


def _reference(against: str, clip: str, fps: float | None) -> tuple[str, dict[str, Any]]:
    """Name and figures of the motion that --against means."""
    from schemas.errors import InputError
    from stages.evaluate.gait import analyse

    if not against.endswith((".h5", ".glb", ".gltf")):
        raise InputError(f"--against {against}: is no motion;", "give a distill.h5, a track.h5 or an animated .glb.")
    _, takes, _ = _takes(against, "", None, fps)
    named = [take for take in takes if take.name.lower() == clip.lower()] or [take for take in takes if take.name.lower().endswith(clip.lower())]
    if len(named) != 1:
        names = ", ".join(take.name for take in takes)
        raise InputError(f"--clip '{clip}': names {len(named)} of the clips of {against} ({names});", "give one of these names.")
    take = named[0]
    return Path(against).name + (f" {take.name}" if len(takes) > 1 else ""), analyse(take.rig, take.motion)


def mesh_of(chain: Any) -> Any:
    """Vertices, faces and weights of a workspace, None where there is no skin yet."""
    if not (chain.path("asset").exists() and chain.path("skin").exists()):
        return None
    asset = chain.load("asset")
    return asset.vertices, asset.faces, chain.load("skin").weights


def load_motion(path: Path) -> Any:
    """A distilled or tracked motion, whichever the file holds.

    Raises:
        InputError: It holds something else.
    """
    from schemas.artifact import read_header
    from schemas.errors import InputError
    from schemas.motion import Motion as MotionArtifact
    from schemas.track import Track

    kinds = {"akd.motion": MotionArtifact, "akd.track": Track}
    header = read_header(path)
    if header.schema not in kinds:
        raise InputError(f"{path}: holds '{header.schema}', a motion is needed here;", "give a distill.h5 or track.h5.")
    return kinds[header.schema].load(path)


COLUMNS = (
    (
        ("gait", "label", "", 1), ("sure %", "confidence", ".0f", 100), ("period s", "period", ".2f", 1), ("duty", "duty", ".2f", 1),
        ("swing rad", "swing", ".2f", 1), ("speed m/s", "speed", ".2f", 1), ("added m/s", "treadmill", ".2f", 1), ("path m", "path.length", ".2f", 1),
        ("turn rad", "path.turn", ".2f", 1), ("bob cm", "bob", ".1f", 100),
    ),
    (
        ("slide", "slide", ".2f", 1), ("in stance", "slide_stance", ".2f", 1), ("contact %", "contact", ".0f", 100),
        ("deepest cm", "penetration", ".1f", 100), ("floating cm", "floating", ".1f", 100), ("jerk h/s3", "jerk", ".0f", 1),
        ("accel rad/s2", "smoothness.acceleration", ".1f", 1), ("SPARC", "smoothness.spectral_arc_length", ".1f", 1),
    ),
    (
        ("loop rad", "loop.pose", ".3f", 1), ("inside", "loop.pose_inside", ".3f", 1), ("loop rad/s", "loop.velocity", ".1f", 1),
        ("inside", "loop.velocity_inside", ".1f", 1), ("limits %", "limits.share", ".1f", 100), ("over rad", "limits.excess", ".2f", 1),
        ("edges %", "shape.mean", ".1f", 100), ("p95 %", "shape.p95", ".1f", 100),
    ),
    (
        ("SA", "videophy.sa", ".3f", 1), ("PC", "videophy.pc", ".3f", 1), ("SA plain", "videophy.sa_plain", ".3f", 1),
        ("PC plain", "videophy.pc_plain", ".3f", 1),
    ),
)  # fmt: skip
"""Tables of columns: heading with unit, path of the figure, format, factor. "swing" is the mean range of the legs."""


def report(figures: dict[str, dict[str, Any]], model: bool) -> list[str]:
    """The figures of motions for people: a sentence each unless they are a `model`'s clips, then tables of one row per motion."""
    from stages.evaluate.gait import summary

    from .console import table

    lines = [] if model else [f"{name}: {summary(values)}" for name, values in figures.items()]
    for columns in COLUMNS:
        shown = [column for column in columns if any(cell(values, column) != "-" for values in figures.values())]
        if not shown:
            continue
        rows = [(name, *(cell(values, column) for column in shown)) for name, values in figures.items()]
        lines += [*([""] if lines else []), *table([("", *(column[0] for column in shown)), *rows])]
    compared = {name: values["against"] for name, values in figures.items() if "against" in values}
    for name, against in compared.items():
        ratios = ", ".join(f"{limb} {ratio:.2f}" for limb, ratio in against["limbs"].items()) or "no limb in common"
        period = f"; period {against['period']:.2f}" if against["period"] else ""
        lines += ["", f"{name} against {against['motion']}, 1 = the same: {ratios}{period}"]
    return lines


def cell(values: dict[str, Any], column: tuple[str, str, str, float]) -> str:
    """One figure as text, "-" where there is none; `column` as in `COLUMNS`."""
    _, path, form, factor = column
    if path == "swing":
        legs = [leg["range"] for leg in values["legs"].values()]
        value: Any = sum(legs) / len(legs) if legs else None
    else:
        value = values
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if value is None or value == "":
        return "-"
    text = f"{factor * value:{form}}" if form else str(value)
    return text.removeprefix("-") if form and float(text) == 0 else text  # no minus before a zero
