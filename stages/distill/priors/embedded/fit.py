"""A whole training run of the built-in prior in one folder: films, codec, network, pictures, weights. `akd prior train` is the command."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from schemas.atomic import write_text
from schemas.errors import InputError, MissingError, SchemaError, StorageError
from stages.progress import SILENT, Progress

from . import data, files, films, sheets, text
from .latent import Codec
from .model import Denoiser, ModelConfig
from .plan import CHECKPOINT, RECORD, Plan, recorded, settle
from .train import LEVELS, TrainConfig, Trainer, train

WEIGHTS, CODEC, LOG, SHEET, CURVE = "weights", "codec.pt", "log.csv", "sheet.png", "curve.png"
HEAD = 48
"""Width of an attention head where the width of the network is given."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run left.

    Attributes:
        weights: Folder for `EmbeddedPrior` and `akd distill --prior`.
        steps: Done in all.
        seconds: Of training in all.
        clips: Learnt from.
        unexplained: Share of the held-out clips' variance by noise level.
        pictures: Sample sheet and loss curve.
    """

    weights: Path
    steps: int
    seconds: float
    clips: int
    unexplained: dict[float, float]
    pictures: list[Path]


@dataclasses.dataclass(frozen=True)
class Start:
    """What the network begins with.

    Attributes:
        config: Its size.
        codec, net: Of the weights to go on from, None for a new one.
        origin: Entry of the card.
    """

    config: ModelConfig
    codec: Codec | None = None
    net: Denoiser | None = None
    origin: dict[str, Any] = dataclasses.field(default_factory=dict)


def run(out: Path, plan: Plan, progress: Progress = SILENT, *, load: films.Load | None = None, model: ModelConfig | None = None) -> Outcome:
    """Train in a folder, going on where a run in it stopped.

    A run over a number of steps gives the same weights bit for bit, stopped or not, on one machine.

    Parameters:
        out: Gets films/, codec.pt, checkpoint.pt, log.csv, sheet.png, curve.png and weights/.
        load: Imports an animated file, see `films.prepare`.
        model: The network instead of that of the plan.

    Raises:
        InputError: The plan contradicts the run in the folder, does not fit in memory, or names unusable clips.
        MissingError: Weights or a device are not there. SchemaError: Weights or a checkpoint are damaged or of another model.
        StorageError: The folder cannot be written. KeyboardInterrupt: Stopped by a signal; the state is saved.
    """
    out = Path(out)
    with _storage(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        device = _device(plan.device)
        known = recorded(out)
        plan = settle(out, plan)
        begin = _start(plan, known, model)
        where, artists = out / films.FOLDER, plan.clips or ""
        library = films.prepare(where, begin.config, plan.chunks or 1, artists, load, plan.processes, progress, resumed=bool(known))
        codec = _codec(out, begin, library, resumed=bool(known))
        latents = films.latents(library, begin.config, codec, progress)
        with _threads(plan.threads):
            trainer = _trainer(begin, plan, latents, device)
            _resume(trainer, out, progress)
            _record(out, plan, begin, codec)
            show = _Pictures(trainer, codec, out, plan.sheet_every)
            _train(trainer, out, plan, show, progress)
            return _finish(trainer, codec, out, show, _about(begin, library, latents))


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingError("--device cuda: torch sees no CUDA device;", "use --device cpu.")
    return name


def _start(plan: Plan, known: dict[str, Any], model: ModelConfig | None) -> Start:
    """The network of the run in the folder, of the weights to go on from, or a new one."""
    if known:
        try:
            return Start(ModelConfig(**known["model"]), origin=known["origin"])
        except (KeyError, TypeError) as error:
            raise SchemaError(f"{RECORD}: does not describe a network ({error});", "choose another --out, or delete the folder to begin anew.") from error
    if plan.start:
        folder = files.MODEL if plan.start == "shipped" else Path(plan.start)
        if not (folder / "card.json").is_file():
            raise MissingError(f"--from {plan.start}: {folder} has no card.json;", "give the folder weights/ of an earlier run.")
        about, codec, net = files.load(folder)
        digests = sorted(about["sha256"].items())
        origin = {"sha256": hashlib.sha256(json.dumps(digests).encode()).hexdigest()}
        origin |= {name: about[name] for name in ("training", "motions", "data", "continued_from") if about.get(name)}
        return Start(net.config, codec, net, origin)
    given = {name: getattr(plan, name) for name in ("channels", "width", "layers") if getattr(plan, name) is not None}
    if "width" in given:
        given["heads"] = given["width"] // HEAD
    return Start(dataclasses.replace(model or ModelConfig(), **given))


def _codec(out: Path, begin: Start, library: films.Library, *, resumed: bool) -> Codec:
    """The codec of the run: kept, of the weights to go on from, or fitted; as it will be shipped, in half precision."""
    codec = begin.config.codec()
    if resumed:
        codec.load_state_dict(_load(out / CODEC, "cpu"))
        return codec
    codec = begin.codec or data.fit_codec(begin.config, films.first(library))
    codec.load_state_dict({name: tensor.half().float() for name, tensor in codec.state_dict().items()})
    return codec


def _trainer(begin: Start, plan: Plan, latents: data.Latents, device: str) -> Trainer:
    config = TrainConfig(batch=plan.batch or 16, seed=plan.seed or 0, minutes=plan.minutes or 0.0, steps=plan.steps or 0)
    trainer = Trainer(begin.config, config, latents, device=device)
    if begin.net is not None:
        trainer.net.load_state_dict(begin.net.state_dict())
        trainer.average.load_state_dict(begin.net.state_dict())
    return trainer


def _resume(trainer: Trainer, out: Path, progress: Progress) -> None:
    """Take up the checkpoint if there is one, and cut the log back to it.

    Raises:
        SchemaError: It is damaged, or of another network.
    """
    path = out / CHECKPOINT
    if not path.exists():
        (out / LOG).unlink(missing_ok=True)
        return
    state = _load(path, str(trainer.device))
    model = dataclasses.asdict(trainer.net.config)
    different = [f"{name} {state.get('model', {}).get(name)} instead of {value}" for name, value in model.items() if state.get("model", {}).get(name) != value]
    if different:
        raise SchemaError(f"{path}: is of another network ({', '.join(different)});", "choose another --out, or delete the file to begin anew.")
    try:
        trainer.load(path)
    except (KeyError, RuntimeError, ValueError) as error:
        raise SchemaError(f"{path}: does not fit the network ({str(error).splitlines()[0]});", "delete the file to begin anew.") from error
    if (out / LOG).exists():
        head, *lines = (out / LOG).read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.split(",")[0].isdigit() and int(line.split(",")[0]) <= trainer.step]
        write_text(out / LOG, "\n".join([head, *kept]) + "\n")
    progress.note(f"going on after step {trainer.step} ({path})")


def _load(path: Path, device: str) -> dict[str, Any]:
    try:
        state = torch.load(path, weights_only=True, map_location=device)
        if not isinstance(state, dict):
            raise ValueError("not a state")
        return state
    except FileNotFoundError as error:
        raise MissingError(f"{path}: not there;", "choose another --out, or delete the folder to begin anew.") from error
    except Exception as error:  # what bytes that are no pickle raise is anybody's guess
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SchemaError(f"{path}: cannot be read ({words});", "delete it to begin anew.") from error


def _record(out: Path, plan: Plan, begin: Start, codec: Codec) -> None:
    """What a later call needs to go on."""
    known = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan) if field.metadata["invalidating"]}
    known |= {"model": dataclasses.asdict(begin.config), "origin": begin.origin}
    write_text(out / RECORD, json.dumps(known, indent=1) + "\n")
    if not (out / CHECKPOINT).exists():
        torch.save(codec.state_dict(), out / CODEC)


class _Pictures:
    """Sample sheet and loss curve, now and then and at the end."""

    def __init__(self, trainer: Trainer, codec: Codec, out: Path, every: float) -> None:
        self.trainer, self.codec, self.out, self.every = trainer, codec, out, every
        self.rows = sheets.held_out(trainer.net.config.scene())
        self.last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self.last >= self.every

    def draw(self) -> list[Path]:
        """Write both."""
        trainer = self.trainer
        title = f"step {trainer.step}, {trainer.seconds / 60:.0f} min"
        prior = sheets.Snapshot(trainer.average, self.codec, trainer.device)
        sheets.save_samples(self.out / SHEET, self.rows, sheets.samples(prior, self.rows), f"samples on bodies not trained on, guidance 1: {title}")
        sheets.save_curve(self.out / CURVE, sheets.read_log(self.out / LOG), title)
        self.last = time.monotonic()
        return [self.out / SHEET, self.out / CURVE]


def _train(trainer: Trainer, out: Path, plan: Plan, show: _Pictures, progress: Progress) -> None:
    """Train to the end, or to a signal."""
    timed = not plan.steps
    total = round(60 * (plan.minutes or 0)) if timed else plan.steps or 0
    progress.begin("training, seconds" if timed else "training", total)

    def report(state: Trainer, loss: float) -> None:
        figures = {"step": state.step} if timed else {}
        progress.update(min(round(state.seconds), total) if timed else state.step, **figures, loss=loss, s_per_step=state.seconds / state.step)
        if show.due():
            show.draw()

    progress.update(min(round(trainer.seconds), total) if timed else trainer.step)  # the rate is of what is done from here
    try:
        with _between_steps(trainer):
            train(trainer, out, checkpoint_seconds=plan.checkpoint_every, report=report)
    except KeyboardInterrupt:
        trainer.save(out / CHECKPOINT)
        progress.note(f"stopped after step {trainer.step}, saved in {out / CHECKPOINT}; akd prior train --out {out} goes on from there")
        raise
    except RuntimeError as error:
        if "diverged" in str(error):
            raise InputError(f"{error};", f"begin again with another --seed or --batch in another --out than {out}.") from error
        raise


@contextlib.contextmanager
def _between_steps(trainer: Trainer) -> Iterator[None]:
    """Let a signal end the run between two steps, where the state is whole; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked, advance, old = threading.Event(), trainer.advance, {}

    def ask(number: int, frame: Any) -> None:
        asked.set()
        for one, handler in old.items():
            signal.signal(one, handler)

    def step() -> float:
        if asked.is_set():
            raise KeyboardInterrupt
        return advance()

    for one in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(one) is not signal.SIG_IGN:  # as in the background of a script
            old[one] = signal.signal(one, ask)
    trainer.advance = step  # type: ignore[method-assign]
    try:
        yield
    finally:
        del trainer.advance
        for one, handler in old.items():
            signal.signal(one, handler)


