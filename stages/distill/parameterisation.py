"""The motion variables Theta (METHOD 1 and 6): joint angles within limits and the root, per frame or as cosine modes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from schemas.rig import Rig
from schemas.roles import is_leg, limb
from stages.body import quaternion
from stages.body.kinematics import Pose, Skeleton, forward

LOCKED = 1e-4  # rad: an axis with a narrower range of motion does not move
WITHIN = 0.99  # of a bound: angles beyond are taken as this when variables are found for them, so that they still have a gradient
SLACK = 0.05  # rad: a limit closer to rest than this is softened to it, else its axis would have no gradient at the start


def cosine_basis(frames: int, modes: int) -> torch.Tensor:
    """Columns cos(pi (i + 1/2) k / F), k = 0..modes-1: a low-pass basis over time; the identity for modes = 0. [(F, K)]"""
    if modes == 0:
        return torch.eye(frames)
    steps = torch.arange(frames, dtype=torch.float64)[:, None] + 0.5
    return torch.cos(math.pi * steps * torch.arange(min(modes, frames), dtype=torch.float64) / frames).float()


def soft_limit(angles: torch.Tensor, limits: torch.Tensor) -> torch.Tensor:
    """Bend angles smoothly into their limits: identity with slope 1 around 0, saturating at each bound.

    Bounds nearer to rest than `SLACK` count as `SLACK`; axes whose range is below `LOCKED` give 0.

    Parameters:
        angles: Free variables. [rad, (F, J, 3)]
        limits: Lowest and highest angle. [rad, (J, 3, 2)]
    """
    low, high = (-limits[..., 0]).clamp(min=SLACK), limits[..., 1].clamp(min=SLACK)
    bound = torch.where(angles < 0, low, high)
    free = (limits[..., 1] - limits[..., 0] > LOCKED).to(angles.dtype)
    return free * bound * torch.tanh(angles / bound)


def free_angles(angles: torch.Tensor, limits: torch.Tensor) -> torch.Tensor:
    """Inverse of `soft_limit`, for angles clipped to `WITHIN` of each bound; 0 on axes that do not move. [rad, (F, J, 3)]"""
    low, high = (-limits[..., 0]).clamp(min=SLACK), limits[..., 1].clamp(min=SLACK)
    bound = torch.where(angles < 0, low, high)
    free = (limits[..., 1] - limits[..., 0] > LOCKED).to(angles.dtype)
    return free * bound * torch.atanh((angles / bound).clamp(-WITHIN, WITHIN))


def reach(limits: torch.Tensor) -> torch.Tensor:
    """Half the range of each axis, at most 1 rad: the unit of its variable. [rad, (J, 3, 2) -> (J, 3)]

    Adam moves every variable by about its learning rate, whatever the gradient. In common units the axes that can
    hardly move would be driven into their limits by the noise of the score.
    """
    return (0.5 * (limits[..., 1] - limits[..., 0])).clamp(max=1)


def relative_rates(rig: Rig, trunk: float, lateral: float) -> torch.Tensor:
    """Step of each joint axis relative to a leg's swing (ours): a weak prior bends necks and tails before it moves legs.

    Parameters:
        trunk: Of joints that are not part of a leg.
        lateral: Of the second and third axis, the twist and the sideways swing.

    Returns:
        [(J, 3)]
    """
    legs = torch.tensor([1.0 if is_leg(role) else trunk for role in rig.roles])
    if not any(is_leg(role) for role in rig.roles):  # a body without legs moves by its trunk
        legs = torch.ones(rig.joint_count)
    return legs[:, None] * torch.tensor([1.0, lateral, lateral])


@dataclasses.dataclass(frozen=True)
class Frames:
    """The motion variables of every frame.

    Attributes:
        angles: Compound joint angles, the root's row is zero. [rad, (F, J, 3)]
        root_positions: World position of the root joint. [m, (F, 3)]
        root_vectors: Rotation vector of the root relative to rest. [rad, (F, 3)]
    """

    angles: torch.Tensor
    root_positions: torch.Tensor
    root_vectors: torch.Tensor

    def stacked(self) -> torch.Tensor:
        """All of Theta as equation (9) takes it. [rad and m, (F, 3 J + 3)]"""
        return torch.cat([self.angles[:, 1:].flatten(1), self.root_vectors, self.root_positions], 1)

    def pose(self, skeleton: Skeleton) -> Pose:
        """Forward kinematics."""
        return forward(skeleton, self.angles, self.root_positions, quaternion.to_matrix(quaternion.from_rotation_vector(self.root_vectors)))

    def root_quaternions(self) -> torch.Tensor:
        """Rotation of the root relative to rest, xyzw. [(F, 4)]"""
        return quaternion.from_rotation_vector(self.root_vectors)


@dataclasses.dataclass(frozen=True)
class Base:
    """What the variables are offsets from, instead of the rest pose carried forward.

    Attributes:
        angles: Joint angles before the limits bend them (`free_angles`). [rad, (F, J, 3)]
        vectors: Rotation vector of the root. [rad, (F, 3)]
        shifts: Of the root from the start line. [m, (F, 3)]
    """

    angles: torch.Tensor
    vectors: torch.Tensor
    shifts: torch.Tensor

    def tensors(self) -> list[torch.Tensor]:
        """Copies in this order, for a checkpoint."""
        return [self.angles.clone(), self.vectors.clone(), self.shifts.clone()]


class MotionVariables:
    """Theta as leaf tensors for an optimiser, all zero at the start: the rest pose carried forward at constant speed.

    Attributes:
        joints: Coefficients of the joint angles, in units of each axis's reach. [(K, J, 3)]
        turns: Coefficients of the root's rotation vector. [rad, (K, 3)]
        shifts: Coefficients of the root's translation, in body heights. [(K, 3)], or (K + 1, 3) with `drift`.
        start: Root positions of the start motion, a straight line. [m, (F, 3)]
        drift: Straight line over time by which the root may move along the path besides the basis, or None. [(F, 1)]
    """

    def __init__(
        self,
        rig: Rig,
        *,
        frames: int,
        fps: float,
        modes: int,
        speed: float,
        trunk: float = 1.0,
        lateral: float = 1.0,
        device: torch.device | str = "cpu",
        lead: int = 0,
        base: Base | None = None,
        basis: torch.Tensor | None = None,
        drift: bool = False,
        frozen: torch.Tensor | None = None,
        stance: torch.Tensor | None = None,
    ) -> None:
        """Set up the start motion: from the rest position along +Z, the lowest cuboid corner on the ground.

        Parameters:
            speed: Of the start motion. [m/s]
            trunk, lateral: See `relative_rates`.
            lead: Frames before the one at which the start motion is at the rest position.
            base: What the variables are offsets from.
            basis: Over time, instead of cosines; slow columns first. [(F, K)]
            drift: Give the root a straight line along the path as well.
            frozen: Joints whose variables have no effect, the root's among them. [bool, (J,)]
            stance: Joint angles of the pose that is carried along, None for the rest pose; with a base, its own angles count. [rad, (J, 3)]
        """
        self.skeleton = Skeleton.from_rig(rig, device=device)
        self.basis = (cosine_basis(frames, modes) if basis is None else basis).to(device)
        self.per_frame = modes == 0 and basis is None
        self.stance = stance
        self.base = base
        self.height = body_height(rig)
        count, size = rig.joint_count, self.basis.shape[1]
        self.joints = torch.zeros(size, count, 3, device=device, requires_grad=True)
        self.turns = torch.zeros(size, 3, device=device, requires_grad=True)
        self.shifts = torch.zeros(size + drift, 3, device=device, requires_grad=True)
        self.drift = torch.linspace(-1, 1, frames, device=device)[:, None] if drift else None
        along = speed / fps * (torch.arange(frames, dtype=torch.float64) - lead)
        self.start = self.skeleton.positions[0].repeat(frames, 1)
        self.start[:, 2] += along.float().to(device)
        self.start[:, 1] -= float(lowest_corner(rig))
        self.limits = self.skeleton.limits.clone()
        self.limits[0] = 0  # the root turns by its own variables
        self.reach = reach(self.limits) * relative_rates(rig, trunk, lateral).to(device)
        self.root_frozen = frozen is not None and bool(frozen[0])
        if frozen is not None:
            self.reach = self.reach * (~frozen).to(self.reach)[:, None]

    def leaves(self) -> dict[str, torch.Tensor]:
        """The tensors to optimise, by name."""
        return {"joints": self.joints, "turns": self.turns, "shifts": self.shifts}

    def frames(self, share: float = 1.0, rows: slice | None = None) -> Frames:
        """Expand to frames, with the modes released up to `share` of the way from coarse to fine.

        Parameters:
            rows: Only these frames.
        """
        rows = rows or slice(None)
        shifts, vectors = self.root(share, rows)
        return Frames(soft_limit(self.free(share, rows), self.limits), self.start[rows] + shifts, vectors)

    def free(self, share: float = 1.0, rows: slice = slice(None)) -> torch.Tensor:
        """Joint angles before the limits bend them. [rad, (F, J, 3)]"""
        free = self._joints(share, rows) * self.reach
        return free if self.base is None else free + self.base.angles[rows]

    def root(self, share: float = 1.0, rows: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        """Shift of the root from the start line [m, (F, 3)] and its rotation vector [rad, (F, 3)]."""
        shifts, vectors = self._root(share, rows)
        shifts = self.height * shifts
        if self.drift is not None:
            shifts = shifts + self.height * self.drift[rows] * self.shifts[-1] * self.shifts.new_tensor([0.0, 0.0, 1.0])
        if self.root_frozen:
            shifts, vectors = 0 * shifts, 0 * vectors
        return (shifts, vectors) if self.base is None else (shifts + self.base.shifts[rows], vectors + self.base.vectors[rows])

    def carried(self, rows: slice = slice(None)) -> Frames:
        """The stance carried along the start line: what cameras follow and the reference image shows."""
        line = self.start[rows]
        angles = torch.zeros_like(self.limits[..., 0]) if self.stance is None else self.stance
        return Frames(angles.expand(len(line), -1, -1), line, torch.zeros_like(line))

    def _joints(self, share: float, rows: slice) -> torch.Tensor:
        return torch.einsum("fk,kjc->fjc", self._basis(share, rows), self.joints)

    def _root(self, share: float, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        basis = self._basis(share, rows)
        return basis @ self.shifts[: basis.shape[1]], basis @ self.turns

    def _basis(self, share: float, rows: slice) -> torch.Tensor:
        basis = self.basis if self.per_frame or share >= 1 else self.basis * released(self.basis.shape[1], share).to(self.basis)
        return basis[rows]


def released(modes: int, share: float) -> torch.Tensor:
    """Gain of each mode when `share` of the unfolding is done: a third of the modes is there at once. [0..1, (K,)]"""
    first = modes / 3
    return (first + share * (modes - first) - torch.arange(modes)).clamp(0, 1)


def feet_of(rig: Rig) -> list[int]:
    """The joints that stand on the ground: of each leg those with the role of a foot, else its last."""
    limbs: dict[tuple[str, str], list[int]] = {}
    for joint, role in enumerate(rig.roles):
        parts = limb(role)
        if parts is not None and is_leg(role):
            limbs.setdefault(parts[:2], []).append(joint)
    return [joint for joints in limbs.values() for joint in ([j for j in joints if rig.roles[j].endswith("_foot")] or joints[-1:])]


def lowest_corner(rig: Rig) -> float:
    """Height of the lowest cuboid corner at rest. [m]"""
    return float(Skeleton.from_rig(rig, dtype=torch.float64).corners[..., 1].min())


def body_height(rig: Rig) -> float:
    """Height of the root joint above the lowest cuboid corner at rest, at least a tenth of the rig's length. [m]

    For animals on legs this is about the length of the legs, the unit in which speeds of gaits compare.
    """
    return max(float(np.float64(rig.positions[0, 1])) - lowest_corner(rig), 0.1 * rig.length, 1e-3)
