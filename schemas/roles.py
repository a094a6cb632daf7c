"""Semantic roles of joints, shared by rig, prior look and metrics.

A role is `torso` parts ("pelvis", "spine", "chest"), "neck", "head", "jaw", "ear", "tail", "other", or a limb role
`{side}_{limb}_{segment}` with side left|right (the character's own), limb fore|hind|arm|wing|leg1..leg8 and segment
shoulder|upper|lower|foot: "left_fore_upper", "right_arm_lower". Legs of bipeds are hind legs, human arms are "arm".
"""

from __future__ import annotations

import re

TRUNK = ("pelvis", "spine", "chest", "neck", "head", "jaw", "ear", "tail", "other")
SIDES = ("left", "right")
SEGMENTS = ("shoulder", "upper", "lower", "foot")
_LIMB = re.compile(r"(left|right)_(fore|hind|arm|wing|leg[1-8])_(shoulder|upper|lower|foot)")


def limb(role: str) -> tuple[str, str, str] | None:
    """Split a limb role into (side, limb, segment); None for trunk roles."""
    match = _LIMB.fullmatch(role)
    return (match[1], match[2], match[3]) if match else None


def is_role(role: str) -> bool:
    """Whether `role` is in the vocabulary."""
    return role in TRUNK or limb(role) is not None


def is_leg(role: str) -> bool:
    """Whether the joint belongs to a leg the animal stands on (fore, hind, leg1..8)."""
    parts = limb(role)
    return parts is not None and (parts[1] in ("fore", "hind") or parts[1].startswith("leg"))
