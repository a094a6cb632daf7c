"""What tells the motions apart: footfall phases, duty factors, strides and the ranges that free parameters are drawn from.

Phases and duty factors follow Hildebrand ("Analysis of asymmetrical gaits", J. Mammalogy 58, 1977; "The quadrupedal gaits
of vertebrates", BioScience 39, 1989), speeds follow the Froude numbers v^2 / (g h) of Alexander and Jayes ("A dynamic
similarity hypothesis for the gaits of quadrupedal mammals", J. Zoology 201, 1983): walks below 0.5, trots up to 2 or 3,
gallops above.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

CORE = ("walking", "running", "jumping", "standing")
FOUR_LEGS = ("pacing", "cantering", "galloping")
ALL_LEGS = ("hopping", "turning left", "turning right", "sneaking", "marching")
WITH_HEAD = ("eating",)
WITH_ARMS = ("dancing", "punching", "waving")
MOTIONS = CORE + FOUR_LEGS + ALL_LEGS + WITH_HEAD + WITH_ARMS

IN_PLACE = ("standing", "eating", "dancing", "punching", "waving")
"""Both feet stay where they are."""

_LATERAL = {"left_hind": 0.0, "left_fore": 0.75, "right_hind": 0.5, "right_fore": 0.25}

OFFSETS: dict[str, dict[str, float]] = {
    "walking": _LATERAL,
    "running": {"left_hind": 0.0, "left_fore": 0.5, "right_hind": 0.5, "right_fore": 0.0},
    "jumping": {"left_hind": 0.0, "left_fore": 0.35, "right_hind": 0.0, "right_fore": 0.35},
    "standing": {},
    # the hind foot of a side lands just before its fore foot, as in camels and pacing horses
    "pacing": {"left_hind": 0.0, "left_fore": 0.95, "right_hind": 0.5, "right_fore": 0.45},
    # left lead, three beats: right hind, then left hind with right fore, then left fore, then all feet off the ground
    "cantering": {"right_hind": 0.28, "left_hind": 0.0, "right_fore": 0.0, "left_fore": 0.74},
    # transverse, left lead, four beats: right hind, left hind, right fore, left fore, then gathered in the air
    "galloping": {"right_hind": 0.12, "left_hind": 0.0, "right_fore": 0.73, "left_fore": 0.59},
    "hopping": {"left_hind": 0.0, "left_fore": 0.0, "right_hind": 0.0, "right_fore": 0.0},
    "turning left": _LATERAL,
    "turning right": _LATERAL,
    "sneaking": _LATERAL,
    "marching": _LATERAL,
    "eating": {},
    "dancing": {},
    "punching": {},
    "waving": {},
}
"""Phase lead of each foot in cycles, the left hind foot's touchdown at phase 0. Empty: the feet stay on the ground."""


@dataclasses.dataclass(frozen=True)
class Style:
    """One draw of a motion's free parameters. Lengths are in hip heights, angles in radians, times in frames at 16 fps.

    Attributes:
        period: Of the cycle.
        swing: Angle of a leg ahead of and behind the vertical, which makes the stride on the ground.
        duty: Share of the cycle that a foot is on the ground.
        lift: Height of the foot in mid-swing.
        knee: How far the foot is ahead of its way in mid-swing, which brings the knee up.
        roll: Turn of the foot about the toe when it leaves the ground.
        follow: How far the foot goes on in the direction it had when it left the ground (0: it stops at once, 1: smoothly).
        bob, rise, dip: Vertical: once or twice a cycle, in flight, and in the stance between flights.
        crouch: Lowering of the body.
        pitch: Rocking of the body, nose up and down. lean: Constant forward lean of bipeds. flex: Rounding of the back.
        tilt: Roll of the body about its length. sway: Yaw of the spine. twist: Yaw of the trunk by actions.
        hips: Sideways shift of the body.
        turn: Rate of turning on an arc, positive to the left. [rad/s]
        neck: Constant lowering of the neck; the head stays level. nod: Of neck and head.
        tail_up: Raising of the tail.
        arm, elbow: Swing of the arms, bend of the elbows.
        heel: Lift of the unweighted heel. step: Feet apart fore and aft. wave: Swing of the forearm.
    """

    period: float
    swing: float = 0.0
    duty: float = 0.6
    lift: float = 0.0
    knee: float = 0.0
    roll: float = 0.0
    follow: float = 0.0
    bob: float = 0.0
    rise: float = 0.0
    dip: float = 0.0
    crouch: float = 0.0
    pitch: float = 0.0
    lean: float = 0.0
    flex: float = 0.0
    tilt: float = 0.0
    sway: float = 0.0
    twist: float = 0.0
    hips: float = 0.0
    turn: float = 0.0
    neck: float = 0.0
    nod: float = 0.05
    tail_up: float = 0.0
    arm: float = 0.0
    elbow: float = 0.15
    heel: float = 0.0
    step: float = 0.0
    wave: float = 0.0


