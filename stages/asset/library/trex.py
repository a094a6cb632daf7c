"""A tyrannosaurus: 12 m long, hips at 3 m, body level over the hips, head and tail in balance."""

from __future__ import annotations

import numpy as np

from .sdf import Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Joint, Paint, Surface, bands, ramp, spot

GREEN, CREAM, STRIPE, TOOTH, CLAW, EYE, DARK, MOUTH = "#6f7f45", "#d9cd9c", "#38431f", "#f4ecd4", "#2e2a24", "#e6b422", "#15130f", "#a4524a"

SPINE = Tube(
    (
        (0, 3.05, -6.30, 0.06, 0.07),
        (0, 3.02, -5.20, 0.14, 0.17),
        (0, 2.93, -3.90, 0.25, 0.31),
        (0, 2.86, -2.60, 0.40, 0.48),
        (0, 2.86, -1.40, 0.54, 0.66),
        (0, 2.84, -0.50, 0.62, 0.84),
        (0, 2.74, 0.50, 0.68, 0.92),
        (0, 2.84, 1.50, 0.60, 0.80),
        (0, 3.02, 2.15, 0.44, 0.58),
    )
)
NECK = Tube(((0, 3.08, 1.95, 0.42, 0.56), (0, 3.45, 2.60, 0.33, 0.44), (0, 3.88, 3.02, 0.29, 0.40), (0, 4.12, 3.40, 0.30, 0.38)))
LENSES = (Lens((0, 4.05, 4.10), 1.55, 1.9), Lens((0.50, 2.05, 2.35), 0.48, 2.0))


def animal() -> Animal:
    """The recipe."""
    return Animal("t-rex", "dinosaur", [*_body(), *_legs(), *_arms(), *_head()], _joints(), _paints(), 0.119, LENSES, color_blend=0.05)


def _body() -> list[Part]:
    return [
        Part(SPINE, GREEN),
        Part(NECK, GREEN, 0.35),
        Part(Ellipsoid((0.30, 2.55, 1.55), (0.28, 0.45, 0.50)), GREEN, 0.25, True),  # shoulder
    ]


def _legs() -> list[Part]:
    thigh = Tube(((0.46, 2.75, -0.25, 0.34, 0.80), (0.58, 2.25, 0.02, 0.33, 0.62), (0.62, 1.72, 0.30, 0.24, 0.34)))
    shin = Tube(((0.62, 1.78, 0.26, 0.24, 0.36), (0.62, 1.35, -0.15, 0.205, 0.29), (0.60, 0.92, -0.55, 0.145, 0.17)))
    parts = [
        Part(thigh, GREEN, 0.25, True),
        Part(shin, GREEN, 0.15, True),
        Part(ball((0.60, 0.88, -0.58), 0.165), GREEN, 0.08, True),
        Part(cone((0.60, 0.86, -0.56), (0.60, 0.24, -0.22), 0.150, 0.165), GREEN, 0.08, True),
        Part(Ellipsoid((0.60, 0.15, -0.10), (0.20, 0.16, 0.27)), GREEN, 0.10, True),
    ]
    for x, z in ((0.38, 0.34), (0.62, 0.50), (0.86, 0.30)):
        root = (0.60 + 0.45 * (x - 0.60), 0.14, 0.0)
        parts.append(Part(Tube(((*root, 0.105, 0.105), (0.5 * (x + root[0]), 0.12, 0.5 * z, 0.10, 0.10), (x, 0.09, z, 0.085, 0.085))), GREEN, 0.05, True))
        parts.append(Part(cone((x, 0.09, z + 0.03), (x + 0.15 * (x - 0.6), 0.035, z + 0.21), 0.070, 0.025), CLAW, 0.01, True))
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
            (0, 4.16, 3.30, 0.36, 0.34),
            (0, 4.19, 3.66, 0.42, 0.40),
            (0, 4.14, 4.02, 0.33, 0.35),
            (0, 4.08, 4.42, 0.255, 0.30),
            (0, 4.02, 4.80, 0.205, 0.235),
            (0, 3.99, 4.98, 0.150, 0.170),
        )
    )
    jaw = Tube(((0, 3.84, 3.42, 0.31, 0.22), (0, 3.66, 3.80, 0.28, 0.18), (0, 3.54, 4.25, 0.215, 0.140), (0, 3.50, 4.62, 0.160, 0.110)))
    parts = [
        Part(skull, GREEN, 0.15),
        Part(jaw, GREEN, 0.10),
        Part(Ellipsoid((0.24, 4.45, 3.78), (0.13, 0.11, 0.22), (12, 0, 0)), GREEN, 0.08, True),  # brow
        Part(Ellipsoid((0.15, 4.30, 4.30), (0.09, 0.09, 0.45), (8, 0, 0)), GREEN, 0.10, True),  # ridge of the snout
        Part(ball((0.315, 4.315, 3.845), 0.085), EYE, 0.01, True),
        Part(ball((0.095, 4.11, 5.09), 0.040), "", 0.03, True, carve=True),
    ]
    for z, x, length in ((4.88, 0.125, 0.15), (4.70, 0.185, 0.19), (4.50, 0.215, 0.20), (4.30, 0.235, 0.18), (4.10, 0.260, 0.15)):
        y = 3.80 + 0.02 * (4.9 - z)
        parts.append(Part(cone((x, y + 0.06, z), (x, y - length, z - 0.02), 0.062, 0.022), TOOTH, 0.01, True))
    for z, x in ((4.56, 0.105), (4.38, 0.160), (4.19, 0.185)):
        parts.append(Part(cone((x, 3.60 + 0.14 * (4.5 - z), z), (x, 3.72 + 0.16 * (4.5 - z), z + 0.01), 0.055, 0.022), TOOTH, 0.01, True))
    return parts


