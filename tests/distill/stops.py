"""An interrupted run."""

from __future__ import annotations

from stages.progress import Progress


class StopAt(Progress):
    """Presses Ctrl-C after so many steps, and remembers the notes."""

    def __init__(self, step: int) -> None:
        self.step, self.notes = step, []

    def update(self, done: int, **figures: float) -> None:
        if done == self.step:
            raise KeyboardInterrupt

    def note(self, message: str) -> None:
        self.notes.append(message)