Range = float | tuple[float, float]

_WALK: dict[str, Range] = {
    "period": (15.5, 17), "swing": (0.365, 0.415), "duty": (0.597, 0.633), "lift": (0.115, 0.145), "roll": (0.35, 0.45), "bob": 0.012,
    "sway": (0.042, 0.068), "nod": (0.042, 0.068), "arm": (0.35, 0.45),
}  # fmt: skip

RANGES: dict[str, dict[str, Range]] = {
    "walking": _WALK,
    "running": {
        "period": (10.5, 11.5), "swing": (0.465, 0.525), "duty": (0.385, 0.41), "lift": (0.265, 0.315), "roll": (0.57, 0.73), "bob": (0.03, 0.04),
        "rise": (0.027, 0.043), "lean": (0.075, 0.125), "sway": (0.027, 0.043), "nod": (0.055, 0.085), "tail_up": (0.25, 0.35), "arm": (0.67, 0.83),
        "elbow": (1.0, 1.2),
    },
    "jumping": {
        "period": (12.5, 14.5), "swing": (0.545, 0.635), "duty": (0.363, 0.388), "lift": (0.205, 0.255), "roll": (0.47, 0.63), "bob": (0.037, 0.053),
        "rise": (0.25, 0.31), "pitch": (0.145, 0.195), "nod": (0.067, 0.103), "tail_up": (0.35, 0.45), "arm": (0.57, 0.73), "elbow": (0.37, 0.53),
    },
    "standing": {"period": (16, 20), "bob": (0.0055, 0.0085), "sway": (0.005, 0.015), "nod": (0.042, 0.068)},
    "pacing": {
        "period": (10, 11), "swing": (0.42, 0.47), "duty": (0.39, 0.42), "lift": (0.2, 0.25), "roll": (0.5, 0.65), "follow": 0.3, "bob": (0.022, 0.03),
        "rise": (0.02, 0.03), "tilt": (0.05, 0.075), "sway": (0.01, 0.02), "nod": (0.03, 0.05), "tail_up": (0.15, 0.25),
    },
    "cantering": {
        "period": (9, 10), "swing": (0.4, 0.45), "duty": (0.31, 0.34), "lift": (0.2, 0.25), "roll": (0.6, 0.8), "follow": 0.5, "bob": (0.04, 0.055),
        "pitch": (0.09, 0.13), "flex": (0.1, 0.14), "neck": (0.02, 0.06), "nod": (0.04, 0.06), "tail_up": (0.25, 0.35),
    },
    "galloping": {
        "period": (7.5, 8.5), "swing": (0.42, 0.48), "duty": (0.26, 0.29), "lift": (0.28, 0.34), "roll": (0.7, 0.9), "follow": 0.55, "bob": (0.04, 0.055),
        "pitch": (0.05, 0.08), "flex": (0.3, 0.38), "neck": (0.22, 0.32), "nod": (0.04, 0.06), "tail_up": (0.35, 0.45),
    },
    "hopping": {
        "period": (10, 11.5), "swing": (0.06, 0.1), "duty": (0.47, 0.52), "lift": (0.04, 0.07), "roll": (0.35, 0.45), "rise": (0.17, 0.22), "dip": (0.09, 0.12),
        "lean": (0.03, 0.06), "nod": (0.05, 0.08), "tail_up": (0.2, 0.3), "arm": (0.25, 0.35), "elbow": (0.7, 0.9),
    },
    "turning left": _WALK | {"turn": (0.84, 1.08)},
    "turning right": _WALK | {"turn": (-1.08, -0.84)},
    "sneaking": {
        "period": (22, 25), "swing": (0.28, 0.33), "duty": (0.68, 0.73), "lift": (0.11, 0.14), "roll": (0.2, 0.3), "follow": 0.3, "bob": 0.006,
        "crouch": (0.16, 0.21), "lean": (0.3, 0.4), "sway": (0.04, 0.06), "neck": (0.3, 0.42), "nod": (0.02, 0.03), "tail_up": (-0.2, -0.1),
        "arm": (0.12, 0.18), "elbow": (0.9, 1.1),
    },
    "marching": {
        "period": (15.5, 17), "swing": (0.3, 0.35), "duty": (0.56, 0.59), "lift": (0.38, 0.43), "knee": (0.16, 0.2), "roll": (0.12, 0.2), "bob": 0.014,
        "sway": (0.02, 0.03), "nod": (0.03, 0.05), "tail_up": (0.1, 0.2), "arm": (0.6, 0.75), "elbow": (0.15, 0.25),
    },
    "eating": {"period": (15, 18), "nod": (0.16, 0.24), "sway": (0.01, 0.02), "tail_up": (0.0, 0.1)},
    "dancing": {
        "period": (15, 17), "crouch": (0.05, 0.065), "dip": (0.06, 0.08), "hips": (0.06, 0.08), "tilt": (0.07, 0.1), "twist": (0.16, 0.24), "heel": (0.5, 0.7),
        "nod": (0.1, 0.14), "tail_up": (0.1, 0.2),
    },
    "punching": {"period": (14, 16), "crouch": (0.05, 0.07), "twist": (0.32, 0.42), "step": (0.12, 0.16), "nod": 0.02},
    "waving": {"period": (7.5, 8.5), "bob": (0.004, 0.006), "hips": (0.01, 0.015), "wave": (0.52, 0.64), "nod": 0.02},
}  # fmt: skip
"""Where the free parameters of a motion are drawn from, in this order; a number is not drawn."""

