"""Which limb is which: the penalised discrete embedding of the templates' branch points and limb ends.

Pinocchio (section 4) searches for a vertex of the sphere graph for every joint of a reduced skeleton with penalties
learned from examples. Here the ends are the tips of the body, taken in mirrored pairs, so that the search is over the few
ways to give pairs to limbs times all pairs of spheres for pelvis and chest: small enough to be exhaustive.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np

from .medial import Spheres
from .templates import TEMPLATES, Template
from .tips import Tips

_SAME = 0.06  # of the extent: tips closer than this are one
_PAIRED = 0.16  # of the extent: how far from its mirror image the other tip of a pair may lie
_CENTRAL = 0.05  # of the extent: how far from the plane of symmetry the trunk may lie
_BROAD = 0.35  # of the largest central radius: what is thinner cannot be the pelvis or the chest
_MOST_PAIRS = 6
_MOST_SINGLE = 5
_MOST_WAYS = 60  # of giving pairs to limbs, the cheapest so far
_MOST_TRIED = 150  # of those with heads and tails, for which pelvis and chest are sought
_HEAD_WIDTH = 0.3  # of the extent: pairs farther from the middle do not grow on a head
_UNUSED = 1.2  # cost of a tip that no limb explains, by its prominence in extents
_MOST_UNUSED = 0.6  # which all together come near: plates and spikes must not outvote the legs
_TOES = 0.2  # of the extent: ends this close to the end of a limb are its toes
_STANDING = 2.0  # times the cost, of a foot on the ground that no leg explains
_ORNAMENT = 0.15  # the part of that for tips around the head: ears, horns, jaws


@dataclasses.dataclass
class Embedding:
    """A template found in a body.

    Attributes:
        template: Which.
        cost: Sum of the penalties, lower fits better.
        terms: The penalties by name.
        pelvis, chest: Spheres.
        pairs: Left and right tip of each paired limb, by the template's limb names. [(2,)]
        head, tail: Tips, -1 if there is none.
    """

    template: Template
    cost: float
    terms: dict[str, float]
    pelvis: int
    chest: int
    pairs: dict[str, tuple[int, int]]
    head: int
    tail: int


class Body:
    """What the search measures: tips in pairs and alone, spheres that may carry limbs, all in extents with the ground at 0.

    Parameters:
        spheres, tips: Of the body.
        low, high: Its bounding box. [m, (3,)]
        flip: Take the body to face backwards.
    """

    def __init__(self, spheres: Spheres, tips: Tips, low: np.ndarray, high: np.ndarray, *, flip: bool = False) -> None:
        self.extent = float((high - low).max())
        turn = np.array([-1.0, 1.0, -1.0]) if flip else np.ones(3)
        base = np.array([0.5 * (low[0] + high[0]), low[1], 0.5 * (low[2] + high[2])])
        self.tips = (tips.points - base) / self.extent * turn
        self.nodes = (spheres.centers - base) / self.extent * turn
        self.size = (high - low) / self.extent
        self.prominence = tips.prominence / self.extent
        self.ways = spheres.lengths / self.extent
        self.tip_nodes = tips.spheres
        self.radii = spheres.radii / self.extent
        self.pairs, self.single = self._pair()
        self._add_middles()
        self.girth_to = self._limb_girths()
        self.gaps = np.linalg.norm(self.tips[:, None] - self.tips[None], axis=2)
        central = np.abs(self.nodes[:, 0]) < np.maximum(_CENTRAL, 0.3 * spheres.radii / self.extent)
        widest = spheres.radii[central].max() if central.any() else spheres.radii.max()
        self.trunk = np.flatnonzero(central & (spheres.radii >= _BROAD * widest))
        if not len(self.trunk):
            self.trunk = np.array([tips.core])
        self.girth = spheres.radii[self.trunk] / widest

    def _pair(self) -> tuple[list[tuple[int, int]], list[int]]:
        """Mirrored tips as (left, right), the most prominent first, and tips in the middle or without a partner."""
        count = len(self.tips)
        kept: list[int] = []
        for tip in range(count):
            if all(np.linalg.norm(self.tips[tip] - self.tips[other]) > _SAME for other in kept):
                kept.append(tip)
        mirrored = self.tips * [-1, 1, 1]
        candidates = []
        for a, b in itertools.combinations(kept, 2):
            if self.tips[a, 0] * self.tips[b, 0] >= 0:
                continue
            gap = float(np.linalg.norm(mirrored[a] - self.tips[b]))
            if gap < _PAIRED and gap < np.linalg.norm(self.tips[a] - self.tips[b]):
                candidates.append((gap, a, b))
        pairs, used = [], set()
        for _, a, b in sorted(candidates):
            if a not in used and b not in used:
                used |= {a, b}
                pairs.append((a, b) if self.tips[a, 0] > 0 else (b, a))
        # feet on the ground first, then what stands out most
        low = 0.15 * self.size[1]
        pairs.sort(key=lambda pair: -self.weight(pair) - (self.middle(pair)[1] < low))
        return pairs[:_MOST_PAIRS], self._notable([tip for tip in kept if tip not in used])

    def _notable(self, singles: list[int]) -> list[int]:
        """The foremost, the hindmost and the highest of some tips, then the most prominent, `_MOST_SINGLE` at most."""
        if not singles:
            return []
        places = self.tips[singles]
        first = [singles[int(index)] for index in (places[:, 2].argmax(), places[:, 2].argmin(), places[:, 1].argmax())]
        return list(dict.fromkeys(first + singles))[:_MOST_SINGLE]

    def _add_middles(self) -> None:
        """Where two tips lie close on both sides of the middle (ears, horns, the halves of a beak) the head may end between them."""
        for left, right in self.pairs:
            place = self.middle((left, right))
            ends = place[1] > 0.4 * self.size[1] or abs(place[2]) > 0.45 * self.size[2]
            if abs(self.tips[left, 0]) > _HEAD_WIDTH or not ends:
                continue
            self._add_single(int(np.linalg.norm(self.nodes - [0, *place[1:]], axis=1).argmin()))
        central = np.flatnonzero(np.abs(self.nodes[:, 0]) < _CENTRAL)
        for axis in (1, 2) if len(central) else ():  # a head too round to stand out is where the body is highest or foremost
            end = int(central[self.nodes[central, axis].argmax()])
            if not self.single or np.linalg.norm(self.tips[self.single] - self.nodes[end], axis=1).min() > _SAME:
                self._add_single(end)

    def _add_single(self, node: int) -> None:
        """Take a sphere for an end in the middle."""
        self.single.append(len(self.tips))
        self.tips = np.vstack([self.tips, [0, *self.nodes[node, 1:]]])
        self.tip_nodes = np.append(self.tip_nodes, node)
        self.prominence = np.append(self.prominence, 0.0)

    def _limb_girths(self) -> np.ndarray:
        """Mean radius of the spheres near each tip: a head is thicker than a tail. [(T,)]"""
        near = np.linalg.norm(self.tips[:, None] - self.nodes[None], axis=2) < 0.15
        return np.array([self.radii[row].mean() if row.any() else 0.0 for row in near])

    def weight(self, pair: tuple[int, int]) -> float:
        """How far a pair of limbs stands out: the lesser prominence counts, the greater may be the body's own length."""
        return float(min(self.prominence[pair[0]], self.prominence[pair[1]]))

    def middle(self, pair: tuple[int, int]) -> np.ndarray:
        """The left tip and the mirrored right one, averaged. [(3,)]"""
        return 0.5 * (self.tips[pair[0]] + self.tips[pair[1]] * [-1, 1, 1])


