"""Semantic roles of joints, from names where they speak and from geometry where they do not (schemas.roles)."""

from __future__ import annotations

import dataclasses

import numpy as np

from . import names as naming

_CENTRAL = 0.02  # of the extent: how far from the plane of symmetry a joint still counts as central
_LEGLIKE = {"thigh", "calf", "leg", "foot", "toe", "hip"}
_ARMLIKE = {"clavicle", "hand", "finger", "forearm", "upperarm", "arm"}
_FEET = {"foot", "toe", "hand", "finger"}
_DETAIL = {"ear": "ear", "jaw": "jaw", "other": "other"}


@dataclasses.dataclass
class Limb:
    """A one-sided subtree of the skeleton.

    Attributes:
        joints: Of the whole subtree.
        chain: From the root of the limb to its end, side branches left out.
        side: "left" or "right", the character's own.
        kind: "leg", "arm", "wing", "ear", "jaw", "tail", "other".
        depth: Lowest z that orders limbs from front to back. [m]
    """

    joints: list[int]
    chain: list[int]
    side: str
    kind: str
    depth: float


def assign(joint_names: list[str], parents: np.ndarray, positions: np.ndarray, tails: np.ndarray, points: np.ndarray) -> tuple[list[str], str]:
    """Roles and the category of a skeleton in akd's frame.

    Parameters:
        joint_names: [(J,)]
        parents: Root first, parents before children. [(J,)]
        positions, tails: [m, (J, 3)]
        points: Vertices of the mesh, which stands on y = 0. [m, (W, 3)]

    Returns:
        A role for each joint, "" where unknown, and the category, "" where unknown.
    """
    body = _Body(joint_names, parents, positions, tails, points)
    limbs = body.limbs()
    roles = [""] * len(joint_names)
    groups = _legs_and_arms(body, limbs)
    for limb in limbs:
        group = groups.get(id(limb))
        if group is None:
            for joint in limb.joints:
                roles[joint] = limb.kind if limb.kind in ("ear", "jaw", "tail", "other") else ""
            continue
        for joint in limb.joints:  # fingers, spurs
            roles[joint] = f"{limb.side}_{group}_foot"
        for joint, segment in zip(limb.chain, body.segments(limb, group), strict=True):
            roles[joint] = f"{limb.side}_{group}_{segment}"
    _trunk(body, limbs, groups, roles)
    return roles, _category(body, limbs, groups, roles)


