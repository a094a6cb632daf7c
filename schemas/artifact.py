"""The artifact: one HDF5 file with a header (DESIGN.md, contract 2).

A schema is a dataclass deriving from `Artifact` whose fields are declared with `array`, `strings` or `text`. Shapes
are written with letters that must agree across the fields of one artifact: `("V", 3)`, `("F", "J", 3)`.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .atomic import write_bytes
from .errors import InputError, MissingError, SchemaError

AKD_VERSION = "0.1.0"
MAX_BYTES = 8 * 2**30  # of one dataset once decompressed: a bomb is refused before it is read
_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}


@dataclasses.dataclass(frozen=True)
class Header:
    """Where an artifact comes from.

    Attributes:
        schema: Name such as "akd.rig".
        version: "major.minor" of the schema.
        created_by: Version of akd that wrote it.
        created: UTC time, ISO 8601 (SOURCE_DATE_EPOCH is honoured).
        seed: Seed of the run.
        params: The stage's parameters, JSON types only.
        inputs: For each input a dict with "path" and "sha256" (see `digest`).
        digest: sha256 of the content: equal content gives an equal digest, whenever it was written.
        seconds: How long the run took; here and not in a report, so that equal runs give equal content. [s]
    """

    schema: str = ""
    version: str = ""
    created_by: str = AKD_VERSION
    created: str = ""
    seed: int = 0
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    inputs: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    digest: str = ""
    seconds: float = 0.0


def array(dtype: str, *shape: int | str, optional: bool = False, low: float | None = None, high: float | None = None) -> Any:
    """Declare an array field: dtype such as "f4", shape with letters for free sizes, inclusive bounds."""
    metadata = {"kind": "array", "dtype": np.dtype(dtype), "shape": shape, "optional": optional, "low": low, "high": high}
    return dataclasses.field(metadata=metadata, **({"default": None} if optional else {}))


def strings(size: str, optional: bool = False) -> Any:
    """Declare a list-of-strings field of `size` entries."""
    metadata = {"kind": "strings", "shape": (size,), "optional": optional}
    return dataclasses.field(metadata=metadata, **({"default": None} if optional else {}))


def text(default: str | None = None) -> Any:
    """Declare a text field."""
    return dataclasses.field(metadata={"kind": "text"}, **({} if default is None else {"default": default}))


def number(default: float | None = None, low: float | None = None, high: float | None = None) -> Any:
    """Declare a float field within inclusive bounds."""
    return dataclasses.field(metadata={"kind": "number", "low": low, "high": high}, **({} if default is None else {"default": default}))


def record() -> Any:
    """Declare a field of JSON data (dict)."""
    return dataclasses.field(metadata={"kind": "json"}, default_factory=dict)


@dataclasses.dataclass(kw_only=True)
class Artifact:
    """Base of all schemas. Subclasses set `SCHEMA`, `VERSION` and declare fields; `check` adds their own rules."""

    SCHEMA: ClassVar[str] = ""
    VERSION: ClassVar[str] = "1.0"
    # migration of raw fields from minor version k to k+1, in place; METHOD: older minor versions are read
    MIGRATIONS: ClassVar[dict[int, Callable[[dict[str, Any]], None]]] = {}

    header: Header = dataclasses.field(default_factory=Header)

    def __post_init__(self) -> None:
        for field in _fields(self):
            value = getattr(self, field.name)
            if field.metadata["kind"] == "array" and value is not None:
                setattr(self, field.name, np.ascontiguousarray(np.asarray(value), dtype=field.metadata["dtype"]))
            elif field.metadata["kind"] == "strings" and value is not None:
                setattr(self, field.name, [str(entry) for entry in value])
            elif field.metadata["kind"] == "number":
                setattr(self, field.name, float(value))

    def validate(self, where: str = "") -> None:
        """Check shapes, dtypes, bounds and finiteness, then the schema's own rules.

        Raises:
            SchemaError: Naming `where` (a file), the field and the value.
        """
        where = where or self.SCHEMA
        sizes: dict[str, tuple[int, str]] = {}
        for field in _fields(self):
            _check_field(where, field, getattr(self, field.name), sizes)
        self.check(where)

    def check(self, where: str) -> None:
        """Rules of the schema beyond shapes; overridden by subclasses."""

    def content_digest(self) -> str:
        """sha256 over schema, version and all fields, in field order. [hex, 64 characters]"""
        sha = hashlib.sha256(f"{self.SCHEMA} {self.VERSION}".encode())
        for field in _fields(self):
            value = getattr(self, field.name)
            sha.update(f"\0{field.name}\0".encode())
            if value is None:
                continue
            if field.metadata["kind"] == "array":
                sha.update(f"{value.dtype.str}{value.shape}".encode() + value.tobytes())
            else:
                sha.update(json.dumps(value, sort_keys=True).encode())
        return sha.hexdigest()

    def stamped(self, *, params: Any = None, seed: int = 0, inputs: dict[str, dict[str, str]] | None = None) -> Self:
        """Set the header: params (a dataclass or dict), seed, inputs; returns self.

        "seconds" in a `report` field moves to the header.
        """
        report = getattr(self, "report", None)
        seconds = float(report.pop("seconds", 0.0)) if isinstance(report, dict) else 0.0
        if dataclasses.is_dataclass(params) and not isinstance(params, type):
            params = dataclasses.asdict(params)
        self.header = Header(
            schema=self.SCHEMA,
            version=self.VERSION,
            created=_now(),
            seed=int(seed),
            params=json.loads(json.dumps(params or {}, default=str)),
            inputs=inputs or {},
            digest=self.content_digest(),
            seconds=seconds,
        )
        return self

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Validate, then write to `path` atomically. Returns the path.

        Raises:
            SchemaError: The content breaks the schema; nothing is written.
            StorageError: The disk refused; the old file is intact.
        """
        import h5py

        path = Path(path)
        self.validate(str(path))
        head = dataclasses.replace(self.header, schema=self.SCHEMA, version=self.VERSION, digest=self.content_digest(), created=self.header.created or _now())
        # made in memory: on a full disk HDF5 fails over and over while it closes the file, and cannot say of what
        with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
            for key, value in dataclasses.asdict(head).items():
                file.attrs[key] = json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
            for field in _fields(self):
                _write(file, field, getattr(self, field.name))
            file.flush()
            content = file.id.get_file_image()
        write_bytes(path, content)
        self.header = head
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read and validate; older minor versions are migrated.

        Raises:
            MissingError: No such file. SchemaError: Damaged, hostile, of another schema or an unknown version.
        """
        path = Path(path)
        header, raw = read_raw(path, cls.SCHEMA)
        major, minor = _version(path, header.version)
        ours_major, ours_minor = _version(path, cls.VERSION)
        if major != ours_major or minor > ours_minor:
            raise SchemaError(
                f"{path}: {cls.SCHEMA} version {header.version}, this akd reads {ours_major}.0 to {cls.VERSION};",
                "update akd or rerun the stage that wrote it.",
            )
        for step in range(minor, ours_minor):
            if step in cls.MIGRATIONS:
                cls.MIGRATIONS[step](raw)
        names = {field.name: field for field in _fields(cls)}
        missing = [n for n, f in names.items() if n not in raw and not f.metadata.get("optional") and _required(f)]
        if missing:
            raise SchemaError(f"{path}: field '{missing[0]}' is missing;", "the file is damaged, rerun the stage that wrote it.")
        try:
            for name, field in names.items():
                if field.metadata["kind"] == "json" and isinstance(raw.get(name), str):
                    raw[name] = json.loads(raw[name])
            artifact = cls(header=header, **{name: raw[name] for name in names if name in raw})
        except (TypeError, ValueError, OverflowError) as error:
            raise SchemaError(f"{path}: {error};", "the file is damaged, rerun the stage that wrote it.") from error
        artifact.validate(str(path))
        return artifact


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read only the header of any artifact.

    Raises:
        MissingError, SchemaError: as `Artifact.load`.
    """
    with _open(Path(path)) as file:
        return _header(Path(path), file)


