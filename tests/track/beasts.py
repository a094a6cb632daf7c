"""Rigs and motions made in the test: a quadruped of cuboids and random trees."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from schemas.motion import Motion
from schemas.rig import Rig

# name, parent, joint, cuboid centre relative to the joint, half sizes; +Y up, facing +Z, left is +X
_TRUNK = [
    ("pelvis", -1, (0, 0.55, -0.35), (0, 0, 0), (0.10, 0.09, 0.13), "pelvis"),
    ("spine", 0, (0, 0.56, -0.22), (0, 0, 0.11), (0.10, 0.09, 0.11), "spine"),
    ("chest", 1, (0, 0.56, 0.0), (0, 0, 0.15), (0.11, 0.11, 0.15), "chest"),
    ("neck", 2, (0, 0.62, 0.30), (0, 0.07, 0.07), (0.05, 0.06, 0.08), "neck"),
    ("head", 3, (0, 0.76, 0.44), (0, 0.02, 0.10), (0.06, 0.06, 0.12), "head"),
]


def make_rig(name: str, bones: list, axes: np.ndarray | None = None) -> Rig:
    """A Rig from (name, parent, joint, centre offset, half sizes, role); axes default to the world's. [(J, 3, 3)]"""
    count = len(bones)
    positions = np.array([b[2] for b in bones], float)
    axes = np.tile(np.eye(3), (count, 1, 1)) if axes is None else axes
    identity = np.tile([0.0, 0, 0, 1], (count, 1))
    return Rig(
        name=name, category="quadruped", joint_names=[b[0] for b in bones], parents=np.array([b[1] for b in bones]),
        positions=positions, tails=positions + 2 * np.array([b[3] for b in bones]), rotations=identity, axes=axes,
        limits=np.tile([-2.5, 2.5], (count, 3, 1)), cuboid_centers=positions + np.array([b[3] for b in bones], float),
        cuboid_half_sizes=np.array([b[4] for b in bones]), cuboid_rotations=identity, roles=[b[5] for b in bones],
    )  # fmt: skip


def quadruped(scale: float = 1.0) -> Rig:
    """A dog of 17 cuboids, 0.55 x scale high at the hip."""
    bones = list(_TRUNK)
    for limb, parent, z in (("fore", 2, 0.22), ("hind", 0, -0.38)):
        for side, x in (("left", 0.12), ("right", -0.12)):
            first = len(bones)
            bones.append((f"{side}_{limb}_upper", parent, (x, 0.50, z), (0, -0.11, 0), (0.03, 0.11, 0.035), f"{side}_{limb}_upper"))
            bones.append((f"{side}_{limb}_lower", first, (x, 0.28, z), (0, -0.11, 0), (0.025, 0.11, 0.025), f"{side}_{limb}_lower"))
            bones.append((f"{side}_{limb}_foot", first + 1, (x, 0.06, z), (0, -0.03, 0.03), (0.03, 0.03, 0.05), f"{side}_{limb}_foot"))
    scaled = [(n, p, *(tuple(scale * v for v in vector) for vector in (joint, center, half)), role) for n, p, joint, center, half, role in bones]
    return make_rig("dog", scaled)


def trot(rig: Rig, frames: int = 17, fps: float = 16.0, speed: float = 0.9, rate: float = 1.25, lift: float = 0.03) -> Motion:
    """A kinematic trot along +Z that floats `lift` above the ground. [speed m/s, rate Hz, lift m]"""
    turn = 2 * np.pi * rate * np.arange(frames) / fps
    angles = np.zeros((frames, rig.joint_count, 3))
    phases = {"left_fore": 0.0, "right_hind": 0.0, "right_fore": np.pi, "left_hind": np.pi}
    for joint, role in enumerate(rig.roles):
        limb, _, part = role.rpartition("_")
        if limb in phases:
            phase = turn + phases[limb]
            bend = {"upper": 0.30 * np.sin(phase) - 0.12, "lower": 0.30 - 0.25 * np.cos(phase), "foot": -0.18 - 0.30 * np.sin(phase) + 0.25 * np.cos(phase)}
            angles[:, joint, 0] = bend[part]
        elif role == "spine":
            angles[:, joint, 1] = 0.05 * np.sin(turn)
        elif role == "neck":
            angles[:, joint, 0] = 0.08 * np.sin(2 * turn)
    root = np.tile(rig.positions[0].astype(float), (frames, 1))
    root[:, 2] += speed * np.arange(frames) / fps
    root[:, 1] += lift
    motion = Motion(
        name=rig.name, prompt="a dog trotting", fps=fps, joint_names=rig.joint_names, angles=angles,
        root_positions=root, root_rotations=np.tile([0.0, 0, 0, 1], (frames, 1)),
    )  # fmt: skip
    return motion


def random_tree(seed: int, count: int = 6) -> Rig:
    """A random articulated tree with skew compound axes, far above the ground."""
    rng = np.random.default_rng(seed)
    bones = []
    for joint in range(count):
        parent = int(rng.integers(0, joint)) if joint else -1
        place = bones[parent][2] + rng.uniform(-0.3, 0.3, 3) if joint else np.array([0.0, 5.0, 0.0])
        bones.append((f"bone{joint}", parent, place, rng.uniform(-0.1, 0.1, 3), rng.uniform(0.03, 0.15, 3), "other"))
    return make_rig("tree", bones, Rotation.random(count, rng=rng).as_matrix())


def vectors(count: int, largest: float, smallest: float | None = None) -> st.SearchStrategy[np.ndarray]:
    """Arrays of numbers float32 can hold, between -largest (or smallest) and largest. [(count, 3)]"""
    number = st.floats(-largest if smallest is None else smallest, largest, width=32, allow_subnormal=False)
    return arrays(np.float32, (count, 3), elements=number, fill=st.nothing()).map(lambda x: x.astype(float))


@st.composite
def trees(draw: st.DrawFn, most: int = 9) -> Rig:
    """An articulated tree of 2 to `most` bones; parents, places, sizes and compound axes are all drawn."""
    count = draw(st.integers(2, most))
    parents = [-1, *(draw(st.integers(0, joint - 1)) for joint in range(1, count))]
    steps, centers, halves = draw(vectors(count, 0.25)), draw(vectors(count, 0.125)), draw(vectors(count, 0.15625, 0.03125))
    places = [np.array([0.0, 5.0, 0.0])]
    for joint in range(1, count):
        places.append(places[parents[joint]] + steps[joint])
    bones = [(f"bone{joint}", parents[joint], places[joint], centers[joint], halves[joint], "other") for joint in range(count)]
    return make_rig("tree", bones, Rotation.from_rotvec(draw(vectors(count, 3.0))).as_matrix())
