"""The films a training run learns from: made once, kept in a folder, read as latents."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from schemas.atomic import write_text
from schemas.errors import AkdError, InputError, StorageError
from stages.progress import Progress
from stages.repeatable import one_torch_thread

from . import clips, data, text, train
from .latent import CELLS, FRAMES, HEIGHT, WIDTH, Codec, latent_frames
from .model import ModelConfig

if TYPE_CHECKING:
    from schemas.asset import Asset
    from schemas.rig import Rig

FOLDER, RECORD = "films", "films.json"
COPIES = 24
"""Takes of an artist's clip, and as many of its mirror image; each is filmed by a camera of its own."""

Load = Callable[[Path], "tuple[Asset, Rig]"]


@dataclasses.dataclass(frozen=True)
class Library:
    """The films of a run.

    Attributes:
        paths: Files of clips in the order of training; the last are procedural, and validate.
        artists: For each file that an artist animated: "licence", "clips" (what is learnt from it), "takes".
    """

    paths: list[Path]
    artists: dict[str, dict[str, Any]]


def clip_bytes(config: ModelConfig) -> int:
    """Memory that a clip takes while training."""
    cells = CELLS[0] * CELLS[1]
    frames = latent_frames(config.stride_t) + (not config.reference)
    return 2 * cells * (frames * config.channels + config.image_channels) + 8 * text.LENGTH


def check_room(folder: Path, config: ModelConfig, chunks: int) -> None:
    """Refuse a data set that fits neither the memory nor the disk.

    Raises:
        InputError: It does not fit in memory. StorageError: Nor on the disk.
    """
    count = data.BODIES_PER_CHUNK * data.CLIPS_PER_BODY
    chunk = count * clip_bytes(config)
    # a chunk is encoded from its pixels, which are in memory as bytes
    film = count * (FRAMES + 1) * HEIGHT * WIDTH * 3
    free = available_memory()
    if free and chunks * chunk + film > 0.9 * free:
        most = max(int((0.9 * free - film) // chunk), 0)
        raise InputError(
            f"--chunks {chunks}: its {chunks * count} clips take {chunks * chunk / 1e9:.1f} GB of memory, of which {free / 1e9:.1f} GB are free;",
            f"take at most --chunks {most}." if most else "use a machine with more memory.",
        )
    there = {path.name for path in folder.glob("chunk-*.npz")}
    missing = sum(data.chunk_path(folder, chunk).name not in there for chunk in range(chunks))
    left = shutil.disk_usage(folder).free
    if missing * film > left:
        raise StorageError(
            f"{folder}: {missing} files of films take {missing * film / 1e9:.1f} GB, {left / 1e9:.1f} GB are free;", "free some space, or give fewer --chunks."
        )


def available_memory() -> int:
    """Bytes that can be taken without swapping, 0 where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        names = getattr(os, "sysconf_names", {})
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in names else 0


def prepare(
    folder: Path, config: ModelConfig, chunks: int, artists: str, load: Load | None, processes: int, progress: Progress, *, resumed: bool = False
) -> Library:
    """Film what is missing.

    Parameters:
        folder: Of the films; what lies there already is kept.
        artists: Folder of animated files, "" for none.
        load: Imports one of them (the stages asset and rig, which a stage does not import).
        processes: That film; 0 = one per processor.
        resumed: A run was begun with these films: it goes on with them where all are there, however they were made.

    Raises:
        InputError: The films there are of another scene, or no file of `artists` can be learnt from. StorageError: No room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [chunk for chunk in range(chunks) if not data.chunk_path(folder, chunk).exists()]
    record = _record(folder, config, keep=resumed and not missing)
    check_room(folder, config, chunks)
    about: dict[str, dict[str, Any]] = {}
    if artists:
        about = _artists(folder, config, record, Path(artists), load, progress)
    if missing:
        progress.begin(f"films, {data.BODIES_PER_CHUNK * data.CLIPS_PER_BODY} clips each", len(missing))
        for done, _ in enumerate(_chunks(folder, config, missing, processes or _processors()), 1):
            progress.update(done)
    paths = [_clips_path(folder, name) for name in sorted(about)] + [data.chunk_path(folder, chunk) for chunk in range(chunks)]
    return Library(paths, about)


def _record(folder: Path, config: ModelConfig, *, keep: bool) -> dict[str, Any]:
    """What is known of the films that are there; a new record where there are none. `keep`: take them however they were made."""
    scene = dataclasses.asdict(config.scene())
    recipe = {"scene": scene, "shares": data.SHARES, "per_body": data.CLIPS_PER_BODY, "bodies": data.BODIES_PER_CHUNK, "phase": data.PHASE}
    recipe = json.loads(json.dumps(recipe))
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        known = record["recipe"]
    except FileNotFoundError:
        record = {"recipe": recipe, "artists": {}}
        write_text(path, json.dumps(record, indent=1) + "\n")
        return record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error});", "delete the folder to film again.") from error
    if known != recipe and not keep:
        different = sorted(name for name in recipe if known.get(name) != recipe[name])
        raise InputError(f"{folder}: holds films made with another {', '.join(different)};", "choose another --out, or delete the folder to film again.")
    return record


