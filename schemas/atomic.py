"""Atomic writes: a killed or failed run leaves the old file or none, never half of one (DESIGN.md, contract 3)."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import StorageError

_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success fsync it and rename it over `target`.

    The temporary file keeps the target's suffix, so writers that look at it behave. A symbolic link at `target`
    is followed, so that the linked file is replaced and the link stays. A plain exception removes the temporary
    file; a kill leaves it behind, and `sweep` clears it at the next write of the same target.

    Raises:
        StorageError: No space, no permission, or the folder cannot be made.
    """
    target = Path(target)
    if target.is_symlink():
        target = target.resolve()
    if target.is_dir():
        raise StorageError(f"{target}: is a folder, a file is to be written there;", "move it away or choose another name.")
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.{os.getpid()}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _sync(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        temporary = None
        _sync(target.parent)
    except OSError as error:
        if error.errno in _SPACE or "No space left" in str(error):
            raise StorageError(f"{target}: no space left on the disk;", "free some space and run again, the old file is intact.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
            raise StorageError(f"{target}: cannot be written ({error.strerror});", "choose another place with --workspace or -o.") from error
        raise
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def sweep(target: Path) -> None:
    """Remove temporary files that killed processes left beside `target`; those of living processes stay."""
    for stale in target.parent.glob(f".{_escape(target.name)}.*.*"):
        pid = stale.name[len(target.name) + 2 :].split(".", 1)[0]
        if pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
            with contextlib.suppress(OSError):
                stale.unlink()


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 to `target`, atomically."""
    write_bytes(target, text.encode("utf-8"))


def write_bytes(target: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `target`, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # folders cannot be synced on some file systems
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
