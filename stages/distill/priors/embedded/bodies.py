"""Random procedural bodies: the animals that the built-in prior is trained on. None of the library's animals is among them."""

from __future__ import annotations

import colorsys
import dataclasses
import math

import numpy as np

from schemas.rig import Rig
from schemas.splat import Splat

KINDS = ("quadruped", "bird", "dinosaur", "biped")
KIND_SHARES = (0.55, 0.15, 0.15, 0.15)


@dataclasses.dataclass(frozen=True)
class Body:
    """A rig and the kernels around it, as in schemas.splat.

    Attributes:
        kind: One of KINDS.
        means: [m, (N, 3)]
        covariances: [m^2, (N, 3, 3)]
        opacities: [0..1, (N,)]
        colors: Of a coat, for the natural look. [0..1, (N, 3)]
        weights: Rows sum to 1. [(N, J)]
    """

    kind: str
    rig: Rig
    means: np.ndarray
    covariances: np.ndarray
    opacities: np.ndarray
    weights: np.ndarray
    colors: np.ndarray


@dataclasses.dataclass
class _Bones:
    """A skeleton under construction: joints with their tips, roles and radii at both ends."""

    names: list[str] = dataclasses.field(default_factory=list)
    parents: list[int] = dataclasses.field(default_factory=list)
    points: list[np.ndarray] = dataclasses.field(default_factory=list)
    tips: list[np.ndarray] = dataclasses.field(default_factory=list)
    roles: list[str] = dataclasses.field(default_factory=list)
    radii: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def chain(self, parent: str, role_list: list[str], points: list, radii: list[float]) -> None:
        """Add joints along `points` (one more than joints), thick as `radii` at the points. [m]"""
        above = self.names.index(parent) if parent else -1
        for k, role in enumerate(role_list):
            name = role if role not in self.names else f"{role}_{sum(n.startswith(role) for n in self.names) + 1}"
            self.names.append(name)
            self.parents.append(above)
            self.points.append(np.array(points[k], float))
            self.tips.append(np.array(points[k + 1], float))
            self.roles.append(role)
            self.radii.append((radii[k], radii[k + 1]))
            above = len(self.names) - 1

    def pair(self, parent: str, limb: str, segments: list[str], points: list, radii: list[float]) -> None:
        """A left limb and its mirror image."""
        for side, flip in (("left", 1), ("right", -1)):
            self.chain(parent, [f"{side}_{limb}_{s}" for s in segments], [np.multiply(p, (flip, 1, 1)) for p in points], radii)


def random_body(seed: int, kind: str | None = None) -> Body:
    """Draw a body. Training uses seeds below 100000; larger ones are held out.

    Parameters:
        kind: One of KINDS; None draws one.
    """
    rng = np.random.default_rng([seed, 0xB0D1])
    kind = kind or str(rng.choice(KINDS, p=KIND_SHARES))
    bones = _Bones()
    {"quadruped": _quadruped, "bird": _bird, "dinosaur": _dinosaur, "biped": _biped}[kind](bones, rng)
    rig = _rig(bones, f"{kind}-{seed}", kind)
    means, covariances, opacities, weights = _kernels(bones, rig, rng)
    colors = _coat(means, np.array(rig.roles)[weights.argmax(1)], np.random.default_rng([seed, 0xC0A7]))
    return Body(kind, rig, means, covariances, opacities, weights, colors)


def _quadruped(b: _Bones, rng: np.random.Generator) -> None:
    u = rng.uniform
    hip, length = u(0.45, 1.1), u(0.9, 1.5)
    r = u(0.13, 0.28)
    leg = r * u(0.26, 0.5)
    back, front = -0.5 * length, 0.5 * length
    top = hip + 0.2 * r
    b.chain(
        "", ["pelvis", "spine", "chest"], [(0, top, back), (0, top + u(-0.03, 0.05), back + 0.35 * length), (0, top, back + 0.65 * length), (0, top, front)],
        [r * u(0.75, 1), r, r, r * u(0.75, 1)],
    )  # fmt: skip
    rise, neck = u(0.1, 1.1), u(0.2, 0.6)
    base = np.array([0, top + 0.4 * r, front])
    crest = base + neck * np.array([0, math.sin(rise), math.cos(rise)])
    head, size = u(0.2, 0.42), u(0.08, 0.2)
    nod = u(-0.6, 0.1)
    muzzle = crest + head * np.array([0, math.sin(nod), math.cos(nod)])
    b.chain("chest", ["neck", "head"], [base, crest, muzzle], [0.65 * r, max(size, 0.35 * r), 0.7 * size])
    _tail(b, rng, np.array([0, top + 0.3 * r, back - 0.6 * r]), u(0.25, 0.8), u(-1.3, 0.2), 0.06)
    side = r * u(0.5, 0.75)
    # elbow behind the shoulder, wrist below it; the more the leg is folded at rest, the larger `fold`
    fold, foot = u(0.01, 0.1), u(0.04, 0.09)
    z = front - u(0.0, 0.12)
    thick = [1.5 * leg, leg, 0.75 * leg, 0.6 * leg]
    b.pair(
        "chest", "fore", ["upper", "lower", "foot"],
        [(side, hip, z), (side, u(0.52, 0.6) * hip, z - fold), (side, u(0.07, 0.14) * hip, z), (side, 0.012, z + foot)], thick,
    )  # fmt: skip
    fold, z, hock = u(0.03, 0.14), back + u(-0.05, 0.1), u(0.1, 0.32)
    b.pair(
        "pelvis", "hind", ["upper", "lower", "foot"],
        [(side, hip, z), (side, u(0.55, 0.63) * hip, z + fold), (side, hock * hip, z - fold * u(0.3, 1)), (side, 0.012, z - fold * 0.4 + foot)],
        [1.9 * leg, 1.1 * leg, 0.7 * leg, 0.6 * leg],
    )  # fmt: skip


