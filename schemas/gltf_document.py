"""The outer layer of a glTF 2.0 file: GLB chunks or JSON, its buffers and URIs, and checked access to its objects.

Nothing here trusts the file: every index, length and URI is checked before it is used.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
import struct
import urllib.parse
from pathlib import Path
from typing import Any

from .errors import InputError, MissingError

MAX_FILE_BYTES = 2 * 2**30  # GLB itself cannot be larger than 4 GiB; half of that is far beyond any character
MAX_JSON_BYTES = 256 * 2**20
_GLB_MAGIC = 0x46546C67
_CHUNK_JSON, _CHUNK_BIN = 0x4E4F534A, 0x004E4942

# Extensions that may be required and still leave a file that is read right.
READABLE = frozenset({"KHR_mesh_quantization", "KHR_texture_transform", "KHR_lights_punctual", "KHR_materials_pbrSpecularGlossiness"})
_CONVERT = {
    "KHR_draco_mesh_compression": "export it without Draco compression, or run `npx @gltf-transform/cli copy IN.glb OUT.glb`.",
    "EXT_meshopt_compression": "run `npx @gltf-transform/cli copy IN.glb OUT.glb`, which decodes it.",
    "KHR_meshopt_compression": "run `npx @gltf-transform/cli copy IN.glb OUT.glb`, which decodes it.",
    "KHR_texture_basisu": "convert its KTX2 textures to PNG, for instance with `npx @gltf-transform/cli ktxdecompress IN.glb OUT.glb`.",
    "EXT_texture_webp": "convert its WebP textures to PNG, for instance with `npx @gltf-transform/cli png IN.glb OUT.glb`.",
    "EXT_texture_avif": "convert its AVIF textures to PNG, for instance with `npx @gltf-transform/cli png IN.glb OUT.glb`.",
    "EXT_mesh_gpu_instancing": "export the instances as ordinary nodes.",
}


@dataclasses.dataclass
class Document:
    """A parsed glTF file.

    Attributes:
        path: Where it was read from.
        kind: "glb" or "gltf".
        json: The JSON object.
        chunk: The binary chunk of a GLB.
        notes: What was mended, ignored or assumed while reading.
    """

    path: Path
    kind: str
    json: dict[str, Any]
    chunk: bytes = b""
    notes: list[str] = dataclasses.field(default_factory=list)
    _buffers: dict[int, bytes] = dataclasses.field(default_factory=dict)

    def error(self, message: str, hint: str = "export the file again.") -> InputError:
        """The InputError for this file, to be raised."""
        return InputError(f"{self.path}: {message};", hint)

    def note(self, message: str) -> None:
        """Record something once."""
        if message not in self.notes:
            self.notes.append(message)

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """The list of objects called `kind` ("nodes", "accessors", ...), empty if absent."""
        value = self.json.get(kind, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.error(f"'{kind}' is not a list of objects")
        return value

    def object(self, kind: str, index: Any, user: str) -> dict[str, Any]:
        """Object `index` of the list `kind`; `user` says in the error who asked for it."""
        entries = self.objects(kind)
        return entries[self.integer(index, f"{user} names {kind}", high=len(entries) - 1)]

    def integer(self, value: Any, what: str, *, low: int = 0, high: int | None = None) -> int:
        """An integer of the JSON within inclusive bounds."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
            limit = f"{low}..{high}" if high is not None else f"at least {low}"
            raise self.error(f"{what} {_short(value)}, which must be {limit}")
        return value

    def numbers(self, value: Any, count: int, what: str) -> list[float]:
        """`count` finite numbers of the JSON."""
        if not isinstance(value, list) or len(value) != count or not all(is_number(v) for v in value):
            raise self.error(f"{what} is {_short(value)}, {count} finite numbers are needed")
        return [float(v) for v in value]

    def indices(self, owner: dict[str, Any], key: str, kind: str, user: str) -> list[int]:
        """A list of indices into the list `kind`, empty if absent."""
        value = owner.get(key, [])
        if not isinstance(value, list):
            raise self.error(f"'{key}' of {user} is not a list")
        high = len(self.objects(kind)) - 1
        return [self.integer(v, f"'{key}' of {user} names {kind}", high=high) for v in value]

    def buffer(self, index: int) -> bytes:
        """The bytes of a buffer, at least its byteLength of them."""
        if index not in self._buffers:
            entry = self.objects("buffers")[index]
            size = self.integer(entry.get("byteLength"), f"buffer {index} has byteLength", low=0)
            uri = entry.get("uri")
            if uri is None:
                if index or self.kind != "glb":
                    raise self.error(f"buffer {index} has no data (neither a URI nor a GLB chunk)")
                data = self.chunk
            else:
                data = self.fetch(uri, f"buffer {index}")
            if len(data) < size:
                raise self.error(f"buffer {index} should have {size} bytes, {len(data)} are there", "the file is truncated, fetch or export it again.")
            self._buffers[index] = data[:size]
        return self._buffers[index]

    def view(self, index: Any, user: str) -> tuple[bytes, int, int, int]:
        """A buffer view as (buffer bytes, offset, length, stride or 0)."""
        entry = self.object("bufferViews", index, user)
        name = f"bufferView {index}"
        for extension in ("EXT_meshopt_compression", "KHR_meshopt_compression"):
            if extension in extensions_of(entry):
                raise unsupported(self.path, extension)
        which = self.integer(entry.get("buffer"), f"{name} names buffer", high=len(self.objects("buffers")) - 1)
        data = self.buffer(which)
        offset = self.integer(entry.get("byteOffset", 0), f"{name} has byteOffset", high=len(data))
        length = self.integer(entry.get("byteLength"), f"{name} of buffer {which} ({len(data)} bytes) has byteLength", high=len(data) - offset)
        stride = self.integer(entry.get("byteStride", 0), f"{name} has byteStride", high=65536)
        return data, offset, length, stride

    def fetch(self, uri: Any, user: str) -> bytes:
        """The bytes of a data: URI, or of a file beside this one.

        Raises:
            InputError: Another scheme, or a path that leaves the file's folder. MissingError: No such file.
        """
        if not isinstance(uri, str) or not uri:
            raise self.error(f"the URI of {user} is {_short(uri)}, which is not text")
        if uri[:5].lower() == "data:":
            return self._decode(uri, user)
        target = urllib.parse.unquote(uri)
        if urllib.parse.urlsplit(uri).scheme or target.startswith(("/", "\\")) or "\\" in target or "\0" in target or (len(target) > 1 and target[1] == ":"):
            raise self.error(f"{user} is at {_short(uri)}, which akd does not fetch", "put the data beside the file, or embed it (GLB).")
        folders = {self.path.parent.resolve(), self.path.resolve().parent}
        for folder in sorted(folders):
            place = (folder / target).resolve()
            if not place.is_relative_to(folder):
                raise self.error(f"{user} is at {_short(uri)}, outside the folder of the file", "put the data beside the file, or embed it (GLB).")
            if place.is_file():
                return read_bytes(place)
        raise MissingError(f"{self.path}: {user} is in {_short(uri)}, which is not there;", "put that file beside it, or export as GLB.")

    def _decode(self, uri: str, user: str) -> bytes:
        head, comma, body = uri.partition(",")
        try:
            if not comma:
                raise ValueError("no comma")
            return base64.b64decode(body, validate=True) if head.endswith(";base64") else urllib.parse.unquote_to_bytes(body)
        except (ValueError, binascii.Error) as error:
            raise self.error(f"the data: URI of {user} cannot be decoded ({error})") from error


