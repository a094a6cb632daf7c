"""Does distillation from the built-in prior give the motion that the prompt asks for? On bodies it was not trained on.

`python -m tests.bench.prior --json [--jobs 2] [--out trials.jsonl]` runs four suites; figures come from joint motion
(stages.evaluate.gait), not from images:

main        unseen procedural bodies x walk, run, jump x seeds, as a user would prompt them
null        the same, but the prior gets the null prompt (control: the gait must not come from anywhere else)
same_speed  the same, but the start motion has one speed for all prompts (control: text, not speed, makes the gait)
validation  KhronosFox, Dog, KnightCharacter and Trex of $AKD_TEST_ASSETS x the motions they have as clips, through
            the whole pipeline, with the swing of their legs over that of the artist's clip

`--null` runs the second suite alone, `--speed V` the third at V m/s. Shares come with 95% Wilson intervals as _low, _high and _n.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import math
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

GAITS = ("walking", "running", "jumping")
KINDS = ("quadruped", "biped", "quadruped", "bird", "quadruped", "dinosaur")
"""Bodies are drawn in this order, round and round: half of them have four legs."""

MODELS = {"KhronosFox": "fox", "Dog": "dog", "KnightCharacter": "knight", "Trex": "trex"}
"""Files of the validation suite, which no training set holds, and what their prompts call them."""

CLIPS = {"walking": r"walk", "running": r"run|gallop", "jumping": r"jump", "standing": r"idle|stand|survey"}
"""Names of artists' clips for each gait; of several the shortest."""

SUITES = ("main", "validation", "null", "same_speed")
SAME_SPEED = 2.1  # between the usual speeds of walks and runs [hip heights / s]
CLIP_FPS = 30.0  # artists' clips are read at [Hz]
FIGURES = "label", "confidence", "period", "duty", "phases", "scores", "fit", "slide", "contact", "penetration", "floating", "distance", "bob", "jerk"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One prompt on one body.

    Attributes:
        suite: One of SUITES.
        subject: Seed of a procedural body, or a name of MODELS.
        kind: Of the procedural body, "" for a model.
        gait: The prompt's.
        repeat: Which of the distill seeds.
        speed: Of the start motion in m/s, None: the suite's.
        settings: JSON of distill's parameters.
        weights: Digest of the prior's files.
    """

    suite: str
    subject: str
    kind: str
    gait: str
    repeat: int
    speed: float | None
    settings: str
    weights: str

    @property
    def key(self) -> str:
        """Equal for trials that would give the same result."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@functools.cache
def prior_of(folder: Path) -> Any:
    """The prior whose files are in a folder; one a process."""
    from stages.distill.priors.embedded.prior import EmbeddedPrior

    return EmbeddedPrior(folder=folder)


def weights_folder(given: str) -> Path:
    """Where the weights are; "" is the ones that are shipped."""
    from stages.distill.priors.embedded.prior import MODEL

    return Path(given) if given else MODEL


class _Blind:
    """The prior with every prompt replaced by the null prompt."""

    def __init__(self, prior: Any) -> None:
        self._prior = prior

    def encode_prompt(self, prompt: str, negative: str = "", *, facing: str = "") -> Any:
        condition = self._prior.encode_prompt(prompt, "", facing=facing)
        return dataclasses.replace(condition, positive=condition.negative)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)


@functools.cache
def subject_of(name: str, kind: str) -> tuple[Any, Any, str]:
    """Rig and splat of a procedural body or of a model, and the prompt's noun."""
    if name in MODELS:
        return *_through_the_pipeline(_asset_path(name)), MODELS[name]
    import numpy as np

    from stages.distill.priors.embedded import bodies
    from stages.rig.axes import limits

    body = bodies.random_body(int(name), kind)
    body.rig.limits = limits(body.rig.roles, along=body.rig.tails - body.rig.positions).astype(np.float32)
    return body.rig, bodies.as_splat(body), "animal"


