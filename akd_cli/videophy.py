"""akd evaluate --videophy: films rated by VideoPhy's automatic rater."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIZE = "448x448"
"""Of the films that are rated, twice what the rater sees: square, so that nothing is squeezed. [px]"""

VIDEOS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".gif")


class Judge:
    """Loads the rater when it is first asked, and rates films.

    Raises:
        MissingError: At once, where the folder is no model.
    """

    def __init__(self, folder: str) -> None:
        from stages.evaluate.videophy.rater import check

        self._folder, self._rater = Path(folder).expanduser(), None
        check(self._folder)

    def video(self, path: Path, caption: str) -> dict[str, float]:
        """Rate a video file; sa and pc, see `Rater.rate`."""
        from stages.evaluate.videophy.frames import read_video

        return self._rate(read_video(path), caption)

    def motion(self, chain: Any, motion: Any) -> dict[str, float]:
        """Film a motion with and without the ground, and rate both: sa, pc, sa_plain, pc_plain."""
        found = self._rate(_film(chain, motion, ground=True), motion.prompt)
        plain = self._rate(_film(chain, motion, ground=False), motion.prompt)
        return found | {f"{name}_plain": value for name, value in plain.items()}

    def _rate(self, frames: list[Any], caption: str) -> dict[str, float]:
        if self._rater is None:
            from stages.evaluate.videophy.rater import Rater

            self._rater = Rater.load(self._folder)
        return self._rater.rate(frames, caption)


def _film(chain: Any, motion: Any, ground: bool) -> list[Any]:
    """The frames of a motion's film that the rater looks at."""
    from stages.evaluate.videophy.frames import indices
    from stages.render.params import Params
    from stages.render.stage import shoot

    film = shoot(*(chain.load(name) for name in ("asset", "rig", "skin")), None, motion, Params(size=SIZE, ground=ground))
    chosen = indices(film.motion.frame_count).tolist()
    drawn = {index: film.frame(index) for index in sorted(set(chosen))}
    return [drawn[index] for index in chosen]


def rate_video(path: Path, caption: str, folder: str, console: Any) -> None:
    """Rate one video file and print it.

    Raises:
        InputError: No caption. MissingError: No model.
    """
    from schemas.errors import InputError

    from .evaluate import SCHEMA

    if not caption.strip():
        raise InputError(f"{path}: VideoPhy asks whether the video shows a sentence;", 'give it with --caption "a tiger walking".')
    found = Judge(folder).video(path, caption.strip())
    data = {"schema": SCHEMA, "file": str(path), "caption": caption.strip(), "figures": {path.stem: {"videophy": found}}}
    console.result(data, f"{path.name}: semantic adherence {found['sa']:.3f}, physical commonsense {found['pc']:.3f}")
