"""Words that the built-in prior understands. It was trained on gaits; an animal only tells on how many legs it stands."""

from __future__ import annotations

import re

from schemas.errors import InputError

LENGTH = 4
"""Tokens of a prompt: body, gait, facing, phase."""

PHASES = 8
"""The phase of the gait in the middle of the clip is told in eighths of a cycle: it makes all views agree on one motion."""

TOKENS = (
    "",
    "<null>",
    "<end>",
    "walking",
    "running",
    "jumping",
    "standing",
    "four-legged",
    "two-legged",
    "animal",
    "left",
    "right",
    *(f"<phase {k}>" for k in range(PHASES)),
)
_INDEX = {token: index for index, token in enumerate(TOKENS)}

_GAIT_WORDS = {
    "walking": ("walking", "walk", "walks", "strolling", "strolls", "stroll", "marching", "marches", "march", "pacing", "stepping"),
    "running": ("running", "run", "runs", "trotting", "trots", "trot", "jogging", "jogs", "jog", "sprinting", "sprints", "sprint"),
    "jumping": ("jumping", "jump", "jumps", "leaping", "leaps", "leap", "hopping", "hops", "hop", "bounding", "bounds", "bound"),
    "standing": ("standing", "stand", "stands", "idling", "idle", "idles", "waiting", "waits", "wait", "resting"),
}
_BODY_WORDS = {
    "four-legged": (
        "tiger tigress lion lioness cat cheetah leopard panther jaguar lynx dog puppy wolf fox horse pony donkey zebra cow bull ox buffalo deer elk moose "
        "elephant rhino rhinoceros hippo giraffe camel sheep goat pig boar bear rat mouse quadruped stegosaurus triceratops koala"
    ),
    "two-legged": (
        "human man woman person boy girl child knight robot mannequin biped dinosaur trex tyrannosaurus raptor velociraptor ostrich emu bird "
        "chicken hen rooster penguin duck goose kangaroo soldier zombie skeleton gorilla ape"
    ),
    "animal": "animal creature character beast",
}
_IGNORED = set(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "of",
        "and",
        "with",
        "slowly",
        "quickly",
        "fast",
        "slow",
        "forward",
        "forwards",
        "big",
        "small",
        "large",
        "little",
        "old",
        "young",
        "t",
        "rex",
    ]
)

GAITS: dict[str, str] = {word: gait for gait, words in _GAIT_WORDS.items() for word in words}
BODIES: dict[str, str] = {word: body for body, words in _BODY_WORDS.items() for word in words.split()}


def tokens(prompt: str, *, facing: str = "", phase: float | None = None) -> list[int]:
    """Token numbers of a prompt such as "a tiger walking".

    Parameters:
        facing: Where the character looks in the image: "left", "right" or "".
        phase: Of the left hind leg in the middle of the clip; None = not told. [cycles]

    Raises:
        InputError: A word is unknown, or there is no gait, or there are two.
    """
    words = re.findall(r"[a-z]+", prompt.lower())
    unknown = [w for w in words if w not in GAITS and _body(w) is None and w not in _IGNORED]
    if unknown:
        raise InputError(
            f"prompt '{prompt}': the built-in prior does not know the word '{unknown[0]}'.",
            f"It knows an animal ({', '.join(list(BODIES)[:6])}, ... or 'animal') and one of {', '.join(_GAIT_WORDS)}.",
        )
    gaits = {GAITS[w] for w in words if w in GAITS}
    if len(gaits) != 1:
        problem = "names no gait" if not gaits else f"names {len(gaits)} gaits"
        raise InputError(f"prompt '{prompt}' {problem}:", f"the built-in prior needs exactly one of {', '.join(_GAIT_WORDS)}.")
    bodies = [body for w in words if (body := _body(w))]
    if re.search(r"\bt[ -]?rex\b", prompt.lower()):
        bodies.append("two-legged")
    return encode(gaits.pop(), bodies[0] if bodies else "animal", facing, phase)


def encode(gait: str, body: str, facing: str, phase: float | None = None) -> list[int]:
    """Token numbers of a gait, a body class, a facing ("" = unknown) and a phase (None = unknown; of no use when standing)."""
    told = phase is not None and gait != "standing"
    eighth = int(round(PHASES * phase)) % PHASES if told else 0
    return [_INDEX[body], _INDEX[gait], _INDEX[facing or "<end>"], _INDEX[f"<phase {eighth}>"] if told else _INDEX["<end>"]]


NULL = [_INDEX["<null>"]] + [0] * (LENGTH - 1)


def _body(word: str) -> str | None:
    if word in BODIES:
        return BODIES[word]
    for plural in ("es", "s"):
        if word.endswith(plural) and word[: -len(plural)] in BODIES:
            return BODIES[word[: -len(plural)]]
    return None