def _through_the_pipeline(path: Path) -> tuple[Any, Any]:
    from stages.asset.stage import run as asset_stage
    from stages.rig.stage import run as rig_stage
    from stages.skin.params import Params as SkinParams
    from stages.skin.stage import run as skin_stage
    from stages.splat.params import Params as SplatParams
    from stages.splat.stage import run as splat_stage

    asset = asset_stage(path)
    rig = rig_stage(asset)
    skin = skin_stage(asset, rig, SkinParams())
    return rig, splat_stage(asset, skin, SplatParams(device="cpu"))


def _asset_path(name: str) -> Path:
    return Path(os.environ.get("AKD_TEST_ASSETS", "")) / f"{name}.glb"


@functools.cache
def artist_clips(name: str) -> dict[str, Any]:
    """Figures of the artist's clips of a model by gait, taken off the treadmill; empty where the file has none."""
    from stages.asset.stage import run as asset_stage
    from stages.body.animation import motions
    from stages.evaluate.gait import analyse, off_treadmill
    from stages.rig.stage import run as rig_stage

    asset = asset_stage(_asset_path(name))
    rig = rig_stage(asset)
    found = motions(_asset_path(name), rig, asset, CLIP_FPS)
    chosen = choose_clips(list(found))
    return {gait: analyse(rig, off_treadmill(rig, found[clip])[0]) for gait, clip in chosen.items()}


def choose_clips(names: list[str]) -> dict[str, str]:
    """The clip of each gait that a file has, by names such as "Armature|TRex_Walk"."""
    chosen = {}
    for gait, pattern in CLIPS.items():
        fitting = [name for name in names if re.search(pattern, re.split(r"\|", name)[-1], re.IGNORECASE)]
        if fitting:
            chosen[gait] = min(fitting, key=lambda name: (len(name), name))
    return chosen


def swing(figures: dict[str, Any]) -> float:
    """Mean range of the legs' swing. [rad]"""
    ranges = [leg["range"] for leg in figures["legs"].values()]
    return sum(ranges) / len(ranges) if ranges else 0.0


def run_trial(trial: Trial, folder: Path) -> dict[str, Any]:
    """Distil one prompt on one body and measure the motion. An error that akd reports is a wrong result."""
    import torch

    from schemas.errors import AkdError
    from stages.distill.params import Params
    from stages.distill.stage import run
    from stages.evaluate.gait import analyse, phases_right
    from stages.evaluate.trajectory import hip_height

    torch.set_num_threads(1)
    rig, splat, noun = subject_of(trial.subject, trial.kind)
    prior = prior_of(folder)
    chosen = _Blind(prior) if trial.suite == "null" else prior
    settings = {"device": "cpu", **json.loads(trial.settings)}
    if trial.suite == "same_speed":
        settings["speed"] = SAME_SPEED * hip_height(rig) if trial.speed is None else trial.speed
    row: dict[str, Any] = {**dataclasses.asdict(trial), "prompt": f"{'an' if noun[0] in 'aeiou' else 'a'} {noun} {trial.gait}"}
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        motion = run(rig, splat, row["prompt"], Params(**{"seed": distill_seed(trial), **settings}), prior=chosen)
    except AkdError as error:
        return row | {"right": False, "right_family": False, "phases_right": False, "error": str(error)}
    clock = {"seconds": round(time.perf_counter() - wall, 2), "cpu_seconds": round(time.process_time() - cpu, 2)}
    figures = analyse(rig, motion)
    row |= {"gait_shown": figures["gait"], "right": shows(figures, trial), "right_family": figures["gait"] == trial.gait}
    row["phases_right"] = phases_right(figures, trial.gait)
    row |= {"legs": len(figures["legs"]), "swing": round(swing(figures), 3), **clock, **{key: figures[key] for key in FIGURES}}
    if trial.subject in MODELS:
        clip = artist_clips(trial.subject).get(trial.gait)
        row["swing_artist"] = round(swing(clip), 3) if clip else None
    return row


