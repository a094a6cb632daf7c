"""akd prior: the built-in video model: train it, look at it, see what it samples."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from stages.distill.priors.embedded.plan import Plan

from .flags import option
from .options import ReadOptions

HELP = "The built-in video model: train it, show what it knows, sample clips of it."
EXAMPLES = {
    "train": ("akd prior train --out runs/prior --minutes 60", "akd prior train --out runs/prior2 --from shipped --clips path/to/models --steps 4000"),
    "show": ("akd prior show", "akd prior show runs/prior/weights --json"),
    "sample": (
        'akd prior sample --prompt "an animal running" --out sheet.png',
        'akd prior sample --prompt "a tiger walking" --workspace runs/tiger --prior runs/prior/weights --out sheet.png',
    ),
}
SHIPPED = "embedded"

Out = Annotated[Path, typer.Option("--out", help="Folder of the run: films, checkpoint, log, pictures, weights.", show_default=False)]
Asset = Annotated[
    str | None, typer.Option("--workspace", "-w", help="Show the asset of this workspace instead of procedural bodies.", show_default=False, metavar="FOLDER")
]
Folder = Annotated[str, typer.Argument(help="Folder of weights (default: those that came with akd).", show_default=False)]


@dataclasses.dataclass(frozen=True)
class SampleOptions:
    """What to sample, and where to show it."""

    prior: str = option(SHIPPED, "Whose clips: embedded, or a folder of weights.")
    bodies: str = option("100000,100001,100004", "Seeds of procedural bodies; training uses those below 100000.")
    guidance_scale: float = option(1.0, "Classifier-free guidance scale; 1 is none.", low=0)
    steps: int = option(20, "Denoising steps.", low=1)
    seed: int = option(0, "Seed of noise and cameras.", low=0)
    device: str = option("auto", "Where to compute.", choices=("auto", "cpu", "cuda"))


def train(out: Out, plan: Plan = Plan(), options: ReadOptions = ReadOptions()) -> None:  # noqa: B008 (frozen)
    """Train the built-in video model on clips that this command films itself.

    It films procedural animals (kept in films/ of the folder), fits the codec, and trains with checkpoints, a log with the
    validation per noise level, a sample sheet and a loss curve. Interrupted, it goes on where it stopped: call it again
    with the same folder. The result is the folder weights/, for akd distill --prior.
    """
    from .console import Console, duration
    from .workspace import locked

    console = Console(options.quiet, options.json)
    with locked(out, "a folder for a run", "--out"), console.progress("prior") as progress:
        from stages.distill.priors.embedded import fit

        outcome = fit.run(out, plan, progress, load=_load)
    levels = ", ".join(f"{value:.3f} at {level:g}" for level, value in outcome.unexplained.items())
    data = {
        "weights": str(outcome.weights), "steps": outcome.steps, "seconds": round(outcome.seconds, 1), "clips": outcome.clips,
        "unexplained_variance": {f"{level:g}": value for level, value in outcome.unexplained.items()}, "pictures": [str(p) for p in outcome.pictures],
    }  # fmt: skip
    lines = [f"prior: {outcome.steps} steps on {outcome.clips} clips in {duration(outcome.seconds)}"]
    lines += [f"  unexplained variance by noise level: {levels}", *(f"  {path}" for path in (outcome.weights, *outcome.pictures))]
    console.result(data, *lines)


def show(folder: Folder = "", options: ReadOptions = ReadOptions()) -> None:  # noqa: B008 (frozen)
    """Show what a video model of ours is: size, training, what it knows, licences; its files are checked."""
    from stages.distill.priors.embedded import files, text

    from .console import Console, duration

    place = Path(folder).expanduser() if folder else files.MODEL
    card, _, _ = files.load(place)
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6
    knows, artists = card.get("motions", {}), card.get("data", {}).get("artists", {})
    words = {motion: [word for word, meant in text.MOTION_OF.items() if meant == motion] or [motion] for motion in knows or text.MOTIONS}
    bodies = {kind: [word for word, meant in text.BODIES.items() if meant == kind] for kind in dict.fromkeys(text.BODIES.values())}
    rows = [
        ("what", str(card.get("what", ""))),
        ("size", f"{card.get('parameters', 0) / 1e6:.1f} M parameters, {size:.1f} MB"),
        ("network", ", ".join(f"{name} {value}" for name, value in card["model"].items())),
        ("training", _training(card.get("training", {}), duration)),
        ("continued", _training(card.get("continued_from", {}).get("training", {}), duration)),
        ("trained", f"{card.get('trained', 'unknown')} on {card.get('machine', 'unknown')}"),
        ("unexplained", ", ".join(f"{value:.3f} at {level}" for level, value in card.get("unexplained_variance", {}).items())),
        ("data", _sources(card.get("data", {}))),
        ("licence", str(card.get("licence", "unknown"))),
        *((name, f"{entry['licence']}: {', '.join(entry['clips'])}") for name, entry in artists.items()),
        ("sha256", f"{len(card['sha256'])} files agree with the card"),
        *((motion, (f"{knows[motion]} clips: " if motion in knows else "") + ", ".join(few)) for motion, few in words.items()),
        *((kind, ", ".join(few)) for kind, few in bodies.items()),
    ]
    found = {"folder": str(place), "megabytes": round(size, 2), "intact": True, "card": card, "words": words, "bodies": bodies}
    Console(options.quiet, options.json).result(found, f"{place}: {card.get('name', 'unknown')}", *_wrapped([row for row in rows if row[1]]))


def _wrapped(rows: list[tuple[str, str]]) -> list[str]:
    """Names and what is said of them, in lines of readable length."""
    indent = max(len(name) for name, _ in rows) + 2
    return [line for name, words in rows for line in textwrap.wrap(words, 110, initial_indent=name.ljust(indent), subsequent_indent=" " * indent)]


def sample(
    out: Annotated[Path, typer.Option("--out", help="PNG to write.", show_default=False)],
    prompt: Annotated[str, typer.Option("--prompt", "-p", help='What it does, such as "a tiger walking".', show_default=False)],
    workspace: Asset = None,
    which: SampleOptions = SampleOptions(),  # noqa: B008 (frozen)
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
) -> None:
    """Sample clips from noise and show them beside their reference: what the model believes.

    With --workspace it shows that asset from both sides, else procedural bodies.
    """
    from schemas.errors import InputError
    from stages.distill.priors import registry
    from stages.distill.priors.embedded import sheets
    from stages.distill.stage import choose_device

    from .console import Console

    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: a .png is written;", "name one, such as sheet.png.")
    if registry.own_folder(which.prior) is None:
        raise InputError(f"--prior {which.prior}: is no folder of weights of the built-in model;", "give one that akd prior train wrote.")
    registry.check_request(which.prior, prompt)
    bodies = _asset(workspace) if workspace else _bodies(which.bodies)
    prior: Any = registry.load_prior(which.prior, device=choose_device(which.device))
    rows = sheets.prompted(prompt, bodies, prior.net.config.scene(), which.seed)
    clips = sheets.samples(prior, rows, steps=which.steps, guidance_scale=which.guidance_scale, seed=which.seed)
    sheets.save_samples(out, rows, clips, f'"{prompt}", guidance {which.guidance_scale:g}, {which.steps} steps')
    Console(options.quiet, options.json).result({"output": str(out), "clips": [row.caption for row in rows]}, f"prior: {len(rows)} clips", f"  {out}")


def _asset(workspace: str) -> list[tuple[str, Any]]:
    """The workspace's asset as a body."""
    from stages.distill.priors.embedded import sheets

    from .chain import Chain
    from .workspace import resolve

    found, _ = resolve(workspace)
    chain = Chain(found)
    rig = chain.load("rig")
    return [(rig.name, sheets.body_of(rig, chain.load("splat")))]


