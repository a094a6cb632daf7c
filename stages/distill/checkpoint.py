"""Checkpoints of a distillation: written atomically, resumed bit for bit, refused by another run (DESIGN.md, contract 3)."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import torch

from schemas.atomic import atomic_path
from schemas.errors import InputError, SchemaError

FORMAT = "akd.distill.checkpoint 1"


def partial_path(target: str | Path) -> Path:
    """Where the checkpoint of an artifact lies while it is being made: beside it, with ".partial" appended."""
    target = Path(target)
    return target.with_name(target.name + ".partial")


def discard(path: str | Path) -> None:
    """Remove a checkpoint once its artifact is saved; no error if there is none."""
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()


def save(path: Path, identity: dict[str, Any], state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) of the run that `identity` describes.

    Raises:
        StorageError: The disk refused; the previous checkpoint is intact.
    """
    with atomic_path(path) as temporary:
        torch.save({"format": FORMAT, "identity": identity, "state": state}, temporary)


def load(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The state to resume from; None if there is none, or if it is of another run that was finished.

    Parameters:
        identity: Of the present run: parameters ("iterations" among them), prompt, digests of the inputs.

    Raises:
        InputError: The checkpoint is of an unfinished run with other inputs or parameters.
        SchemaError: It is damaged or of another version.
    """
    if not path.exists():
        return None
    remedy = f"delete {path} to start anew."
    try:
        # weights_only: tensors and plain values, never code
        content = torch.load(path, map_location="cpu", weights_only=True)
        kind, old, state = content["format"], content["identity"], content["state"]
        over = int(state["iteration"]) >= int(old["iterations"]) or bool(state.get("converged"))
    except Exception as error:
        raise SchemaError(f"{path}: not a checkpoint of distill, or damaged ({type(error).__name__});", remedy) from error
    if kind != FORMAT:
        raise SchemaError(f"{path}: checkpoint format '{kind}', this akd reads '{FORMAT}';", remedy)
    if old == identity:
        return state
    if over:
        return None  # its run was over; only its artifact was never saved or the file never removed
    name = next(key for key in sorted(set(old) | set(identity)) if old.get(key) != identity.get(key))
    raise InputError(f"{path}: the unfinished run there has {name} = {old.get(name)}, this one has {identity.get(name)};", f"use the same, or {remedy}")


class Clock:
    """Tells when the next checkpoint is due, and how long the run has worked over all its sittings."""

    def __init__(self, every: float, spent: float = 0.0) -> None:
        self.every, self.before = every, spent
        self.started = self.last = time.monotonic()

    def due(self) -> bool:
        """Whether `every` seconds have passed since the last checkpoint; restarts the wait if so."""
        now = time.monotonic()
        if now - self.last < self.every:
            return False
        self.last = now
        return True

    def seconds(self) -> float:
        """Time worked so far, earlier sittings included. [s]"""
        return self.before + time.monotonic() - self.started
