"""Typed arrays out of glTF buffers: strides, normalised integers, sparse accessors, all bounds checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from .gltf_document import Document

MAX_ELEMENTS = 64 * 2**20  # numbers in one accessor
DTYPES = {5120: np.dtype("i1"), 5121: np.dtype("u1"), 5122: np.dtype("<i2"), 5123: np.dtype("<u2"), 5125: np.dtype("<u4"), 5126: np.dtype("<f4")}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def read_accessor(document: Document, index: Any, user: str, types: tuple[str, ...], *, normalize: bool = True) -> np.ndarray:
    """The values of an accessor.

    Parameters:
        index: Accessor index as the JSON gives it.
        user: Who needs it, for errors ("POSITION of mesh 3").
        types: The accessor types that are allowed here, such as ("VEC3",).
        normalize: Turn normalised integers into floats in [0, 1] or [-1, 1].

    Returns:
        (count, width) array of a component type of glTF, or float32 where normalised. Its own memory.

    Raises:
        InputError: The accessor or one of its views does not exist, is of another type, or leaves its buffer.
    """
    entry = document.object("accessors", index, user)
    name = f"accessor {index} ({user})"
    kind, code = entry.get("type"), entry.get("componentType")
    if kind not in types:
        raise document.error(f"{name} has type {kind!r}, {' or '.join(types)} is needed")
    if not isinstance(code, int) or code not in DTYPES:
        raise document.error(f"{name} has componentType {code!r}, which glTF does not know")
    dtype, width = DTYPES[code], WIDTHS[kind]
    count = document.integer(entry.get("count"), f"{name} has count", low=1, high=MAX_ELEMENTS // width)
    if "bufferView" in entry:
        values = _strided(document, entry, name, dtype, width, count)
    else:
        values = np.zeros((count, width), dtype)
        if "sparse" not in entry:
            document.note(f"{name} has no data and is read as zeros")
    if "sparse" in entry:
        _overlay(document, entry["sparse"], name, values)
    if normalize and entry.get("normalized") is True and dtype.kind in "iu":
        scale = np.float32(np.iinfo(dtype).max)
        return np.maximum(values.astype(np.float32) / scale, np.float32(-1))
    return values


def _strided(document: Document, entry: dict[str, Any], name: str, dtype: np.dtype, width: int, count: int) -> np.ndarray:
    data, start, length, stride = document.view(entry["bufferView"], name)
    size = dtype.itemsize * width
    stride = stride or size
    if stride < size:
        raise document.error(f"{name} has byteStride {stride}, an element takes {size} bytes")
    offset = document.integer(entry.get("byteOffset", 0), f"{name} has byteOffset", high=length)
    if offset + (count - 1) * stride + size > length:
        raise document.error(f"{name} needs {offset + (count - 1) * stride + size} bytes, its bufferView has {length}", "the file is damaged, export it again.")
    view = np.ndarray((count, width), dtype, data, start + offset, (stride, dtype.itemsize))
    return view.copy()


def _overlay(document: Document, sparse: Any, name: str, values: np.ndarray) -> None:
    """Replace the elements that a sparse accessor lists, in place."""
    if not isinstance(sparse, dict) or not isinstance(sparse.get("indices"), dict) or not isinstance(sparse.get("values"), dict):
        raise document.error(f"{name} has a malformed 'sparse' object")
    count = document.integer(sparse.get("count"), f"{name} has sparse count", low=1, high=len(values))
    code = sparse["indices"].get("componentType")
    if code not in (5121, 5123, 5125):
        raise document.error(f"{name} has sparse indices of componentType {code!r}, an unsigned one is needed")
    for part in ("indices", "values"):
        if "bufferView" not in sparse[part]:
            raise document.error(f"{name} has sparse {part} without a bufferView")
    where = _strided(document, sparse["indices"], f"{name}, sparse indices", DTYPES[code], 1, count)[:, 0].astype(np.int64)
    if (np.diff(where) <= 0).any() or where[-1] >= len(values):
        raise document.error(f"{name} has sparse indices that do not rise strictly below {len(values)}")
    values[where] = _strided(document, sparse["values"], f"{name}, sparse values", values.dtype, values.shape[1], count)