def search(body: Body, template: Template) -> Embedding | None:
    """The cheapest embedding of a template, None if the body lacks what it must have."""
    best: Embedding | None = None
    singles = [-1, *body.single]
    ends = {(head, tail): template.end_terms(body, head, tail) for head in singles for tail in singles}
    ways = []
    for given in _assignments(len(body.pairs), template):
        pairs = {name: body.pairs[index] for name, index in given.items()}
        terms = template.pair_terms(body, pairs)
        ways.append((sum(terms.values()), len(ways), pairs, terms))
    candidates = []
    for _, _, pairs, terms in sorted(ways, key=lambda way: way[:2])[:_MOST_WAYS]:
        taken = {tip for pair in pairs.values() for tip in pair}
        unused = _unused(body, sorted(taken), singles)
        for head, tail in itertools.product(singles, singles):
            if head != tail or head < 0:
                near = tail >= 0 and head >= 0 and body.gaps[tail, head] < 0.35
                rest = unused[head] - (_UNUSED * min(body.prominence[tail], 0.5) * (_ORNAMENT if near else 1.0) if tail >= 0 else 0.0)
                more = {**terms, **ends[head, tail], "unused": _MOST_UNUSED * (1 - math.exp(-max(0.0, rest) / _MOST_UNUSED))}
                candidates.append((sum(more.values()), len(candidates), pairs, head, tail, more))
    for fixed, _, pairs, head, tail, terms in sorted(candidates, key=lambda one: one[:2])[:_MOST_TRIED]:
        if best is not None and fixed > best.cost:
            break
        costs = template.trunk_costs(body, pairs, head, tail)
        index = np.unravel_index(int(costs.argmin()), costs.shape)
        total = fixed + float(costs[index])
        if best is None or total < best.cost - 1e-12:
            trunk = int(body.trunk[index[0]]), int(body.trunk[index[1]])
            best = Embedding(template, total, {**terms, "trunk": float(costs[index])}, *trunk, pairs, head, tail)
    return best