def _tail(b: _Bones, rng: np.random.Generator, start: np.ndarray, length: float, slope: float, thick: float, bend: float = 0.2) -> None:
    count = int(rng.integers(2, 5))
    points, angle = [start], slope
    for _ in range(count):
        points.append(points[-1] + length / count * np.array([0, math.sin(angle), -math.cos(angle)]))
        angle += float(rng.uniform(-bend, bend))
    for point in points:
        point[1] = max(point[1], 0.05)
    b.chain("pelvis", ["tail"] * count, points, list(np.linspace(thick, 0.35 * thick, count + 1)))


def _two_legs(b: _Bones, rng: np.random.Generator, hip: float, side: float, z: float, leg: float, hock: float, fold: float, foot: float) -> None:
    u = rng.uniform
    knee, ankle = (side, u(0.55, 0.62) * hip, z + fold), (side * u(0.8, 1.0), hock * hip, z - fold * u(0.2, 0.9))
    toe = (ankle[0], 0.012, z + foot)
    b.pair("pelvis", "hind", ["upper", "lower", "foot"], [(side, hip, z), knee, ankle, toe], [1.8 * leg, 1.1 * leg, 0.75 * leg, 0.6 * leg])


def _bird(b: _Bones, rng: np.random.Generator) -> None:
    """Ostriches and chickens: horizontal body, long neck, folded wings, a hock well above the ground."""
    u = rng.uniform
    hip, r, length = u(0.6, 1.1), u(0.16, 0.26), u(0.4, 0.75)
    top, slope = hip + 0.5 * r, u(0.0, 0.4)
    ahead = np.array([0, math.sin(slope), math.cos(slope)])
    rear = np.array([0, top, -0.45 * length])
    b.chain(
        "", ["pelvis", "spine", "chest"], [rear, rear + 0.35 * length * ahead, rear + 0.65 * length * ahead, rear + length * ahead], [0.6 * r, r, r, 0.6 * r]
    )
    base = rear + length * ahead
    neck, rise = u(0.25, 0.85), u(0.9, 1.45)
    crest = base + neck * np.array([0, math.sin(rise), math.cos(rise)])
    b.chain(
        "chest", ["neck", "neck", "head"], [base, 0.5 * (base + crest) + (0, 0, 0.03), crest, crest + (0, -0.02, u(0.14, 0.24))], [0.4 * r, 0.055, 0.075, 0.04]
    )
    _tail(b, rng, rear, u(0.15, 0.35), u(-0.4, 0.6), 0.5 * r)
    shoulder = np.array([0.8 * r, base[1] - 0.1 * r, base[2] - 0.1])
    b.pair("chest", "wing", ["upper", "lower"], [shoulder, shoulder + (0.05, -0.06, -0.2), shoulder + (0.02, -0.1, -0.42)], [0.07, 0.07, 0.04])
    _two_legs(b, rng, hip, 0.5 * r, u(-0.08, 0.05), u(0.045, 0.075), u(0.2, 0.4), u(0.08, 0.2), u(0.08, 0.16))


