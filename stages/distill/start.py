"""The start motion's speed, from the verb of the prompt and the size of the body."""

from __future__ import annotations

import re

from schemas.rig import Rig

from .gaits import legs_of
from .parameterisation import body_height

# words that name one of the gaits of gaits.GAITS; other verbs have only a speed
VERBS: dict[str, tuple[str, ...]] = {
    "walking": ("walk", "walks", "walking", "stroll", "strolling", "march", "marching", "prowl", "prowling", "striding", "wandering"),
    "running": ("run", "runs", "running", "gallop", "galloping", "trot", "trotting", "sprint", "sprinting", "jog", "jogging", "dashing", "racing"),
    "jumping": ("jump", "jumps", "jumping", "hop", "hops", "hopping", "leap", "leaping", "bounding", "skipping"),
    "standing": ("stand", "stands", "standing", "idle", "idling", "resting", "waiting", "sitting", "sleeping", "breathing"),
}
# hip heights per second, the mean of the gaits' styles: 2 sin(swing) / (duty period) at 16 frames a second
_HEIGHTS = {"walking": 1.2, "running": 3.8, "jumping": 3.5, "standing": 0.0}
_OTHERS = {0.6: ("crawl", "crawling", "creep", "creeping", "slither", "slithering", "sneaking", "limping"), 2.0: ("fly", "flying", "swim", "swimming")}


def gait_in(prompt: str) -> str:
    """The gait that a prompt's last telling word names, "" if none."""
    for word in reversed(re.findall(r"[a-z]+", prompt.lower())):
        for gait, words in VERBS.items():
            if word in words:
                return gait
    return ""


def default_speed(rig: Rig, prompt: str) -> tuple[float, str]:
    """Speed of the start motion, and why. [m/s]

    Speeds count in hip heights per second, which makes gaits of small and large bodies comparable.
    """
    legs = legs_of(rig)
    height = min(leg.height for leg in legs) if legs else body_height(rig)
    gait = gait_in(prompt)
    if gait:
        return _HEIGHTS[gait] * height, f"{_HEIGHTS[gait]} hip heights per second ({gait})"
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    for pace, verbs in _OTHERS.items():
        found = words & set(verbs)
        if found:
            return pace * height, f"{pace} hip heights per second ({min(found)})"
    return 0.0, "0: the prompt names no way of moving that is known here; --speed sets it"
