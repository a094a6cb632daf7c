"""akd evaluate --suite: the whole pipeline on assets x prompts x seeds, one table, one gallery; what is done is kept."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import tomllib
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from schemas.params import param

from .console import Console, duration

SCHEMA = "akd.suite 1.0"
FOLDER = Path("runs/suite")
ASSETS, PROMPTS = "tiger, horse, dog, human", "walking, running"
STAGES = ("asset", "rig", "skin", "splat", "distill", "track", "render")
_KEYS = {"assets": list, "prompts": list, "seeds": int, "prior": str, "iterations": int, "out": str}
_PANEL = "Suite"


def _flag(default: Any, help: str, **rules: Any) -> Any:
    field = param(default, help, **rules)
    return dataclasses.field(default=default, metadata={**field.metadata, "panel": _PANEL})


@dataclasses.dataclass(frozen=True)
class Suite:
    """Flags of the suite; seeds, prior, iterations and out are shared with the ablation."""

    suite: bool = _flag(False, "Run all stages on assets x prompts x seeds; write one table and one gallery. FILE may be a .toml that describes them.")
    assets: str | None = _flag(None, f"Built-in characters and model files, separated by commas (default: {ASSETS}).", unit="A,B")
    prompts: str | None = _flag(None, f"What each does, or whole sentences, separated by commas (default: {PROMPTS}).", unit="A,B")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a suite runs.

    Attributes:
        assets: Built-in names and paths.
        prompts: Actions ("walking") or sentences ("a tiger sneaking"); "{asset}" stands for the asset's name.
        seeds: How many, from 0 on.
        prior: Video model.
        out: Folder of workspaces, table and gallery.
        params: Parameters of stages given by hand, by stage.
    """

    assets: tuple[str, ...]
    prompts: tuple[str, ...]
    seeds: int
    prior: str
    out: Path
    params: dict[str, dict[str, Any]]


class Entry(NamedTuple):
    """One motion of a suite; `prompt` as the plan has it."""

    source: str
    prompt: str
    seed: int


