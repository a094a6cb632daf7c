"""akd distill: joint motion from a sentence, by distilling a video diffusion model."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Annotated, Any

import typer

from stages.distill.params import Params

from .asset import Source
from .options import Options

Prompt = Annotated[str, typer.Option("--prompt", "-p", help='What it does, such as "a tiger walking".', show_default=False, rich_help_panel="Parameters")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what the run would cost (sizes, FLOPs, memory, hours) and stop.", rich_help_panel="Where and how")
]
Init = Annotated[str | None, typer.Option(help="Start from this motion instead of from rest (.h5).", rich_help_panel="Parameters")]
Resolution = Annotated[str, typer.Option(help="Height and width of the clip at once, such as 480x720.", metavar="HxW", rich_help_panel="Parameters")]
EXAMPLES = (
    'akd distill --prompt "a tiger walking"',
    'akd distill path/to/wolf.glb --prompt "a wolf walking" --iterations 400',
    ('akd distill --prompt "a tiger walking" --prior cogvideox-5b --dry-run'),
)


def distill(
    prompt: Prompt,
    source: Source = None,
    init: Init = None,
    resolution: Resolution = "",
    dry_run: DryRun = False,
    options: Options = Options(),  # noqa: B008 (frozen)
    params: Params = Params(),  # noqa: B008 (frozen)
) -> None:
    """Optimise joint angles until the video model finds the renderings likely for the prompt.

    Without a workspace it takes the built-in character that the prompt names. Interrupted, it goes on where it stopped.
    Started by torchrun, the views of a step are divided among the processes.
    Writes distill.h5 and distill.glb into motions/ of the workspace.
    """
    from schemas.errors import InputError
    from stages.distill.priors.registry import check_request

    from .execute import run
    from .slug import slug

    if not prompt.strip():
        raise InputError('--prompt "": is empty;', 'say what the character does, such as "a tiger walking".')
    options, params = sized(options, params, resolution)
    if dry_run:
        show_plan(prompt.strip(), source, options, params)
        return
    check_request(params.prior, prompt, encoder=params.encoder, compile=params.compile)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        from stages.distill import parallel

        if parallel.launched().rank > 0:
            return follow()
    run("distill", options, params, source=source, prompt=prompt.strip(), motion=slug(prompt), files={"init": init})
    release()


def show_plan(prompt: str, source: str | None, options: Options, params: Params) -> None:
    """Print the plan of a run. Writes nothing, and needs neither an asset nor the model: what is missing is assumed or said."""
    from schemas.errors import MissingError
    from stages.distill import plan
    from stages.distill.priors.registry import check_request
    from stages.distill.stage import choose_device

    from .console import Console

    remedy = ""
    try:
        check_request(params.prior, prompt, encoder=params.encoder, compile=params.compile)
    except MissingError as error:
        remedy = str(error)
    kernels, joints, measured = _body(prompt, source, options)
    made = plan.plan(params, plan.measure(choose_device(params.device)), kernels=kernels, joints=joints)
    others = {name: plan.plan(params, gpu, kernels=kernels, joints=joints) for name, gpu in plan.GPUS.items() if made.checkpointing}
    elsewhere = {name: {"hours": other.hours["likely"], "memory_gb": other.memory_gb["used"], "fits": other.fits} for name, other in others.items()}
    data = {**dataclasses.asdict(made), "kernels": kernels, "kernels_assumed": not measured, "elsewhere": elsewhere}
    Console(options.quiet, options.json).result(data, *plan_lines(made, kernels, measured, elsewhere, remedy))


def plan_lines(made: Any, kernels: int, measured: bool, elsewhere: dict[str, Any] | None = None, remedy: str = "") -> list[str]:
    """The plan for people."""
    from .console import duration, table

    many = made.views != 1
    modes = ", ".join(f"{name.replace('+', ' + ')} {value:g}" for name, value in made.memory_gb.items() if name != "used")
    fits = "fits" if made.fits else "does not fit"
    advice = (
        ""
        if made.fits
        else "; lower --views, --frames or --height and --width"
        + (", or try --offload" if made.device["kind"] == "cuda" and made.checkpointing and not made.offload else "")
    )
    tflop = made.tflop
    parts = ", ".join(f"{name} {tflop[name]:.3g}" for name in ("render", "encode", "transformer", "backward"))
    saved = f"; encoder checkpointing {made.checkpointing}{', transformer offloaded' if made.offload else ''}" if made.checkpointing else ""
    millions = ", ".join(f"{name} {count / 1e6:.1f} M" for name, count in made.parameters.items())
    least, likely = (duration(3600 * made.hours[name]) for name in ("least", "likely"))
    others = "; ".join(
        f"{name} {duration(3600 * other['hours'])} in {other['memory_gb']:.0f} GB{'' if other['fits'] else ' (does not fit)'}"
        for name, other in (elsewhere or {}).items()
    )
    windows = f", in windows of {made.window}" if made.window < made.frames else ""
    rows = [
        ("preset", f"{made.preset}, estimator {made.estimator}"),
        ("prior", f"{made.prior} ({made.licence})"),
        ("clip", f"{made.views} view{'s' if many else ''} of {made.frames} frames, {made.height} x {made.width} px, {made.fps:g} Hz{windows}"),
        ("latent", f"{' x '.join(map(str, made.latent))} (frames, channels, height, width), {made.tokens} tokens"),
        ("parameters", millions),
        ("body", f"{kernels} kernels{'' if measured else ' (assumed: no splat yet)'}"),
        ("iteration", f"{tflop['total']:.4g} TFLOP: {parts}{saved}"),
        ("memory", f"{made.memory_gb['used']:g} GB (computed), {made.device['free_gb']:g} GB free: {fits}{advice}"),
        *([("", f"by encoder checkpointing, in GB: {modes}")] if modes else []),
        ("device", f"{made.device['name']}: {made.device['matmul_tflops']:g} TFLOP/s measured on large matrix products"),
        ("time", f"{made.iterations} iterations: at least {least}, likely about {likely}"),
        *([("elsewhere", f"likely about, from published rates: {others}")] if others else []),
    ]
    return [*table(rows), *([remedy] if remedy else [])]


def _body(prompt: str, source: str | None, options: Options) -> tuple[int, int, bool]:
    """Kernels and joints of the workspace's splat; assumed, and False, where there is none yet."""
    from schemas.errors import AkdError

    from .chain import Chain
    from .workspace import resolve

    try:
        splat = Chain(resolve(options.workspace, source, prompt)[0]).load("splat")
    except AkdError:
        return 4000, 20, False  # about what `akd splat` makes of itself
    return len(splat.means), splat.weights.shape[1], True


