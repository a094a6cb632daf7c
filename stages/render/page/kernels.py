"""The Gaussians of an asset, small enough to travel in a page."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from schemas.gltf import top_influences
from schemas.splat import Splat

MOST = 60_000
"""More kernels than this do not go into a page: at about 35 bytes each they would weigh more than all the rest."""
INFLUENCES = 8


def encode(splat: Splat) -> tuple[dict[str, Any], bytes]:
    """What the viewer needs to draw the kernels, and their numbers.

    Planes one after another (all first numbers, all second ones, ...; they compress better so), deflated: means as 16 bits
    of their box, quaternions xyzw as signed bytes, the logarithms of the scales as bytes of their range, opacities and
    sRGB colours as bytes, the joints of the eight largest weights, and these weights as bytes that sum to 255.

    Returns:
        Values for JSON, and the bytes.
    """
    low, high = splat.means.min(0), splat.means.max(0)
    logs = np.log(np.maximum(splat.scales, 1e-7))
    least, most = float(logs.min()), float(logs.max())
    joints, weights = top_influences(splat.weights, INFLUENCES)
    planes = [
        _quantised((splat.means - low) / np.maximum(high - low, 1e-9), 65535).astype("<u2"),
        np.round(127 * splat.rotations).astype("i1"),
        _quantised((logs - least) / max(most - least, 1e-9), 255).astype("u1"),
        _quantised(splat.opacities[:, None], 255).astype("u1"),
        _quantised(splat.colors, 255).astype("u1"),
        joints.astype("<u2"),
        _shares(weights),
    ]
    facts = {"count": len(splat.means), "low": low.tolist(), "high": high.tolist(), "scales": [least, most], "influences": INFLUENCES}
    return facts, zlib.compress(b"".join(plane.T.tobytes() for plane in planes), 9)


def _quantised(values: np.ndarray, steps: int) -> np.ndarray:
    return np.round(np.clip(values, 0, 1) * steps)


def _shares(weights: np.ndarray) -> np.ndarray:
    """Weights in 255ths that sum to 255: the largest takes what rounding leaves. [(N, K) -> uint8]"""
    shares = np.round(255 * weights).astype(int)
    shares[:, 0] += 255 - shares.sum(1)
    return shares.astype("u1")
