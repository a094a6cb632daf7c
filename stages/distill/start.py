"""The start motion's speed: from the verb of the prompt and the size of the body, or of another motion to begin with."""

from __future__ import annotations

import re

from schemas.motion import Motion
from schemas.rig import Rig

from .course import trail_of
from .gait_styles import MOTIONS, heights_per_second
from .gaits import legs_of
from .parameterisation import body_height

# words that name one of the motions of gaits.MOTIONS; other verbs have only a speed
_WORDS = {
    "walking": "walk walks walking stroll strolls strolling striding wandering stride strides step steps stepping",
    "running": "run runs running trot trots trotting jog jogs jogging dashing",
    "jumping": "jump jumps jumping leap leaps leaping bound bounds bounding skipping",
    "standing": "stand stands standing idle idles idling resting waiting sitting sleeping breathing waits wait rests rest",
    "pacing": "pace paces pacing ambling",
    "cantering": "canter canters cantering lope lopes loping",
    "galloping": "gallop gallops galloping charging bolting sprint sprints sprinting races racing",
    "hopping": "hop hops hopping bouncing",
    "turning left": "turn turns turning circling veering",
    "turning right": "",
    "sneaking": "sneak sneaks sneaking prowl prowls prowling stalk stalks stalking creep creeps creeping tiptoeing",
    "marching": "march marches marching parading stomping prancing",
    "eating": "eat eats eating graze grazes grazing feeding pecking nibbling drinking feeds drinks",
    "dancing": "dance dances dancing",
    "punching": "punch punches punching boxing fighting boxes",
    "waving": "wave waves waving greeting greets",
}
VERBS: dict[str, tuple[str, ...]] = {motion: tuple(words.split()) for motion, words in _WORDS.items()}
"""Turning goes to the left unless the prompt says right."""

# the one of gaits.GAITS that is nearest, for what knows only those
_NEAREST = {
    "pacing": "running", "cantering": "running", "galloping": "running", "hopping": "jumping", "turning left": "walking", "turning right": "walking",
    "sneaking": "walking", "marching": "walking", "eating": "", "dancing": "", "punching": "", "waving": "",
}  # fmt: skip
_HEIGHTS = {motion: round(heights_per_second(motion), 1) for motion in MOTIONS}
"""Hip heights per second: the middle of the motion's styles."""
_OTHERS = {0.6: ("crawl", "crawling", "slither", "slithering", "limping"), 2.0: ("fly", "flying", "swim", "swimming")}


def motion_in(prompt: str) -> str:
    """The motion of gaits.MOTIONS that a prompt's last telling word names, "" if none; a turn counts before what turns."""
    words = re.findall(r"[a-z]+", prompt.lower())
    named = [motion for word in words for motion, verbs in VERBS.items() if word in verbs]
    if "turning left" in named:
        return "turning right" if "right" in words else "turning left"
    return named[-1] if named else ""


def gait_in(prompt: str) -> str:
    """The one of gaits.GAITS that is nearest to the prompt's motion, "" if none is."""
    motion = motion_in(prompt)
    return _NEAREST.get(motion, motion)


def default_speed(rig: Rig, prompt: str, init: Motion | None = None) -> tuple[float, str]:
    """Speed of the start motion, and why: that of the motion it begins with, else by the prompt's verb. [m/s]

    Speeds count in hip heights per second, which makes gaits of small and large bodies comparable.
    """
    if init is not None:
        return trail_of(init)[1], "that of the motion it begins with"
    legs = legs_of(rig)
    height = min(leg.height for leg in legs) if legs else body_height(rig)
    motion = motion_in(prompt)
    if motion:
        return _HEIGHTS[motion] * height, f"{_HEIGHTS[motion]} hip heights per second ({motion})"
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    for pace, verbs in _OTHERS.items():
        found = words & set(verbs)
        if found:
            return pace * height, f"{pace} hip heights per second ({min(found)})"
    return 0.0, "0: the prompt names no way of moving that is known here; --speed sets it"