def shows(figures: dict[str, Any], trial: Trial) -> bool:
    """Whether a motion is what the prompt asked for.

    On four legs the prior was taught to run as a trot: there nothing else will do, as a gallop allows so many phases that
    legs in random order often pass for one. On models an artist's run may be a canter or a gallop, so the family decides.
    """
    if trial.gait == "running" and trial.subject not in MODELS and len(figures["legs"]) == 4:
        return figures["label"] == "trotting"
    return figures["gait"] == trial.gait


def distill_seed(trial: Trial) -> int:
    """Another seed for every subject and repeat, the same for all prompts of one."""
    digest = hashlib.sha256(f"{trial.subject} {trial.repeat}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 1_000_000


def plan(options: argparse.Namespace, weights: str) -> Iterator[Trial]:
    """All trials of the chosen suites, those that decide first."""
    settings = dict(entry.split("=", 1) for entry in options.set)
    text = json.dumps({name: json.loads(value) for name, value in settings.items()}, sort_keys=True)
    bodies = [(str(options.first + index), options.kind or KINDS[index % len(KINDS)]) for index in range(options.bodies)]
    for suite in SUITES:
        if suite not in options.suites:
            continue
        subjects = [(model, "") for model in MODELS if _asset_path(model).is_file()] if suite == "validation" else bodies
        seeds = options.seeds if suite in ("main", "validation") else options.control_seeds
        for repeat in range(seeds):
            for subject, kind in subjects:
                for gait in _gaits(subject, options.gaits) if suite == "validation" else options.gaits:
                    yield Trial(suite, subject, kind, gait, repeat, options.speed if suite == "same_speed" else None, text, weights)


def _gaits(model: str, wanted: list[str]) -> list[str]:
    """What a model is prompted with: the motions it has as clips, else those that all can do."""
    clips = artist_clips(model)
    return [gait for gait in (*GAITS, "standing") if gait in clips and (gait in wanted or wanted == list(GAITS))] or ["walking", "running"]


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95% confidence interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927). [0..1]"""
    if not count:
        return 0.0, 1.0
    share, square = right / count, z * z / count
    middle = (share + 0.5 * square) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def share(name: str, rows: Iterable[dict[str, Any]], column: str = "right") -> dict[str, float | int | None]:
    """A share of trials with its interval: NAME, NAME_low, NAME_high, NAME_n. Without trials the share is None."""
    values = [bool(row[column]) for row in rows]
    low, high = wilson(sum(values), len(values))
    mean = round(sum(values) / len(values), 3) if values else None
    return {name: mean, f"{name}_low": round(low, 3), f"{name}_high": round(high, 3), f"{name}_n": len(values)}


def median(values: Iterable[float]) -> float | None:
    """The middle value, None of none."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return None
    return round(ordered[middle] if len(ordered) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle]), 3)


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All trials in one flat object."""
    suites: dict[str, list[dict[str, Any]]] = {suite: [row for row in rows if row["suite"] == suite] for suite in SUITES}
    main = [row for row in suites["main"] if row["gait"] != "standing"]
    walks = [row for row in main if row["gait"] == "walking"]
    measured = [row for row in rows if "error" not in row]
    swings = [row["swing"] / row["swing_artist"] for row in suites["validation"] if row.get("swing_artist") and row["gait"] != "standing" and "swing" in row]
    moving = [row for row in main if row.get("contact", 0) > 0]
    result: dict[str, Any] = {
        **share("gait_accuracy", main),
        **share("gait_accuracy_family", main, "right_family"),
        **share("walks_all_phases_right", walks, "phases_right"),
        **share("walks_all_phases_right_four_legs", [row for row in walks if row.get("legs") == 4], "phases_right"),
        **share("gait_accuracy_null", suites["null"]),
        **share("gait_accuracy_same_speed", suites["same_speed"]),
        **share("validation_accuracy", suites["validation"]),
        **share("validation_accuracy_moving", [row for row in suites["validation"] if row["gait"] != "standing"]),
        "swing_ratio_median": median(swings),
        "foot_slide_ratio": median(row["slide"] for row in moving),
        "seconds_per_motion": median(row["seconds"] for row in measured),
        "cpu_seconds_per_motion": median(row["cpu_seconds"] for row in measured),
        "trials": len(rows),
        "failed": len(rows) - len(measured),
    }
    for column in ("gait", "kind"):
        for value in dict.fromkeys(row[column] for row in main):
            result |= share(f"gait_accuracy_{value}", [row for row in main if row[column] == value])
    return result


def weights_digest(folder: Path) -> str:
    """Of the weights' files, to tell trials of different weights apart."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        sys.exit(f"{folder}: holds no weights; train the prior, or name their folder by --weights")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def weights_mb(folder: Path) -> float:
    """Size of the weights' files. [MB]"""
    return round(sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e6, 2)