def open_document(path: Path) -> Document:
    """Parse a .glb or .gltf file (recognised by its content) and check the version and required extensions.

    Raises:
        MissingError: No such file. InputError: Not glTF 2.0, damaged, or in need of an extension akd cannot read.
    """
    data = read_bytes(path)
    if data[:4] == b"glTF":
        text, chunk = _chunks(path, data)
        document = Document(path, "glb", _parse(path, text), chunk)
    else:
        document = Document(path, "gltf", _parse(path, data))
    asset = document.json.get("asset")
    version = asset.get("version") if isinstance(asset, dict) else None
    if not isinstance(version, str) or version.split(".")[0] != "2":
        raise document.error(f"is not glTF 2.0 (asset.version is {_short(version)})", "convert it to glTF 2.0.")
    for extension in document.json.get("extensionsRequired") or []:
        if not isinstance(extension, str) or (extension not in READABLE and not extension.startswith("KHR_materials_")):
            raise unsupported(path, extension)
    return document


def unsupported(path: Path, extension: Any) -> InputError:
    """The error for an extension that akd cannot read, with the way to convert the file."""
    return InputError(f"{path}: needs the glTF extension {_short(extension)}, which akd does not read;", _CONVERT.get(extension, "export it without."))


def read_bytes(path: Path) -> bytes:
    """The whole file, with clear errors."""
    if not path.exists():
        raise MissingError(f"{path}: no such file;", "check the name.")
    if not path.is_file():
        raise InputError(f"{path}: is not a file;", "give the path of a 3D file.")
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path}: has {size / 2**30:.1f} GiB, akd reads up to {MAX_FILE_BYTES >> 30} GiB;", "simplify the model.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror});", "check its permissions.") from error
    if not data:
        raise InputError(f"{path}: is empty (0 bytes);", "fetch or export it again.")
    return data


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _chunks(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """The JSON and BIN chunks of a GLB."""
    if len(data) < 20:
        raise InputError(f"{path}: is a truncated GLB ({len(data)} bytes);", "fetch or export it again.")
    _, version, length = struct.unpack_from("<III", data)
    if version != 2:
        raise InputError(f"{path}: is GLB version {version}, akd reads version 2;", "convert it to glTF 2.0.")
    if length > len(data):
        raise InputError(f"{path}: is a truncated GLB ({len(data)} of {length} bytes);", "fetch or export it again.")
    found: dict[int, bytes] = {}
    offset = 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<II", data, offset)
        if offset + 8 + size > length:
            raise InputError(f"{path}: a GLB chunk of {size} bytes reaches beyond the file's {length};", "the file is damaged, export it again.")
        if offset == 12 and kind != _CHUNK_JSON:
            raise InputError(f"{path}: its first GLB chunk is not JSON;", "the file is damaged, export it again.")
        found.setdefault(kind, data[offset + 8 : offset + 8 + size])
        offset += 8 + size + (-size % 4)
    if _CHUNK_JSON not in found:
        raise InputError(f"{path}: has no JSON chunk;", "the file is damaged, export it again.")
    return found[_CHUNK_JSON], found.get(_CHUNK_BIN, b"")


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    if len(text) > MAX_JSON_BYTES:
        raise InputError(f"{path}: its JSON has {len(text) >> 20} MiB, akd reads up to {MAX_JSON_BYTES >> 20} MiB;", "embed the buffers as a GLB.")
    try:
        value = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = str(error).split("\n")[0][:100] if not isinstance(error, UnicodeDecodeError) else "not UTF-8 text"
        raise InputError(f"{path}: is not a glTF file, its JSON cannot be read ({reason});", "give a .glb or .gltf file, or export it again.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: is not a glTF file (its JSON is not an object);", "give a .glb or .gltf file.")
    return value


def extensions_of(owner: dict[str, Any]) -> dict[str, Any]:
    """The extensions object of a glTF object, {} if absent or malformed."""
    value = owner.get("extensions")
    return value if isinstance(value, dict) else {}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
