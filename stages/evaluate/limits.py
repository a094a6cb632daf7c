"""How far joints are turned beyond what their rig allows."""

from __future__ import annotations

import dataclasses

import numpy as np

from schemas.motion import Motion
from schemas.rig import Rig

TOLERANCE = 1e-4
"""An angle beyond its limit by less than this is rounding. [rad]"""


@dataclasses.dataclass(frozen=True)
class Violations:
    """Angles beyond `rig.limits`; the root has none.

    Attributes:
        share: Of all frames times joint axes. [0..1]
        excess: Largest angle beyond a limit. [rad, >= 0]
        joint: Name of the joint where that is, "" where there is none.
    """

    share: float
    excess: float
    joint: str


def limit_violations(rig: Rig, motion: Motion) -> Violations:
    """Compare the compound angles of every frame with the limits of the rig.

    A turn has many triples of angles: whole turns more, and (a + pi, pi - b, c + pi). Each joint is judged in every frame by
    the triple that is least beyond its limits, so that clips whose angles came from rotations are judged fairly.
    """
    angles, limits = motion.angles[:, 1:].astype(np.float64), rig.limits[1:].astype(np.float64)
    if not angles.size:
        return Violations(0.0, 0.0, "")
    other = np.stack([angles[..., 0] + np.pi, np.pi - angles[..., 1], angles[..., 2] + np.pi], -1)
    beyond = [_excess(triple, limits) for triple in (angles, other)]
    least = np.where((beyond[0].sum(-1) <= beyond[1].sum(-1))[..., None], *beyond)
    least[least < TOLERANCE] = 0.0
    worst = least.max((0, 2))
    joint = rig.joint_names[1 + int(worst.argmax())] if worst.max() > 0 else ""
    return Violations(float((least > 0).mean()), float(worst.max()), joint)


def _excess(angles: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """How far angles are outside, taken to the turn nearest to the middle of their range. [rad, (F, J, 3) and (J, 3, 2)]"""
    middle = limits.mean(-1)
    near = angles - 2 * np.pi * np.round((angles - middle) / (2 * np.pi))
    return np.maximum(np.maximum(limits[..., 0] - near, near - limits[..., 1]), 0.0)
