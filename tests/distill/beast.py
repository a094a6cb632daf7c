"""A small four-legged animal of Gaussian beads, built in code: something that can walk."""

from __future__ import annotations

import numpy as np

from schemas.rig import Rig
from schemas.splat import Splat

HIP, KNEE, ANKLE = 0.70, 0.38, 0.10


def _bones() -> list[tuple[str, str, tuple, tuple, float]]:
    """(role, parent role, head, tail, radius), parents first."""
    bones = [
        ("pelvis", "", (0, 0.85, -0.45), (0, 0.85, 0.05), 0.17),
        ("chest", "pelvis", (0, 0.85, 0.05), (0, 0.85, 0.5), 0.17),
        ("head", "chest", (0, 0.95, 0.55), (0, 1.1, 0.9), 0.13),
        ("tail", "pelvis", (0, 0.9, -0.5), (0, 0.6, -0.95), 0.04),
    ]
    for side, x in (("left", 0.14), ("right", -0.14)):
        for limb, parent, z, knee in (("fore", "chest", 0.42, -0.05), ("hind", "pelvis", -0.42, 0.06)):
            name = f"{side}_{limb}"
            bones.append((f"{name}_upper", parent, (x, HIP, z), (x, KNEE, z + knee), 0.07))
            bones.append((f"{name}_lower", f"{name}_upper", (x, KNEE, z + knee), (x, ANKLE, z), 0.05))
            bones.append((f"{name}_foot", f"{name}_lower", (x, ANKLE, z), (x, 0.03, z + 0.1), 0.05))
    return bones


def rig() -> Rig:
    """Sixteen joints with roles; the hips swing +-1 rad about X and little about the other axes."""
    bones = _bones()
    roles = [bone[0] for bone in bones]
    parents = np.array([roles.index(bone[1]) if bone[1] else -1 for bone in bones])
    heads, tails = (np.array([bone[k] for bone in bones], float) for k in (2, 3))
    radii = np.array([bone[4] for bone in bones])
    count = len(bones)
    limits = np.tile(np.array([[-1.2, 1.2], [-0.3, 0.3], [-0.2, 0.2]]), (count, 1, 1))
    limits[0] = 0
    low, high = np.minimum(heads, tails), np.maximum(heads, tails)
    low, high = low - 0.5 * radii[:, None], high + 0.5 * radii[:, None]
    low[:, 1] = np.maximum(low[:, 1], 0)
    return Rig(
        name="beast",
        category="quadruped",
        joint_names=roles,
        parents=parents,
        positions=heads,
        tails=tails,
        rotations=np.tile([0.0, 0, 0, 1], (count, 1)),
        axes=np.tile(np.eye(3), (count, 1, 1)),
        limits=limits,
        cuboid_centers=0.5 * (low + high),
        cuboid_half_sizes=0.5 * (high - low),
        cuboid_rotations=np.tile([0.0, 0, 0, 1], (count, 1)),
        roles=roles,
        source={"kind": "builtin"},
    )


def splat(beads: int = 5) -> Splat:
    """Beads along the bones, the left legs darker than the right ones, each bead bound to one bone."""
    means, owners, scales, colors = [], [], [], []
    for joint, (role, _, head, tail, radius) in enumerate(_bones()):
        shade = (0.35, 0.2, 0.1) if role.startswith("left") else (0.75, 0.5, 0.2) if role.startswith("right") else (0.9, 0.6, 0.2)
        for share in np.linspace(0, 1, beads):
            means.append((1 - share) * np.array(head) + share * np.array(tail))
            owners.append(joint)
            scales.append(radius * 0.7)
            colors.append(shade)
    count = len(means)
    return Splat(
        name="beast",
        means=np.array(means),
        rotations=np.tile([0.0, 0, 0, 1], (count, 1)),
        scales=np.repeat(np.array(scales)[:, None], 3, 1),
        opacities=np.full(count, 0.95),
        colors=np.array(colors),
        faces=np.zeros(count),
        weights=np.eye(len(_bones()))[owners],
        report={},
    )
