"""A tyrannosaurus: 12 m long, hips at 3 m, body level over the hips, head and tail in balance."""

from __future__ import annotations

import numpy as np

from .sdf import Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Joint, Paint, Surface, bands, ramp, spot

GREEN, CREAM, STRIPE, TOOTH, CLAW, EYE, DARK, MOUTH = "#6f7f45", "#d9cd9c", "#38431f", "#f4ecd4", "#2e2a24", "#e6b422", "#15130f", "#a4524a"

SPINE = Tube(
    (
        (0, 3.16, -5.75, 0.06, 0.07),
        (0, 3.07, -4.80, 0.17, 0.20),
        (0, 2.96, -3.70, 0.31, 0.38),
        (0, 2.89, -2.55, 0.46, 0.55),
        (0, 2.87, -1.40, 0.58, 0.70),
        (0, 2.84, -0.50, 0.63, 0.85),
        (0, 2.74, 0.50, 0.68, 0.92),
        (0, 2.84, 1.45, 0.60, 0.80),
        (0, 3.02, 2.10, 0.46, 0.60),
    )
)
NECK = Tube(((0, 3.08, 1.90, 0.44, 0.60), (0, 3.45, 2.55, 0.37, 0.50), (0, 3.90, 2.98, 0.34, 0.47), (0, 4.17, 3.36, 0.35, 0.46)))
LENSES = (Lens((0, 4.0, 4.4), 2.2, 1.8, 0.45), Lens((0.50, 2.05, 2.35), 0.75, 2.0, 0.4))


def animal() -> Animal:
    """The recipe."""
    return Animal("t-rex", "dinosaur", [*_body(), *_legs(), *_arms(), *_head()], _joints(), _paints(), 0.118, LENSES, color_blend=0.04, ground=-0.47)


def _body() -> list[Part]:
    return [
        Part(SPINE, GREEN),
        Part(NECK, GREEN, 0.35),
        Part(Ellipsoid((0.30, 2.55, 1.55), (0.28, 0.45, 0.50)), GREEN, 0.25, True),  # shoulder
    ]


def _legs() -> list[Part]:
    thigh = Tube(((0.46, 2.75, -0.25, 0.36, 0.85), (0.60, 2.15, 0.10, 0.36, 0.64), (0.66, 1.50, 0.40, 0.26, 0.36)))
    shin = Tube(((0.66, 1.56, 0.36, 0.26, 0.38), (0.66, 1.05, -0.10, 0.22, 0.31), (0.64, 0.52, -0.58, 0.155, 0.18)))
    parts = [
        Part(thigh, GREEN, 0.25, True),
        Part(shin, GREEN, 0.15, True),
        Part(ball((0.64, 0.48, -0.61), 0.175), GREEN, 0.08, True),
        Part(cone((0.64, 0.46, -0.58), (0.64, -0.24, -0.20), 0.160, 0.180), GREEN, 0.08, True),
        Part(Ellipsoid((0.64, -0.33, -0.08), (0.22, 0.18, 0.29)), GREEN, 0.10, True),
    ]
    for x, z in ((0.40, 0.38), (0.66, 0.56), (0.92, 0.34)):
        root = (0.64 + 0.45 * (x - 0.64), -0.34, 0.0)
        toe = Tube(((*root, 0.115, 0.115), (0.5 * (x + root[0]), -0.37, 0.5 * z, 0.11, 0.11), (x, -0.40, z, 0.095, 0.095)))
        parts.append(Part(toe, GREEN, 0.05, True))
        parts.append(Part(cone((x, -0.40, z + 0.03), (x + 0.15 * (x - 0.64), -0.455, z + 0.23), 0.078, 0.030), CLAW, 0.01, True))
    return parts


def _arms() -> list[Part]:
    return [
        Part(cone((0.46, 2.42, 1.90), (0.53, 2.08, 1.96), 0.155, 0.115), GREEN, 0.10, True),
        Part(cone((0.53, 2.08, 1.96), (0.50, 2.00, 2.30), 0.110, 0.080), GREEN, 0.04, True),
        Part(Tube(((0.50, 2.00, 2.30, 0.080, 0.080), (0.53, 1.96, 2.45, 0.060, 0.060), (0.54, 1.86, 2.54, 0.048, 0.048))), GREEN, 0.03, True),
        Part(Tube(((0.49, 1.99, 2.30, 0.075, 0.075), (0.44, 1.95, 2.44, 0.058, 0.058), (0.42, 1.85, 2.52, 0.046, 0.046))), GREEN, 0.02, True),
        Part(cone((0.54, 1.86, 2.54), (0.54, 1.77, 2.56), 0.044, 0.020), CLAW, 0.005, True),
        Part(cone((0.42, 1.85, 2.52), (0.42, 1.76, 2.54), 0.044, 0.020), CLAW, 0.005, True),
    ]


