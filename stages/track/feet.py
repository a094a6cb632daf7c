"""Feet: which bones they are, when they should stand, and a target in which standing feet stay where they are."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.linalg import solve_banded

from schemas import roles
from schemas.rig import Rig

from .body import Body

_LOW = 0.05  # a standing foot is within this of the level on which it stands [standing heights]
_RISE = 0.25  # or within this share of its own range
_CREEP = 0.6  # a standing foot does not swing forward faster than this [standing heights / s]
_LIFT = 0.25  # over so long the height is smoothed [sqrt(h / g)]
_STRIDE = 1.0  # and the speed [sqrt(h / g)]
_HEADING = 4.0  # and the heading, over more than a stride: hips turn with every step [sqrt(h / g)]


@dataclasses.dataclass(frozen=True)
class Foot:
    """One foot and the leg it ends.

    Attributes:
        bones: Of the foot.
        leg: Bones from the hip to the foot.
        shares: How much of a shift of the foot each bone of the leg takes part in. [(len(leg),)]
    """

    bones: list[int]
    leg: list[int]
    shares: np.ndarray


@dataclasses.dataclass(frozen=True)
class Contacts:
    """When each foot should stand.

    Attributes:
        feet: [(L,)]
        down: [bool, (F, L)]
        point: The corner each foot would stand on, as an index into its bones' corners (8 a bone). [(F, L)]
    """

    feet: list[Foot]
    down: np.ndarray
    point: np.ndarray

    @property
    def held(self) -> np.ndarray:
        """Whether a foot stands at a frame and at the next. [bool, (F-1, L)]"""
        return self.down[1:] & self.down[:-1]

    def bones(self, count: int) -> np.ndarray:
        """1 for the bones of feet that stand, 0 for the others, of `count`. [(F, J)]"""
        standing = np.zeros((len(self.down), count))
        for number, foot in enumerate(self.feet):
            standing[:, foot.bones] = np.maximum(standing[:, foot.bones], self.down[:, number, None])
        return standing

    def points(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The corner that each foot stands on, at a frame and one frame later. [(F, J, 8, 3) -> m, 2 x (F-1, L, 3)]"""
        frames = np.arange(len(corners) - 1)
        here, later = np.zeros((2, len(frames), len(self.feet), 3))
        for number, foot in enumerate(self.feet):
            own = corners[:, foot.bones].reshape(len(corners), -1, 3)
            here[:, number], later[:, number] = own[frames, self.point[:-1, number]], own[frames + 1, self.point[:-1, number]]
        return here, later


def feet_of(rig: Rig, body: Body) -> list[Foot]:
    """Feet by role; of a rig without known legs, the bones whose cuboids stand on the ground at rest."""
    legs: dict[str, list[int]] = {}
    for bone, role in enumerate(rig.roles):
        if roles.is_leg(role):
            legs.setdefault("_".join(roles.limb(role)[:2]), []).append(bone)  # type: ignore[index]
    if not legs:
        low = rest_corners(body)[..., 1].min(1)
        return [Foot([bone], [bone], np.ones(1)) for bone in np.flatnonzero(low < low.min() + 0.05 * body.height)]
    feet = []
    for leg in legs.values():
        bones = [bone for bone in leg if rig.roles[bone].endswith("_foot")] or leg[-1:]
        middle = np.asarray(rig.cuboid_centers, np.float64)
        reach = np.linalg.norm(middle[leg] - rig.positions[leg[0]], axis=1)
        shares = np.minimum(reach / max(np.linalg.norm(middle[bones] - rig.positions[leg[0]], axis=1).min(), 1e-9), 1)
        feet.append(Foot(bones, leg, np.where(np.isin(leg, bones), 1.0, shares)))
    return feet


def rest_corners(body: Body) -> np.ndarray:
    """Cuboid corners at rest about the root joint. [m, (J, 8, 3)]"""
    return body.rest[:, None] + np.einsum("jik,jck->jci", body.frames, body.corners)