def _joints() -> list[Joint]:
    tail = [tuple(p) for p in SPINE.curve(np.array([4.2, 3.25, 2.3, 1.3, 0.15])).tolist()]
    return [
        Joint("pelvis", "", (0, 3.00, -0.40), (0, 2.98, 0.35), "pelvis"),
        Joint("spine", "pelvis", (0, 2.98, 0.35), (0, 3.00, 1.15), "spine"),
        Joint("chest", "spine", (0, 3.00, 1.15), (0, 3.12, 1.98), "chest"),
        Joint("neck_1", "chest", (0, 3.12, 1.98), (0, 3.60, 2.72), "neck"),
        Joint("neck_2", "neck_1", (0, 3.60, 2.72), (0, 4.10, 3.30), "neck"),
        Joint("head", "neck_2", (0, 4.10, 3.30), (0, 4.04, 4.90), "head"),
        Joint("jaw", "head", (0, 3.88, 3.45), (0, 3.52, 4.55), "jaw"),
        *(Joint(f"tail_{i + 1}", f"tail_{i}" if i else "pelvis", tail[i], tail[i + 1], "tail") for i in range(4)),
        Joint("left_arm_upper", "chest", (0.45, 2.44, 1.88), (0.53, 2.08, 1.97), "left_arm_upper"),
        Joint("left_arm_lower", "left_arm_upper", (0.53, 2.08, 1.97), (0.50, 2.00, 2.30), "left_arm_lower"),
        Joint("left_hand", "left_arm_lower", (0.50, 2.00, 2.30), (0.51, 1.96, 2.42), "left_arm_foot"),
        Joint("left_hind_upper", "pelvis", (0.46, 2.70, -0.25), (0.62, 1.74, 0.27), "left_hind_upper"),
        Joint("left_hind_lower", "left_hind_upper", (0.62, 1.74, 0.27), (0.60, 0.88, -0.56), "left_hind_lower"),
        Joint("left_hind_foot", "left_hind_lower", (0.60, 0.88, -0.56), (0.60, 0.20, -0.18), "left_hind_foot"),
        Joint("left_hind_toe", "left_hind_foot", (0.60, 0.20, -0.18), (0.62, 0.09, 0.50), "left_hind_foot"),
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
    roof = ramp(s.normals[:, 1], -0.35, -0.7) * ramp(y, 3.72, 3.76) * ramp(x, 0.22, 0.16)
    floor = ramp(s.normals[:, 1], 0.35, 0.7) * ramp(y, 3.86, 3.80) * ramp(x, 0.20, 0.14)
    return np.maximum(roof, floor) * ramp(z, 3.75, 3.9)


def _paints() -> list[Paint]:
    return [
        Paint(CREAM, _belly),
        Paint("#58663a", lambda s: 0.6 * ramp(s.noise(0.6, 9), 0.1, 0.8) * ramp(s.points[:, 1], 0.3, 0.6)),
        Paint(STRIPE, _stripes),
        Paint(MOUTH, _mouth),
        Paint("#4c5a2e", lambda s: 0.7 * ramp(s.normals[:, 1], 0.3, 0.8) * ramp(s.points[:, 2], 3.3, 3.6) * ramp(s.points[:, 1], 4.1, 4.2)),
        spot(DARK, ball((0.315, 4.315, 3.845), 0.100), 0.04),
        spot(EYE, ball((0.345, 4.325, 3.865), 0.062), 0.03),
        spot(DARK, Ellipsoid((0.395, 4.328, 3.880), (0.03, 0.045, 0.014)), 0.02),
        spot(DARK, ball((0.095, 4.11, 5.09), 0.045), 0.03),
    ]