class Mishap(Exception):
    """A stage of an entry that did not work, and why."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(reason)
        self.stage, self.reason = stage, reason


def run(file: str | None, flags: Suite, shared: Any, videophy: str, console: Console) -> None:
    """Run every entry that is not done yet; after each, the table and the gallery are written anew.

    Raises:
        InputError: The description of the suite is wrong. What goes wrong in an entry is shown in the table instead.
    """
    from stages.evaluate import suite as scores

    from .gallery import Gallery
    from .videophy import Judge
    from .workspace import locked

    plan = plan_of(file, flags, shared)
    judge = Judge(videophy) if videophy else None
    with locked(plan.out, "a folder of suites", "--out"):
        entries = [Entry(*one) for one in _product(plan)]
        results = [{**_head(entry), "status": scores.WAITING} for entry in entries]
        gallery = Gallery(plan.out)
        for count, entry in enumerate(entries):
            console.note(f"[{count + 1}/{len(entries)}] {results[count]['asset']}: {entry.prompt}, seed {entry.seed}")
            results[count] = attempt(entry, plan, console, judge)
            if results[count]["status"] == scores.FAILED:
                console.note(f"[{count + 1}/{len(entries)}] failed at {results[count]['stage']}: {results[count]['reason']}; going on")
            files = write(plan, results, gallery)
    found, rows = scores.summary(results), scores.table(results)
    data = {
        "schema": SCHEMA, "prior": plan.prior, "seeds": plan.seeds, "params": plan.params, "summary": found, "results": results,
        "files": [str(path) for path in files],
    }  # fmt: skip
    seconds = sum(sum(result.get("seconds", {}).values()) for result in results)
    closing = scores.sentence(found) + (f" Distilling and tracking took {duration(seconds)} in all." if seconds else "")
    console.result(data, scores.markdown(rows), "", closing, *(f"  {path}" for path in files))


def plan_of(file: str | None, flags: Suite, shared: Any) -> Plan:
    """The suite that a .toml file and the flags describe; flags win.

    Raises:
        InputError: A key, a value or a parameter that is none. MissingError: No such file.
    """
    from schemas.errors import InputError

    told = read(Path(file)) if file else {}
    assets = _parts(flags.assets) + list(shared.asset or []) or told.get("assets") or _parts(ASSETS)
    prompts = _parts(flags.prompts) or told.get("prompts") or _parts(PROMPTS)
    prior = shared.prior or told.get("prior") or "embedded"
    seeds = shared.seeds or told.get("seeds") or 1
    iterations = shared.iterations or told.get("iterations")
    out = Path(shared.out or told.get("out") or FOLDER)
    params = {stage: dict(told[stage]) for stage in STAGES if stage in told}
    params["distill"] = params.get("distill", {}) | {"prior": prior} | ({"iterations": iterations} if iterations else {})
    plan = Plan(tuple(dict.fromkeys(assets)), tuple(dict.fromkeys(prompts)), int(seeds), prior, out, params)
    if not 1 <= plan.seeds <= 1000:
        raise InputError(f"{file}: seeds = {plan.seeds}: must be between 1 and 1000.")
    for stage in STAGES:
        params_of(plan, stage)
    return plan


def read(path: Path) -> dict[str, Any]:
    """A suite's .toml file, its keys and types checked.

    Raises:
        InputError, MissingError
    """
    from schemas.errors import InputError, MissingError

    if path.suffix != ".toml":
        raise InputError(f"{path}: --suite takes a .toml file;", "or give --assets and --prompts.")
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingError(f"{path}: no such file;", "check the name.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error});", "see docs/suite.md for what it holds.") from error
    for key, entry in told.items():
        kind = dict if key in STAGES else _KEYS.get(key)
        if kind is None:
            raise InputError(f"{path}: there is no key '{key}';", f"known are {', '.join([*_KEYS, *STAGES])}.")
        if not isinstance(entry, kind) or isinstance(entry, bool) or (kind is list and not (entry and all(isinstance(one, str) for one in entry))):
            wanted = {list: "a list of texts", dict: "a table of parameters", int: "a whole number", str: "a text"}[kind]
            raise InputError(f"{path}: {key} = {entry!r}: {wanted} is needed here.")
    return told


def params_of(plan: Plan, stage: str, **changes: Any) -> Any:
    """The parameters of a stage.

    Raises:
        InputError: The plan names one that the stage does not have, or a value beyond its bounds.
    """
    from schemas.errors import InputError
    from schemas.params import check

    kind = importlib.import_module(f"stages.{stage}.params").Params
    known = {field.name for field in dataclasses.fields(kind)}
    given = {name.replace("-", "_"): entry for name, entry in plan.params.get(stage, {}).items()} | changes
    for name in given:
        if name not in known:
            raise InputError(f"[{stage}] {name}: there is no such parameter;", f"see akd {stage} --help.")
    made = kind(**given)
    try:
        check(made)
    except TypeError as error:
        raise InputError(f"[{stage}]: a value has the wrong type ({error}).") from error
    return made


def attempt(entry: Entry, plan: Plan, console: Console, judge: Any = None) -> dict[str, Any]:
    """Run one entry, and have its film rated by `judge`; what goes wrong becomes its reason. Only an interrupt gets through."""
    from schemas.errors import AkdError
    from stages.evaluate import suite as scores

    result = _head(entry)
    try:
        return result | _carry(entry, plan, console, judge) | {"status": scores.DONE}
    except Mishap as error:
        return result | {"status": scores.FAILED, "stage": error.stage, "reason": error.reason}
    except AkdError as error:
        return result | {"status": scores.FAILED, "stage": "suite", "reason": " ".join(str(error).split())}


def _carry(entry: Entry, plan: Plan, console: Console, judge: Any) -> dict[str, Any]:
    """All stages of one entry, as the commands of `make all` do them, and what is measured."""
    from .ablation import sentence
    from .chain import Chain
    from .execute import Job, adopt, carry_out
    from .slug import asset_name, slug
    from .workspace import Workspace

    name = asset_name(entry.source)
    with _stage("asset"):
        workspace, adopted = Workspace(plan.out / name), origin(entry.source)
    with _stage("distill"):
        prompt = whole(entry.prompt, name) or sentence(name, plan.prior, console, entry.prompt)
        _allowed(plan, prompt)
    motion = slug(prompt) if entry.seed == 0 else slug(f"{slug(prompt)} seed {entry.seed}")
    with workspace.locked():
        with _stage("asset"):
            adopt(workspace, adopted)
        chain = Chain(workspace)
        for stage in STAGES:
            place = motion if stage in ("distill", "track", "render") else ""
            changes = {"seed": entry.seed} if stage == "distill" else {}
            settings = chain.config.settings(stage, params_of(plan, stage, **changes))
            job = Job(chain, place, settings, workspace.notes.get("source", ""), prompt)
            with _stage(stage):
                carry_out(stage, job, console)
        with _stage("render"):
            page = _page(job)
        workspace.remember(motion=motion)
        with _stage("evaluate"):
            found = {"prompt": prompt, "folder": str(page.parent.relative_to(plan.out)), **_measure(chain, motion, prompt)}
            return found | ({"videophy": judge.motion(chain, chain.load("track", motion))} if judge else {})


def _allowed(plan: Plan, prompt: str) -> None:
    from stages.distill.priors.registry import check_request

    params = params_of(plan, "distill")
    check_request(plan.prior, prompt, encoder=params.encoder, compile=params.compile)


def _page(job: Any) -> Path:
    """The motion's page, written where it is missing or older than what it shows."""
    from .page import NAME
    from .render import export_as

    page = job.path("render.mp4").with_name(NAME)
    sources = [job.path(name) for name in ("render.json", "track.h5", "distill.h5")]
    if not page.exists() or page.stat().st_mtime_ns < max(path.stat().st_mtime_ns for path in sources):
        export_as(job)
    return page


