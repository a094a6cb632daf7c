"""The name of a gait from leg phases, duty factor and stride time, with a confidence.

Phases by gait after Hildebrand, "The quadrupedal gaits of vertebrates", BioScience 39 (1989), and Alexander,
Principles of Animal Locomotion (2003). A gait is a set of phase patterns with errors of `SPREAD` around each; the
belief in it is the likelihood of its nearest pattern times that of the duty factor, all gaits being equally likely
beforehand. Duty factors and stride times only tip the scale between neighbours: no cue of theirs outweighs phases.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from .cycle import Cycle

LABELS = {
    "walking": "walking", "trotting": "running", "pacing": "running", "cantering": "running", "galloping": "running", "running": "running",
    "bounding": "jumping", "hopping": "jumping", "jumping": "jumping", "standing": "standing", "irregular": "",
}  # fmt: skip
"""Family of each label. Running is the two-legged run; jumping is a single leap, without a cycle; irregular legs swing in no known order."""

STANDING_SWING = 0.2
"""Mean range of the legs' swing below which a body counts as standing. [rad]"""

HOP_LIFT = 0.08
"""Stiff legs hop if all feet are at once this far above where they stand. [hip heights]"""

SPREAD = 0.06
"""Standard deviation of a leg's phase around its pattern. [cycles]"""

IRREGULAR = 0.11
"""Legs whose phases are off every pattern by more than this, root mean square, swing in no known order. [cycles]"""

LEAP_FIT = 0.6  # both legs together, and no sine explains this share of the swing: one leap, not hops
_FOUR = ("left_hind", "right_hind", "left_fore", "right_fore")
_DUTY_SPREAD = 0.12
_TAIL = 0.2
_DUTY = {"walking": 0.65, "trotting": 0.45, "pacing": 0.45, "cantering": 0.4, "galloping": 0.3, "bounding": 0.35, "hopping": 0.4}
# two legs: mean and standard deviation of duty factor, log of the stride time [s] and swing of a leg [rad]
_TWO = {
    "walking": ((0.65, 0.1), (np.log(1.1), 0.2), (0.42, 0.12)),
    "running": ((0.38, 0.12), (np.log(0.73), 0.2), (0.75, 0.25)),
}


# of alternating legs: by how much of a cycle each fore foot comes after the hind foot of its side
_AHEAD = {
    "walking": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9),
    "trotting": (0.45, 0.5, 0.55),
    "pacing": (-0.05, 0.0, 0.05),
}


@dataclasses.dataclass(frozen=True)
class Label:
    """What a motion is called.

    Attributes:
        name: One of LABELS.
        confidence: Belief in the name among all names that this number of legs can have, times the share of the
            swing that a cycle explains (but for standing). [0..1]
        beliefs: By name, they sum to 1.
    """

    name: str
    confidence: float
    beliefs: dict[str, float]

    @property
    def family(self) -> str:
        """walking, running, jumping, standing or "" (irregular)."""
        return LABELS[self.name]

    def families(self) -> dict[str, float]:
        """Belief in each family; what is missing from 1 is irregular. [0..1]"""
        families = (family for family in dict.fromkeys(LABELS.values()) if family)
        return {family: sum(belief for name, belief in self.beliefs.items() if LABELS[name] == family) for family in families}


def patterns(gait: str) -> Iterator[tuple[float, float, float, float]]:
    """Phase lags of left hind, right hind, left fore and right fore leg that a four-legged gait allows. [cycles]

    walking: lateral sequence (each fore foot 0.1 to 0.4 after the hind foot of its side), or diagonal sequence (0.6 to
    0.9). trotting: diagonal legs together. pacing: legs of a side together. cantering: one
    diagonal pair together, the others before and after it. galloping: both feet of a pair shortly one after the other,
    transverse or rotary. bounding: the two of a pair together. hopping: all together.
    """
    if gait in _AHEAD:
        for after in _AHEAD[gait]:
            yield 0.0, 0.5, after, after + 0.5
    elif gait == "cantering":
        for first, last in itertools.product((0.27, 0.33), (0.27, 0.33)):
            yield 0.0, first, first, first + last  # right lead
            yield first, 0.0, first + last, first
    elif gait == "galloping":
        gaps = (-0.21, -0.15, -0.09, 0.09, 0.15, 0.21)
        for hind, fore, between in itertools.product(gaps, gaps, (0.25, 0.35, 0.45, 0.55)):
            yield -0.5 * hind, 0.5 * hind, between - 0.5 * fore, between + 0.5 * fore
    elif gait == "bounding":
        for between in (0.25, 0.35, 0.45, 0.55, 0.65, 0.75):
            yield 0.0, 0.0, between, between
    elif gait == "hopping":
        for between in (-0.1, 0.0, 0.1):
            yield 0.0, 0.0, between, between


