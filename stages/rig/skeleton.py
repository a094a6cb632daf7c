"""The joints of a source, cleaned: what moves nothing is dropped, what hangs in the air is attached (METHOD 1)."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from schemas.asset import Asset

from .segments import distance_to_bones

_END = re.compile(r"([._ -]|(?<=[a-z0-9]))(end|nub|tip|endsite|end_site|effector|leaf)$", re.IGNORECASE)
_AXIS_COSINE = 0.98  # a bone lies along an axis of its joint if within 11 degrees
_FEW = 6  # vertices: a bone that owns fewer has no shape of its own
_TOUCHING = 0.05  # of the most contact with any joint: what counts as touching
_STRANGER = 0.5  # of the same: a parent that shares less is a control


@dataclasses.dataclass
class Joints:
    """Joints in akd's frame.

    Attributes:
        names: [(J,)]
        parents: Root first (-1), parents before children. [(J,)]
        positions: [m, (J, 3)]
        rotations: World orientation of the joints, rotation matrices. [(J, 3, 3)]
        roles: "" where unknown. [(J,)]
        tails: Bone tips, NaN where unknown. [m, (J, 3)]
        weights: Skinning weights on welded vertices, if the source has them. [(W, J)]
        notes: What was changed.
        confidence: How far to trust each place, 0 to 1, if it was found automatically. [(J,)]
    """

    names: list[str]
    parents: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray
    roles: list[str]
    tails: np.ndarray
    weights: np.ndarray | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    confidence: np.ndarray | None = None

    def children(self, joint: int) -> list[int]:
        """Indices of the children of a joint."""
        return np.flatnonzero(self.parents == joint).tolist()

    def subtree(self, joint: int) -> np.ndarray:
        """Which joints are `joint` or below it. [bool (J,)]"""
        below = np.zeros(len(self.parents), bool)
        below[joint] = True
        for child in range(joint + 1, len(self.parents)):
            below[child] |= self.parents[child] >= 0 and below[self.parents[child]]
        return below

    def take(self, order: list[int], parents: np.ndarray) -> Joints:
        """The joints of `order`; `parents` (old indices, one of each old joint) says what they hang on."""
        place = {old: new for new, old in enumerate(order)}
        return dataclasses.replace(
            self,
            names=[self.names[j] for j in order],
            parents=np.array([place.get(int(parents[j]), -1) for j in order], np.int32),
            positions=self.positions[order],
            rotations=self.rotations[order],
            roles=[self.roles[j] for j in order],
            tails=self.tails[order],
            weights=None if self.weights is None else self.weights[:, order],
            confidence=None if self.confidence is None else self.confidence[order],
        )


def from_asset(asset: Asset) -> Joints:
    """The skeleton that an asset carries."""
    matrices = np.asarray(asset.joint_matrices, np.float64)
    count = len(matrices)
    weights = None
    if asset.joint_weights is not None and asset.joint_weights.any():
        weights = np.zeros((int(asset.weld.max()) + 1, count))
        weights[asset.weld] = asset.joint_weights
    tails = np.full((count, 3), np.nan) if asset.joint_tails is None else np.asarray(asset.joint_tails, np.float64)
    roles = list(asset.joint_roles) if asset.joint_roles is not None else [""] * count
    return Joints(list(asset.joint_names), np.array(asset.joint_parents, np.int32), matrices[:, :3, 3], matrices[:, :3, :3], roles, tails, weights)


def clean(joints: Joints, points: np.ndarray, faces: np.ndarray) -> Joints:
    """Drop joints that move nothing and attach joints that hang on a control, by the weights; without weights a no-op.

    Parameters:
        joints: As the source has them.
        points: Welded vertices. [m, (W, 3)]
        faces: [(T, 3)]
    """
    if joints.weights is None:
        return joints
    joints = _drop(joints, _useless(joints), "joints that move no vertex")
    joints = _lift_root(_reattach(joints, points, faces), points)
    return _drop(joints, _passed(joints), "joints that move no vertex by themselves")


def _useless(joints: Joints) -> np.ndarray:
    """Joints without weights, with no weighted joint below. [bool (J,)]"""
    useful = joints.weights.sum(0) > 0
    for joint in range(len(useful) - 1, 0, -1):
        useful[joints.parents[joint]] |= useful[joint]
    useful[0] = True
    return ~useful


def _passed(joints: Joints) -> np.ndarray:
    """Joints without weights that only pass their motion on to one child. [bool (J,)]"""
    weighted = joints.weights.sum(0) > 0
    return np.array([not weighted[j] and len(joints.children(j)) == 1 for j in range(len(weighted))])


def _drop(joints: Joints, gone: np.ndarray, why: str) -> Joints:
    if not gone.any():
        return joints
    tails = joints.tails.copy()
    for joint in np.flatnonzero(gone[1:]) + 1:
        # the end of a bone marks its tip
        parent = joints.parents[joint]
        lone = joints.children(parent) == [joint] and not joints.children(joint)
        if lone and not gone[parent] and np.isnan(tails[parent]).any() and _END.search(joints.names[joint]):
            tails[parent] = joints.positions[joint]
    parents = joints.parents.copy()
    for joint in range(len(parents)):
        while parents[joint] >= 0 and gone[parents[joint]]:
            parents[joint] = joints.parents[parents[joint]]
    keep = np.flatnonzero(~gone).tolist()
    names = [joints.names[j] for j in np.flatnonzero(gone)]
    note = f"dropped {len(names)} {why}: {', '.join(names)}"
    return dataclasses.replace(joints, tails=tails, notes=[*joints.notes, note]).take(keep, parents)


def contact(weights: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """How much of the surface two joints share: sum over mesh edges of the products of their weights. [(J, J)]"""
    import scipy.sparse as sparse

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = sparse.csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (len(weights), len(weights)))
    shared = weights.T @ (graph @ weights)
    return shared + shared.T


def _reattach(joints: Joints, points: np.ndarray, faces: np.ndarray) -> Joints:
    """Hang feet that follow an IK target on the leg they touch.

    In many game rigs the foot is a child of the root and only a constraint, which glTF cannot store, holds it at the
    leg. A foot (one joint, or a target with one) moves if its parent shares little surface with it, a last bone of a
    chain does, and that bone is clearly closer.
    """
    shared = contact(joints.weights, faces)
    mass = joints.weights.sum(0)
    tips = guess_tails(joints, points)
    extent = float(np.ptp(points, axis=0).max())
    last = ~np.isin(np.arange(len(tips)), joints.parents)
    parents, moved = joints.parents.copy(), []
    for joint in range(1, len(parents)):
        parent = parents[joint]
        below = joints.subtree(joint)
        if below.sum() > 2 or not 0 < mass[below].sum() < 0.25 * mass.sum():
            continue
        touch = np.where(below, 0, shared[below].sum(0))
        near = np.flatnonzero((touch > _TOUCHING * touch.max()) & last & ~_lopsided(joints.positions[joint], joints.positions, tips, extent))
        if not len(near) or touch[parent] >= _STRANGER * touch.max():
            continue
        gaps = distance_to_bones(joints.positions[[joint]], joints.positions, tips)[0]
        best = int(near[gaps[near].argmin()])
        apart = np.linalg.norm(joints.positions[joint] - joints.positions[parent])
        parent_gap = min(gaps[parent], apart) if mass[parent] > 0 else apart
        if gaps[best] < 0.5 * parent_gap and not _is_above(parents, joint, best):
            parents[joint] = best
            moved.append(f"{joints.names[joint]} to {joints.names[best]}")
    if not moved:
        return joints
    note = f"attached joints that hung on a control: {', '.join(moved)}"
    return dataclasses.replace(joints, notes=[*joints.notes, note]).take(_topological(parents), parents)


def _lift_root(joints: Joints, points: np.ndarray) -> Joints:
    """Drop a root that lies on the ground as a handle for the whole figure; the few weights it has go to its child.

    The root is the body that carries all others in the physics: it must be one that has a body.
    """
    children, height = joints.children(0), float(points[:, 1].max())
    if len(children) != 1 or joints.positions[0, 1] > 0.1 * height or joints.positions[children[0], 1] < 0.2 * height:
        return joints
    mass = joints.weights.sum(0)
    if not 0 < mass[0] < 0.1 * mass.sum():
        return joints
    weights = joints.weights.copy()
    weights[:, children[0]] += weights[:, 0]
    gone = np.arange(len(mass)) == 0
    return _drop(dataclasses.replace(joints, weights=weights), gone, "root on the ground, its weights given to its child")


def _is_above(parents: np.ndarray, joint: int, other: int) -> bool:
    """Whether `joint` is `other` or an ancestor of it."""
    while other >= 0 and other != joint:
        other = parents[other]
    return other == joint


def _lopsided(position: np.ndarray, heads: np.ndarray, tips: np.ndarray, extent: float) -> np.ndarray:
    """Bones of one side, on which a joint in the middle must not hang. [bool (J,)]"""
    return (abs(position[0]) < 0.01 * extent) & ((np.abs(heads[:, 0]) > 0.01 * extent) | (np.abs(tips[:, 0]) > 0.01 * extent))


def _topological(parents: np.ndarray) -> list[int]:
    """Indices with parents before children, depth first."""
    order, stack = [], [0]
    while stack:
        joint = stack.pop()
        order.append(joint)
        stack.extend(np.flatnonzero(parents == joint)[::-1].tolist())
    return order


def guess_tails(joints: Joints, points: np.ndarray) -> np.ndarray:
    """Bone tips where `joints.tails` has none. [m, (J, 3)]

    Most exporters lay bones along one axis of the joint (Blender: +Y), which the joints with one child betray; then
    that axis gives the direction, else the child that goes on straightest. A last bone reaches as far as the
    vertices that it moves, or half of its parent's length.
    """
    axis = bone_axis(joints)
    tails = joints.tails.copy()
    dominant = None if joints.weights is None else np.where(joints.weights.sum(1) > 0, joints.weights.argmax(1), -1)
    extent = float(np.ptp(points, axis=0).max())
    for joint in range(len(tails)):
        if not np.isnan(tails[joint]).any():
            continue
        children = joints.children(joint)
        way = _direction(joints, tails, joint, axis)
        offsets = joints.positions[children] - joints.positions[joint]
        if children:
            along = offsets @ way
            best = int(np.argmax(along / np.maximum(np.linalg.norm(offsets, axis=1), 1e-9)))
            straight = along[best] > 0.9 * np.linalg.norm(offsets[best])
            if straight or along.max() > 1e-3 * extent:
                tails[joint] = joints.positions[children[best]] if straight else joints.positions[joint] + way * along.max()
                continue
            if dominant is None or (dominant == joint).sum() < _FEW:  # a handle, drawn at any length: let it reach for its children
                tails[joint] = joints.positions[children].mean(0)
                continue
        length = _reach(joints, points, dominant, joint, way)
        if length < 1e-3 * extent:
            parent = joints.parents[joint]
            length = 0.5 * np.linalg.norm(joints.positions[joint] - joints.positions[parent]) if parent >= 0 else 0.1 * extent
        tails[joint] = joints.positions[joint] + way * np.clip(length, 5e-3 * extent, 0.5 * extent)
    return tails


def bone_axis(joints: Joints) -> np.ndarray | None:
    """The local axis (signed unit vector) that bones lie along in this file, if one fits most single-child joints."""
    votes, count = np.zeros((2, 3)), 0
    for joint in range(len(joints.names)):
        children = joints.children(joint)
        if len(children) != 1:
            continue
        offset = joints.rotations[joint].T @ (joints.positions[children[0]] - joints.positions[joint])
        length = np.linalg.norm(offset)
        if length > 0:
            count += 1
            votes += np.stack([offset, -offset]) / length > _AXIS_COSINE
    sign, axis = np.unravel_index(votes.argmax(), votes.shape)
    if count < 2 or votes[sign, axis] < 0.6 * count:
        return None
    return np.eye(3)[axis] * (1 - 2 * sign)


def _direction(joints: Joints, tails: np.ndarray, joint: int, axis: np.ndarray | None) -> np.ndarray:
    """Which way the bone of a joint points. [unit (3,)]"""
    if axis is not None:
        return joints.rotations[joint] @ axis
    parent, children = joints.parents[joint], joints.children(joint)
    onward = joints.positions[joint] - joints.positions[parent] if parent >= 0 else np.zeros(3)
    offsets = joints.positions[children] - joints.positions[joint]
    if len(children) == 1 or (children and not onward.any()):
        onward = offsets.mean(0)
    elif children:
        cosines = offsets @ onward / np.maximum(np.linalg.norm(offsets, axis=1), 1e-12)
        onward = offsets[int(cosines.argmax())]
    length = np.linalg.norm(onward)
    return onward / length if length > 0 else np.array([0.0, 1.0, 0.0])


def _reach(joints: Joints, points: np.ndarray, dominant: np.ndarray | None, joint: int, way: np.ndarray) -> float:
    """How far the vertices that a joint moves go along `way`; 0 if it moves none. [m]"""
    if dominant is None:
        return 0.0
    own = points[dominant == joint]
    return float(np.percentile((own - joints.positions[joint]) @ way, 90)) if len(own) >= 3 else 0.0