_BIPEDS_ONLY, _OTHERS_ONLY = ("lean",), ("pitch", "flex")


def draw(motion: str, biped: bool, rng: np.random.Generator) -> Style:
    """One draw of a motion's free parameters."""
    left_out = _OTHERS_ONLY if biped else _BIPEDS_ONLY
    values = {}
    for name, span in RANGES[motion].items():
        if name not in left_out:
            values[name] = float(rng.uniform(*span)) if isinstance(span, tuple) else span
    return Style(**values)


def with_effort(style: Style, motion: str, effort: float) -> Style:
    """The style with the swing of an effort, which ranges twice as far as the draws do."""
    span = RANGES[motion].get("swing")
    if not isinstance(span, tuple):
        return style
    middle, half = 0.5 * (span[0] + span[1]), 0.5 * (span[1] - span[0])
    return dataclasses.replace(style, swing=middle + (2 * effort - 1) * 2 * half)


def offset(motion: str, leg: str) -> float:
    """Phase lead of a leg; the legs of insects and spiders alternate (tripod, or tetrapod)."""
    table = OFFSETS[motion]
    if leg in table:
        return table[leg]
    if motion in ("jumping", "hopping"):
        return 0.0
    side, _, limb = leg.partition("_")
    return 0.5 * ((int(limb[3:]) + (side == "left")) % 2)


def steps(motion: str) -> int:
    """How often the body goes up and down in a cycle."""
    return 2 if motion in ("walking", "running", "pacing", "turning left", "turning right", "sneaking", "marching", "dancing") else 1


def suspension(motion: str, duty: float) -> tuple[float, float]:
    """Start and length of the longest time in a cycle with all feet off the ground. [cycles]"""
    leads = sorted((-lead) % 1.0 for lead in set(OFFSETS[motion].values()))
    gaps = [((lead + duty) % 1.0, (after - lead - duty) % 1.0 if after != lead else 1 - duty) for lead, after in zip(leads, leads[1:] + leads[:1], strict=True)]
    free = [(start, gap) for start, gap in gaps if gap < 1 - duty + 1e-9 and _is_free(start + 0.5 * gap, leads, duty)]
    return max(free, key=lambda item: item[1], default=(0.0, 0.0))


def _is_free(phase: float, leads: list[float], duty: float) -> bool:
    return all((phase - lead) % 1.0 >= duty for lead in leads)


def heights_per_second(motion: str) -> float:
    """Speed of the middle of a motion's ranges, in hip heights per second."""
    if motion in IN_PLACE:
        return 0.0
    swing, duty, period = (0.5 * sum(RANGES[motion][name]) for name in ("swing", "duty", "period"))
    return 2 * math.sin(swing) / (duty * period) * 16
