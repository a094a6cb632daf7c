"""The skeleton that all four-legged animals of the library share: only the places of its joints differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .template import Joint, Point

_CHAINS = (
    ("trunk", "", ("pelvis", "spine", "chest")),
    ("neck", "chest", None),
    ("tail", "pelvis", None),
    ("fore", "chest", ("left_fore_shoulder", "left_fore_upper", "left_fore_lower", "left_fore_foot")),
    ("hind", "pelvis", ("left_hind_upper", "left_hind_lower", "left_hind_foot")),
)


def skeleton(points: Mapping[str, Sequence[Point]]) -> list[Joint]:
    """Joints from the points of each chain, every chain one point longer than it has joints (the last is the tip).

    Args:
        points: "trunk": hips to the base of the neck (4); "neck": base to nose, its last bone is the head; "jaw": hinge and
            chin (optional, 2); "tail" (any); "fore": top of the shoulder blade, shoulder, elbow, wrist, toes (5);
            "hind": hip, knee, hock, toes (4). [m]
    """
    joints: list[Joint] = []
    for chain, parent, names in _CHAINS:
        places = points[chain]
        names = names or _numbered(chain, len(places) - 1)
        joints += _chain(names, places, parent)
        if chain == "neck" and "jaw" in points:
            joints += _chain(("jaw",), points["jaw"], "head")
    return joints


def _numbered(chain: str, count: int) -> tuple[str, ...]:
    if chain == "neck":
        return ("neck", "head") if count == 2 else (*_numbered("neck_", count - 1), "head")
    return tuple(f"{chain.rstrip('_')}_{i + 1}" for i in range(count))


def _chain(names: Sequence[str], places: Sequence[Point], parent: str) -> list[Joint]:
    joints = []
    for name, position, tail in zip(names, places, places[1:], strict=False):
        joints.append(Joint(name, parent, position, tail, name.rstrip("_0123456789")))
        parent = name
    return joints