def _measure(chain: Any, motion: str, prompt: str) -> dict[str, Any]:
    """Figures of both motions of an entry, whether the gait asked for is seen, what the runs took, whether the body could follow."""
    from stages.evaluate.gait import analyse
    from stages.evaluate.suite import asked, seen

    from .evaluate import mesh_of

    rig, mesh = chain.load("rig"), mesh_of(chain)
    made = {stage: chain.load(stage, motion) for stage in ("distill", "track")}
    figures = {stage: analyse(rig, one, mesh) for stage, one in made.items()}
    report, gait = made["track"].report, asked(prompt)
    return {
        "asked": gait, "right": seen(figures["track"], gait), "right_distilled": seen(figures["distill"], gait),
        "tracking": f"failed: {report.get('reason', '')}" if report.get("failed") else "ok",
        "seconds": {stage: round(one.header.seconds, 2) for stage, one in made.items()}, "figures": figures,
    }  # fmt: skip


def write(plan: Plan, results: list[dict[str, Any]], gallery: Any) -> list[Path]:
    """Write suite.csv, suite.json, suite.md and index.html into the suite's folder."""
    from schemas.atomic import write_text
    from stages.evaluate import suite as scores

    found = scores.summary(results)
    content = {"schema": SCHEMA, "prior": plan.prior, "seeds": plan.seeds, "params": plan.params, "summary": found, "results": results}
    texts = {
        "suite.csv": scores.csv_text(results),
        "suite.json": json.dumps(content, indent=1) + "\n",
        "suite.md": scores.markdown(scores.table(results)) + f"\n\n{scores.sentence(found)}\n",
        "index.html": gallery.page(results, f"Prior {plan.prior}, {plan.seeds} seed{'s' if plan.seeds > 1 else ''}, {len(plan.assets)} assets"),
    }
    for name, text in texts.items():
        write_text(plan.out / name, text)
    return [plan.out / name for name in reversed(texts)]


def origin(source: str) -> str:
    """A built-in character's name, or the absolute path of a model file.

    Raises:
        MissingError: Neither.
    """
    from schemas.errors import MissingError
    from stages.asset import library

    if source.strip().lower() in library.NAMES:  # even where a folder of that name lies about
        return source.strip().lower()
    if not Path(source).is_file():
        raise MissingError(f"{source}: no such file, nor a built-in character ({', '.join(library.NAMES)});", "check the name.")
    return str(Path(source).resolve())


def whole(prompt: str, name: str) -> str:
    """The sentence that a prompt is on its own, with the asset's name put in; "" where it is only what the asset does."""
    named = prompt.replace("{asset}", name.replace("-", " "))
    return " ".join(named.split()) if named != prompt or re.match(r"(a|an|the|two|some)\s", prompt, re.IGNORECASE) else ""


class _stage:
    """Turns what a stage raises into a `Mishap` of that stage; bugs too, with a traceback on stderr, for the others go on."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        from schemas.errors import AkdError

        if isinstance(error, AkdError):
            raise Mishap(self.name, " ".join(str(error).split())) from error
        if isinstance(error, Exception) and not isinstance(error, Mishap):
            traceback.print_exception(error)
            raise Mishap(self.name, f"{type(error).__name__}: {' '.join(str(error).split())}") from error


def _product(plan: Plan) -> list[tuple[str, str, int]]:
    return [(source, prompt, seed) for source in plan.assets for prompt in plan.prompts for seed in range(plan.seeds)]


def _head(entry: Entry) -> dict[str, Any]:
    from stages.evaluate.suite import asked

    from .slug import asset_name

    return {"asset": asset_name(entry.source), "source": entry.source, "prompt": entry.prompt, "seed": entry.seed, "asked": asked(entry.prompt)}


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