def label_of(names: list[str], spread: float, cycle: Cycle, duty: np.ndarray, lift: float = 0.0, pair_lift: float = 0.0) -> Label:
    """Name a motion of a body with legs.

    Parameters:
        names: Legs. [(L,)]
        spread: Mean range of the legs' swing. [rad]
        cycle: Its sines.
        duty: Duty factors. [(L,)]
        lift: How high all feet are at once, see `feet.lift`: stiff legs that leave the ground hop. [hip heights]
        pair_lift: How high both feet of a pair are at once, in the pair that is lifted least. [hip heights]

    Legs that swing together while feet stay down are no jump: that is a body that stands and sways.
    """
    lead = dict(zip(names, cycle.lead, strict=True))
    if all(name in lead for name in _FOUR):
        likelihoods = _four(np.array([lead[name] for name in _FOUR]), float(duty[[names.index(name) for name in _FOUR]].mean()))
    else:
        likelihoods = _two(lead, cycle, float(duty.mean()))
    still, aloft = _more(STANDING_SWING, spread, 0.02), _more(lift, HOP_LIFT, 0.01)
    total = sum(likelihoods.values())
    beliefs = {name: (1 - still) * value / total for name, value in likelihoods.items()} | {"standing": still * (1 - aloft)}
    beliefs["hopping"] += still * aloft
    for gait, high in (("hopping", lift), ("bounding", pair_lift)):
        grounded = _more(0.5 * HOP_LIFT, high, 0.005) * beliefs.get(gait, 0.0)
        beliefs["standing"] += grounded
        if grounded:
            beliefs[gait] -= grounded
    name = max(beliefs, key=lambda key: beliefs[key])
    belief = beliefs[name]
    if LABELS[name] == "jumping" and cycle.fit < LEAP_FIT:
        beliefs["jumping"] = beliefs.pop(name)
        return Label("jumping", belief, beliefs)
    return Label(name, belief if name in ("standing", "irregular") else belief * max(cycle.fit, 0.0), beliefs)


def _more(value: float, than: float, width: float) -> float:
    """Belief that one figure is more than another, a half where they are equal. [0..1]"""
    return float(1 / (1 + np.exp(np.clip((than - value) / width, -50, 50))))


def _cue(value: float, mean: float, spread: float) -> float:
    """Likelihood with heavy tails, of a figure that may be far off, such as the duty factor of feet that slip."""
    return float((1 - _TAIL) * np.exp(-0.5 * ((value - mean) / spread) ** 2) + _TAIL)


def _four(leads: np.ndarray, duty: float) -> dict[str, float]:
    """Likelihood of each four-legged gait; leads in the order of `_FOUR`."""
    result = {"irregular": float(np.exp(-0.5 * len(leads) * (IRREGULAR / SPREAD) ** 2))}
    for gait, usual in _DUTY.items():
        lags = np.array(list(patterns(gait)))
        # a pattern says nothing about where in the cycle the clip begins: take out the common phase
        error = leads + lags
        common = np.angle(np.exp(2j * np.pi * error).sum(1, keepdims=True)) / (2 * np.pi)
        error = (error - common + 0.5) % 1 - 0.5
        likelihood = np.exp(-0.5 * (error**2).sum(1).min() / SPREAD**2)
        result[gait] = float(likelihood) * _cue(duty, usual, _DUTY_SPREAD)
    return result


def _two(lead: dict[str, float], cycle: Cycle, duty: float) -> dict[str, float]:
    """Likelihoods for two legs, or for many that move in pairs: the lag within a pair is a half, or none."""
    sides = [(name, name.replace("left_", "right_")) for name in lead if name.startswith("left_") and name.replace("left_", "right_") in lead]
    lags = np.array([lead[b] - lead[a] for a, b in sides]) if sides else np.array([0.5])

    def lagging(expected: float) -> float:
        error = (lags - expected + 0.5) % 1 - 0.5
        return float(np.exp(-0.25 * (error**2).mean() / SPREAD**2))  # a difference of two phases has twice their variance

    cues = duty, float(np.log(max(cycle.period, 1e-3))), float(cycle.swing.mean())
    steps = {name: float(np.prod([_cue(cue, *usual) for cue, usual in zip(cues, wanted, strict=True)])) for name, wanted in _TWO.items()}
    total = sum(steps.values()) or 1.0
    alternating, together = lagging(0.5), lagging(0.0)
    irregular = float(np.exp(-0.5 * 2 * (IRREGULAR / SPREAD) ** 2))
    return {name: alternating * value / total for name, value in steps.items()} | {"hopping": together, "irregular": irregular}
