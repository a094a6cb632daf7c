"""akd evaluate --ablation: the paper's ablation on a prior, trial by trial; what is finished is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from schemas.params import param
from stages.progress import Progress

from .console import Console, table

SCHEMA = "akd.ablation 1.0"
GAIT = "walking"
_PANEL = "Ablation and suite"
FOLDER, SEEDS, PRIOR = "runs/ablation", 3, "embedded"


def _flag(default: Any, help: str, **rules: Any) -> Any:
    field = param(default, help, **rules)
    return dataclasses.field(default=default, metadata={**field.metadata, "panel": _PANEL})


@dataclasses.dataclass(frozen=True)
class Ablation:
    """Flags of the ablation."""

    ablation: bool = _flag(False, "Run the paper's ablation instead: distil with one part of the objective left out at a time.")
    asset: list[str] | None = _flag(None, "Character or model to distil, may be given several times (default of the ablation: tiger).")
    seeds: int | None = _flag(None, "Seeds per row (default: 3 of the ablation, 1 of the suite).", low=1, high=1000)
    prior: str | None = _flag(None, "Video model, as akd distill takes it (default: embedded).")
    iterations: int | None = _flag(None, "Steps of a distillation (default: the prior's).", low=1)
    out: str | None = _flag(None, "Folder of workspaces, motions and results; run again to go on (default: runs/ablation, runs/suite).")


@dataclasses.dataclass
class Subject:
    """An asset ready to be distilled: workspace name, rig, splat, loaded prior and sentence."""

    name: str
    rig: Any
    splat: Any
    prior: Any
    prompt: str


def run(options: Ablation, console: Console) -> None:
    """Distil every asset, row and seed that is not there yet; print the paper's table beside ours and write it to `out`."""
    from schemas.atomic import write_text
    from stages.evaluate import ablation as scores

    from .workspace import locked

    options = dataclasses.replace(options, seeds=options.seeds or SEEDS, prior=options.prior or PRIOR, out=options.out or FOLDER)
    out = Path(options.out)
    with locked(out, "a folder of ablations", "--out"):
        subjects = [prepare(source, options.prior, out, console) for source in dict.fromkeys(options.asset or ["tiger"])]
        log = Log(out / "trials.jsonl")
        plan = [
            (subject, row, changes, seed)
            for subject in subjects
            for row, changes in scores.rows(subject.prior.spec.ground).items()
            for seed in range(options.seeds)
        ]
        trials = []
        with console.progress("ablation") as shown:
            progress = _Whole(shown, sum(log.find(key_of(*one, options)) is None for one in plan))
            for one in plan:
                trials.append(log.find(key_of(*one, options)) or log.add(trial(*one, options, out, progress)))
        summary = scores.summarise(trials)
        steps = max(one["iterations"] for one in trials)
        kernels = {subject.name: len(subject.splat.means) for subject in subjects}
        caption = scores.caption(options.prior, subjects[0].prior.spec.ground, steps, kernels, options.seeds)
        rows = scores.table(summary)
        write_text(out / "ablation.md", markdown(rows) + f"\n\n{caption}\n")
    data = {
        "schema": SCHEMA, "prior": options.prior, "gait": GAIT, "seeds": options.seeds, "iterations": steps, "kernels": kernels,
        "caption": caption, "videophy": scores.VIDEOPHY, "rows": summary, "trials": str(log.path), "table": str(out / "ablation.md"),
    }  # fmt: skip
    console.result(data, *table(rows), "", caption, f"  {out / 'ablation.md'}")


def prepare(source: str, prior: str, out: Path, console: Console) -> Subject:
    """Bring the workspace of an asset under `out` up to its splat, and load the prior for it."""
    from stages.distill.priors.registry import load_prior
    from stages.distill.stage import choose_device

    from .chain import Chain
    from .execute import adopt, ensure
    from .slug import asset_name
    from .workspace import resolve

    name = asset_name(source)
    workspace, adopted = resolve(str(out / name), source, write=True)
    prompt = sentence(name, prior, console)
    with workspace.locked():
        adopt(workspace, adopted)
        chain = Chain(workspace)
        for stage in ("asset", "rig", "skin", "splat"):
            ensure(chain, console, stage)
    rig, splat = chain.load("rig"), chain.load("splat")
    return Subject(name, rig, splat, load_prior(prior, device=choose_device("auto"), rig=rig, splat=splat), prompt)