def _head() -> list[Part]:
    skull = Tube(
        (
            (0, 4.20, 3.25, 0.40, 0.42),
            (0, 4.27, 3.72, 0.50, 0.52),
            (0, 4.22, 4.16, 0.40, 0.47),
            (0, 4.14, 4.66, 0.31, 0.40),
            (0, 4.05, 5.12, 0.25, 0.31),
            (0, 4.00, 5.32, 0.18, 0.22),
        )
    )
    jaw = Tube(((0, 3.80, 3.42, 0.37, 0.28), (0, 3.58, 3.86, 0.34, 0.23), (0, 3.43, 4.40, 0.26, 0.175), (0, 3.37, 4.88, 0.20, 0.135)))
    parts = [
        Part(skull, GREEN, 0.15),
        Part(jaw, GREEN, 0.10),
        Part(Ellipsoid((0.29, 4.62, 3.86), (0.15, 0.12, 0.26), (12, 0, 0)), GREEN, 0.08, True),  # brow
        Part(Ellipsoid((0.18, 4.41, 4.50), (0.11, 0.10, 0.55), (8, 0, 0)), GREEN, 0.10, True),  # ridge of the snout
        Part(ball((0.390, 4.44, 3.95), 0.105), GREEN, 0.01, True),
        Part(ball((0.115, 4.14, 5.47), 0.050), "", 0.03, True, carve=True),
    ]
    for z, x, length in ((5.22, 0.130, 0.20), (5.02, 0.185, 0.27), (4.78, 0.225, 0.29), (4.54, 0.255, 0.26), (4.30, 0.290, 0.20)):
        parts.append(Part(cone((x, 3.90, z), (x + 0.01, 3.80 - length, z - 0.03), 0.085, 0.025), TOOTH, 0.01, True))
    for z, x in ((4.82, 0.135), (4.58, 0.185), (4.34, 0.215)):
        root = 3.40 + 0.11 * (4.82 - z)
        parts.append(Part(cone((x, root, z), (x, root + 0.26, z + 0.02), 0.075, 0.025), TOOTH, 0.01, True))
    return parts


def _joints() -> list[Joint]:
    tail = [tuple(p) for p in SPINE.curve(np.array([4.2, 3.25, 2.3, 1.3, 0.15])).tolist()]
    return [
        Joint("pelvis", "", (0, 3.00, -0.40), (0, 2.98, 0.35), "pelvis"),
        Joint("spine", "pelvis", (0, 2.98, 0.35), (0, 3.00, 1.15), "spine"),
        Joint("chest", "spine", (0, 3.00, 1.15), (0, 3.12, 1.98), "chest"),
        Joint("neck_1", "chest", (0, 3.12, 1.98), (0, 3.60, 2.72), "neck"),
        Joint("neck_2", "neck_1", (0, 3.60, 2.72), (0, 4.14, 3.30), "neck"),
        Joint("head", "neck_2", (0, 4.14, 3.30), (0, 4.04, 5.25), "head"),
        Joint("jaw", "head", (0, 3.86, 3.48), (0, 3.39, 4.80), "jaw"),
        *(Joint(f"tail_{i + 1}", f"tail_{i}" if i else "pelvis", tail[i], tail[i + 1], "tail") for i in range(4)),
        Joint("left_arm_upper", "chest", (0.45, 2.44, 1.88), (0.53, 2.08, 1.97), "left_arm_upper"),
        Joint("left_arm_lower", "left_arm_upper", (0.53, 2.08, 1.97), (0.50, 2.00, 2.30), "left_arm_lower"),
        Joint("left_hand", "left_arm_lower", (0.50, 2.00, 2.30), (0.51, 1.96, 2.42), "left_arm_foot"),
        Joint("left_hind_upper", "pelvis", (0.46, 2.70, -0.25), (0.66, 1.53, 0.36), "left_hind_upper"),
        Joint("left_hind_lower", "left_hind_upper", (0.66, 1.53, 0.36), (0.64, 0.48, -0.59), "left_hind_lower"),
        Joint("left_hind_foot", "left_hind_lower", (0.64, 0.48, -0.59), (0.64, -0.29, -0.16), "left_hind_foot"),
        Joint("left_hind_toe", "left_hind_foot", (0.64, -0.29, -0.16), (0.66, -0.39, 0.56), "left_hind_foot"),
    ]


def _stripes(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    phase = z / 0.52 + 0.5 * s.noise(1.0, 5)
    above = ramp(s.normals[:, 1], -0.15, 0.5)
    return 0.85 * bands(phase, 0.42 * above) * above * ramp(y, 1.9, 2.5) * ramp(z, 3.7, 3.3)


def _belly(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    under = ramp(s.normals[:, 1], -0.35, -0.8) * ramp(y, 1.5, 1.8)
    throat = ramp(s.normals[:, 1], -0.1, -0.6) * ramp(z, 1.6, 2.2)
    return np.maximum(under, throat) * ramp(x, 0.62, 0.50)


def _mouth(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    roof = ramp(s.normals[:, 1], -0.4, -0.75) * ramp(y, 3.64, 3.68) * ramp(x, 0.24, 0.18)
    floor = ramp(s.normals[:, 1], 0.4, 0.75) * ramp(y, 3.80, 3.74) * ramp(x, 0.24, 0.17)
    return np.maximum(roof, floor) * ramp(z, 3.80, 3.95)


def _paints() -> list[Paint]:
    return [
        Paint(CREAM, _belly),
        Paint("#58663a", lambda s: 0.6 * ramp(s.noise(0.6, 9), 0.1, 0.8) * ramp(s.points[:, 1], 0.0, 0.4)),
        Paint(STRIPE, _stripes),
        Paint(MOUTH, _mouth),
        Paint("#4c5a2e", lambda s: 0.7 * ramp(s.normals[:, 1], 0.3, 0.8) * ramp(s.points[:, 2], 3.3, 3.6) * ramp(s.points[:, 1], 4.15, 4.25)),
        spot(DARK, ball((0.390, 4.44, 3.95), 0.106), 0.03),
        spot(EYE, ball((0.440, 4.45, 3.97), 0.066), 0.02),
        spot(DARK, Ellipsoid((0.495, 4.455, 3.985), (0.03, 0.050, 0.012)), 0.02),
        spot(DARK, ball((0.115, 4.14, 5.47), 0.052), 0.03),
    ]
