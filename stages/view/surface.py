"""Colour of a point on an asset's surface, as glTF 2.0 defines it: base colour factor x texture x vertex colour."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError

LARGEST_IMAGE = 16384  # px on a side; larger ones are refused before they are decoded
_CLAMP, _MIRROR = 33071, 33648


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB to linear light. [0..1]"""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB. [0..1]"""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


class SurfaceColor:
    """Looks up colours on one asset; decodes each texture once."""

    def __init__(self, asset: Asset) -> None:
        self._asset = asset
        self._materials: list[dict[str, Any]] = asset.materials.get("list") or [{}]
        self._texture = functools.lru_cache(maxsize=None)(self._decode)

    def linear(self, faces: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """Linear base colour. [(M,), (M, 3) -> 0..1, (M, 3)]"""
        corners = self._asset.faces[faces]
        color = np.einsum("mk,mkc->mc", barycentric, self._asset.colors[corners][..., :3]).astype(np.float64)
        owners = self._asset.face_materials[faces]
        for index in np.unique(owners):
            rows = owners == index
            surface = self._materials[index].get("pbrMetallicRoughness", {})
            color[rows] *= np.asarray(surface.get("baseColorFactor", [1, 1, 1, 1]), float)[:3]
            texture = surface.get("baseColorTexture")
            if texture is not None and self._asset.uvs is not None:
                uv = np.einsum("mk,mkc->mc", barycentric[rows], self._asset.uvs[corners[rows]])
                color[rows] *= self._sample(texture, uv)
        return np.clip(color, 0, 1)

    def srgb(self, faces: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """Base colour as displayed. [(M,), (M, 3) -> 0..1, (M, 3)]"""
        return to_srgb(self.linear(faces, barycentric))

    def _sample(self, info: dict[str, Any], uv: np.ndarray) -> np.ndarray:
        """Bilinear texture look-up, linear light. [(M, 2) -> (M, 3)]"""
        move = info.get("extensions", {}).get("KHR_texture_transform")
        if move:
            angle = float(move.get("rotation", 0))
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            uv = (uv * np.asarray(move.get("scale", [1, 1]), float)) @ turn.T + np.asarray(move.get("offset", [0, 0]), float)
        texture = self._asset.materials["textures"][info["index"]]
        image = self._texture(int(texture["image"]))
        sampler = texture.get("sampler") or {}
        height, width = image.shape[:2]
        x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
        x0, y0 = np.floor(x), np.floor(y)
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        columns = [_wrap(x0 + i, width, sampler.get("wrapS")) for i in (0, 1)]
        rows = [_wrap(y0 + i, height, sampler.get("wrapT")) for i in (0, 1)]
        top = image[rows[0], columns[0]] * (1 - fx) + image[rows[0], columns[1]] * fx
        bottom = image[rows[1], columns[0]] * (1 - fx) + image[rows[1], columns[1]] * fx
        return top * (1 - fy) + bottom * fy

    def _decode(self, index: int) -> np.ndarray:
        from PIL import Image, UnidentifiedImageError

        where = f"{self._asset.name}: image {index}"
        try:
            with Image.open(io.BytesIO(self._asset.image_bytes(index))) as image:
                if max(image.size) > LARGEST_IMAGE:
                    raise InputError(f"{where}: {image.size[0]} x {image.size[1]} pixels, at most {LARGEST_IMAGE} on a side;", "scale the texture down.")
                pixels = np.asarray(image.convert("RGB"), np.float32) / 255
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{where}: cannot be decoded ({error});", "store the texture as PNG or JPEG.") from error
        return to_linear(pixels).astype(np.float32)


def _wrap(index: np.ndarray, size: int, mode: int | None) -> np.ndarray:
    index = index.astype(np.int64)
    if mode == _CLAMP:
        return np.clip(index, 0, size - 1)
    if mode == _MIRROR:
        folded = np.mod(index, 2 * size)
        return np.where(folded < size, folded, 2 * size - 1 - folded)
    return np.mod(index, size)