def sentence(name: str, prior: str, console: Console, action: str = GAIT) -> str:
    """What is asked for: "a tiger walking", or "an animal walking" where the prior does not know the word."""
    from schemas.errors import InputError
    from stages.distill.priors.registry import check_request

    prompt = f"{'an' if name[0] in 'aeiou' else 'a'} {name.replace('-', ' ')} {action}"
    try:
        check_request(prior, prompt)
    except InputError:
        other = f"an animal {action}"
        check_request(prior, other)
        console.note(f"{prior} does not know '{prompt}': it is asked for '{other}'")
        return other
    return prompt


def params_of(changes: dict[str, Any], seed: int, options: Ablation) -> Any:
    """Parameters of a trial."""
    from stages.distill.params import Params

    return Params(prior=options.prior, iterations=options.iterations, seed=seed, preview=False, **changes)


def key_of(subject: Subject, row: str, changes: dict[str, Any], seed: int, options: Ablation) -> str:
    """Digest of all that decides a trial's result, so that one with other settings is not taken for it."""
    from schemas.params import invalidating

    spec = subject.prior.spec
    content = {
        "asset": subject.name, "row": row, "prompt": subject.prompt, "params": invalidating(params_of(changes, seed, options)),
        "rig": subject.rig.content_digest(), "splat": subject.splat.content_digest(), "prior": spec.name, "defaults": dict(spec.defaults),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def trial(subject: Subject, row: str, changes: dict[str, Any], seed: int, options: Ablation, out: Path, progress: Progress) -> dict[str, Any]:
    """Distil once and measure; the motion is kept under its key, an interrupted one goes on from its checkpoint."""
    from stages.distill import checkpoint, stage
    from stages.evaluate.ablation import scores
    from stages.evaluate.gait import analyse

    key = key_of(subject, row, changes, seed, options)
    path = out / "motions" / f"{subject.name}-{row.replace(' ', '-')}-{seed}-{key}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.partial_path(path)
    progress.note(f"{subject.name}, {row}, seed {seed}")
    began = time.process_time()
    made = stage.run(subject.rig, subject.splat, subject.prompt, params_of(changes, seed, options), progress, partial, prior=subject.prior)
    seconds = time.process_time() - began
    made.save(path)
    checkpoint.discard(partial)
    found = scores(analyse(subject.rig, made), GAIT, subject.rig.length)
    head = {"key": key, "asset": subject.name, "row": row, "seed": seed, "iterations": int(made.report["iterations"]), "seconds": round(seconds, 2)}
    return head | found | {"motion": str(path.relative_to(out))}


def markdown(rows: list[tuple[str, ...]]) -> str:
    """A table whose first row is the heading."""
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


class Log:
    """Finished trials, one JSON object a line; a line that a kill cut off is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._trials: dict[str, dict[str, Any]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
                self._trials[entry["key"]] = entry
            except (ValueError, KeyError, TypeError):
                continue

    def find(self, key: str) -> dict[str, Any] | None:
        """The trial of a key, None if it is still to do."""
        return self._trials.get(key)

    def add(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Keep a trial, on disk before it is returned."""
        import os

        with open(self.path, "a+", encoding="utf-8") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(file.tell() - 1)
                broken = file.read(1) != "\n"
                file.seek(0, os.SEEK_END)
                file.write("\n" if broken else "")
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._trials[entry["key"]] = entry
        return entry


class _Whole(Progress):
    """One bar for all trials: steps of the present one on top of those before it."""

    def __init__(self, shown: Progress, trials: int) -> None:
        self._shown, self._trials, self._done, self._steps = shown, trials, -1, 0

    def begin(self, label: str, total: int) -> None:
        self._done += 1
        self._steps = self._steps or total
        if self._done == 0:
            self._shown.begin(f"{self._trials} trials of {total} steps", self._trials * total)

    def update(self, done: int, **figures: float) -> None:
        self._shown.update(self._done * self._steps + done, **figures)

    def note(self, message: str) -> None:
        self._shown.note(message)