def choose(body: Body, category: str = "") -> list[Embedding]:
    """Embeddings of all templates, or of one, the best first."""
    found = [search(body, template) for template in TEMPLATES if category in ("", template.category)]
    return sorted((one for one in found if one is not None), key=lambda one: one.cost)


def _assignments(count: int, template: Template) -> list[dict[str, int]]:
    """All ways to give pairs of tips to the template's limbs; a limb that may be absent may stay without."""
    names = list(template.limbs)
    result = []
    for choice in itertools.product(range(-1, count), repeat=len(names)):
        used = [index for index in choice if index >= 0]
        if len(set(used)) == len(used) and all(index >= 0 or name not in template.required for name, index in zip(names, choice, strict=True)):
            result.append({name: index for name, index in zip(names, choice, strict=True) if index >= 0})
    return result


def _unused(body: Body, taken: list[int], singles: list[int]) -> dict[int, float]:
    """Cost of the tips that no limb explains, for every head: little for what adorns the head and for toes, much for feet."""
    tips = np.array([tip for pair in body.pairs for tip in pair] + body.single, int)
    cost = _UNUSED * np.minimum(body.prominence[tips], 0.5)
    standing = (body.tips[tips, 1] < 0.08 * body.size[1]) & (np.abs(body.tips[tips, 0]) > 0.02)
    toes = (body.gaps[np.ix_(tips, taken)] < _TOES).any(1) if taken else np.zeros(len(tips), bool)
    cost = np.where(toes, _ORNAMENT, np.where(standing, _STANDING, 1.0)) * cost
    cost[np.isin(tips, taken)] = 0
    cost_of = dict(zip(tips.tolist(), cost.tolist(), strict=True))
    result = {}
    for head in singles:
        adorns = (body.gaps[tips, head] < 0.35) & (body.tips[tips, 1] > 0.3 * body.size[1]) if head >= 0 else np.zeros(len(tips), bool)
        total = float(np.where(adorns & ~toes, np.minimum(cost, _ORNAMENT * cost / np.where(standing, _STANDING, 1.0)), cost).sum())
        result[head] = total - cost_of.get(head, 0.0)
    return result