def _dinosaur(b: _Bones, rng: np.random.Generator) -> None:
    """Two legs under a horizontal trunk, a heavy tail behind, small arms."""
    u = rng.uniform
    hip, r, length = u(0.55, 0.9), u(0.17, 0.28), u(0.6, 0.9)
    slope, top = u(-0.05, 0.5), hip + 0.2 * r
    ahead = np.array([0, math.sin(slope), math.cos(slope)])
    rear = np.array([0, top, -0.15])
    b.chain(
        "", ["pelvis", "spine", "chest"], [rear, rear + 0.35 * length * ahead, rear + 0.65 * length * ahead, rear + length * ahead], [r, r, 0.9 * r, 0.6 * r]
    )
    base, rise = rear + length * ahead, u(0.5, 1.2)
    crest = base + u(0.12, 0.35) * np.array([0, math.sin(rise), math.cos(rise)])
    size = u(0.1, 0.17)
    b.chain("chest", ["neck", "head"], [base, crest, crest + (0, u(-0.12, 0.02), u(0.25, 0.42))], [0.6 * r, size, 0.6 * size])
    _tail(b, rng, rear - (0, 0, 0.1), u(0.7, 1.3), u(-0.3, 0.15), 0.7 * r, 0.12)
    arm = rear + 0.85 * length * ahead + (0.55 * r, -0.45 * r, 0)
    reach = u(0.07, 0.16)
    b.pair("chest", "arm", ["upper", "lower"], [arm, arm + (0.02, -reach, -0.02), arm + (0.02, -1.3 * reach, 0.8 * reach)], [0.05, 0.04, 0.03])
    _two_legs(b, rng, hip, 0.6 * r, u(-0.12, 0.0), u(0.06, 0.1), u(0.12, 0.3), u(0.08, 0.2), u(0.1, 0.2))


def _biped(b: _Bones, rng: np.random.Generator) -> None:
    """Upright, like humans and robots; arms hang or stand off."""
    u = rng.uniform
    hip, r, torso = u(0.5, 0.98), u(0.11, 0.2), u(0.42, 0.62)
    b.chain(
        "",
        ["pelvis", "spine", "chest"],
        [(0, hip + 0.03, 0), (0, hip + 0.35 * torso, 0.01), (0, hip + 0.65 * torso, 0), (0, hip + torso, 0)],
        [r, 0.9 * r, r, 0.7 * r],
    )
    top = hip + torso
    size = u(0.09, 0.16) if u(0, 1) < 0.6 else u(0.16, 0.32)
    b.chain("chest", ["neck", "head"], [(0, top, 0), (0, top + 0.1, 0.01), (0, top + 0.12 + 1.7 * size, 0.03)], [0.06, size, 0.8 * size])
    spread, upper, lower = u(0.1, 1.5), u(0.26, 0.33), u(0.24, 0.3)
    out = np.array([math.sin(spread), -math.cos(spread), 0])
    shoulder = np.array([r + 0.06, top - 0.05, 0])
    b.pair(
        "chest", "arm", ["upper", "lower", "foot"],
        [shoulder, shoulder + upper * out, shoulder + (upper + lower) * out + (0, 0, 0.02), shoulder + (upper + lower + 0.12) * out],
        [0.065, 0.05, 0.04, 0.035],
    )  # fmt: skip
    _two_legs(b, rng, hip, u(0.08, 0.12), 0.0, u(0.055, 0.085), u(0.07, 0.1), u(0.005, 0.03), u(0.12, 0.2))


def _rig(b: _Bones, name: str, kind: str) -> Rig:
    points, tips = np.array(b.points), np.array(b.tips)
    count = len(points)
    axes = np.stack([_bone_axes(tip - point) for point, tip in zip(points, tips, strict=True)])
    thick = np.array([0.7 * max(r) for r in b.radii])
    lengths = np.linalg.norm(tips - points, axis=1)
    half = np.stack([thick, 0.5 * lengths, thick], 1)
    centers = 0.5 * (points + tips)
    low = np.array([r.endswith("_foot") and "arm" not in r for r in b.roles])
    quaternions = np.stack([_quaternion(a) for a in axes])
    # feet: an upright box from the ankle to the toe, its sole on the ground
    for joint in np.flatnonzero(low):
        ends = np.stack([points[joint], tips[joint]])
        bottom, top, back, front = 0.0, ends[:, 1].max(), ends[:, 2].min(), ends[:, 2].max()
        centers[joint] = (ends[:, 0].mean(), 0.5 * (bottom + top), 0.5 * (back + front))
        half[joint] = (thick[joint], 0.5 * (top - bottom), 0.5 * (front - back))
        quaternions[joint] = (0, 0, 0, 1)
    limits = np.tile(np.array([-2.5, 2.5]), (count, 3, 1))
    rest = np.tile(np.array([0, 0, 0, 1.0]), (count, 1))
    return Rig(
        name=name, category=kind if kind != "bird" else "bird", joint_names=list(b.names), parents=np.array(b.parents), positions=points, tails=tips,
        rotations=rest, axes=axes, limits=limits, cuboid_centers=centers, cuboid_half_sizes=half, cuboid_rotations=quaternions, roles=list(b.roles),
        source={"kind": "procedural"},
    )  # fmt: skip