def make(job: Any) -> Any:
    """Run the stage, resuming what an earlier run left behind."""
    from stages.distill import checkpoint, parallel, stage

    partial = _partial(job)
    if job.force:
        checkpoint.discard(partial)
    init = _init(job)
    arguments = {"rig": job.load("rig"), "splat": job.load("splat"), "prompt": job.prompt, "params": job.params, "init": init}
    parallel.start(stage.choose_device(job.params.device)).tell(arguments)
    return stage.run(**arguments, progress=job.progress, checkpoint=partial)


def _init(job: Any) -> Any:
    """The motion to start from, kept beside the result."""
    from schemas.motion import Motion

    from .execute import KEPT

    kept, given = job.path(KEPT["init"]), job.file("init")
    if given is None:
        kept.unlink(missing_ok=True)
        return None
    motion = Motion.load(given)
    if given.resolve() != kept.resolve():
        motion.save(kept)
    return motion


def follow() -> None:
    """What every process but the first one does: the same run, on its share of the views, in silence."""
    from schemas.errors import AkdError
    from stages.distill import parallel, stage

    # which device the first one takes is in what it tells, so gloo alone comes first
    arguments = parallel.start("cpu").tell()
    try:
        if arguments is None:
            parallel.wait()
        else:
            stage.run(**arguments)
    except (AkdError, KeyboardInterrupt):
        raise SystemExit(2) from None  # the first process says why
    finally:
        parallel.stop()


def release() -> None:
    """Tell the other processes, if they still wait, that there is nothing to do, and leave them."""
    from stages.distill import parallel

    world = parallel.launched()
    if world.size > 1 and not parallel.joined():
        parallel.start("cpu").tell(None)
        parallel.wait()
    parallel.stop()


def sized(options: Options, params: Params, resolution: str) -> tuple[Options, Params]:
    """`params` with the height and width of --resolution, which count as given by hand.

    Raises:
        InputError: It is not of the form HxW, or contradicts --height or --width.
    """
    from schemas.errors import InputError
    from schemas.params import check

    if not resolution:
        return options, params
    match = re.fullmatch(r"(\d{1,5})\s*[xX*]\s*(\d{1,5})", resolution.strip())
    if not match:
        raise InputError(f"--resolution {resolution}: is not height x width;", "give it as 480x720.")
    wanted = {"height": int(match[1]), "width": int(match[2])}
    given = frozenset(wanted) if options.given is None else options.given  # what akd.toml says of them gives way
    for name, value in wanted.items():
        before = getattr(params, name)
        if name in given and before not in (None, value):
            raise InputError(f"--resolution {resolution}: contradicts --{name} {before};", "give one of them.")
    params = dataclasses.replace(params, **wanted)
    check(params)
    return dataclasses.replace(options, given=given | frozenset(wanted)), params


def write_views(job: Any, artifact: Any) -> None:
    """Write distill.glb, with the motion as its animation."""
    from schemas import gltf

    gltf.write(job.path("distill.glb"), job.load("asset"), job.load("rig"), job.load("skin").weights, artifact, name=artifact.prompt)


def clean(job: Any) -> None:
    """Remove the checkpoint: the artifact is saved."""
    from stages.distill import checkpoint

    checkpoint.discard(_partial(job))


def _partial(job: Any) -> Any:
    from stages.distill import checkpoint

    return checkpoint.partial_path(job.path("distill.h5"))