def _about(begin: Start, library: films.Library, latents: data.Latents) -> dict[str, Any]:
    """Entries of the card on what was learnt from."""
    counts = Counter(text.TOKENS[int(token)] for token in latents.ids[:, 1])
    procedural = len(latents) - sum(entry["takes"] for entry in library.artists.values())
    # what the weights that it goes on from were made of is in it still
    artists = begin.origin.get("data", {}).get("artists", {}) | library.artists
    about: dict[str, Any] = {"data": {"procedural": procedural, "artists": artists}}
    if not begin.origin:
        return about | {"motions": {motion: counts[motion] for motion in text.MOTIONS if counts[motion]}}
    about["continued_from"] = begin.origin
    if "motions" in begin.origin:  # where it is not told what they know, nothing is
        counts.update(begin.origin["motions"])
        about["motions"] = {motion: counts[motion] for motion in text.MOTIONS if counts[motion]}
    return about


def _finish(trainer: Trainer, codec: Codec, out: Path, show: _Pictures, about: dict[str, Any]) -> Outcome:
    """Write weights, the last line of the log and the pictures."""
    fresh = Path(tempfile.mkdtemp(prefix=".weights.", dir=out))
    try:
        files.save(trainer, codec, fresh, extra=about)
        # mkdtemp makes private folders
        os.chmod(fresh, 0o755)
        shutil.rmtree(out / WEIGHTS, ignore_errors=True)
        fresh.rename(out / WEIGHTS)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    card = json.loads((out / WEIGHTS / "card.json").read_text(encoding="utf-8"))
    unexplained = {level: card["unexplained_variance"][f"{level:g}"] for level in LEVELS}
    _last_line(out / LOG, trainer, unexplained)
    return Outcome(out / WEIGHTS, trainer.step, trainer.seconds, len(trainer.latents), unexplained, show.draw())


def _last_line(log: Path, trainer: Trainer, unexplained: dict[float, float]) -> None:
    """The log ends with the validation of what is shipped."""
    rows = sheets.read_log(log)
    if not rows or rows[-1]["step"] < trainer.step or f"unexplained_{LEVELS[0]:g}" not in rows[-1]:
        with open(log, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([trainer.step, f"{trainer.seconds:.0f}", "", *(f"{value:.4f}" for value in unexplained.values())])


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch's own threads: sums round differently for every number of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _storage(out: Path) -> Iterator[None]:
    """What the disk refuses, as one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageError(
                f"{error.filename or out}: no space left on the disk;", "free some space and run again, it goes on from the last checkpoint."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
            raise StorageError(f"{error.filename or out}: cannot be written ({error.strerror});", "choose another --out.") from error
        raise
    except RuntimeError as error:
        # torch's writer of archives hides the error of the system
        if "PytorchStreamWriter" in str(error) or "inline_container" in str(error):
            raise StorageError(f"{out / CHECKPOINT}: cannot be written;", "is the disk full? free some space and run again.") from error
        raise
