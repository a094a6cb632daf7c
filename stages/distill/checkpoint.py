"""Checkpoints of a distillation: written atomically, resumed bit for bit, refused by another run (DESIGN.md, contract 3)."""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch

from schemas.atomic import write_bytes
from schemas.errors import InputError, SchemaError

FORMAT = "akd.distill.checkpoint 2"
"""First line of the file, before the sha256 of what follows. The number rises when an entry changes its meaning;
entries that come or go are noticed by their names."""


def partial_path(target: str | Path) -> Path:
    """Where the checkpoint of an artifact lies while it is being made: beside it, with ".partial" appended."""
    target = Path(target)
    return target.with_name(target.name + ".partial")


def stopped_path(checkpoint: str | Path) -> Path:
    """Where the motion of a run that had to stop lies: "distill.stopped.h5" beside "distill.h5.partial"."""
    checkpoint = Path(checkpoint)
    stem, _, kind = checkpoint.name.removesuffix(".partial").rpartition(".")
    return checkpoint.with_name(f"{stem}.stopped.{kind}" if stem else f"{kind}.stopped")


def discard(path: str | Path) -> None:
    """Remove a checkpoint once its artifact is saved, and what a stopped run left; no error if there is none."""
    for one in (Path(path), stopped_path(path)):
        with contextlib.suppress(FileNotFoundError):
            one.unlink()


def save(path: Path, identity: dict[str, Any], state: dict[str, Any], stopped: str = "") -> None:
    """Write `state` (tensors and plain values) of the run that `identity` describes.

    Parameters:
        stopped: Why the run cannot go on from here, "" if it can.

    Raises:
        StorageError: The disk refused; the previous checkpoint is intact.
    """
    memory = io.BytesIO()  # torch's own writer tells of a full disk by a RuntimeError
    torch.save({"identity": identity, "stopped": stopped, "state": state}, memory)
    content = memory.getvalue()
    write_bytes(path, f"{FORMAT}\n{hashlib.sha256(content).hexdigest()}\n".encode() + content)


def load(path: Path, identity: dict[str, Any], names: Collection[str] | None = None) -> dict[str, Any] | None:
    """The state to resume from; None if there is none, or if it is of another run that was finished or had to stop.

    Parameters:
        identity: Of the present run: parameters ("iterations" among them), prompt, digests of the inputs.
        names: Entries that the state must have, no more and no less; None: any.

    Raises:
        InputError: The checkpoint is of an unfinished run with other inputs or parameters, or of this run, which had
            to stop and would stop again.
        SchemaError: It is damaged or of another version.
    """
    if not path.exists():
        return None
    remedy = f"delete {path} to start anew."
    content = _read(path, remedy)
    with fitting(path):
        old, state, stopped = content["identity"], content["state"], content["stopped"]
        over = int(state["iteration"]) >= int(old["iterations"]) or bool(state.get("converged"))
    if old == identity:
        if stopped:
            raise InputError(
                f"{path}: this run stopped at {stopped};",
                f"it would do so again: change a parameter, or delete {path} (or --force) to start anew.",
            )
        if names is not None:
            _agree(path, state, names, remedy)
        return state
    if over or stopped:
        return None  # nothing of it is left to do; its artifact was never saved or the file never removed
    differing = [f"{key} = {old.get(key)}, this one has {identity.get(key)}" for key in sorted(set(old) | set(identity)) if old.get(key) != identity.get(key)]
    raise InputError(f"{path}: the unfinished run there has {'; '.join(differing[:3])};", f"use the same, or {remedy}")


@contextlib.contextmanager
def fitting(path: Path | None) -> Iterator[None]:
    """Turn what goes wrong while a checkpoint's entries are taken up (one is missing, of another kind or shape) into a SchemaError.

    Raises:
        SchemaError: The checkpoint was written by another version of akd.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = " ".join(str(error).split())[:120]
        raise SchemaError(
            f"{path}: the checkpoint does not fit this akd ({type(error).__name__}: {what});", f"use the akd that wrote it, or delete {path} to start anew."
        ) from error


def fill(leaves: dict[str, torch.Tensor], saved: dict[str, torch.Tensor]) -> None:
    """Copy saved values into variables, in place.

    Raises:
        ValueError: Another set of names, or another shape.
    """
    if set(leaves) != set(saved):
        raise ValueError(f"variables {', '.join(sorted(saved))} instead of {', '.join(sorted(leaves))}")
    with torch.no_grad():
        for name, leaf in leaves.items():
            if leaf.shape != saved[name].shape:
                raise ValueError(f"{name} of shape {tuple(saved[name].shape)} instead of {tuple(leaf.shape)}")
            leaf.copy_(saved[name])


def _read(path: Path, remedy: str) -> dict[str, Any]:
    """The content of a checkpoint, its version and its sha256 checked: torch does not notice a flipped bit."""
    kind, _, rest = path.read_bytes().partition(b"\n")
    sha, _, content = rest.partition(b"\n")
    if kind.startswith(FORMAT.rsplit(" ", 1)[0].encode()) and kind != FORMAT.encode():
        raise SchemaError(f"{path}: checkpoint format '{kind[:60].decode(errors='replace')}', this akd reads '{FORMAT}';", remedy)
    try:
        if kind != FORMAT.encode() or sha.decode() != hashlib.sha256(content).hexdigest():
            raise ValueError("sha256")
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # tensors and plain values, never code
    except Exception as error:
        raise SchemaError(f"{path}: not a checkpoint of distill, or damaged ({type(error).__name__});", remedy) from error


def _agree(path: Path, state: dict[str, Any], names: Collection[str], remedy: str) -> None:
    """Raise SchemaError unless the state has exactly these entries: one that nobody takes up would be lost silently."""
    unknown, missing = sorted(set(state) - set(names)), sorted(set(names) - set(state))
    if unknown or missing:
        parts = [f"holds {', '.join(unknown)}, which this akd does not know"] if unknown else []
        parts += [f"lacks {', '.join(missing)}"] if missing else []
        raise SchemaError(f"{path}: the checkpoint {' and '.join(parts)};", f"use the akd that wrote it, or {remedy}")


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
