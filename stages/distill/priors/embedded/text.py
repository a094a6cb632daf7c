"""Words that the built-in prior understands: what moves (on how many legs) and how."""

from __future__ import annotations

import re

from schemas.errors import InputError

LENGTH = 3
"""Tokens of a prompt: body, motion, facing."""

_MOTION_WORDS = {
    "walking": "walking walk walks strolling strolls stroll stepping steps striding strides",
    "running": "running run runs trotting trots trot jogging jogs jog",
    "jumping": "jumping jump jumps leaping leaps leap bounding bounds bound",
    "standing": "standing stand stands idling idle idles waiting waits wait resting rests rest",
    "pacing": "pacing paces pace",
    "cantering": "cantering canters canter",
    "galloping": "galloping gallops gallop sprinting sprints sprint racing races",
    "hopping": "hopping hops hop",
    "turning left": "",
    "turning right": "",
    "sneaking": "sneaking sneaks sneak creeping creeps creep prowling prowls prowl stalking stalks stalk",
    "marching": "marching marches march",
    "eating": "eating eats eat grazing grazes graze feeding feeds drinking drinks",
    "dancing": "dancing dances dance",
    "punching": "punching punches punch boxing boxes",
    "waving": "waving waves wave greeting greets",
}
MOTIONS = tuple(_MOTION_WORDS)
"""What the prior has words for; those it was trained on are in its card."""

TOKENS = ("", "<null>", "four-legged", "two-legged", "animal", "left", "right", *MOTIONS)
_INDEX = {token: index for index, token in enumerate(TOKENS)}
_TURNS = "turning turns turn"
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
_IGNORABLE = "a an the is are of and with to its his her slowly quickly fast slow forward forwards around big small large little old young t rex"

MOTION_OF: dict[str, str] = {word: motion for motion, words in _MOTION_WORDS.items() for word in words.split()}
BODIES: dict[str, str] = {word: body for body, words in _BODY_WORDS.items() for word in words.split()}


def tokens(prompt: str, *, facing: str = "") -> list[int]:
    """Token numbers of a prompt such as "a tiger walking".

    Parameters:
        facing: Where the character looks in the image: "left", "right" or "".

    Raises:
        InputError: A word is unknown, or there is no motion, or there are two.
    """
    words = re.findall(r"[a-z]+", prompt.lower())
    turns = _TURNS.split()
    known = {*MOTION_OF, *turns, "left", "right", *_IGNORABLE.split()}
    unknown = [w for w in words if w not in known and _body(w) is None]
    if unknown:
        raise InputError(
            f"prompt '{prompt}': the built-in prior does not know the word '{unknown[0]}'.",
            f"It knows an animal ({', '.join(list(BODIES)[:6])}, ... or 'animal') and one of {', '.join(MOTIONS)}.",
        )
    motions = {MOTION_OF[w] for w in words if w in MOTION_OF}
    if any(w in turns for w in words):
        sides = [w for w in words if w in ("left", "right")]
        if len(set(sides)) != 1:
            raise InputError(f"prompt '{prompt}': to which side?", "Say 'turning left' or 'turning right'.")
        motions = {m for m in motions if m != "walking"} | {f"turning {sides[0]}"}
    if len(motions) != 1:
        problem = "names no motion" if not motions else f"names {len(motions)} motions ({', '.join(sorted(motions))})"
        raise InputError(f"prompt '{prompt}' {problem}:", f"the built-in prior needs exactly one of {', '.join(MOTIONS)}.")
    bodies = [body for w in words if (body := _body(w))]
    if re.search(r"\bt[ -]?rex\b", prompt.lower()):
        bodies.append("two-legged")
    return encode(motions.pop(), bodies[0] if bodies else "animal", facing)


def encode(motion: str, body: str, facing: str) -> list[int]:
    """Token numbers of a motion, a body class and a facing ("" = not told)."""
    return [_INDEX[body], _INDEX[motion], _INDEX[facing]]


NULL = [_INDEX["<null>"]] + [0] * (LENGTH - 1)


def _body(word: str) -> str | None:
    if word in BODIES:
        return BODIES[word]
    for plural in ("es", "s"):
        if word.endswith(plural) and word[: -len(plural)] in BODIES:
            return BODIES[word[: -len(plural)]]
    return None
