"""What a run shows of itself while it works: a contact sheet of the clip, curves of its losses, TensorBoard scalars.

Nothing here changes the motion, and nothing here may end a run: a picture that cannot be written is told of once.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from schemas.atomic import write_bytes
from schemas.errors import MissingError
from stages.progress import SILENT, Progress

if TYPE_CHECKING:
    from PIL.Image import Image

    from .params import Params

FIRST = 2.0  # s: the first picture comes soon, it shows whether the body stands right in the image
EVERY = 10.0  # s: and then at this pace, or that of the checkpoints where they are slower
SHARE = 0.015  # of the time of a run that pictures may take
CELL = 184  # px: width of a frame on the sheet
FRAMES = 13  # on the sheet at most, of a clip of either side

# (columns of the losses with their factors, title, unit, logarithmic)
_PANELS: tuple[tuple[tuple[tuple[str, str, float], ...], str, str, bool], ...] = (
    ((("score_rms", "score", 1), ("guidance_rms", "guidance", 1)), "what the prior wants changed: score", "rms of the latent", False),
    ((("noise_level", "", 1),), "noise level of the step", "t / T", False),
    ((("smooth", "", 1),), "jerkiness: smoothness term, equation (9)", "rad, m", True),
    ((("ground", "", 1000),), "below the ground: mean over all cuboid corners, equation (10)", "mm", True),
    ((("slide", "", 100),), "feet that slide while on the ground", "% of the hips' height", True),
    ((("pixel_gradient", "", 1),), "pull on the pixels", "norm of the gradient", True),
)


class Monitor:
    """Shows how one run goes. Costs little: the pictures are spaced so that they take at most `SHARE` of the time.

    Attributes:
        preview, curves: Paths of the two pictures, None where none are made.
    """

    def __init__(
        self,
        folder: Path | None,
        stem: str,
        settings: Params,
        loss_names: Sequence[str],
        tensorboard: str = "",
        *,
        title: str = "",
        progress: Progress = SILENT,
        start: int = 0,
    ) -> None:
        """Set up; writes nothing yet, except for TensorBoard.

        Parameters:
            folder: Of the pictures `<stem>.preview.png` and `<stem>.loss.png`; None: no pictures.
            settings: As resolved: iterations, fps, checkpoint_every and preview are used.
            loss_names: Columns of the losses.
            tensorboard: Folder of the scalars, "" for none.
            title: What is made, such as "tiger: a tiger walking".
            start: Steps that earlier sittings have done.

        Raises:
            MissingError: TensorBoard is not installed.
        """
        shown = folder is not None and settings.preview
        self.preview = folder / f"{stem}.preview.png" if shown and folder else None
        self.curves = folder / f"{stem}.loss.png" if shown and folder else None
        self.names, self.title, self.progress = list(loss_names), title, progress
        self.total, self.fps = int(settings.iterations), float(settings.fps)
        self.every = max(EVERY, min(float(settings.checkpoint_every), 60.0))
        self.scalars = Scalars(tensorboard, self.names, start, progress) if tensorboard else None
        self.rows: dict[str, tuple[str, np.ndarray]] = {}  # whose frames -> what is to be said of them, frames
        self.stride = 1
        self.told: set[str] = set()
        self.next, self.spent, self.now = time.monotonic() + FIRST, 0.0, False

    def due(self) -> bool:
        """Whether it is time for new pictures."""
        return self.preview is not None and time.monotonic() >= self.next

    def watch(self, step: int, level: float, video: torch.Tensor, facings: Sequence[str], wanted: Callable[[], torch.Tensor] | None = None) -> None:
        """Look at the clips of a step: keeps small copies of some frames, the last of each side.

        Parameters:
            step: From 0.
            level: Noise level t/T of the step.
            video: What the prior sees. [(B, F, H, W, 3), 0..1]
            facings: Where the character looks in each clip, "left" or "right". [B]
            wanted: Gives what the prior makes of the clips, decoded, as `video`; called only when pictures are due.
        """
        if self.preview is None:
            return
        began = time.monotonic()
        self.now = self.due()
        size = f"step {step + 1}, {video.shape[3]} x {video.shape[2]} px"
        self._keep("as the prior sees it", size, video, facings)
        if self.now and wanted is not None and "wanted" not in self.told:
            try:
                self._keep("what the prior makes of it", f"step {step + 1}, noise level {level:.2f}", wanted(), facings)
            except Exception as error:  # out of memory, say: a look at the run must not end it
                self._tell("wanted", f"no picture of what the prior makes of the clip ({type(error).__name__}: {error})")
        self.spent += time.monotonic() - began

    def log(self, row: Sequence[float]) -> None:
        """Pass the losses of a step on to TensorBoard; the first is the number of the step."""
        if self.scalars is not None:
            self.scalars.add(int(row[0]), row)

    def show(self, losses: Sequence[Sequence[float]], seconds: float, *, last: bool = False) -> None:
        """Write the pictures if they are due, or `last`.

        Parameters:
            losses: Rows of all steps so far.
            seconds: The run has worked so far, earlier sittings included.
            last: The run ends here.
        """
        if self.scalars is not None and last:
            self.scalars.close()
        if self.preview is None or not losses or not (last or self.now):
            return
        began, self.now = time.monotonic(), False
        first = not self.told & {"first"}
        title = self._heading(losses, seconds)
        saved = self._save(self.preview, lambda: self._sheet(title)) & self._save(self.curves, lambda: self._chart(losses, title))
        if saved and first and not last:
            self._tell("first", f"preview: {self.preview} (and {self.curves.name if self.curves else ''})")
        now = time.monotonic()
        self.spent += now - began
        self.next = now + max(self.every, (now - began) / SHARE)

    def flush(self) -> None:
        """At a checkpoint: what TensorBoard got so far is on disk, so that a resumed run leaves no gap."""
        if self.scalars is not None:
            self.scalars.flush()

    def _keep(self, label: str, about: str, video: torch.Tensor, facings: Sequence[str]) -> None:
        """Frames of the last clip of each facing, at most as large as they are shown; the copies are a few hundred kilobytes."""
        frames, height, width = video.shape[1:4]
        self.stride = max(1, math.ceil((frames - 1) / (FRAMES - 1)))
        latest = {facing: index for index, facing in enumerate(facings) if index < len(video)}
        for facing, index in latest.items():
            picked = video[index, :: self.stride].detach().float()
            if width > CELL:
                size = max(1, round(CELL * height / width)), CELL
                picked = torch.nn.functional.interpolate(picked.movedim(-1, 1), size, mode="area").movedim(1, -1)
            self.rows[f"facing {facing}, {label}"] = about, (picked.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()

    def _heading(self, losses: Sequence[Sequence[float]], seconds: float) -> str:
        done = len(losses)
        left = f", about {_time(seconds / done * (self.total - done))} left" if done < self.total else ""
        return f"{self.title}   |   step {done} of {self.total}   |   {_time(seconds)}{left}"

    def _sheet(self, title: str) -> Image:
        from stages.view.chart import strips

        if not self.rows:
            raise ValueError("no clip was seen yet")
        rows = []
        for label, (about, frames) in sorted(self.rows.items()):
            captions = [f"{index * self.stride}: {index * self.stride / self.fps:.2f} s" for index in range(len(frames))]
            rows.append((f"{label} ({about})", frames, captions))
        return strips(rows, title, cell=CELL)

    def _chart(self, losses: Sequence[Sequence[float]], title: str) -> Image:
        from stages.view.chart import Panel, chart

        table = np.asarray(losses, np.float64)
        panels = []
        for columns, caption, unit, log in _PANELS:
            curves = [(legend, factor * table[:, self.names.index(name)]) for name, legend, factor in columns if name in self.names]
            curves = curves[:1] + [(legend, values) for legend, values in curves[1:] if np.nan_to_num(values).any()]
            level = columns[0][0] == "noise_level"
            panels.append(Panel(caption + (" and guidance" if len(curves) > 1 else ""), unit, curves, log, (0.0, 1.0) if level else None, median=not level))
        return chart(panels, np.arange(1, len(table) + 1), self.total, title)

    def _save(self, path: Path | None, draw: Callable[[], Image]) -> bool:
        """Draw and write one picture; a failure is told once, and the next time it is tried again."""
        if path is None:
            return False
        try:
            memory = io.BytesIO()
            draw().save(memory, "PNG", compress_level=1)
            write_bytes(path, memory.getvalue())
        except Exception as error:
            self._tell(path.name, f"{path.name} was not written, the run goes on ({error})")
            return False
        return True

    def _tell(self, key: str, message: str) -> None:
        if key not in self.told:
            self.told.add(key)
            self.progress.note(message)


class Scalars:
    """The losses as TensorBoard scalars. A resumed run goes on in the same folder: steps after its checkpoint are taken back."""

    def __init__(self, folder: str, names: Sequence[str], start: int, progress: Progress = SILENT) -> None:
        """Open a file of events in `folder`.

        Parameters:
            names: Columns; the first is the step and no curve.
            start: First step that this sitting will log.

        Raises:
            MissingError: TensorBoard is not installed.
        """
        check_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.names, self.progress = folder, list(names)[1:], progress
        self.writer: Any = None
        with self._forgiving():
            self.writer = SummaryWriter(folder, purge_step=start)

    def add(self, step: int, row: Sequence[float]) -> None:
        """Log one row of losses."""
        if self.writer is None:
            return
        with self._forgiving():
            for name, value in zip(self.names, row[1:], strict=False):
                if math.isfinite(value):
                    self.writer.add_scalar(f"distill/{name}", value, step)

    def flush(self) -> None:
        """Bring everything to disk."""
        if self.writer is not None:
            with self._forgiving():
                self.writer.flush()

    def close(self) -> None:
        """The last call."""
        if self.writer is not None:
            with self._forgiving():
                self.writer.close()
            self.writer = None

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """A failing writer is told of and given up."""
        try:
            yield
        except Exception as error:
            self.writer = None
            self.progress.note(f"--tensorboard {self.folder}: cannot be written, the run goes on without ({error})")


def check_tensorboard() -> None:
    """Raise MissingError unless TensorBoard is installed; called before a run starts."""
    import importlib.util

    if importlib.util.find_spec("tensorboard") is None:
        raise MissingError("--tensorboard: the package tensorboard is not installed;", "pip install tensorboard, or leave the flag out.")


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
