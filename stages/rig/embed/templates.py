"""The templates: which limbs a kind of animal has, and what it costs to see it in a body that does not fit.

Lengths are in extents of the body, y from the ground. All numbers are ours, set on the built-in characters and on rigged
models that artists made.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

_SLIGHT = 4.0  # cost of a limb that hardly stands out, by what it lacks in extents

Pairs = dict[str, tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Template:
    """A kind of animal.

    Attributes:
        category: As in schemas.rig.
        limbs: Names of its paired limbs, as in schemas.roles.
        required: Those it cannot be without.
        attach: "pelvis" or "chest" of each limb.
        upright: Direction of the trunk from pelvis to chest. [unit (3,)]
        lean: Cost of a trunk at right angles to it.
        headless, tailless: Costs of a body without that tip.
        judge: Costs of limbs by their ends, (body, pairs) -> terms.
        base: Cost by itself: what explains little must fit well.
    """

    category: str
    limbs: tuple[str, ...]
    required: tuple[str, ...]
    attach: dict[str, str]
    upright: tuple[float, float, float]
    lean: float
    headless: float
    tailless: float
    judge: Callable[[Any, Pairs], dict[str, float]]
    base: float = 0.0

    def pair_terms(self, body: Any, pairs: Pairs) -> dict[str, float]:
        """Penalties of the paired limbs alone."""
        slight = sum(_SLIGHT * max(0.0, (0.2 if name.startswith("leg") else 0.12) - body.weight(pair)) for name, pair in pairs.items())
        return {"base": self.base, "slight": slight, **self.judge(body, pairs)}

    def end_terms(self, body: Any, head: int, tail: int) -> dict[str, float]:
        """Penalties of the head and the tail alone."""
        terms = {"head": self.headless if head < 0 else 0.0, "tail": self.tailless if tail < 0 else 0.0}
        if head >= 0 and tail >= 0:  # the tail ends behind the head
            terms["order"] = 4 * max(0.0, float(body.tips[tail, 2] - body.tips[head, 2]))
            terms["thick"] = 2 * max(0.0, float(body.girth_to[tail] - body.girth_to[head]))
        if self.upright[1] < 0.9:  # the head leads, the tail trails
            ends = body.tips[body.single, 2] if body.single else np.zeros(1)
            terms["reach"] = 1.2 * float(ends.max() - body.tips[head, 2]) if head >= 0 else 0.0
            terms["reach"] += 1.2 * float(body.tips[tail, 2] - ends.min()) if tail >= 0 else 0.0
        if head >= 0 and self.upright[1] > 0.9:
            terms["top"] = 1.5 * max(0.0, float(0.9 * body.size[1] - body.tips[head, 1]))
        return terms

    def trunk_costs(self, body: Any, pairs: Pairs, head: int, tail: int) -> np.ndarray:
        """Penalties of every pair of spheres as pelvis (rows) and chest (columns). [(N, N)]"""
        nodes, trunk = body.nodes[body.trunk], body.trunk
        at = {"pelvis": 0.25 * (1 - body.girth), "chest": (0.05 if self.upright[1] > 0.9 else 0.25) * (1 - body.girth)}
        for name, pair in pairs.items():
            middle, which = body.middle(pair), self.attach[name]
            ways = 0.5 * (body.ways[np.ix_(trunk, body.tip_nodes[[pair[0]]])] + body.ways[np.ix_(trunk, body.tip_nodes[[pair[1]]])])[:, 0]
            uneven = np.abs(body.ways[trunk, body.tip_nodes[pair[0]]] - body.ways[trunk, body.tip_nodes[pair[1]]])
            # a limb hangs where its way is straight and short
            straight = np.linalg.norm(nodes - [0, *middle[1:]], axis=1)
            at[which] = at[which] + (1.6 if name == "arm" else 1.0) * (ways - ways.min()) + 0.3 * uneven
            if name in ("hind", "fore"):
                at[which] = at[which] + 0.8 * np.abs(nodes[:, 2] - middle[2]) + 0.5 * np.maximum(0, 0.15 - straight)
        if head >= 0:
            at["chest"] = at["chest"] + 0.4 * body.ways[trunk, body.tip_nodes[head]] + 2 * np.maximum(0, nodes[:, 2] - body.tips[head, 2])
        if tail >= 0:
            at["pelvis"] = at["pelvis"] + 0.2 * body.ways[trunk, body.tip_nodes[tail]] + 2 * np.maximum(0, body.tips[tail, 2] - nodes[:, 2])
        way = nodes[None] - nodes[:, None]
        length = np.linalg.norm(way, axis=2)
        cosine = way @ np.array(self.upright) / np.maximum(length, 1e-9)
        costs = at["pelvis"][:, None] + at["chest"][None] + self.lean * (1 - cosine)
        return costs + 0.3 * length + 6 * np.maximum(0, 0.12 - length)


def _airborne(body: Any, pair: tuple[int, int]) -> float:
    """Cost of a foot above the ground, which is where the lowest point is."""
    return 4 * max(0.0, float(body.middle(pair)[1] / body.size[1] - 0.12))


def _downward(body: Any, pair: tuple[int, int]) -> float:
    """How much of the way from the body's middle to the ends of a pair goes down. [cosine]"""
    tip = body.middle(pair)
    trunk = body.nodes[body.trunk]
    way = tip - trunk[np.abs(trunk[:, 2] - tip[2]).argmin()]
    return float(-way[1] / max(np.linalg.norm(way), 1e-9))


