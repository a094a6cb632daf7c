"""Test poses: how a skin deforms, measured and drawn (skin.png)."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image, ImageDraw

from schemas.rig import Rig
from schemas.roles import limb
from stages.view.sketch import INK, PAPER, SLANTED, Surface

_MOST_POINTS = 40_000  # vertices that are posed to measure; of more, every n-th face counts
_RED = np.array([1.0, 0.45, 0.35])
_FINE = 2

# pose -> (roles or segments, axis of the compound joint, degrees on the left or in the middle, on the right)
_POSES: tuple[tuple[str, tuple[tuple[str, int, float, float], ...]], ...] = (
    ("rest", ()),
    ("stride", (("hind_upper", 0, 35, -35), ("fore_upper", 0, -35, 35), ("leg_upper", 0, 20, -20), ("arm_upper", 0, -35, 35))),
    ("crouch", (("hind_upper", 0, -50, -50), ("hind_lower", 0, 80, 80), ("fore_upper", 0, 40, 40), ("fore_lower", 0, -60, -60), ("leg_lower", 0, 40, 40))),
    ("reach", (("arm_upper", 2, 60, -60), ("arm_lower", 0, -80, -80), ("wing_upper", 2, 50, -50), ("wing_lower", 2, 30, -30))),
    ("twist", (("spine", 1, 25, 25), ("chest", 1, 25, 25), ("neck", 1, 25, 25))),
    ("bow", (("spine", 0, 30, 30), ("chest", 0, 20, 20), ("neck", 0, 30, 30), ("head", 0, 20, 20))),
    ("sway", (("spine", 2, 20, 20), ("chest", 2, 15, 15), ("neck", 2, 30, 30), ("tail", 2, 20, 20))),
    ("tail", (("tail", 0, 25, 25), ("head", 1, 40, 40), ("jaw", 0, 25, 25))),
)


@dataclasses.dataclass(frozen=True)
class Collapse:
    """How a mesh fares in the test poses.

    Attributes:
        volume: Least volume of a pose, as a share of that at rest; closed meshes keep near 1.
        inverted: Largest share of a pose's area whose triangles face inward, against the turn of their bones.
        pose: Where most is inverted.
    """

    volume: float
    inverted: float
    pose: str


def measure(points: np.ndarray, faces: np.ndarray, rig: Rig, weights: np.ndarray) -> Collapse:
    """Volume and inverted triangles in all test poses.

    Parameters:
        points: Welded vertices. [m, (N, 3)]
        faces: [(T, 3)]
        rig: The skeleton.
        weights: [(N, J)]
    """
    if len(points) > _MOST_POINTS:
        faces = faces[:: -(-len(points) // _MOST_POINTS)]
        used, faces = np.unique(faces, return_inverse=True)
        points, weights, faces = points[used], weights[used], faces.reshape(-1, 3)
    points = np.asarray(points, np.float64)
    rest, worst = _volume(points, faces), (0.0, "rest")
    volumes = [1.0]
    for name, angles in poses(rig).items():
        moved, turns = _posed(points, rig, weights, angles)
        volumes.append(_volume(moved, faces) / rest if abs(rest) > 1e-12 else 1.0)
        flipped, area = inverted(points, moved, faces, weights, turns)
        worst = max(worst, (float(area[flipped].sum() / max(area.sum(), 1e-30)), name))
    return Collapse(round(min(volumes), 4), round(worst[0], 5), worst[1])


def poses(rig: Rig) -> dict[str, np.ndarray]:
    """Angles of the test poses that move anything of this rig, within its limits. [rad, (J, 3)]"""
    result = {}
    for name, turns in _POSES:
        angles = np.zeros((rig.joint_count, 3))
        done = set()
        for joint, role in enumerate(rig.roles):
            parts = limb(role)
            key = role if parts is None else f"{'leg' if parts[1].startswith('leg') else parts[1]}_{parts[2]}"
            if joint == 0 or (parts is not None and role in done):
                continue  # fingers and further spine joints follow the first
            done.add(role)
            for which, axis, left, right in turns:
                if which == key:
                    angles[joint, axis] = np.radians(right if parts is not None and parts[0] == "right" else left)
        angles = np.clip(angles, rig.limits[..., 0], rig.limits[..., 1])
        if name == "rest" or angles.any():
            result[name] = angles
    return result


def inverted(rest: np.ndarray, moved: np.ndarray, faces: np.ndarray, weights: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which triangles face against the blended turn of their bones, and the area of each at rest. [bool (T,), m^2 (T,)]"""
    before, after = (np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]]) for p in (rest, moved))
    blend = np.einsum("tj,jab->tab", weights[faces].mean(1), turns)
    expected = np.einsum("tab,tb->ta", blend, before)
    return (expected * after).sum(1) < 0, 0.5 * np.linalg.norm(before, axis=1)


def sheet(points: np.ndarray, faces: np.ndarray, rig: Rig, weights: np.ndarray, size: int = 300, *, rest_only: bool = False) -> Image.Image:
    """skin.png: the test poses side by side, what is turned inside out in red."""
    points = np.asarray(points, np.float64)
    low, high = points.min(0), points.max(0)
    middle, extent = 0.5 * (low + high), 1.25 * float((high - low).max())
    found = {name: angles for name, angles in poses(rig).items() if name == "rest" or not rest_only}
    columns = min(len(found), 4)
    image = Image.new("RGB", (columns * size, -(-len(found) // columns) * size), PAPER)
    surface = Surface(points, np.asarray(faces))
    for index, (name, angles) in enumerate(found.items()):
        moved, turns = _posed(points, rig, weights, angles)
        flipped, _ = inverted(points, moved, faces, weights, turns)
        tint = np.where(flipped[:, None], _RED, 1.0)
        one = surface.picture((moved - middle) @ SLANTED.T, extent, _FINE * size, tint)
        ImageDraw.Draw(one).text((12 * _FINE, 8 * _FINE), name, INK, font_size=13 * _FINE)
        image.paste(one.reduce(_FINE), (index % columns * size, index // columns * size))
    return image


def _posed(points: np.ndarray, rig: Rig, weights: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skinned vertices (equation 5) and the turns of the bones, the root at rest. [m, (N, 3), (J, 3, 3)]"""
    import torch

    from stages.body.kinematics import Skeleton, forward

    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    root = torch.as_tensor(rig.positions[0], dtype=torch.float64)[None]
    identity = torch.eye(3, dtype=torch.float64)[None]
    pose = forward(skeleton, torch.as_tensor(angles, dtype=torch.float64)[None], root, identity)
    turns, shifts = pose.rotations[0].numpy(), pose.translations[0].numpy()
    weights = np.asarray(weights, np.float64)
    # one product of matrices: the blended 3 x 4 map of every vertex
    maps = (weights @ np.concatenate([turns, shifts[..., None]], 2).reshape(len(turns), 12)).reshape(-1, 3, 4)
    return np.einsum("nab,nb->na", maps[..., :3], points) + maps[..., 3], turns


def _volume(points: np.ndarray, faces: np.ndarray) -> float:
    """Signed volume of a surface. [m^3]"""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)
