"""What a training run of the built-in prior is asked for. Light: the command line makes its flags from it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from schemas.errors import InputError, SchemaError
from schemas.params import check, param

RECORD, CHECKPOINT = "run.json", "checkpoint.pt"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A training run. None means: as the folder's run was begun, else the value in `DEFAULTS`."""

    minutes: float | None = param(None, "Time to train for, films and sheets not counted (default: 60).", unit="min", low=0.01, high=1e6)
    steps: int | None = param(None, "Steps to train for, instead of a time.", low=1, high=10**8)
    chunks: int | None = param(None, "Files of 800 procedural clips to learn from (default: 32).", low=1, high=100000)
    clips: str | None = param(None, "Folder of animated .glb files whose clips are learnt too; those that validate the prior are left out.", unit="FOLDER")
    start: str | None = param(None, "Weights to go on from, with their codec: a folder, or 'shipped'.", unit="FOLDER|shipped", flag="from")
    channels: int | None = param(None, "Channels of the latents (default: 96).", low=4, high=768)
    width: int | None = param(None, "Width of the transformer, a multiple of 48 (default: 192).", low=48, high=3072)
    layers: int | None = param(None, "Layers of the transformer (default: 6).", low=1, high=48)
    batch: int | None = param(None, "Clips per step (default: 16).", low=1, high=4096)
    seed: int | None = param(None, "Seed of weights, batches and noise (default: 0).", low=0)
    checkpoint_every: float = param(120.0, "Seconds between checkpoints.", unit="s", low=0, invalidating=False)
    sheet_every: float = param(300.0, "Seconds between sample sheets.", unit="s", low=0, invalidating=False)
    processes: int = param(0, "Processes that film; 0: one per processor.", low=0, high=1024, invalidating=False)
    threads: int = param(1, "Threads of the training on a CPU; more are faster on an idle machine.", low=1, high=1024, invalidating=False)
    device: str = param("auto", "Where to train; films are always made on the CPU.", choices=("auto", "cpu", "cuda"), invalidating=False)


DEFAULTS: dict[str, Any] = {"minutes": 60.0, "chunks": 32, "batch": 16, "seed": 0}
LENGTH = ("minutes", "steps")
SIZE = ("channels", "width", "layers")


def settle(out: Path, plan: Plan) -> Plan:
    """Fill what the user left open from the run that `out` holds, then from `DEFAULTS`.

    Raises:
        InputError: A value is out of bounds, or contradicts the run in the folder. SchemaError: Its record is damaged.
    """
    check(plan)
    if plan.minutes is not None and plan.steps is not None:
        raise InputError(f"--minutes {plan.minutes:g} and --steps {plan.steps}: give one of the two.")
    if plan.width is not None and plan.width % 48:
        raise InputError(f"--width {plan.width}: must be a multiple of 48, such as {48 * max(1, round(plan.width / 48))}.")
    if plan.start is not None and any(getattr(plan, name) is not None for name in SIZE):
        raise InputError("--from: the size of the network is that of the weights;", "leave out --channels, --width and --layers.")
    if plan.clips:
        plan = dataclasses.replace(plan, clips=str(Path(plan.clips).expanduser().resolve()))
    if plan.start not in (None, "shipped"):
        plan = dataclasses.replace(plan, start=str(Path(plan.start).expanduser().resolve()))
    known = recorded(out)
    filled: dict[str, Any] = {}
    for field in dataclasses.fields(plan):
        given = getattr(plan, field.name)
        if not field.metadata["invalidating"]:
            continue
        if field.name in LENGTH:
            if plan.minutes is None and plan.steps is None:
                filled[field.name] = known.get(field.name) if known else DEFAULTS.get(field.name)
        elif known and given is not None and given != known.get(field.name):
            flag = "--" + (field.metadata["flag"] or field.name)
            raise InputError(f"{flag} {given}: {out} holds a run with {known.get(field.name) or 'none'};", f"leave out {flag}, or choose another --out.")
        elif given is None:
            filled[field.name] = known.get(field.name) if known else DEFAULTS.get(field.name)
    return dataclasses.replace(plan, **filled)


def recorded(out: Path) -> dict[str, Any]:
    """The plan of the run that a folder holds, and "model"; empty where no checkpoint is there to go on from.

    Raises:
        SchemaError: The record cannot be read.
    """
    path = out / RECORD
    if not (out / CHECKPOINT).is_file():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(known, dict):
            raise ValueError("not an object")
        return known
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path}: cannot be read ({error});", "choose another --out, or delete the folder to begin anew.") from error