def run_all(trials: list[Trial], folder: Path, jobs: int, out: Path | None) -> list[dict[str, Any]]:
    """Rows of all trials; those that `out` already holds are taken from there, new ones are appended to it."""
    known = read_rows(out)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and not out.read_bytes().endswith(b"\n"):
            with out.open("a") as stream:
                stream.write("\n")  # ends a line that was cut off
    rows = [known[trial.key] for trial in trials if trial.key in known]
    todo = [trial for trial in trials if trial.key not in known]
    print(f"{len(rows)} trials known, {len(todo)} to do", file=sys.stderr)
    for row in _results(todo, folder, jobs):
        rows.append(row)
        line = json.dumps(row)
        print(line, file=sys.stderr, flush=True)
        if out is not None and "error" not in row:
            with out.open("a") as stream:
                stream.write(line + "\n")
    return rows


def _results(trials: list[Trial], folder: Path, jobs: int) -> Iterator[dict[str, Any]]:
    if jobs <= 1:
        yield from (run_trial(trial, folder) for trial in trials)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run_trial, trial, folder) for trial in trials]):
            yield future.result()


def read_rows(path: Path | None) -> dict[str, dict[str, Any]]:
    """Rows of an earlier run by their trial's key; a last line that was cut off is left out."""
    rows = {}
    if path is not None and path.is_file():
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
                trial = Trial(**{field.name: row[field.name] for field in dataclasses.fields(Trial)})
            except (ValueError, KeyError):
                continue
            rows[trial.key] = row
    return rows


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bodies", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3, help="distill seeds per body and prompt")
    parser.add_argument("--control-seeds", type=int, default=1, help="the same for the null and same_speed suites")
    parser.add_argument("--first", type=int, default=400010, help="seed of the first body; from 100000 on they are held out")
    parser.add_argument("--kind", default=None, help="bodies of one kind only")
    parser.add_argument("--gaits", default=",".join(GAITS), help="prompts, by commas")
    parser.add_argument("--suites", default=None, help=f"by commas, of {', '.join(SUITES)}")
    parser.add_argument("--null", action="store_true", help="the null suite alone: the prior is not told the gait")
    parser.add_argument("--speed", type=float, default=None, help="the same_speed suite alone, at this speed of the start motion [m/s]")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of distill")
    parser.add_argument("--weights", default="", metavar="DIR", help="weights in place of the shipped ones")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE.jsonl", help="append trials here, and skip those that are there")
    parser.add_argument("--json", action="store_true", help="one flat object on the last line of stdout, also without this")
    options = parser.parse_args(arguments)
    alone = ["null"] * options.null + ["same_speed"] * (options.speed is not None)
    options.suites = options.suites.split(",") if options.suites else alone or list(SUITES)
    options.gaits = options.gaits.split(",")
    unknown = set(options.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    return options


def main() -> None:
    """The command."""
    options = parse()
    folder = weights_folder(options.weights)
    trials = list(plan(options, weights_digest(folder)))
    if "validation" in options.suites and not any(trial.suite == "validation" for trial in trials):
        print("no model of the validation suite found: set AKD_TEST_ASSETS to their folder", file=sys.stderr)
    rows = run_all(trials, folder, options.jobs, options.out)
    print(json.dumps(totals(rows) | {"weights_mb": weights_mb(folder)}))


if __name__ == "__main__":
    main()
