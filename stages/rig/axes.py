"""Compound joint frames and their limits (METHOD 1)."""

from __future__ import annotations

import numpy as np

from schemas.roles import limb

# degrees about X (swing), Y (twist), Z (abduction). A bone that hangs down swings its tip backward for positive X, one
# that points forward (neck, head) lowers it, one that points backward (tail) lifts it. All are ours, and generous:
# they keep a joint from turning inside out, they do not tell it how to walk. Z is mirrored on the right side.
_TRUNK_LIMITS = {
    "pelvis": ((-40, 40), (-30, 30), (-30, 30)),
    "spine": ((-40, 40), (-30, 30), (-30, 30)),
    "chest": ((-40, 40), (-30, 30), (-30, 30)),
    "neck": ((-60, 60), (-45, 45), (-45, 45)),
    "head": ((-60, 60), (-60, 60), (-45, 45)),
    "jaw": ((-10, 45), (-10, 10), (-10, 10)),
    "ear": ((-45, 45), (-45, 45), (-45, 45)),
    "tail": ((-60, 60), (-30, 30), (-60, 60)),
    "other": ((-30, 30), (-30, 30), (-30, 30)),
}
_LIMB_LIMITS = {
    ("fore", "shoulder"): ((-45, 45), (-15, 15), (-20, 20)),
    ("fore", "upper"): ((-80, 80), (-30, 30), (-40, 30)),
    ("fore", "lower"): ((-120, 45), (-20, 20), (-20, 20)),
    ("fore", "foot"): ((-70, 110), (-20, 20), (-25, 25)),
    ("hind", "shoulder"): ((-45, 45), (-15, 15), (-20, 20)),
    ("hind", "upper"): ((-110, 70), (-40, 40), (-50, 40)),
    ("hind", "lower"): ((-30, 140), (-20, 20), (-20, 20)),
    ("hind", "foot"): ((-110, 80), (-20, 20), (-25, 25)),
    ("arm", "shoulder"): ((-30, 30), (-20, 20), (-35, 35)),
    ("arm", "upper"): ((-150, 90), (-80, 80), (-100, 100)),
    ("arm", "lower"): ((-145, 20), (-80, 80), (-20, 20)),
    ("arm", "foot"): ((-80, 80), (-40, 40), (-40, 40)),
    ("wing", "shoulder"): ((-40, 40), (-30, 30), (-60, 60)),
    ("wing", "upper"): ((-70, 70), (-50, 50), (-100, 100)),
    ("wing", "lower"): ((-120, 60), (-40, 40), (-80, 80)),
    ("wing", "foot"): ((-90, 90), (-40, 40), (-60, 60)),
    ("leg", "shoulder"): ((-50, 50), (-40, 40), (-50, 50)),
    ("leg", "upper"): ((-80, 80), (-40, 40), (-80, 80)),
    ("leg", "lower"): ((-100, 100), (-30, 30), (-100, 100)),
    ("leg", "foot"): ((-80, 80), (-30, 30), (-80, 80)),
}
_UNKNOWN = ((-60, 60), (-45, 45), (-60, 60))
_ARM_IN, _ARM_UP = 10.0, 170.0  # degrees: how far an upper arm goes past hanging, into the body, and up from there
_OVERHEAD = 115.0  # degrees: beyond, an arm points up, and its axes are others
_FREE = np.pi
_SIDEWAYS = 0.5  # a bone whose lateral axis keeps less than this in the plane across it lies sideways


def frames(parents: np.ndarray, positions: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Columns of each matrix are the joint's axes at rest: X lateral, Y along the bone, Z completes. [(J, 3, 3)]

    A bone that lies sideways (an arm held out) takes the X that it would have after being raised from hanging down,
    so that the elbow keeps its meaning: X of an arm that points to the left is up, of one to the right down.
    """
    result = np.zeros((len(parents), 3, 3))
    for joint, parent in enumerate(parents):
        along = np.asarray(tails[joint] - positions[joint], np.float64)
        length = np.linalg.norm(along)
        inherited = result[parent, :, 1] if parent >= 0 else np.array([0.0, 1.0, 0.0])
        along = along / length if length > 1e-9 else inherited
        lateral = np.array([1.0, 0.0, 0.0]) - along[0] * along
        if np.linalg.norm(lateral) < _SIDEWAYS:
            lateral = _raised(along)
        lateral /= np.linalg.norm(lateral)
        result[joint] = np.stack([lateral, along, np.cross(lateral, along)], 1)
    return result


def _raised(along: np.ndarray) -> np.ndarray:
    """World X turned by the smallest rotation that takes "down" to `along`. [(3,)]"""
    down = np.array([0.0, -1.0, 0.0])
    axis, cosine = np.cross(down, along), float(down @ along)
    x = np.array([1.0, 0.0, 0.0])
    return x + np.cross(axis, x) + np.cross(axis, np.cross(axis, x)) / (1 + cosine)


def _lowering(along: np.ndarray) -> tuple[float, float]:
    """How far a left upper arm goes up and down sideways from where it is held: from overhead to a little past hanging. [deg]"""
    raised = float(np.degrees(np.arctan2(along[0], -along[1])))  # from hanging, outward
    if abs(raised) > _OVERHEAD:
        return _LIMB_LIMITS["arm", "upper"][2]
    return min(raised - _ARM_UP, -_ARM_IN), max(raised + _ARM_IN, _ARM_IN)


def limits(roles: list[str], kind: str = "anatomy", along: np.ndarray | None = None) -> np.ndarray:
    """Lowest and highest angle about each axis, by role; the root, whose turn is free, and "free" get a full turn. [rad, (J, 3, 2)]

    Parameters:
        along: Directions of the bones at rest, of any length: how far an arm may be lowered depends on how it is held. [(J, 3)]
    """
    result = np.empty((len(roles), 3, 2))
    for joint, role in enumerate(roles):
        if joint == 0 or kind == "free":
            result[joint] = -_FREE, _FREE
            continue
        parts = limb(role)
        if parts is None:
            degrees = np.array(_TRUNK_LIMITS.get(role, _UNKNOWN), float)
        else:
            side, group, segment = parts
            degrees = np.array(_LIMB_LIMITS["leg" if group.startswith("leg") else group, segment], float)
            if (group, segment) == ("arm", "upper") and along is not None:
                degrees[2] = _lowering(along[joint] if side == "left" else along[joint] * [-1, 1, 1])
            if side == "right":
                degrees[2] = -degrees[2, ::-1]
        result[joint] = np.radians(degrees)
    return result