def _bone_axes(along: np.ndarray) -> np.ndarray:
    """Columns X (lateral), Y (along the bone), Z. [(3, 3)]"""
    y = along / max(float(np.linalg.norm(along)), 1e-9)
    x = np.array([1.0, 0, 0]) - y[0] * y
    if np.linalg.norm(x) < 0.2:
        x = np.array([0, 0, 1.0]) - y[2] * y
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], 1)


def _quaternion(matrix: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(matrix).as_quat()


def _kernels(b: _Bones, rig: Rig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Flat kernels on the skin of each bone's capsule, overlapping as those of a fitted splat do."""
    means, covariances, weights = [], [], []
    grain = float(rng.uniform(0.8, 1.3))
    for joint, (r0, r1) in enumerate(b.radii):
        start, tip = np.array(b.points[joint]), np.array(b.tips[joint])
        length = float(np.linalg.norm(tip - start))
        frame = _bone_axes(tip - start)
        mean_radius = 0.5 * (r0 + r1)
        around = int(np.clip(round(5 * math.sqrt(mean_radius / 0.08) * grain), 3, 9))
        along = max(2, round(length / (1.5 * mean_radius) * grain) + 1)
        for i in range(along):
            t = i / (along - 1)
            radius = r0 + t * (r1 - r0)
            width = 2.2 * radius / around
            sigma = np.array([0.3 * radius, max(0.5 * length / along, 0.35 * radius), max(width, 0.3 * radius)])
            for k in range(around):
                angle = 2 * math.pi * (k + 0.5 * (i % 2)) / around
                radial = math.cos(angle) * frame[:, 0] + math.sin(angle) * frame[:, 2]
                tangent = -math.sin(angle) * frame[:, 0] + math.cos(angle) * frame[:, 2]
                axes = np.stack([radial, frame[:, 1], tangent], 1) * sigma
                means.append(start + t * (tip - start) + 0.62 * radius * radial)
                covariances.append(axes @ axes.T)
                weights.append(_weights(b, joint, t))
    means = np.array(means)
    # soles are flat: nothing below the ground at rest
    means[:, 1] = np.maximum(means[:, 1], 0.015)
    opacities = rng.uniform(0.85, 0.98, len(means))
    return tuple(np.asarray(v, np.float32) for v in (means, covariances, opacities, np.array(weights)))


def _coat(means: np.ndarray, roles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colours of an animal's coat: a base colour, a lighter belly, dark or light legs, plain, striped or spotted. [(N, 3)]"""
    hue, saturation, value = rng.uniform(0.02, 0.13) if rng.uniform() < 0.8 else rng.uniform(), rng.uniform(0.05, 0.7), rng.uniform(0.3, 0.85)
    color = np.tile(colorsys.hsv_to_rgb(hue, saturation, value), (len(means), 1))
    height = (means[:, 1] - means[:, 1].min()) / max(float(np.ptp(means[:, 1])), 1e-6)
    color *= 1 + rng.uniform(0, 0.3) * (0.6 - height)[:, None]
    limb = np.array([r.endswith(("_lower", "_foot")) for r in roles])
    color[limb] *= rng.uniform(0.4, 1.2)
    pattern = rng.uniform()
    if pattern < 0.3:
        color *= 1 - 0.6 * (np.sin(means[:, 2] * rng.uniform(25, 60) + 4 * means[:, 1]) > 0.3)[:, None]
    elif pattern < 0.5:
        color *= 1 - 0.5 * (rng.uniform(size=len(means)) < 0.25)[:, None]
    return np.clip(color, 0.02, 0.98).astype(np.float32)


def _weights(b: _Bones, joint: int, t: float) -> np.ndarray:
    """A kernel at fraction t of a bone follows its parent a little near the joint."""
    row = np.zeros(len(b.names))
    share = max(0.0, 0.5 - 2 * t) if b.parents[joint] >= 0 and b.roles[b.parents[joint]].split("_")[0] == b.roles[joint].split("_")[0] else 0.0
    row[joint] = 1 - share
    if share:
        row[b.parents[joint]] += share
    return row


def as_splat(body: Body) -> Splat:
    """The kernels of a body as the artifact that distill takes."""
    values, vectors = np.linalg.eigh(body.covariances.astype(float))
    vectors[..., 0] *= np.sign(np.linalg.det(vectors))[:, None]
    return Splat(
        name=body.rig.name,
        means=body.means,
        rotations=np.stack([_quaternion(v) for v in vectors]),
        scales=np.sqrt(np.clip(values, 1e-12, None)),
        opacities=body.opacities,
        colors=body.colors,
        faces=np.zeros(len(body.means), np.int32),
        weights=body.weights / body.weights.sum(1, keepdims=True),
    )
