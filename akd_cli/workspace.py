"""Where artifacts live on disk (DESIGN.md, "A workspace on disk")."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.atomic import write_text
from schemas.errors import InputError, MissingError, SchemaError

from .slug import asset_name, slug

RUNS = Path("runs")
ENVIRONMENT = "AKD_WORKSPACE"
NOTES = "workspace.json"
_IN_MOTION = ("distill", "track", "render", "metrics")


class Workspace:
    """One folder with the artifacts of one asset.

    `workspace.json` in it remembers what the artifacts cannot: where the source file lies ("source"), which files were
    given by hand ("files"), and the motion used last ("motion").
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def path(self, name: str, motion: str = "") -> Path:
        """The path of a file such as "rig.h5", or "track.glb" of a motion."""
        return self.folder(name.split(".")[0], motion) / name

    def folder(self, stage: str, motion: str = "") -> Path:
        """The folder a stage writes to."""
        return self.root / "motions" / slug(motion) if stage in _IN_MOTION else self.root

    def motions(self) -> list[str]:
        """Slugs of the motions, in order of name."""
        folder = self.root / "motions"
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []

    def motion(self, wanted: str) -> str:
        """The slug of the motion meant by a name or prompt; without one the motion used last, or the only one.

        Raises:
            MissingError: There is none, or none of that name.
        """
        known = self.motions()
        if wanted:
            if slug(wanted) not in known:
                raise MissingError(f"{self.root}: no motion '{slug(wanted)}', there are: {', '.join(known) or 'none'};", "make one with akd distill --prompt.")
            return slug(wanted)
        last = self.notes.get("motion", "")
        if last in known:
            return last
        if len(known) == 1:
            return known[0]
        if not known:
            raise MissingError(f"{self.root}: has no motion yet;", 'make one with akd distill --prompt "a tiger walking".')
        raise MissingError(f"{self.root}: has {len(known)} motions, {', '.join(known)};", "choose one with --motion.")

    @property
    def notes(self) -> dict[str, Any]:
        """The content of workspace.json; empty where there is none."""
        path = self.root / NOTES
        try:
            notes = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(notes, dict):
                raise ValueError("not an object")
            return notes
        except FileNotFoundError:
            return {}
        except NotADirectoryError as error:
            raise InputError(f"{self.root}: is a file, not a workspace;", "give the folder of a workspace.") from error
        except (ValueError, OSError) as error:
            raise SchemaError(f"{path}: cannot be read ({error});", "delete it and name the asset again: akd asset FILE --workspace ...") from error

    def remember(self, **notes: Any) -> None:
        """Update workspace.json; None removes an entry. Also marks this workspace as the one used last."""
        old = self.notes
        new = {key: value for key, value in {**old, **notes}.items() if value is not None}
        if new != old or not (self.root / NOTES).exists():
            write_text(self.root / NOTES, json.dumps(new, indent=1, sort_keys=True) + "\n")
        else:
            os.utime(self.root / NOTES)

    def writer(self) -> int | None:
        """The process that writes here now, if it is another one than this."""
        try:
            import fcntl

            with open(self.root / ".lock", "r+", encoding="utf-8") as file:
                owner = file.read(32).strip()
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(owner) if owner.isdigit() and int(owner) != os.getpid() else None
        except (ImportError, OSError):  # no locks on this system, or nobody ever wrote here
            pass
        return None

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the workspace for writing, see `locked`."""
        return locked(self.root, "a workspace", "--workspace")


@contextlib.contextmanager
def locked(folder: Path, what: str, flag: str) -> Iterator[None]:
    """Hold a folder for writing; the system frees it when the process ends, however it ends.

    Parameters:
        what: What it is used as, such as "a workspace".
        flag: The flag that chooses another folder.

    Raises:
        InputError: Another process is writing here.
    """
    try:
        import fcntl
    except ImportError:  # a system without file locks: go on without
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InputError(f"{folder}: cannot be used as {what} ({error.strerror});", f"choose another folder with {flag}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read(32).strip() or "unknown"
            raise InputError(
                f"{folder}: another akd is writing here (process {owner});", f"wait for it or stop it, or choose another folder with {flag}."
            ) from None
        except OSError:  # a file system without locks
            pass
        else:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield


def resolve(workspace: str | None, source: str | None = None, prompt: str = "", *, write: bool = False) -> tuple[Workspace, str | None]:
    """Find the workspace and the asset to work on.

    Order: `workspace`, then what `source` says (a workspace, an artifact in one, a model file or a built-in name),
    then $AKD_WORKSPACE, then the built-in character named in `prompt` (unless the workspace used last is named there
    too), then the workspace used last under runs/.

    Parameters:
        write: Whether a workspace may be made.

    Returns:
        The workspace, and the source to (re)read: a path or a built-in name, None to keep the workspace's own.

    Raises:
        MissingError: There is nothing to work on. InputError: `source` contradicts the workspace.
    """
    place, own = _from_source(source) if source else (None, None)
    chosen = workspace or os.environ.get(ENVIRONMENT)
    if workspace and place and Path(workspace).resolve() != place.resolve():
        raise InputError(f"{source}: lies in the workspace {place}, --workspace says {workspace};", "give one of the two.")
    if place:
        return Workspace(place), None
    if chosen:
        found = Workspace(Path(chosen))
        if not write and not found.root.is_dir():
            raise MissingError(f"{chosen}: no such workspace;", "make one with akd asset FILE --workspace ...")
        return found, own or (_named_in(prompt) if not found.notes.get("source") else None)
    if own:
        if Path(own).is_file():
            _check_kind(own)
        return Workspace(RUNS / asset_name(own)), own
    last = last_used()
    character = _named_in(prompt)
    # the workspace used last wins if the prompt names it too: runs/wolf made from a file is meant, not the built-in wolf
    if character and not (last and last.root.name in slug(prompt)):
        return Workspace(RUNS / character), character
    if last is None:
        raise MissingError(
            "no workspace here (no --workspace, no $AKD_WORKSPACE, nothing under runs/);", "name an asset: akd asset tiger, or akd asset FILE.glb"
        )
    return last, None


def _check_kind(file: str) -> None:
    """Refuse a file that no asset comes from, before a workspace is named after it."""
    from stages.asset.reading import SUFFIXES

    if Path(file).suffix.lower() not in SUFFIXES:
        raise InputError(f"{file}: is neither an artifact of akd, nor a 3D file, nor a workspace;", f"give an .h5, one of {' '.join(SUFFIXES)}, or a folder.")


def last_used() -> Workspace | None:
    """The workspace under runs/ that was used last; one whose asset could not be read does not count."""
    found = [path for path in RUNS.glob(f"*/{NOTES}") if (path.parent / "asset.h5").exists()]
    notes = sorted(found, key=lambda p: (p.stat().st_mtime_ns, str(p)))
    return Workspace(notes[-1].parent) if notes else None


def belongs(workspace: Workspace, source: str) -> None:
    """Raise InputError if the workspace holds another asset than `source`."""
    held = workspace.notes.get("source")
    if held and held != source and (workspace.root / "asset.h5").exists():
        raise InputError(f"{workspace}: holds {held}, not {source};", "choose another folder with --workspace, or delete this one.")


def _named_in(prompt: str) -> str | None:
    from stages.asset import library

    return library.find(prompt) if prompt else None


def _from_source(source: str) -> tuple[Path | None, str | None]:
    """(workspace folder, None) or (None, absolute path or built-in name)."""
    from stages.asset import library

    path, name = Path(source), source.strip().lower()
    if path.is_dir() and (name not in library.NAMES or (path / NOTES).exists()):
        if not (path / NOTES).exists():
            raise InputError(
                f"{source}: is a folder without {NOTES}, so not a workspace;", "give a model file, or make the workspace with akd asset FILE --workspace."
            )
        return path, None
    if path.suffix == ".h5" and path.exists():
        for folder in path.resolve().parents:
            if (folder / NOTES).exists():
                return folder, None
        raise InputError(f"{source}: lies in no workspace;", "give a model file, or look at it with akd inspect.")
    if path.exists() and not path.is_dir():
        return None, str(path.resolve())
    if name in library.NAMES:
        return None, name
    raise MissingError(f"{source}: no such file, nor a built-in character ({', '.join(library.NAMES)});", "check the name.")