class _Body:
    """A skeleton with the measures that roles need."""

    def __init__(self, joint_names: list[str], parents: np.ndarray, positions: np.ndarray, tails: np.ndarray, points: np.ndarray) -> None:
        self.names, self.parents = joint_names, np.asarray(parents)
        self.positions, self.tails = np.asarray(positions, np.float64), np.asarray(tails, np.float64)
        self.parts = [naming.part(name) for name in joint_names]
        self.height = max(float(points[:, 1].max()), 1e-9)
        self.extent = max(float(np.ptp(points, axis=0).max()), 1e-9)
        self.middle = _CENTRAL * self.extent
        self.count = len(joint_names)
        self.weight = np.ones(self.count, int)  # joints in the subtree
        for joint in range(self.count - 1, 0, -1):
            self.weight[self.parents[joint]] += self.weight[joint]

    def children(self, joint: int) -> list[int]:
        return np.flatnonzero(self.parents == joint).tolist()

    def below(self, joint: int) -> list[int]:
        """`joint` and its descendants, in order."""
        found = {joint}
        for child in range(joint + 1, self.count):
            if int(self.parents[child]) in found:
                found.add(child)
        return sorted(found)

    def limbs(self) -> list[Limb]:
        """The largest subtrees that lie on one side of the plane of symmetry."""
        found: list[Limb] = []
        taken: set[int] = set()
        for joint in range(1, self.count):
            if joint in taken:
                continue
            below = self.below(joint)
            x = np.concatenate([self.tails[below, 0], self.positions[below[1:], 0]])
            sided = "left" if x.min() > -self.middle < self.middle < x.max() else "right" if x.max() < self.middle and x.min() < -self.middle else ""
            # a joint that starts in the middle and bears both a limb and the trunk is trunk; a limb's reach is clear
            if not sided or np.abs(x).max() < 1.5 * self.middle:
                continue
            taken.update(below)
            chain = self.chain(joint)
            found.append(Limb(below, chain, sided, self.kind(below, chain), float(self.tails[chain[-1], 2])))
        return found

    def chain(self, joint: int) -> list[int]:
        """From a joint down its longest branch."""
        chain = [joint]
        while kids := self.children(chain[-1]):
            # toes and fingers branch: take the branch with most joints, of equal ones the longest
            chain.append(max(kids, key=lambda k: (self.weight[k], np.linalg.norm(self.tails[k] - self.positions[k]), -k)))
        return chain

    def kind(self, below: list[int], chain: list[int]) -> str:
        """What a limb is."""
        said = [self.parts[j] for j in chain if self.parts[j] not in ("", "control")]
        if said and said[0] in ("ear", "jaw", "tail", "other"):
            return said[0]
        if "wing" in said:
            return "wing"
        grounded = self.grounded(below)
        if any(word in _LEGLIKE for word in said):
            return "leg"
        if any(word in _ARMLIKE for word in said):
            return "arm"
        if said:
            return "other"
        if grounded:
            return "leg"
        if len(below) == 1 and self.positions[below[0], 1] > 0.75 * self.height:
            return "ear"
        reach = np.abs(self.tails[chain[-1]] - self.positions[chain[0]])
        spread = reach[0] > 0.3 * self.extent or reach[0] > 2 * max(reach[1], reach[2])
        return "wing" if spread and not self.upright() else "arm"

    def grounded(self, below: list[int]) -> bool:
        """Whether a limb comes down to the ground."""
        low = min(self.tails[below, 1].min(), self.positions[below, 1].min())
        return bool(low < 0.15 * self.height)

    def upright(self) -> bool:
        """Whether the middle of the body rises more than it lies."""
        central = [j for j in range(self.count) if abs(self.positions[j, 0]) < self.middle and self.parts[j] != "tail"] or [0]
        spread = np.ptp(np.concatenate([self.positions[central], self.tails[central]]), axis=0)
        return bool(spread[1] > spread[2])

    def segments(self, limb: Limb, group: str) -> list[str]:
        """Which segment of its limb each joint of the chain is."""
        chain = limb.chain
        length = np.linalg.norm(self.tails[chain] - self.positions[chain], axis=1)
        top = self.positions[chain[0], 1]
        feet = 0
        for index in range(len(chain) - 1, 0, -1):
            low = group != "arm" and self.positions[chain[index], 1] < 0.2 * top
            if self.parts[chain[index]] in _FEET or (low and len(chain) > 2):
                feet = len(chain) - index
            else:
                break
        shafts = len(chain) - feet
        first = self.parts[chain[0]]
        thin = shafts > 2 and length[0] < 0.5 * length[1:shafts].mean()
        # from the trunk sideways to the hip: no part of the leg that swings
        level = group in ("hind", "fore") and shafts > 2 and abs(self.tails[chain[0], 0] - self.positions[chain[0], 0]) > 0.8 * length[0]
        shoulder = shafts > 1 and (
            first in ("clavicle", "hip") or level or (thin and first not in ("thigh", "upperarm")) or (shafts > 2 and group in ("arm", "fore") and not feet)
        )
        shoulder = shoulder or (shafts == 3 and group in ("arm", "fore")) or shafts > 3
        named = ["shoulder"] if shoulder else []
        rest = shafts - len(named)
        named += {0: [], 1: ["upper"], 2: ["upper", "lower"]}.get(rest, ["upper", "lower", *["foot"] * (rest - 2)])
        return named + ["foot"] * feet


def _legs_and_arms(body: _Body, limbs: list[Limb]) -> dict[int, str]:
    """Limb group ("fore", "hind", "arm", "wing", "leg1".. of schemas.roles) of each limb that has one, by id."""
    groups: dict[int, str] = {}
    upright = body.upright()
    movers = [limb for limb in limbs if limb.kind in ("leg", "arm")]
    legs = [limb for limb in movers if body.grounded(limb.joints) and not (limb.kind == "arm" and upright)]
    flying = not legs
    for limb in limbs:
        nameless = not any(body.parts[joint] for joint in limb.chain)
        if limb.kind == "wing" or (flying and nameless and limb.kind == "arm" and not upright):
            groups[id(limb)] = "wing"
    legs = legs or [limb for limb in movers if limb.kind == "leg"]
    many = max((sum(limb.side == side for limb in movers if limb.kind == "leg") for side in ("left", "right")), default=0) > 2
    if many:  # insects: all their legs count, on the ground or not
        legs = [limb for limb in movers if limb.kind == "leg"]
    for side in ("left", "right"):
        own = sorted((limb for limb in legs if limb.side == side), key=lambda limb: -float(body.positions[limb.chain[0], 2] + 0.5 * limb.depth))
        own = own[:8]
        for index, limb in enumerate(own):
            groups[id(limb)] = f"leg{index + 1}" if len(own) > 2 else "hind" if index == len(own) - 1 else "fore"
    for limb in movers:
        if id(limb) not in groups and not (flying and limb.kind == "leg"):
            groups[id(limb)] = "arm"
    return groups


