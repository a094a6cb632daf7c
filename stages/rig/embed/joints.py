"""Joints along the centre lines of an embedded template: where artists put hips, knees, shoulders and heads.

The shares below say where along a limb a joint lies, 0 where the limb leaves the trunk and 1 at its tip. They are medians
over rigged models (CC0 and CC BY characters of several authors) and the built-in characters.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .curves import Curve, Ways, mean, mirrored, smooth
from .field import SAME_POSE, Field
from .medial import Voxels
from .search import Body, Embedding

_ALIKE = 0.05  # of the extent: limbs whose lines differ by less after mirroring become exact mirror images
_BENT = 0.18  # slope of thigh and shank, backward over down: a leg that leans more has a hock
_HEEL = 0.012  # of the extent
_SPRAWLED = 2.5  # times as long as it is high: a leg folded beside the body
_TAIL_BONE = 0.09  # of the extent: about the length of a tail's bones
_LIMB_SHARES = {
    "arm": (("upper", 0.14), ("lower", 0.45), ("foot", 0.77)),
    "wing": (("upper", 0.10), ("lower", 0.40), ("foot", 0.70)),
    "leg": (("upper", 0.02), ("lower", 0.36), ("foot", 0.70)),
}


@dataclasses.dataclass
class Joint:
    """One joint of the new skeleton.

    Attributes:
        name: Unique; the role, numbered where several share it.
        parent: Name of the parent, "" of the root.
        position: [m, (3,)]
        role: As in schemas.roles.
        confidence: 0 to 1: how far to trust its place.
        tail: Tip of its bone where no child says it. [m, (3,), optional]
    """

    name: str
    parent: str
    position: np.ndarray
    role: str
    confidence: float
    tail: np.ndarray | None = None


class Builder:
    """Places the joints of one embedding.

    Parameters:
        field, voxels: The body.
        body, found: The search's result.
        low, high: Bounding box of the mesh. [m, (3,)]
        trust: Confidence in the template as a whole.
    """

    def __init__(self, field: Field, voxels: Voxels, body: Body, found: Embedding, low: np.ndarray, high: np.ndarray, trust: float) -> None:
        self.field, self.body, self.found, self.trust = field, body, found, trust
        self.extent, self.plane, self.ground = body.extent, 0.5 * float(low[0] + high[0]), float(low[1])
        self._base = np.array([self.plane, low[1], 0.5 * (low[2] + high[2])])
        pelvis, chest = (self._world(body.nodes[node]) for node in (found.pelvis, found.chest))
        self._from = {"pelvis": Ways(field, voxels, pelvis), "chest": Ways(field, voxels, chest)}
        self.trunk = self._middle(self._from["pelvis"].to(chest))
        self.line = self._spine()
        self.joints: list[Joint] = []
        self.symmetric = True
        self._agreement: dict[str, float] = {}  # of left and right, by limb

    def _world(self, place: np.ndarray) -> np.ndarray:
        return np.asarray(place) * self.extent + self._base

    def _middle(self, curve: Curve) -> Curve:
        """A line brought to the plane of symmetry: averaged with its mirror image."""
        flat = mean(curve, mirrored(curve, self.plane))
        return smooth(self.field, flat.points)

    def build(self) -> list[Joint]:
        """All joints, parents first."""
        category = self.found.template.category
        limbs = {name: self._limb(name, pair) for name, pair in self.found.pairs.items()}
        if category == "snake" or not limbs:
            self._serpent({})
        elif category == "fish":
            self._serpent(limbs)
        else:
            upright = category == "biped"
            hips = {name: self._legs(name, sides, upright=upright) for name, sides in limbs.items() if name in ("hind", "fore")}
            arms = {name: self._arms(name, sides) for name, sides in limbs.items() if name not in ("hind", "fore")}
            self._trunk(hips, arms, upright=upright)
            for name, sides in {**hips, **arms}.items():
                self._add_limb(name, sides, self.found.template.attach[name])
            self._tail()
        return self.joints

    # -- lines ------------------------------------------------------------------------------------------------------

    def _limb(self, name: str, pair: tuple[int, int]) -> tuple[Curve, Curve, float]:
        """Left and right line from the trunk to the tips, and how well they mirror each other (0 to 1)."""
        ways = self._from[self.found.template.attach[name]]
        left, right = (ways.to(self._world(self.body.tips[tip])) for tip in pair)
        count = max(len(left.points), len(right.points))
        gap = np.linalg.norm(left.cut(0, 1, count).points - mirrored(right, self.plane).cut(0, 1, count).points, axis=1)
        agreement = float(np.exp(-gap.mean() / (0.04 * self.extent)))
        if gap.max() < _ALIKE * self.extent or gap.mean() < 0.5 * _ALIKE * self.extent:
            left = smooth(self.field, mean(left, mirrored(right, self.plane)).points)
            right = mirrored(left, self.plane)
        elif self.field.symmetry > SAME_POSE:  # an exactly symmetric body: equally good ways differ only by chance
            right = mirrored(left, self.plane)
        else:
            self.symmetric = False
        return left, right, agreement

    def _leaves(self, curve: Curve, trunk: Curve) -> float:
        """Share of a limb's line at which it comes out of the trunk: farther from the trunk's line than that is deep."""
        distance = np.linalg.norm(curve.points[:, None] - trunk.points[None], axis=2)
        nearest = distance.argmin(1)
        within = np.flatnonzero(distance[np.arange(len(nearest)), nearest] < trunk.radii[nearest])
        arc = curve.arc
        return float(arc[within[-1]] / arc[-1]) if len(within) and within[-1] < len(arc) - 2 else 0.0

    # -- limbs ------------------------------------------------------------------------------------------------------

    def _legs(self, name: str, sides: tuple[Curve, Curve, float], *, upright: bool) -> list[list[tuple[str, np.ndarray]]]:
        """Segments and places of the joints of a pair of legs, and last the tip."""
        result = []
        for curve in sides[:2]:
            if upright:
                result.append(self._human_leg(curve))
            else:
                result.append(self._fore_leg(curve) if name == "fore" else self._hind_leg(curve))
        self._agreement[name] = sides[2]
        return result

    def _human_leg(self, curve: Curve) -> list[tuple[str, np.ndarray]]:
        """Hip, knee and ankle of an upright leg; the hip above where the legs part."""
        lateral = np.abs(curve.points[:, 0] - self.plane)
        parted = np.flatnonzero(lateral < 0.85 * curve.radii)
        start = int(parted[-1]) + 1 if len(parted) and parted[-1] < len(lateral) - 3 else 0
        share = max(curve.arc[start] / curve.arc[-1], self._leaves(curve, self.trunk))
        lower = curve.cut(share, 1.0)
        thigh = lower.cut(0.1, 0.4)
        hip = lower.at(0.0) + [0, min(0.5 * lower.radii[0], 0.025 * self.extent), 0]
        hip[0] = self.plane + 0.92 * (thigh.points[:, 0].mean() - self.plane)
        sole = lower.points[-1].copy()
        ankle = self._ankle(lower)
        knee = lower.at(lower.closest(hip + 0.5 * (ankle - hip)))
        return [("upper", hip), ("lower", knee), ("foot", ankle), ("tip", sole)]

    def _hind_leg(self, curve: Curve) -> list[tuple[str, np.ndarray]]:
        """Hip, knee, hock and paw of a leg under a level trunk."""
        leg = curve.cut(self._leaves(curve, self.line), 1.0)
        hip = self._socket(leg, rise=0.6, along=0.08)
        sole = leg.points[-1].copy()
        drop = max(float(hip[1] - sole[1]), 1e-9)
        if leg.arc[-1] > _SPRAWLED * drop:  # a frog's leg lies folded beside the body: its joints are the corners of the line
            knee, hock = corners(leg, 2)
            paw = leg.at(0.5 * (1 + leg.closest(hock)))
            return [("upper", leg.at(0.06)), ("lower", knee), ("foot", hock), ("foot", paw), ("tip", sole)]
        paw = leg.at(0.87)
        line = leg.cut(0.0, 0.87, 60)
        fall = (line.points[:, 1] - paw[1]) / max(hip[1] - paw[1], 1e-9)
        back = (paw + fall[:, None] * (hip - paw))[:, 2] - line.points[:, 2]
        lower = (fall > 0.2) & (fall < 0.65)
        high, low = (float(np.interp(share, fall[::-1], line.points[::-1, 2])) for share in (0.95, 0.35))
        if not lower.any() or high - low < _BENT * 0.6 * drop:  # on its soles, as a bear
            ankle = self._ankle(leg)
            return [("upper", hip), ("lower", leg.at(0.5 * leg.closest(ankle))), ("foot", ankle), ("tip", sole)]
        knee = leg.at(0.18)
        knee[2] += 0.15 * (hip[1] - paw[1])
        hock = 0.5 * (line.points[np.flatnonzero(lower)[int(back[lower].argmax())]] + leg.at(0.54))
        hock[2] -= 0.03 * (hip[1] - paw[1])
        return [("upper", hip), ("lower", self._inside(knee, leg.at(0.25))), ("foot", hock), ("foot", paw), ("tip", sole)]

    def _fore_leg(self, curve: Curve) -> list[tuple[str, np.ndarray]]:
        """Shoulder, elbow and wrist of a fore leg."""
        leg = curve.cut(self._leaves(curve, self.line), 1.0)
        return [("upper", self._socket(leg, rise=0.0, along=0.08)), ("lower", leg.at(0.46)), ("foot", leg.at(0.81)), ("tip", leg.points[-1].copy())]

    def _socket(self, leg: Curve, *, rise: float, along: float) -> np.ndarray:
        """Where a leg turns: above where it leaves the trunk by a part of the way up to the trunk's line, straight over the leg."""
        entry = leg.points[0].copy()
        axis = self.trunk.points[int(np.abs(self.trunk.points[:, 2] - entry[2]).argmin())]
        entry[1] += rise * (axis[1] - entry[1])
        outer = leg.at(along + 0.12)
        entry[0] = outer[0]
        return self._inside(entry, leg.points[0])

    def _inside(self, point: np.ndarray, safe: np.ndarray) -> np.ndarray:
        """The point, drawn towards a safe one until it lies in the body."""
        for share in np.linspace(0, 1, 11):
            moved = point + share * (safe - point)
            if self.field.sample(moved[None])[0] > 0.5 * self.field.step:
                return moved
        return safe

    def _ankle(self, leg: Curve) -> np.ndarray:
        """Where the line turns into the foot: the lowest place whose line below runs more along the ground than down."""
        points = leg.points
        height = points[0, 1] - self.ground
        low = np.flatnonzero(points[:, 1] < self.ground + 0.3 * height)
        way = np.gradient(points, axis=0)
        flat = [index for index in low if np.hypot(way[index, 0], way[index, 2]) > -way[index, 1]]
        index = flat[0] if flat else int(np.abs(leg.arc / leg.arc[-1] - 0.93).argmin())
        # smoothing cuts the corner at the heel: the joint lies below and behind the line
        heel = points[max(index - 1, 0)] + np.array([0.0, -_HEEL, -_HEEL]) * self.extent
        return self._inside(heel, points[max(index - 1, 0)])

    def _arms(self, name: str, sides: tuple[Curve, Curve, float]) -> list[list[tuple[str, np.ndarray]]]:
        """Joints of arms, wings and insects' legs, by shares of their lines."""
        shares = _LIMB_SHARES["leg" if name.startswith("leg") else name]
        result = []
        for curve in sides[:2]:
            limb = curve.cut(self._leaves(curve, self.trunk), 1.0)
            result.append([*((segment, limb.at(share)) for segment, share in shares), ("tip", limb.points[-1].copy())])
        self._agreement[name] = sides[2]
        return result

    def _add_limb(self, name: str, sides: list[list[tuple[str, np.ndarray]]], parent: str) -> None:
        """The joints of a pair of limbs, below a joint of the trunk."""
        pair = self.found.pairs[name]
        standing = min(1.0, float(min(self.body.prominence[list(pair)])) / 0.15)
        for side, places in zip(("left", "right"), sides, strict=True):
            above, counts = parent, {}
            for (segment, place), following in zip(places, places[1:], strict=False):
                role = f"{side}_{name}_{segment}"
                counts[role] = counts.get(role, 0) + 1
                label = role if counts[role] == 1 else f"{role}_{counts[role]}"
                end = following[1] if following[0] == "tip" else None
                self._add(label, above, place, role, (0.4 + 0.6 * standing) * (0.5 + 0.5 * self._agreement[name]), end)
                above = label

    # -- trunk ------------------------------------------------------------------------------------------------------

    def _trunk(self, hips: dict, arms: dict, *, upright: bool) -> None:
        """Pelvis, spine, chest, neck and head."""
        line = self.line
        hind = hips.get("hind")
        front = hips.get("fore") or arms.get("arm") or arms.get("wing") or next(iter(arms.values()), None)
        axis = 1 if upright else 2
        pelvis = self._on(line, hind, axis) if hind else self.trunk.points[0]
        if upright and hind:  # between the hips, also where the trunk was found to end above them
            pelvis = np.mean([places[0][1] for places in hind], axis=0)
            pelvis[0] = self.plane
        chest = self._on(line, front, axis) if front and not upright else self.trunk.points[-1]
        if upright and front:  # the sphere lies at the shoulders
            chest = pelvis + 0.92 * (chest - pelvis)
        neck, head, tip = self._neck(chest)
        sure = min(1.0, float(self.field.sample(pelvis[None])[0]) / (0.04 * self.extent))
        self._add("pelvis", "", pelvis, "pelvis", 0.5 + 0.5 * sure)
        part = smooth(self.field, np.stack([pelvis, *self._between(line, pelvis, chest), chest]))
        self._add("spine", "pelvis", part.at(0.4 if upright else 0.5), "spine", 0.9)
        self._add("chest", "spine", chest, "chest", 0.9)
        self._add("neck", "chest", neck, "neck", 0.8)
        self._add("head", "neck", head, "head", 0.8 if self.found.head >= 0 else 0.4, tip)

    def _spine(self) -> Curve:
        """The line of the trunk, continued into tail and head where there are any."""
        points = [self.trunk.points]
        if self.found.tail >= 0:
            points.insert(0, self._middle(self._from["pelvis"].to(self._world(self.body.tips[self.found.tail]))).points[::-1])
        elif self.found.template.upright[2] > 0.5:
            points.insert(0, self._rump()[::-1])
        if self.found.head >= 0:
            points.append(self._middle(self._from["chest"].to(self._world(self.body.tips[self.found.head]))).points)
        return smooth(self.field, np.concatenate(points))

    def _rump(self) -> np.ndarray:
        """From the pelvis straight on to the end of a body without a tail. [m, (N, 3)]"""
        way = self.trunk.points[0] - self.trunk.points[-1]
        steps = np.arange(0, 0.5 * self.extent, self.field.step)[:, None] * way / max(np.linalg.norm(way), 1e-9)
        points = self.trunk.points[0] + steps
        outside = np.flatnonzero(self.field.sample(points) <= 0)
        return points[: max(1, int(outside[0]) if len(outside) else len(points))]

    def _on(self, line: Curve, sides: list, axis: int) -> np.ndarray:
        """The place on the trunk's line at the level of the first joints of a pair of limbs."""
        level = np.mean([places[0][1] for places in sides], axis=0)
        near = np.linalg.norm((line.points - level) * [0, 1, 1], axis=1) + 2 * np.abs(line.points[:, axis] - level[axis])
        return line.points[int(near.argmin())].copy()

    def _between(self, line: Curve, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        a, b = sorted((line.closest(start), line.closest(end)))
        part = line.cut(a, b).points[1:-1]
        return part if len(part) and np.linalg.norm(part[0] - start) < np.linalg.norm(part[-1] - start) else part[::-1]

    def _neck(self, chest: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Base of the neck, base of the skull, and the tip of the head."""
        if self.found.head < 0:
            way = self.trunk.points[-1] - self.trunk.points[0]
            way = way / max(np.linalg.norm(way), 1e-9)
            reach = float(max((self.field.sample((chest + s * way)[None])[0] > 0) * s for s in np.linspace(0, 0.5 * self.extent, 60)))
            return (chest + share * reach * way for share in (0.3, 0.6, 1.0))
        if self.found.template.category == "biped":
            curve = self._middle(self._from["chest"].to(self._world(self.body.tips[self.found.head])))
            out = curve.cut(self._leaves(curve, self.trunk), 1.0)
            return out.at(0.06), out.at(0.26), out.points[-1]
        onward = self.line.cut(self.line.closest(chest), 1.0)
        neck = onward.cut(0.10, 1.0)
        return neck.points[0], neck.at(0.54), neck.points[-1]

    def _tail(self) -> None:
        """A chain of bones to the tip of the tail."""
        if self.found.tail < 0:
            return
        curve = self._middle(self._from["pelvis"].to(self._world(self.body.tips[self.found.tail])))
        tail = curve.cut(self._leaves(curve, self.trunk), 1.0)
        count = int(np.clip(round(tail.arc[-1] / (_TAIL_BONE * self.extent)), 2, 7))
        self._chain("tail", "pelvis", tail, count, "tail")

    def _chain(self, name: str, parent: str, curve: Curve, count: int, role: str) -> str:
        """`count` bones of equal length along a line, the first joint at its start; returns the last joint's name."""
        shares = np.linspace(0, 1, count + 1)
        for index in range(count):
            label = f"{name}_{index + 1}"
            end = curve.points[-1] if index == count - 1 else None
            self._add(label, parent, curve.at(shares[index]), role, 0.85, end)
            parent = label
        return parent

    def _serpent(self, limbs: dict[str, tuple[Curve, Curve, float]]) -> None:
        """One chain from the tail to the head with its root in the middle, and fins on it."""
        line = self.line
        fore, hind = line.cut(0.5, 1.0), line.cut(0.0, 0.5)
        self._add("pelvis", "", fore.points[0], "pelvis", 0.9)
        count = int(np.clip(round(line.arc[-1] / (0.12 * self.extent)), 6, 12)) // 2
        shares = np.linspace(0, 1, count + 2)[1:]
        parent = "pelvis"
        for index, share in enumerate(shares[:-1]):
            last = index == len(shares) - 2
            role = "head" if last else "chest" if index == len(shares) - 3 else "spine"
            label = role if role != "spine" else f"spine_{index + 1}"
            self._add(label, parent, fore.at(share), role, 0.85, fore.points[-1] if last else None)
            parent = label
        self._chain("tail", "pelvis", Curve(hind.points[::-1], hind.radii[::-1]).cut(0.15, 1.0), count, "tail")
        for name, sides in limbs.items():
            places = self._arms(name, sides)
            at = np.mean([side[0][1] for side in places], axis=0)
            trunk = [joint for joint in self.joints if joint.role in ("pelvis", "spine", "chest")]
            self._add_limb(name, places, min(trunk, key=lambda joint: float(np.linalg.norm(joint.position - at))).name)

    def _add(self, name: str, parent: str, place: np.ndarray, role: str, confidence: float, tail: np.ndarray | None = None) -> None:
        inside = float(self.field.sample(np.asarray(place)[None])[0]) > 0
        self.joints.append(Joint(name, parent, np.array(place), role, round(float(confidence * self.trust * (1.0 if inside else 0.4)), 3), tail))


def corners(curve: Curve, count: int, samples: int = 28) -> list[np.ndarray]:
    """The `count` (1 or 2) inner points of a line that, joined straight with its ends, come nearest to it. [m, (3,)]"""
    points = curve.cut(0.0, 1.0, samples).points
    inner = range(2, samples - 2)
    chosen = [(i,) for i in inner] if count == 1 else [(i, j) for i in inner for j in inner if j > i + 2]
    cost = _straight(points)
    best = min(chosen, key=lambda ends: sum(cost[a, b] for a, b in zip((0, *ends), (*ends, samples - 1), strict=True)))
    return [points[index].copy() for index in best]


def _straight(points: np.ndarray) -> np.ndarray:
    """Sum of squared distances of the points between any two to the line that joins those. [m^2, (N, N)]"""
    count = len(points)
    result = np.zeros((count, count))
    for a in range(count):
        for b in range(a + 1, count):
            way = points[b] - points[a]
            offset = points[a : b + 1] - points[a]
            share = np.clip(offset @ way / max(way @ way, 1e-18), 0, 1)
            result[a, b] = ((offset - share[:, None] * way) ** 2).sum()
    return result
