"""Runs `akd` in processes that begin with everything imported, so that a test can afford to kill many of them.

This module is imported by the forkserver of multiprocessing before it forks (`PRELOAD`), and by the processes themselves.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

import diffusers.models.autoencoders  # noqa: F401 (imported by the prior; slow)
import torch
from numba.core.registry import cpu_target

from akd_cli import app, execute  # noqa: F401
from stages.distill import loop, stage  # noqa: F401
from stages.distill.priors.embedded import files, prior  # noqa: F401
from stages.view import chart, cpu  # noqa: F401

# what numba prepares before it loads its first compiled function; running one here would start threads, which do not fork
for _context in (cpu_target.typing_context, cpu_target.target_context):
    _context.refresh()

PRELOAD = ["tests.distill.akd_process"]


def start(folder: Path, arguments: list[str], hook: tuple[Any, ...] = (), limit: int = 0) -> multiprocessing.process.BaseProcess:
    """Run `akd <arguments>` in `folder`, its output in out.txt and err.txt there.

    Parameters:
        hook: ("calls", n): kill -9 at the n-th call of a Python function after the first step (0: only count them, into
            calls.txt); ("half", n), ("written", n), ("renamed", n): kill -9 when half of the n-th checkpoint is written,
            when it is written and not yet in place, when it is in place.
        limit: Largest size of a file; writing beyond it fails as on a full disk. [bytes]
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=_run, args=(folder, arguments, hook, limit))
    process.start()
    return process


def _run(folder: Path, arguments: list[str], hook: tuple[Any, ...], limit: int) -> None:
    os.chdir(folder)
    torch.set_num_threads(1)
    for number, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if limit:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as in any Python that was not forked
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if hook and hook[0] == "calls":
        _kill_at_call(hook[1])
    elif hook:
        _kill_while_saving(*hook)
    app.main(arguments)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at_call(wanted: int) -> None:
    count = 0

    def called(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        if event == "call":
            count += 1
            if count == wanted:
                _die()

    once = loop.Distillation.step

    def step(run: loop.Distillation) -> list[float]:
        row = once(run)
        if sys.getprofile() is None:  # the first step in this process, which loads compiled code by very many calls
            sys.setprofile(called)
        return row

    loop.Distillation.step = step
    if not wanted:
        leave = sys.exit

        def finish(code: int) -> None:
            sys.setprofile(None)
            Path("calls.txt").write_text(str(count))
            leave(code)

        sys.exit = finish


def _kill_while_saving(moment: str, wanted: int) -> None:
    count = 0
    write, rename = Path.write_bytes, os.replace

    def is_it(path: Any) -> bool:
        nonlocal count
        if not Path(path).name.endswith(".partial"):
            return False
        count += 1
        return count == wanted

    def write_bytes(path: Path, data: bytes) -> int:
        if moment == "half" and is_it(path):
            write(path, data[: len(data) // 2])
            _die()
        return write(path, data)

    def replace(source: Any, target: Any) -> None:
        reached = moment in ("written", "renamed") and is_it(target)
        if reached and moment == "written":
            _die()
        rename(source, target)
        if reached:
            _die()

    Path.write_bytes, os.replace = write_bytes, replace