def _level(body: Any, pair: tuple[int, int]) -> float:
    """Cost of a leg that does not hang down."""
    return 0.8 * max(0.0, 0.75 - _downward(body, pair))


def _reach(body: Any, pair: tuple[int, int]) -> float:
    """Mean way from the broadest place of the trunk to the ends of a pair."""
    place = body.trunk[int(np.argsort(body.girth)[-1])]
    return float(np.mean([body.ways[place, body.tip_nodes[tip]] for tip in pair]))


def _quadruped(body: Any, pairs: Pairs) -> dict[str, float]:
    fore, hind = body.middle(pairs["fore"]), body.middle(pairs["hind"])
    apart = float(fore[2] - hind[2]) / body.size[2]
    return {
        "ground": _airborne(body, pairs["fore"]) + _airborne(body, pairs["hind"]),
        "level": 0.5 * (_level(body, pairs["fore"]) + _level(body, pairs["hind"])),
        "apart": 3 * max(0.0, 0.25 - apart),
    }


def _biped(body: Any, pairs: Pairs) -> dict[str, float]:
    # upright animals are taller than they are long
    terms = {"ground": _airborne(body, pairs["hind"]), "long": max(0.0, float(body.size[2] / body.size[1]) - 1)}
    if "arm" in pairs:
        arm, leg = body.middle(pairs["arm"]), body.middle(pairs["hind"])
        terms["arm"] = 4 * max(0.0, 0.12 - float(arm[1] - leg[1]) / body.size[1]) + 2 * max(0.0, float(leg[2] - arm[2]) - 0.2)
    else:
        terms["arm"] = 0.5
    return terms


def _dinosaur(body: Any, pairs: Pairs) -> dict[str, float]:
    terms = {"ground": _airborne(body, pairs["hind"]), "level": _level(body, pairs["hind"]), "arm": 0.2}
    if "arm" in pairs:
        arm, leg = body.middle(pairs["arm"]), body.middle(pairs["hind"])
        terms["arm"] = 2 * max(0.0, float(leg[2] - arm[2])) + 4 * max(0.0, 0.15 - float(arm[1] - leg[1]) / body.size[1]) + 2 * max(0.0, float(arm[0]) - 0.2)
        terms["arm"] += 2 * max(0.0, float(arm[1] / body.size[1]) - 0.75)
    return terms


