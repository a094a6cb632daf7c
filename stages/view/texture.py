"""The colour of an asset's surface as displayed: base colour factor x texture x vertex colour (glTF 2.0, 3.9.2)."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError

_CLAMP, _MIRROR = 33071, 33648  # glTF sampler constants; all else repeats


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Encode linear light for display. [0..1]"""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Decode display values to linear light. [0..1]"""
    srgb = np.clip(srgb, 0, 1)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


class SurfaceShader:
    """Looks up the displayed colour of points on an asset's faces, and where alpha masks cut them out.

    Opacity in between is ignored: what is not cut out is opaque.

    Parameters:
        asset: The mesh with its materials.
        texture_limit: Textures are halved until no edge is longer, against aliasing in small images. [px]

    Raises:
        InputError: An image of the asset cannot be decoded.
    """

    def __init__(self, asset: Asset, texture_limit: int | None = None) -> None:
        self._asset = asset
        self._materials = [_base_color(material) for material in asset.materials.get("list", [])] or [([1.0, 1.0, 1.0, 1.0], None)]
        self._texels: dict[int, np.ndarray] = {}
        self._masks: dict[int, float] = {}  # material -> alpha below which it is cut out
        for index, material in enumerate(asset.materials.get("list", [])):
            if material.get("alphaMode") == "MASK":
                self._masks[index] = float(material.get("alphaCutoff", 0.5))
        for _, info in self._materials:
            image = self._image_of(info)
            if image is not None and image not in self._texels:
                self._texels[image] = _decode(asset, image, texture_limit)

    def __call__(self, faces: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """sRGB colours of points. [face index (M,), (M, 3) -> 0..1 float32 (M, 3)]"""
        asset = self._asset
        corners = asset.faces[faces]
        linear = np.einsum("mk,mkc->mc", barycentric, asset.colors[corners, :3].astype(np.float64))
        owners = asset.face_materials[faces]
        for index in np.unique(owners):
            chosen = owners == index
            factor, info = self._materials[index]
            linear[chosen] *= np.asarray(factor[:3], np.float64)
            image = self._image_of(info)
            if image is None or asset.uvs is None:
                continue
            uv = np.einsum("mk,mkc->mc", barycentric[chosen], asset.uvs[corners[chosen]].astype(np.float64))
            textures = asset.materials["textures"]
            linear[chosen] *= _sample(self._texels[image][..., :3], _transformed(uv, info), textures[info["index"]].get("sampler") or {}, _SRGB)
        return linear_to_srgb(linear).astype(np.float32)

    @property
    def masked(self) -> bool:
        """Whether any material has an alpha mask."""
        return bool(self._masks)

    def opaque(self, faces: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """Whether points are there at all (glTF 2.0, alphaMode MASK). [face index (M,), (M, 3) -> bool (M,)]"""
        asset, result = self._asset, np.ones(len(faces), bool)
        owners = asset.face_materials[faces]
        for index, cutoff in self._masks.items():
            chosen = np.flatnonzero(owners == index)
            corners, weights = asset.faces[faces[chosen]], barycentric[chosen]
            factor, info = self._materials[index]
            alpha = factor[3] * np.einsum("mk,mk->m", weights, asset.colors[corners, 3].astype(np.float64))
            image = self._image_of(info)
            if image is not None and asset.uvs is not None and len(chosen):
                uv = _transformed(np.einsum("mk,mkc->mc", weights, asset.uvs[corners].astype(np.float64)), info)
                sampler = asset.materials["textures"][info["index"]].get("sampler") or {}
                alpha = alpha * _sample(self._texels[image][..., 3:], uv, sampler, np.arange(256) / 255)[:, 0]
            result[chosen] = alpha >= cutoff
        return result

    def _image_of(self, info: dict[str, Any] | None) -> int | None:
        """Index of the image behind a glTF texture info, None without one."""
        textures = self._asset.materials.get("textures", [])
        if info is None or not 0 <= info.get("index", -1) < len(textures):
            return None
        image = textures[info["index"]].get("image")
        return image if image is not None and 0 <= image < len(self._asset.materials.get("images", [])) else None


def surface_colors(asset: Asset, faces: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
    """Displayed colour of points on the surface; for repeated use keep a `SurfaceShader`.

    Parameters:
        faces: Face of each point. [(M,)]
        barycentric: Weights of the face's corners. [(M, 3)]

    Returns:
        sRGB. [0..1 float32, (M, 3)]
    """
    return SurfaceShader(asset)(np.asarray(faces), np.asarray(barycentric))


def _base_color(material: dict[str, Any]) -> tuple[list[float], dict[str, Any] | None]:
    """Linear base colour factor and texture info; the older specular-glossiness extension calls them diffuse."""
    gloss = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
    if gloss is not None:
        return gloss.get("diffuseFactor", [1.0] * 4), gloss.get("diffuseTexture")
    base = material.get("pbrMetallicRoughness", {})
    return base.get("baseColorFactor", [1.0] * 4), base.get("baseColorTexture")


def _decode(asset: Asset, index: int, limit: int | None) -> np.ndarray:
    """sRGB texels and alpha. [uint8, (h, w, 4)]"""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(asset.image_bytes(index))) as image:
            image = image.convert("RGBA")
            while limit and max(image.size) > limit:
                image = image.resize((max(image.width // 2, 1), max(image.height // 2, 1)), Image.Resampling.BOX)
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"asset {asset.name}: image {index} cannot be decoded ({error});", "re-export the asset with PNG or JPEG textures.") from error


def _transformed(uv: np.ndarray, info: dict[str, Any]) -> np.ndarray:
    """KHR_texture_transform: scale, then rotate counter-clockwise, then shift. [(M, 2)]"""
    transform = info.get("extensions", {}).get("KHR_texture_transform")
    if not transform:
        return uv
    u, v = (uv * transform.get("scale", (1, 1))).T
    c, s = math.cos(transform.get("rotation", 0.0)), math.sin(transform.get("rotation", 0.0))
    return np.stack([c * u + s * v, -s * u + c * v], -1) + transform.get("offset", (0, 0))


_SRGB = srgb_to_linear(np.arange(256) / 255)


def _sample(texels: np.ndarray, uv: np.ndarray, sampler: dict[str, Any], decode: np.ndarray) -> np.ndarray:
    """Bilinear lookup of decoded bytes. [uint8 (h, w, C), (M, 2), (256,) -> (M, C)]"""
    height, width = texels.shape[:2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, down = (x - x0)[:, None], (y - y0)[:, None]
    columns = [_wrap(x0 + step, width, sampler.get("wrapS")) for step in (0, 1)]
    rows = [_wrap(y0 + step, height, sampler.get("wrapT")) for step in (0, 1)]
    upper = (1 - right) * decode[texels[rows[0], columns[0]]] + right * decode[texels[rows[0], columns[1]]]
    lower = (1 - right) * decode[texels[rows[1], columns[0]]] + right * decode[texels[rows[1], columns[1]]]
    return (1 - down) * upper + down * lower


def _wrap(index: np.ndarray, size: int, mode: int | None) -> np.ndarray:
    """Texel indices outside 0..size-1 brought inside."""
    if mode == _CLAMP:
        return np.clip(index, 0, size - 1)
    if mode == _MIRROR:
        folded = np.mod(index, 2 * size)
        return np.where(folded < size, folded, 2 * size - 1 - folded)
    return np.mod(index, size)
