"""What `akd view` knows of workspaces, read again when their files change."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

from schemas.errors import AkdError

from .chain import STAGES, Chain
from .page import BESIDE, build, of_motion
from .workspace import NOTES, Workspace

FILES = (*BESIDE, "distill.preview.png", "distill.loss.png")
"""Names that are served from a motion's folder."""


class Shelf:
    """One workspace, or all those that lie in a folder: side by side, not in folders of folders."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._boards: dict[str, Board] = {}
        self._lock = threading.Lock()

    def boards(self) -> dict[str, Board]:
        """What is known of each workspace there is now, by its folder's name."""
        root = self.place.resolve()
        if (root / NOTES).exists() or not root.is_dir():
            found = {root.name: self.place}
        else:
            inside = sorted(path.parent for path in self.place.glob(f"*/{NOTES}"))
            found = {path.name: path for path in inside if path.resolve().is_relative_to(root)}
        with self._lock:
            self._boards = {name: self._boards.get(name) or Board(name, Workspace(path)) for name, path in found.items()}
            return dict(self._boards)

    def status(self) -> dict[str, Any]:
        """The answer to /api/status; a workspace that cannot be read has an "error" instead of its content."""
        found = []
        for name, board in self.boards().items():
            try:
                found.append(board.status())
            except AkdError as error:
                found.append({"name": name, "error": str(error), "writer": None, "assets": [], "motions": []})
        return {"name": self.place.resolve().name, "workspaces": found}


class Board:
    """What is known of one workspace.

    Attributes:
        name: Its folder's name, the first part of its addresses.
    """

    def __init__(self, name: str, workspace: Workspace) -> None:
        self.name, self.workspace = name, workspace
        self._lock = threading.Lock()
        self._seen: Any = None
        self._states: list[Any] = []
        self._facts: dict[str, dict[str, str]] = {}
        self._pages: dict[str, tuple[Any, str]] = {}

    def status(self) -> dict[str, Any]:
        """Its part of the answer to /api/status."""
        with self._lock:
            self._refresh()
        writer = self.workspace.writer()
        slugs = self.motions()
        busy = _at_work(self.workspace, slugs) if writer else None
        motions = [self._motion(slug, slug == busy) for slug in slugs]
        return {
            "name": self.name,
            "source": Path(str(self.workspace.notes.get("source", "unknown"))).name,
            "fresh": all(state.fresh for state in self._states),
            "writer": writer,
            "assets": [state.as_dict() for state in self._states if not state.motion],
            "motions": motions,
        }

    def page(self, slug: str) -> str:
        """The page of a motion, made again when its files change.

        Raises:
            AkdError: It cannot be made yet.
        """
        folder = self._folder(slug)
        with self._lock:
            seen = _stamps([folder / "distill.h5", folder / "track.h5", *(self.workspace.path(name) for name in ("rig.h5", "skin.h5", "splat.h5"))])
            if self._pages.get(slug, (None,))[0] != seen:
                chain = Chain(self.workspace)
                self._pages[slug] = seen, build(chain, of_motion(chain, slug), folder)
            return self._pages[slug][1]

    def file(self, slug: str, name: str) -> Path | None:
        """The path of a file of a motion, None unless it is there and meant to be seen."""
        if slug not in self.motions() or name not in FILES:
            return None
        path = self._folder(slug) / name
        return path if path.is_file() and self._inside(path) else None

    def motions(self) -> list[str]:
        """Slugs of the motions; not of links that lead out of the workspace."""
        return [slug for slug in self.workspace.motions() if self._inside(self._folder(slug))]

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.workspace.root.resolve())

    def _folder(self, slug: str) -> Path:
        return self.workspace.root / "motions" / slug

    def _refresh(self) -> None:
        folders = [self.workspace.root, *(self._folder(slug) for slug in self.motions())]
        # contents of checkpoints and previews change all the time and say nothing about what is fresh
        names = sorted(path for folder in folders for path in folder.glob("*") if not path.name.startswith("."))
        seen = [path.name for path in names], _stamps([path for path in names if path.suffix != ".partial" and path.name not in FILES[-2:]])
        if seen == self._seen:
            return
        chain = Chain(self.workspace)
        self._states, self._seen = chain.states(), seen
        self._facts = {slug: _facts(chain, slug) for slug in self.motions()}

    def _motion(self, slug: str, running: bool) -> dict[str, Any]:
        folder = self._folder(slug)
        base = f"/{quote(self.name, errors='replace')}/motions/{quote(slug)}/"

        def address(name: str) -> str | None:
            path = self.file(slug, name)
            return f"{base}{name}?{path.stat().st_mtime_ns}" if path else None

        made = any((folder / f"{stage}.h5").exists() for stage in ("distill", "track"))
        return {
            "slug": slug,
            **self._facts.get(slug, {"prompt": slug.replace("-", " "), "facts": ""}),
            "page": base if made else None,
            "video": address("render.mp4"),
            "preview": address("distill.preview.png"),
            "loss": address("distill.loss.png"),
            "running": running,
            "artifacts": [state.as_dict() for state in self._states if state.motion == slug and state.stage in STAGES],
        }


def _at_work(workspace: Workspace, slugs: list[str]) -> str | None:
    """The motion that the process which writes now is making: the one written to last, since that process began."""

    def touched(slug: str) -> int:
        folder = workspace.root / "motions" / slug
        return _newest([folder, *folder.glob("*.partial"), *folder.glob("*.preview.png")])

    last = max(slugs, key=touched, default=None)
    return last if last is not None and touched(last) >= _newest([workspace.root / ".lock"]) else None


def _newest(paths: list[Path]) -> int:
    return max((time for _, time, _ in _stamps(paths)), default=0)


def _facts(chain: Chain, slug: str) -> dict[str, str]:
    """The prompt and a line about a motion."""
    prompt, line = slug.replace("-", " "), ""
    for stage in ("distill", "track"):
        if chain.path(stage, slug).exists():
            try:
                motion = chain.load(stage, slug)
            except AkdError as error:
                line = str(error)
                continue
            prompt = motion.prompt if stage == "distill" or not line else prompt
            line = f"{motion.frame_count} frames · {motion.duration:.2f} s · {motion.header.created[:16].replace('T', ' ')}"
    return {"prompt": prompt, "facts": line}


def _stamps(paths: list[Path]) -> list[tuple[str, int, int]]:
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:  # it may go while we look
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return found