def _chunks(folder: Path, config: ModelConfig, missing: list[int], processes: int) -> Iterator[int]:
    """Film chunks, in this process or in several."""
    if min(processes, len(missing)) == 1:
        with one_torch_thread():
            for chunk in missing:
                yield _chunk(folder, config, chunk)
        return
    context, before = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    with ProcessPoolExecutor(min(processes, len(missing)), mp_context=context, initializer=_alone) as pool:
        try:
            with _deaf():
                jobs = [pool.submit(_chunk, folder, config, chunk) for chunk in missing]
            for job in as_completed(jobs):
                yield job.result()
        except BrokenExecutor as error:
            raise InputError(f"--processes {processes}: a process that films was killed, for lack of memory perhaps;", "give fewer.") from error
        except BaseException:
            # a chunk takes long: nobody waits for the ones begun
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            raise


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Processes begun in here do not hear Ctrl-C, not even while they start; their parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _chunk(folder: Path, config: ModelConfig, chunk: int) -> int:
    """Film one chunk: the last of `chunk` + 1 parts has it alone."""
    for _ in data.prepare(folder, chunk + 1, config.scene(), part=chunk, parts=chunk + 1):
        pass
    return chunk


def _alone() -> None:
    """One thread a process."""
    import numba

    torch.set_num_threads(1)
    numba.set_num_threads(1)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _artists(folder: Path, config: ModelConfig, record: dict[str, Any], source: Path, load: Load | None, progress: Progress) -> dict[str, dict[str, Any]]:
    """Film the clips of a folder's files, each file once."""
    if load is None:
        raise ValueError("clips of files need a function that imports a file")
    found, reasons, paths = {}, [], clips.files(source)
    progress.begin("films of artists' clips", len(paths))
    for done, path in enumerate(paths, 1):
        about = record["artists"].get(path.stem, {})
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if about.get("sha256") != digest or (about["takes"] and not _clips_path(folder, path.stem).exists()):
            about = {"sha256": digest, **_artist(folder, config, path, load)}
            record["artists"][path.stem] = about
            write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")
        if about["takes"]:
            found[path.stem] = {"licence": clips.licences(source, [path.stem])[path.stem], "clips": about["clips"], "takes": about["takes"]}
        else:
            reasons.append(f"{path.name}: {about['reason']}")
        progress.update(done)
    for reason in reasons:
        progress.note(f"not learnt from {reason}")
    if not found:
        raise InputError(f"--clips {source}: none of its {len(paths)} files can be learnt from ({reasons[0]});", "name a folder with animated models.")
    return found


def _artist(folder: Path, config: ModelConfig, path: Path, load: Load) -> dict[str, Any]:
    """Film one file. Returns its entry in the record."""
    try:
        takes, findings = clips.takes(clips.character(path, *load(path)), copies=COPIES)
    except AkdError as error:
        reason = str(error).split(";")[0].removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")
        return {"takes": 0, "clips": {}, "reason": reason}
    if not takes:
        return {"takes": 0, "clips": {}, "reason": "; ".join(f"{f.clip}: {f.reason}" for f in findings)}
    rng = np.random.default_rng([zlib.crc32(path.stem.encode()), 0xF117])
    with one_torch_thread():
        data.write_chunk(_clips_path(folder, path.stem), data.shoot(iter(takes), config.scene(), rng))
    return {"takes": len(takes), "clips": {f.clip: f.motion for f in findings if not f.reason}}


def _clips_path(folder: Path, name: str) -> Path:
    return folder / f"clips-{name}.npz"


def latents(library: Library, config: ModelConfig, codec: Codec, progress: Progress) -> data.Latents:
    """All films as the network takes them.

    Raises:
        InputError: A file is damaged, or there are too few clips.
    """
    progress.begin("latents", len(library.paths))
    counts = [_count(path) for path in library.paths]
    if sum(counts) <= 2 * train.HELD_OUT:
        raise InputError(f"{sum(counts)} clips are too few to learn from: {train.HELD_OUT} are held out;", "give more --chunks.")
    whole: data.Latents | None = None
    begin = 0
    with one_torch_thread():
        for done, (path, count) in enumerate(zip(library.paths, counts, strict=True), 1):
            part = data.encode(config, codec, _read(path))
            # filled in place: joining parts would take twice the memory
            whole = _empty(part, sum(counts)) if whole is None else whole
            for field in dataclasses.fields(part):
                value = getattr(part, field.name)
                if value is not None:
                    getattr(whole, field.name)[begin : begin + count] = value
            begin += count
            progress.update(done)
    if whole is None:
        raise ValueError("a library without films")
    return whole


def _empty(part: data.Latents, count: int) -> data.Latents:
    values = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    return data.Latents(**{name: value if value is None else torch.empty((count, *value.shape[1:]), dtype=value.dtype) for name, value in values.items()})


def first(library: Library) -> data.Clips:
    """The first procedural films: a codec is fitted to them."""
    return _read(next(path for path in library.paths if path.name.startswith("chunk-")))


def _damaged(function: Callable[[Path], Any]) -> Callable[[Path], Any]:
    @functools.wraps(function)
    def read(path: Path) -> Any:
        import zipfile

        try:
            return function(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path}: cannot be read ({error});", "delete it and run again.") from error

    return read


@_damaged
def _read(path: Path) -> data.Clips:
    return data.read_chunk(path)


@_damaged
def _count(path: Path) -> int:
    with np.load(path) as arrays:
        return len(arrays["ids"])