def schedule(feet: list[Foot], corners: np.ndarray, root: np.ndarray, ahead: np.ndarray, fps: float, height: float) -> Contacts:
    """When each foot stands in a motion: it is low for itself, and it does not swing forward under the body.

    Speed is taken relative to the root, so that feet of a clip made to run on the spot, and feet that slip, stand too.

    Parameters:
        corners: [m, (F, J, 8, 3)]
        root, ahead: Root joint [m, (F, 3)] and the horizontal direction that the body faces [(F, 3)].
        height: Standing height. [m]
    """
    frames, count = len(corners), len(feet)
    down, point = np.zeros((frames, count), bool), np.zeros((frames, count), int)
    levels = [corners[:, foot.bones][..., 1].reshape(frames, -1) for foot in feet]
    ground = np.median(np.min([level.min(1) for level in levels], 0)) if feet else 0.0
    for number, (foot, level) in enumerate(zip(feet, levels, strict=True)):
        low, point[:, number] = level.min(1), level.argmin(1)
        place = (corners[:, foot.bones].reshape(frames, -1, 3).mean(1) - root) * ahead
        forward = np.gradient(place.sum(1)) * fps
        back = forward < max(_CREEP * height, 0.2 * np.abs(forward).mean())
        floor = max(np.quantile(low[back], 0.3), ground) if back.any() else ground
        near = low < floor + max(_LOW * height, _RISE * (low.max() - floor))
        down[:, number] = near & back & (floor < ground + 0.25 * height)
    return Contacts(feet, _settled(down), point)


def corrections(
    contacts: Contacts, corners: np.ndarray, root: np.ndarray, ahead: np.ndarray, time: float, grounding: str = "feet", travel: str = "feet"
) -> np.ndarray:
    """Shifts of the whole body, frame by frame, that set standing feet on the ground and keep them there. [m, (F, 3)]

    Parameters:
        corners, root, ahead: Cuboid corners [m, (F, J, 8, 3)], root joint [m, (F, 3)] and the horizontal direction the body faces [(F, 3)].
        time: sqrt(h / g), in frames: corrections are smooth over a part of it.
        grounding: "feet": the least squares of standing feet's heights, smooth in time, going on evenly where none stands;
            "clip": the median height of the lowest corner, all frames alike; "none".
        travel: "feet": the least squares of standing feet's steps is taken away, smooth in time, so that the body goes as far as
            its feet carry it, along its mean heading: across it may sway, but comes back; "spot": only where that is farther
            than the body goes by itself, as in clips that were made to run on the spot; "given": never.
    """
    frames = len(corners)
    shift = np.zeros((frames, 3))
    if grounding == "feet" and contacts.down.any():
        low = np.stack([corners[:, foot.bones][..., 1].reshape(frames, -1).min(1) for foot in contacts.feet], 1)
        shift[:, 1] = _smooth(-low, contacts.down, _LIFT * time)
    elif grounding != "none":
        shift[:, 1] = -np.median(corners[..., 1].reshape(frames, -1).min(1))
    if travel != "given" and contacts.held.any():
        steps = _carried(contacts, corners, ahead, time)
        far, own = np.linalg.norm(steps.sum(0)), np.linalg.norm((root[-1] - root[0])[[0, 2]])
        if travel == "feet" or far > own:
            shift[1:, [0, 2]] = np.cumsum(steps, axis=0)
    return shift