def read_raw(path: Path, schema: str) -> tuple[Header, dict[str, Any]]:
    """Read the header and every field of an artifact without interpreting them."""
    with _open(path) as file:
        header = _header(path, file)
        if schema and header.schema != schema:
            raise SchemaError(f"{path}: holds '{header.schema}', '{schema}' is needed here;", "give the file of the right stage.")
        return header, {name: _read(path, file, name) for name in file}


def file_digest(path: str | os.PathLike[str]) -> str:
    """sha256 of a foreign file's bytes. [hex]"""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def input_entry(path: str | os.PathLike[str], artifact: Artifact | None = None) -> dict[str, str]:
    """The header entry for one input: its name and its digest (content digest for artifacts, bytes otherwise)."""
    return {"path": Path(path).name, "sha256": artifact.content_digest() if artifact is not None else file_digest(path)}


def _open(path: Path) -> Any:
    import h5py

    if not path.exists():
        raise MissingError(f"{path}: no such file;", "run the stage that writes it, or check the name.")
    if not path.is_file():
        raise InputError(f"{path}: is not a file;", "give the path of an .h5 artifact.")
    try:
        return h5py.File(path, "r")
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read (permission denied);", "check its permissions.") from error
    except OSError as error:
        raise SchemaError(f"{path}: not an HDF5 file, or truncated ({path.stat().st_size} bytes);", "rerun the stage that wrote it.") from error


def _header(path: Path, file: Any) -> Header:
    try:
        attrs = dict(file.attrs)
        return Header(
            schema=str(attrs["schema"]),
            version=str(attrs["version"]),
            created_by=str(attrs["created_by"]),
            created=str(attrs["created"]),
            seed=int(attrs["seed"]),
            params=dict(json.loads(attrs["params"])),
            inputs=dict(json.loads(attrs["inputs"])),
            digest=str(attrs["digest"]),
            seconds=float(attrs.get("seconds", 0.0)),
        )
    except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
        raise SchemaError(f"{path}: has no akd header;", "it was not written by akd, or it is damaged.") from error


