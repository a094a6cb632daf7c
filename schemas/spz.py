"""The .spz format of Niantic: 3D Gaussians in a quarter of a .ply's bytes (version 3 of github.com/nianticlabs/spz).

A gzip stream: a header of 16 bytes, then all positions, opacities, colours, scales, rotations and harmonics, in bytes. Its
axes are ours, right, up and back, so nothing is turned.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from .atomic import write_bytes
from .errors import InputError, MissingError
from .ply import C0
from .splat import DEGREES, Splat

_MAGIC, _HEADER = 0x5053474E, struct.Struct("<IIIBBBB")
_VERSION, _OLDER = 3, 2  # the older keeps rotations in three bytes, which can be off by nine degrees
_ANTIALIASED = 1  # flag: fitted with the antialiased image model
_COLOR = 0.15  # of a byte's range per unit of the degree-0 coefficient
_FINEST = 20  # binary places of a position
_LARGEST = 1 << 28  # bytes once decompressed: a bomb is refused


def write(path: str | os.PathLike[str], splat: Splat) -> Path:
    """Write a splat at rest.

    Bytes hold opacities and colours to 1/255 and 1/130, scales to 3%, rotations to a quarter of a degree, harmonics to 1/128;
    positions have 24 bits.
    """
    path, count = Path(path), len(splat.means)
    reach = float(np.abs(splat.means).max(initial=1e-6))
    places = int(np.clip(22 - math.ceil(math.log2(reach)), 0, _FINEST))
    fixed = np.round(splat.means.astype(np.float64) * 2.0**places).astype("<i4")
    parts = [
        fixed.view(np.uint8).reshape(count, 3, 4)[..., :3],  # the lower three bytes of each
        _bytes(255 * splat.opacities),
        _bytes(255 * (_COLOR * (splat.colors.astype(np.float64) - 0.5) / C0 + 0.5)),
        _bytes(16 * (np.log(np.maximum(splat.scales.astype(np.float64), 1e-12)) + 10)),
        _packed(splat.rotations),
    ]
    degree = 0
    if splat.harmonics is not None:
        degree = DEGREES[splat.harmonics.shape[1]]
        parts.append(_bytes(128 * (splat.harmonics + 1)))
    header = _HEADER.pack(_MAGIC, _VERSION, count, degree, places, _ANTIALIASED if splat.filter else 0, 0)
    write_bytes(path, gzip.compress(header + b"".join(np.ascontiguousarray(part).tobytes() for part in parts), mtime=0))
    return path


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a .spz of version 2 or 3.

    Returns:
        As `schemas.ply.read`.

    Raises:
        MissingError: No such file. InputError: Not a .spz of these versions, truncated, or too large.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path}: no such file.")
    decoder = zlib.decompressobj(wbits=31)
    try:
        data = decoder.decompress(path.read_bytes(), _LARGEST)
    except zlib.error as error:
        raise InputError(f"{path}: is not a .spz ({error}).") from error
    if decoder.unconsumed_tail:
        raise InputError(f"{path}: holds more than {_LARGEST >> 20} MiB.")
    if len(data) < _HEADER.size:
        raise InputError(f"{path}: is not a .spz, {len(data)} bytes.")
    magic, version, count, degree, places, _flags, _reserved = _HEADER.unpack_from(data)
    if magic != _MAGIC or version not in (_OLDER, _VERSION) or degree > 3 or places > 24:
        raise InputError(f"{path}: is not a .spz of version {_OLDER} or {_VERSION} (version {version}, degree {degree});", "convert it to a 3DGS .ply.")
    rest = (degree + 1) ** 2 - 1
    widths = (9, 1, 3, 3, 4 if version == _VERSION else 3, 3 * rest)
    if len(data) < _HEADER.size + count * sum(widths):
        raise InputError(f"{path}: truncated, {len(data)} of {_HEADER.size + count * sum(widths)} bytes.")
    parts, at = [], _HEADER.size
    for width in widths:
        parts.append(np.frombuffer(data, np.uint8, count * width, at).reshape(count, width))
        at += count * width
    fixed = np.zeros((count, 3, 4), np.uint8)
    fixed[..., 1:] = parts[0].reshape(count, 3, 3)  # in the upper bytes, so that the sign is the integer's own
    turn = _unpacked(parts[4])
    result = {
        "means": (fixed.view("<i4")[..., 0] >> 8) / 2.0**places,
        "rotations": turn / np.linalg.norm(turn, axis=1, keepdims=True),
        "scales": np.exp(parts[3] / 16 - 10),
        "opacities": parts[1][:, 0] / 255,
        "colors": np.clip(0.5 + C0 * (parts[2] / 255 - 0.5) / _COLOR, 0, 1),
    }
    return result | ({"harmonics": parts[5].reshape(count, rest, 3) / 128 - 1} if rest else {})


def _packed(turns: np.ndarray) -> np.ndarray:
    """Four bytes a quaternion xyzw: which number is largest (2 bits), then sign and size (1 + 9 bits) of each other. [(N, 4)]"""
    turns = turns.astype(np.float64) / np.linalg.norm(turns, axis=1, keepdims=True)
    largest = np.abs(turns).argmax(1)
    rows = np.arange(len(turns))
    turns = turns * np.where(turns[rows, largest] < 0, -1, 1)[:, None]  # q and -q are one rotation: the largest is positive
    word = largest.astype(np.uint32)
    for k in range(4):
        size = np.minimum(np.round(511 * math.sqrt(2) * np.abs(turns[:, k])), 511).astype(np.uint32)
        word = np.where(largest == k, word, word << np.uint32(10) | (turns[:, k] < 0).astype(np.uint32) << np.uint32(9) | size)
    return word.astype("<u4").view(np.uint8).reshape(-1, 4)


def _unpacked(data: np.ndarray) -> np.ndarray:
    """Quaternions xyzw of four bytes each, or of three: x, y and z, where w is positive. [(N, 3 | 4) -> (N, 4)]"""
    if data.shape[1] == 3:
        turns = data / 127.5 - 1
        return np.concatenate([turns, np.sqrt(np.maximum(1 - (turns**2).sum(1, keepdims=True), 0))], 1)
    word = np.ascontiguousarray(data).view("<u4")[:, 0]
    largest, turns = word >> 30, np.zeros((len(word), 4))
    for k in (3, 2, 1, 0):  # the last written lies lowest
        value = (word & 511) / (511 * math.sqrt(2)) * np.where(word >> 9 & 1, -1, 1)
        turns[:, k] = np.where(largest == k, 0, value)
        word = np.where(largest == k, word, word >> 10)
    turns[np.arange(len(turns)), largest] = np.sqrt(np.maximum(1 - (turns**2).sum(1), 0))
    return turns


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