_BY_PART = {"hip": "pelvis", "chest": "chest", "neck": "neck", "head": "head", "jaw": "jaw", "ear": "ear", "tail": "tail", "other": "other"}


def _trunk(body: _Body, limbs: list[Limb], groups: dict[int, str], roles: list[str]) -> None:
    """Roles of the joints that belong to no limb."""
    lateral = {joint for limb in limbs for joint in limb.joints}
    trunk = [joint for joint in range(body.count) if joint not in lateral]

    def bearers(kinds: tuple[str, ...]) -> list[int]:
        return [int(body.parents[limb.chain[0]]) for limb in limbs if groups.get(id(limb)) in kinds]

    hips, shoulders = bearers(("hind",)), bearers(("arm", "fore", "wing"))
    chest = max(shoulders, default=-1)
    for joint in trunk:
        part = body.parts[joint]
        parent = roles[body.parents[joint]] if joint else ""
        if part in _BY_PART:
            roles[joint] = _BY_PART[part]
        elif parent in ("head", "jaw", "other", "ear"):
            roles[joint] = "other"
        elif part == "spine":
            roles[joint] = "pelvis" if joint == 0 else "spine"
        else:
            roles[joint] = _by_place(body, joint, parent, hips, chest)
        # the pelvis is one: where the file names a hip away from the legs, it is spine
        if roles[joint] == "pelvis" and joint and hips and joint not in hips and "pelvis" in roles[:joint]:
            roles[joint] = "spine"
    if chest > 0 and "chest" not in roles and roles[chest] == "spine":
        roles[chest] = "chest"
    if "pelvis" not in roles and roles[0] in ("", "spine", "other"):
        roles[0] = "pelvis"
    if "head" not in roles:
        necks = [joint for joint in trunk if roles[joint] == "neck" and not any(roles[k] == "neck" for k in body.children(joint))]
        for joint in necks[:1]:
            roles[joint] = "head"


def _by_place(body: _Body, joint: int, parent: str, hips: list[int], chest: int) -> str:
    """The role of a nameless central joint by where it lies."""
    if joint == 0:
        return "pelvis"
    way = body.tails[joint] - body.positions[joint]
    onward = set(body.below(joint))
    if chest in onward:
        return "chest" if joint == chest else "spine"
    if onward & set(hips):
        return "pelvis" if joint in hips else "spine"
    backward = way[2] < -0.3 * np.linalg.norm(way)
    if parent == "tail" or (backward and parent in ("pelvis", "spine", "") and not body.upright()):
        return "tail"
    end = not body.children(joint)
    if parent in ("chest", "neck", "spine", "pelvis"):
        return "head" if end or parent == "neck" and way[2] > abs(way[1]) else "neck"
    return "other"


def _category(body: _Body, limbs: list[Limb], groups: dict[int, str], roles: list[str]) -> str:
    """What kind of creature has these limbs."""
    kinds = {groups[id(limb)] for limb in limbs if id(limb) in groups}
    pairs = len({kind for kind in kinds if kind.startswith("leg")})
    if pairs >= 4:
        return "spider"
    if pairs == 3 or (pairs and "wing" in kinds):
        return "insect"
    if "fore" in kinds and "hind" in kinds:
        return "quadruped"
    if "hind" in kinds:
        if "wing" in kinds:
            return "bird"
        return "dinosaur" if "tail" in roles and not body.upright() else "biped"
    if "wing" in kinds:
        return "bird"
    if not kinds & {"hind", "fore", "arm"} and body.count >= 4 and np.ptp(body.positions[:, 2]) > 0.3 * body.extent:
        return "snake"
    return ""
