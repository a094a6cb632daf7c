"""The standard 3DGS .ply: what viewers, editors and engines for Gaussian splats read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from .atomic import write_bytes
from .errors import InputError, MissingError
from .splat import DEGREES, Splat

C0 = 0.28209479177387814  # the degree-0 spherical harmonic: colour = 0.5 + C0 f_dc
NAMES = (
    *("x", "y", "z", "nx", "ny", "nz"),
    *("f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
_EDGE = 1e-6  # opacities 0 and 1 have no finite logit


def write(path: str | os.PathLike[str], splat: Splat) -> Path:
    """Write a splat at rest: binary little endian, logit opacity, log scale, quaternion wxyz, colour and its harmonics."""
    path = Path(path)
    opacity = np.clip(splat.opacities.astype(np.float64), _EDGE, 1 - _EDGE)
    columns = [
        splat.means,
        np.zeros_like(splat.means),
        (splat.colors.astype(np.float64) - 0.5) / C0,
        np.log(opacity / (1 - opacity))[:, None],
        np.log(np.maximum(splat.scales.astype(np.float64), 1e-12)),
        splat.rotations[:, [3, 0, 1, 2]],
    ]
    names = list(NAMES)
    if splat.harmonics is not None:  # all of red's, then green's, then blue's, between the colour and the opacity
        columns.insert(3, splat.harmonics.transpose(0, 2, 1).reshape(len(splat.means), -1))
        names[9:9] = [f"f_rest_{index}" for index in range(columns[3].shape[1])]
    table = np.concatenate(columns, 1).astype("<f4")
    properties = "".join(f"property float {name}\n" for name in names)
    header = f"ply\nformat binary_little_endian 1.0\ncomment akd\nelement vertex {len(table)}\n{properties}end_header\n"
    write_bytes(path, header.encode("ascii") + table.tobytes())
    return path


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a 3DGS .ply of floats.

    Returns:
        means [m, (N, 3)], rotations xyzw [(N, 4)], scales [m, (N, 3)], opacities [(N,)], colors sRGB [(N, 3)]; and
        harmonics [(N, 3 | 8 | 15, 3)] where the file has them (`schemas.splat.Splat`).

    Raises:
        MissingError: No such file. InputError: Not a 3DGS .ply, truncated, or not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path}: no such file.")
    data = path.read_bytes()
    end = data.find(b"end_header\n", 0, 1 << 16)
    header = data[: max(end, 0)].decode("ascii", "replace")
    count = re.search(r"^element vertex (\d+)$", header, re.MULTILINE)
    names = re.findall(r"^property float (\S+)$", header, re.MULTILINE)
    if end < 0 or not header.startswith("ply\nformat binary_little_endian 1.0\n") or not count or len(names) != header.count("property "):
        raise InputError(f"{path}: is not a binary little-endian .ply of floats;", "export it in the 3DGS format.")
    missing = [name for name in NAMES if name not in names and not name.startswith("n")]
    if missing:
        raise InputError(f"{path}: has no property '{missing[0]}';", "export it in the 3DGS format.")
    body, size = data[end + 11 :], 4 * len(names) * int(count[1])
    if len(body) < size:
        raise InputError(f"{path}: truncated, {len(body)} of {size} bytes of data.")
    table = np.frombuffer(body[:size], "<f4").reshape(-1, len(names)).astype(np.float64)
    if not np.isfinite(table).all():
        raise InputError(f"{path}: holds values that are not finite.")
    column = {name: table[:, index] for index, name in enumerate(names)}

    def stack(*wanted: str) -> np.ndarray:
        return np.stack([column[name] for name in wanted], 1)

    turn = stack("rot_1", "rot_2", "rot_3", "rot_0")
    rest = sum(re.fullmatch(r"f_rest_\d+", name) is not None for name in names)
    if rest and (rest % 3 or rest // 3 not in DEGREES or any(f"f_rest_{index}" not in column for index in range(rest))):
        raise InputError(f"{path}: {rest} properties f_rest_*, 9, 24 or 45 are needed for harmonics of degree 1, 2 or 3.")
    result = {
        "means": stack("x", "y", "z"),
        "rotations": turn / np.maximum(np.linalg.norm(turn, axis=1, keepdims=True), 1e-12),
        "scales": np.exp(stack("scale_0", "scale_1", "scale_2")),
        "opacities": 1 / (1 + np.exp(-column["opacity"])),
        "colors": np.clip(0.5 + C0 * stack("f_dc_0", "f_dc_1", "f_dc_2"), 0, 1),
    }
    if rest:
        result["harmonics"] = stack(*[f"f_rest_{index}" for index in range(rest)]).reshape(len(table), 3, rest // 3).transpose(0, 2, 1)
    return result