def _bodies(seeds: str) -> list[tuple[str, Any]]:
    """Procedural bodies by their seeds."""
    from schemas.errors import InputError
    from stages.distill.priors.embedded.bodies import random_body

    try:
        numbers = [int(seed) for seed in seeds.split(",")]
        if min(numbers) < 0:
            raise ValueError
    except ValueError:
        raise InputError(f"--bodies {seeds}: are seeds separated by commas;", "such as 100000,100001.") from None
    made = [random_body(number) for number in numbers]
    return [(f"{body.kind} {number}", body) for number, body in zip(numbers, made, strict=True)]


def _load(path: Path) -> Any:
    """An animated file as asset and rig."""
    from stages.asset import stage as asset_stage
    from stages.rig import stage as rig_stage
    from stages.rig.params import Params as RigParams

    asset = asset_stage.run(path)
    return asset, rig_stage.run(asset, RigParams(template="file"))


def _training(training: dict[str, Any], duration: Any) -> str:
    if "steps_done" not in training:
        return ""
    long = f"{training['steps_done']} steps of {training['batch']} clips in {duration(training['seconds'])}"
    return f"{long}, from {training['clips']} clips, seed {training['seed']}"


def _sources(data: dict[str, Any]) -> str:
    if "procedural" not in data:
        return ""
    artists = sum(entry["takes"] for entry in data["artists"].values())
    return f"{data['procedural']} clips of procedural bodies" + (f", {artists} of {len(data['artists'])} files that artists animated" if artists else "")


COMMANDS = (train, show, sample)