def _bird(body: Any, pairs: Pairs) -> dict[str, float]:
    wing = body.middle(pairs["wing"])
    terms = {"wing": 3 * max(0.0, 0.2 - float(wing[0])) + 2 * max(0.0, 0.3 - float(wing[1]) / body.size[1])}
    if "hind" in pairs:
        leg = body.middle(pairs["hind"])
        terms["ground"] = _airborne(body, pairs["hind"]) + 0.5 * _level(body, pairs["hind"])
        terms["wing"] += 2 * max(0.0, 1.2 * float(leg[0]) - float(wing[0])) + 2 * max(0.0, _reach(body, pairs["hind"]) - _reach(body, pairs["wing"]))
    else:
        terms["ground"] = 0.5
    if "arm" in pairs:
        arm = body.middle(pairs["arm"])
        terms["arm"] = 2 * max(0.0, float(arm[0] - 0.5 * wing[0])) + 4 * max(0.0, 0.12 - float(arm[1]) / body.size[1])
    return terms


def _legs(body: Any, pairs: Pairs) -> dict[str, float]:
    legs = [body.middle(pair) for name, pair in pairs.items() if name.startswith("leg")]
    order = sum(3 * max(0.0, float(b[2] - a[2])) for a, b in zip(legs, legs[1:], strict=False))  # leg1 is the foremost
    low = min(float(leg[1]) for leg in legs)
    crowd = sum(4 * max(0.0, 0.1 - float(np.linalg.norm(a - b))) for a, b in itertools.combinations(legs, 2))  # toes are no legs
    terms = {"order": order, "crowd": crowd, "ground": sum(4 * max(0.0, float(leg[1]) - low - 0.2) for leg in legs)}
    if "wing" in pairs:
        wing = body.middle(pairs["wing"])
        terms["wing"] = 3 * max(0.0, 0.15 - float(wing[0])) + 4 * max(0.0, max(float(leg[1]) for leg in legs) + 0.1 - float(wing[1]))
        terms["wing"] += 2 * max(0.0, float(wing[2]))  # wings lie back, feelers forward
    return terms


def _nothing(body: Any, pairs: Pairs) -> dict[str, float]:
    if "wing" not in pairs:
        return {}
    fin = body.middle(pairs["wing"])
    return {"fin": 1.5 * max(0.0, 0.1 - float(fin[0])), "hang": 2 * max(0.0, _downward(body, pairs["wing"]) - 0.75)}


_FORWARD, _UP = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)

TEMPLATES = (
    Template("quadruped", ("fore", "hind"), ("fore", "hind"), {"fore": "chest", "hind": "pelvis"}, _FORWARD, 0.8, 0.4, 0.05, _quadruped),
    Template("biped", ("arm", "hind"), ("hind",), {"arm": "chest", "hind": "pelvis"}, _UP, 1.2, 0.4, 0.0, _biped),
    Template("dinosaur", ("arm", "hind"), ("hind",), {"arm": "chest", "hind": "pelvis"}, _FORWARD, 0.5, 0.3, 0.7, _dinosaur, base=0.08),
    Template("bird", ("wing", "hind", "arm"), ("wing",), {"wing": "chest", "hind": "pelvis", "arm": "chest"}, (0.0, 0.5, 0.866), 0.6, 0.3, 0.2, _bird),
    Template(
        "insect",
        ("leg1", "leg2", "leg3", "wing"),
        ("leg1", "leg2", "leg3"),
        dict.fromkeys(("leg1", "leg2", "leg3", "wing"), "chest"),
        _FORWARD,
        0.3,
        0.1,
        0.05,
        _legs,
        base=0.1,
    ),
    Template(
        "spider",
        ("leg1", "leg2", "leg3", "leg4"),
        ("leg1", "leg2", "leg3", "leg4"),
        dict.fromkeys(("leg1", "leg2", "leg3", "leg4"), "chest"),
        _FORWARD,
        0.3,
        0.05,
        0.0,
        _legs,
        base=0.1,
    ),
    Template("fish", ("wing",), ("wing",), {"wing": "chest"}, _FORWARD, 0.6, 0.3, 0.4, _nothing, base=0.25),
    Template("snake", (), (), {}, _FORWARD, 0.2, 0.4, 0.4, _nothing, base=0.5),
)
"""One of each kind; a fish is a snake with a pair of fins."""
