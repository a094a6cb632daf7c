"""Where a motion's feet are, as a viewer sees them: by the skinned mesh."""

from __future__ import annotations

import dataclasses

import numpy as np

from schemas import roles
from schemas.rig import Rig

from .film import Film

TOUCH = 0.02
"""A foot this near to the ground touches it. [heights of the asset]"""


@dataclasses.dataclass(frozen=True)
class Heights:
    """Heights above the ground over a clip, negative below it.

    Attributes:
        lowest: Of the lowest vertex. [m, (F,)]
        feet: Of each foot's lowest vertex, by name such as "left hind". [m, L arrays (F,)]
        tolerance: Up to which a foot touches the ground. [m]
    """

    lowest: np.ndarray
    feet: dict[str, np.ndarray]
    tolerance: float

    def state(self, foot: str, frame: int) -> str:
        """ "down", "sunk" or "up"."""
        height = float(self.feet[foot][frame])
        return "sunk" if height < -self.tolerance else "down" if height <= self.tolerance else "up"


def heights(film: Film) -> Heights:
    """Measure every frame of a film."""
    owner = film.weights.argmax(1).numpy()
    members = {name: np.flatnonzero(np.isin(owner, joints)) for name, joints in feet_of(film.rig).items()}
    members = {name: vertices for name, vertices in members.items() if len(vertices)}
    lowest, feet = [], {name: [] for name in members}
    for frame in range(film.motion.frame_count):
        y = film.points(frame)[:, 1].numpy()
        lowest.append(float(y.min()))
        for name, vertices in members.items():
            feet[name].append(float(y[vertices].min()))
    return Heights(np.array(lowest), {name: np.array(values) for name, values in feet.items()}, TOUCH * film.asset.height)


def feet_of(rig: Rig) -> dict[str, list[int]]:
    """Joints of each leg's foot by name, hind legs last, left before right; the lowest joint where a leg has no foot."""
    legs: dict[str, list[int]] = {}
    for joint, role in enumerate(rig.roles):
        parts = roles.limb(role)
        if parts and roles.is_leg(role):
            legs.setdefault(f"{parts[0]} {parts[1]}", []).append(joint)
    found = {name: [j for j in joints if rig.roles[j].endswith("_foot")] or joints[-1:] for name, joints in legs.items()}
    return {name: found[name] for name in sorted(found, key=lambda name: ("hind" in name, name))}