def _carried(contacts: Contacts, corners: np.ndarray, ahead: np.ndarray, time: float) -> np.ndarray:
    """Horizontal steps that the body has to take beside its own for standing feet to stay, see `corrections`. [m, (F - 1, 2)]"""
    here, later = contacts.points(corners)
    heading = np.stack([_smooth(ahead[:, axis, None], np.ones((len(ahead), 1)), _HEADING * time) for axis in (0, 2)], 1)
    heading = (heading / np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-6))[:-1]
    steps = np.zeros_like(heading)
    for way, drifts in ((heading, True), (heading[:, ::-1] * [1, -1], False)):
        moves = _smooth(((here - later)[..., [0, 2]] * way[:, None]).sum(-1), contacts.held, _STRIDE * time)
        steps += (moves - (0.0 if drifts else moves.mean()))[:, None] * way
    return steps


def plant(contacts: Contacts, corners: np.ndarray, clearance: float = 0.0) -> np.ndarray:
    """Corners with every standing foot held where it stands on average; legs follow, swinging feet go over evenly.

    Parameters:
        corners: [m, (F, J, 8, 3)]
        clearance: What a swinging foot is raised to in the middle of its swing if it is lower. [m]
    """
    planted, frames = corners.copy(), np.arange(len(corners))
    here, later = contacts.points(corners)
    for number, foot in enumerate(contacts.feet):
        down = contacts.down[:, number]
        if not down.any():
            continue
        shift = np.zeros((len(corners), 3))
        for first, last in runs(down):
            path = np.vstack([np.zeros((1, 3)), np.cumsum((later - here)[first:last, number], axis=0)])
            shift[first : last + 1] = path.mean(0) - path
        low = corners[:, foot.bones][..., 1].reshape(len(corners), -1).min(1)
        levels = low.copy()
        for first, last in runs(down):
            levels[first : last + 1] = np.median(low[first : last + 1])
        # a swinging foot keeps its height above the level of its stances, not above where it was when it left the ground
        shift[:, 1] = np.where(down, -low, -np.interp(frames, frames[down], levels[down]))
        for axis in (0, 2):
            shift[:, axis] = np.interp(frames, frames[down], shift[down, axis])
        low = low + shift[:, 1]
        shift[:, 1] += np.maximum(clearance * _swing(down) - low, 0) * ~down
        planted[:, foot.leg] += (shift[:, None] * foot.shares[:, None])[:, :, None]
    # a bone cannot go through the ground: the box around a shin reaches below the sole of a foot that pushes off
    planted[..., 1] += np.maximum(-planted[..., 1].min(2, keepdims=True), 0)
    return planted


def _swing(down: np.ndarray) -> np.ndarray:
    """How far into a swing a foot is: 0 while it stands, 1 in the middle, and from there to the end of the clip that cuts it. [bool, (F,) -> (F,)]"""
    part, end = np.zeros(len(down)), len(down) - 1
    for first, last in runs(~down):
        times, length = np.arange(1, last - first + 2), last - first + 2
        if first == 0 or last == end:  # half a swing
            times, length = (times if last == end else times[::-1]), 2 * length
        part[first : last + 1] = np.sqrt(np.sin(np.pi * times / length))  # up and down steeply
    return part


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every run of True. [bool, (F,)]"""
    edges = np.diff(np.concatenate([[0], flags.astype(int), [0]]))
    return list(zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) - 1, strict=True))


def _settled(down: np.ndarray) -> np.ndarray:
    """Stances with gaps of one frame closed, and those of one frame dropped. [bool, (F, L)]"""
    down = down.copy()
    down[1:-1] |= down[:-2] & down[2:]
    before, after = np.zeros_like(down), np.zeros_like(down)
    before[1:], after[:-1] = down[:-1], down[1:]
    return down & (before | after)


def _smooth(values: np.ndarray, known: np.ndarray, width: float) -> np.ndarray:
    """Least squares through the known values of each row, smooth over `width` rows. [(N, L), (N, L) -> (N,)]"""
    beside, middle = np.full(len(values), -(width**2)), known.sum(1) + 1e-9 + 2 * width**2  # of a tridiagonal matrix
    middle[0] -= width**2
    middle[-1] -= width**2
    return solve_banded((1, 1), np.stack([beside, middle, beside]), (values * known).sum(1))
