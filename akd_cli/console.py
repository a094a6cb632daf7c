"""What the user sees: progress and notes on stderr, results on stdout, so that stdout can be piped."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

from stages.progress import Progress

_PLAIN_EVERY = 10.0  # seconds between progress lines where stderr is not a terminal


class Console:
    """Prints for one command.

    Parameters:
        quiet: Neither progress nor notes, results only.
        as_json: One JSON object on stdout instead of lines for people.
    """

    def __init__(self, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json

    def note(self, message: str) -> None:
        """Say something on stderr, unless quiet."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)

    def result(self, data: dict[str, Any], *lines: str) -> None:
        """Print the result of the command: `lines` for people, or `data` as JSON."""
        print(json.dumps(_finite(data), default=_plain, allow_nan=False) if self.as_json else "\n".join(lines), flush=True)

    def progress(self, stage: str) -> StageProgress:
        """A progress display for one stage; use it as a context manager."""
        if self.quiet:
            return StageProgress(stage)
        return LiveProgress(stage) if sys.stderr.isatty() else PlainProgress(stage, self)


class StageProgress(Progress):
    """Shows nothing; base of the displays."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def __enter__(self) -> StageProgress:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class PlainProgress(StageProgress):
    """Occasional lines, for logs and pipes."""

    def __init__(self, stage: str, console: Console) -> None:
        super().__init__(stage)
        self._console = console
        self._label, self._total, self._began, self._spoken, self._first = "", 0, 0.0, 0.0, 0

    def begin(self, label: str, total: int) -> None:
        self._label, self._total, self._began, self._first = label, total, time.monotonic(), -1
        self._spoken = self._began
        self._console.note(f"{self.stage}: {label}")

    def update(self, done: int, **figures: float) -> None:
        now = time.monotonic()
        if self._first < 0:  # a resumed run starts in the middle: its rate is of what was done since
            self._first = done - 1 if done else 0
        if now - self._spoken < _PLAIN_EVERY:
            return
        self._spoken = now
        rate = (done - self._first) / max(now - self._began, 1e-9)
        left = f", {duration((self._total - done) / rate)} left" if rate > 0 and self._total else ""
        self._console.note(f"{self.stage}: {self._label} {done}/{self._total}, {rate:.3g}/s{left}{_figures(figures)}")

    def note(self, message: str) -> None:
        self._console.note(f"{self.stage}: {message}")


class LiveProgress(StageProgress):
    """A bar with rate and remaining time, redrawn in place."""

    def __init__(self, stage: str) -> None:
        from rich.console import Console as Rich
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        super().__init__(stage)
        columns = (
            TextColumn(f"[bold]{stage}[/] {{task.description}}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("[dim]{task.fields[figures]}[/]"),
        )
        self._bars = Bars(*columns, console=Rich(stderr=True), transient=False, refresh_per_second=4)
        self._task: Any = None

    def __enter__(self) -> LiveProgress:
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def begin(self, label: str, total: int) -> None:
        from rich.markup import escape

        self._task = self._bars.add_task(escape(label), total=total or None, rate="", figures="")

    def update(self, done: int, **figures: float) -> None:
        if self._task is None:
            return
        speed = self._bars.tasks[self._task].speed
        rate = f"{speed:.3g}/s" if speed else ""
        self._bars.update(self._task, completed=done, rate=rate, figures=_figures(figures).lstrip(", "))

    def note(self, message: str) -> None:
        self._bars.console.print(f"{self.stage}: {message}", markup=False, highlight=False)


def duration(seconds: float) -> str:
    """Seconds as people say them: "4.2 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as aligned lines of plain text."""
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(max(map(len, rows), default=0))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]


def _figures(figures: dict[str, float]) -> str:
    return "".join(f", {name} {value:.4g}" for name, value in figures.items())


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """JSON for what json does not know: numpy scalars and arrays, paths."""
    for method in ("tolist", "item"):
        if hasattr(value, method):
            return getattr(value, method)()
    return str(value)
