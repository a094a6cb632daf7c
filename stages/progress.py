"""How a stage tells what it does. The command line shows it; scripts and tests pass none."""

from __future__ import annotations


class Progress:
    """Receives progress; this base class ignores it. A stage calls `begin` once a phase, then `update`."""

    def begin(self, label: str, total: int) -> None:
        """Start a phase of `total` steps."""

    def update(self, done: int, **figures: float) -> None:
        """`done` steps of the phase are finished; `figures` are the latest values (loss, psnr)."""

    def note(self, message: str) -> None:
        """Say something once: what was assumed, mended or skipped."""


SILENT = Progress()