def _read(path: Path, file: Any, name: str) -> Any:
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise SchemaError(f"{path}: '{name}' is a link to elsewhere, which akd refuses;", "copy the data into the file.")
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        raise SchemaError(f"{path}: '{name}' is a group, a dataset is needed;", "the file was not written by akd.")
    if item.is_virtual or item.external:
        raise SchemaError(f"{path}: '{name}' keeps its data in other files, which akd refuses;", "copy the data into the file.")
    plist = item.id.get_create_plist()
    for index in range(plist.get_nfilters()):
        code = plist.get_filter(index)[0]
        if code not in _FILTERS:
            raise SchemaError(f"{path}: '{name}' is compressed by filter {code}, akd reads {', '.join(_FILTERS.values())};", "rewrite it without.")
    if item.size and item.size * max(item.dtype.itemsize, 1) > MAX_BYTES:
        raise SchemaError(f"{path}: '{name}' claims {item.shape}, more than {MAX_BYTES >> 30} GiB;", "the file is damaged or hostile.")
    try:
        if h5py.check_string_dtype(item.dtype):
            return item.asstr()[()] if item.shape == () else [str(s) for s in item.asstr()[()]]
        value = item[()]
        return float(value) if item.shape == () and item.dtype.kind in "fiu" else value
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        raise SchemaError(f"{path}: '{name}' cannot be read ({error});", "the file is damaged, rerun the stage that wrote it.") from error


def _write(file: Any, field: dataclasses.Field[Any], value: Any) -> None:
    import h5py

    kind = field.metadata["kind"]
    if value is None:
        return
    if kind == "array":
        # gzip level 1 + shuffle: a third of the size at negligible cost, readable everywhere
        big = value.size > 4096
        file.create_dataset(field.name, data=value, **({"compression": "gzip", "compression_opts": 1, "shuffle": True} if big else {}))
    elif kind == "strings":
        file.create_dataset(field.name, data=value or [], dtype=h5py.string_dtype(), shape=(len(value),))
    elif kind == "number":
        file.create_dataset(field.name, data=np.float64(value))
    else:
        file.create_dataset(field.name, data=json.dumps(value, sort_keys=True) if kind == "json" else value, dtype=h5py.string_dtype())


def _fields(owner: Any) -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(owner) if f.name != "header"]


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _check_field(where: str, field: dataclasses.Field[Any], value: Any, sizes: dict[str, tuple[int, str]]) -> None:
    kind, name = field.metadata["kind"], field.name
    if value is None:
        if field.metadata.get("optional"):
            return
        raise SchemaError(f"{where}: field '{name}' is missing.")
    if kind == "json" and not isinstance(value, dict):
        raise SchemaError(f"{where}: field '{name}' is not a JSON object.")
    if kind == "text" and not isinstance(value, str):
        raise SchemaError(f"{where}: field '{name}' is not text.")
    shape = tuple(value.shape) if kind == "array" else (len(value),) if kind == "strings" else ()
    wanted = field.metadata.get("shape", ())
    if len(shape) != len(wanted):
        raise SchemaError(f"{where}: '{name}' has shape {shape}, {_shape(wanted)} is needed.")
    for size, want in zip(shape, wanted, strict=True):
        known = (want, name) if isinstance(want, int) else sizes.setdefault(want, (size, name))
        if size != known[0]:
            owner = "" if isinstance(want, int) else f" ('{known[1]}' has {want} = {known[0]})"
            raise SchemaError(f"{where}: '{name}' has shape {shape}, {_shape(wanted)} is needed{owner}.")
    if kind in ("array", "number"):
        _check_values(where, name, np.asarray(value), field.metadata)


def _check_values(where: str, name: str, value: np.ndarray, rule: Any) -> None:
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(np.atleast_1d(value)))[0])
        raise SchemaError(f"{where}: '{name}' holds {np.atleast_1d(value)[place]} at {list(place)}; all values must be finite.")
    for bound, bad in ((rule.get("low"), np.less), (rule.get("high"), np.greater)):
        if bound is not None and value.size and bad(value, bound).any():
            raise SchemaError(f"{where}: '{name}' has {value[bad(value, bound)].flat[0]}, the bound is {bound}.")


def _shape(shape: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(str(s) for s in shape) + ")"


def _version(path: Path, version: str) -> tuple[int, int]:
    try:
        major, minor = version.split(".")
        return int(major), int(minor)
    except ValueError as error:
        raise SchemaError(f"{path}: version '{version}' is not major.minor;", "the file is damaged.") from error


def _now() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    when = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else datetime.datetime.now(datetime.UTC)
    return when.isoformat(timespec="seconds")
