"""An ostrich: 2.4 m to the crown, black plumage, white wing and tail plumes, bare pink neck and legs."""

from __future__ import annotations

import numpy as np

from .sdf import Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Joint, Paint, Surface, bands, ramp, spot

BLACK, WHITE, PINK, SKIN, BEAK, DARK = "#2a2526", "#f3efe8", "#e29c92", "#d8a59a", "#c98a4e", "#15110f"

NECK = Tube(
    (
        (0, 1.30, 0.30, 0.125, 0.150),
        (0, 1.42, 0.50, 0.080, 0.090),
        (0, 1.64, 0.585, 0.054, 0.058),
        (0, 1.90, 0.560, 0.044, 0.046),
        (0, 2.14, 0.565, 0.041, 0.043),
        (0, 2.29, 0.620, 0.045, 0.045),
    )
)
TAIL = Tube(((0, 1.26, -0.42, 0.13, 0.14), (0, 1.30, -0.62, 0.14, 0.13), (0, 1.24, -0.80, 0.11, 0.085), (0, 1.13, -0.90, 0.045, 0.040)))
WING = Tube(((0.21, 1.30, 0.20, 0.07, 0.10), (0.270, 1.19, 0.06, 0.060, 0.17), (0.275, 1.10, -0.16, 0.055, 0.185), (0.235, 1.03, -0.40, 0.040, 0.10)))
LENSES = (Lens((0, 2.31, 0.72), 0.34, 2.6, 0.45), Lens((0.15, 0.04, 0.07), 0.145, 1.5))


def animal() -> Animal:
    """The recipe."""
    return Animal("ostrich", "bird", [*_body(), *_legs(), *_head()], _joints(), _paints(), 0.0285, LENSES, color_blend=0.012)


def _body() -> list[Part]:
    torso = Tube(
        (
            (0, 1.22, -0.48, 0.16, 0.16),
            (0, 1.18, -0.28, 0.245, 0.265),
            (0, 1.15, -0.02, 0.275, 0.315),
            (0, 1.17, 0.22, 0.225, 0.265),
            (0, 1.22, 0.38, 0.13, 0.16),
        )
    )
    return [
        Part(torso, BLACK),
        Part(TAIL, WHITE, 0.08),
        Part(NECK, SKIN, 0.10),
        Part(WING, BLACK, 0.03, True),
    ]


def _legs() -> list[Part]:
    thigh = Tube(((0.130, 1.10, -0.05, 0.130, 0.21), (0.155, 0.94, 0.08, 0.100, 0.145), (0.158, 0.84, 0.14, 0.070, 0.088)))
    shin = Tube(((0.158, 0.87, 0.125, 0.072, 0.095), (0.155, 0.70, 0.01, 0.054, 0.068), (0.150, 0.50, -0.115, 0.040, 0.046)))
    return [
        Part(thigh, SKIN, 0.06, True),
        Part(shin, PINK, 0.05, True),
        Part(ball((0.150, 0.485, -0.122), 0.047), PINK, 0.02, True),
        Part(cone((0.150, 0.47, -0.118), (0.150, 0.09, 0.005), 0.036, 0.037), PINK, 0.02, True),
        Part(Tube(((0.150, 0.065, 0.005, 0.042, 0.040), (0.146, 0.035, 0.11, 0.036, 0.032), (0.144, 0.024, 0.20, 0.024, 0.022))), PINK, 0.02, True),
        Part(cone((0.170, 0.050, 0.02), (0.212, 0.022, 0.10), 0.030, 0.020), PINK, 0.015, True),
        Part(cone((0.144, 0.022, 0.195), (0.143, 0.014, 0.235), 0.021, 0.012), DARK, 0.005, True),
    ]


def _head() -> list[Part]:
    return [
        Part(Ellipsoid((0, 2.335, 0.660), (0.052, 0.055, 0.070)), SKIN, 0.03),
        Part(Tube(((0, 2.335, 0.705, 0.046, 0.026), (0, 2.318, 0.775, 0.040, 0.018), (0, 2.298, 0.835, 0.022, 0.012))), BEAK, 0.008),
        Part(Tube(((0, 2.300, 0.695, 0.040, 0.020), (0, 2.286, 0.765, 0.034, 0.012), (0, 2.278, 0.815, 0.018, 0.009))), BEAK, 0.004),
        Part(ball((0.040, 2.352, 0.682), 0.0215), DARK, 0.003, True),
        Part(Ellipsoid((0, 2.372, 0.645), (0.046, 0.026, 0.060)), "#8d7466", 0.03),  # crown
    ]


def _joints() -> list[Joint]:
    neck = [tuple(p) for p in NECK.curve(np.array([0.55, 1.4, 2.4, 3.4, 4.9])).tolist()]
    neck[-1] = (0, 2.31, 0.635)
    wing = [tuple(p) for p in WING.curve(np.array([0.25, 1.3, 2.85])).tolist()]
    names = [f"neck_{i + 1}" for i in range(4)]
    return [
        Joint("pelvis", "", (0, 1.18, -0.22), (0, 1.18, 0.02), "pelvis"),
        Joint("spine", "pelvis", (0, 1.18, 0.02), (0, 1.22, 0.24), "spine"),
        Joint("chest", "spine", (0, 1.22, 0.24), neck[0], "chest"),
        *(Joint(name, ("chest", *names)[i], neck[i], neck[i + 1], "neck") for i, name in enumerate(names)),
        Joint("head", "neck_4", neck[-1], (0, 2.318, 0.79), "head"),
        Joint("jaw", "head", (0, 2.303, 0.690), (0, 2.284, 0.785), "jaw"),
        Joint("left_wing_upper", "chest", wing[0], wing[1], "left_wing_upper"),
        Joint("left_wing_lower", "left_wing_upper", wing[1], wing[2], "left_wing_lower"),
        Joint("tail_1", "pelvis", (0, 1.24, -0.42), (0, 1.295, -0.62), "tail"),
        Joint("tail_2", "tail_1", (0, 1.295, -0.62), (0, 1.17, -0.86), "tail"),
        Joint("left_hind_upper", "pelvis", (0.11, 1.14, -0.08), (0.158, 0.86, 0.125), "left_hind_upper"),
        Joint("left_hind_lower", "left_hind_upper", (0.158, 0.86, 0.125), (0.150, 0.485, -0.120), "left_hind_lower"),
        Joint("left_hind_foot", "left_hind_lower", (0.150, 0.485, -0.120), (0.150, 0.060, 0.015), "left_hind_foot"),
        Joint("left_hind_toe", "left_hind_foot", (0.150, 0.060, 0.015), (0.144, 0.022, 0.20), "left_hind_foot"),
    ]


def _plumes(s: Surface) -> np.ndarray:
    """White quills at the rear of the wing, in strands."""
    x, y, z = s.points.T
    on = ramp(WING.distance(s.points), 0.03, 0.01) * ramp(z - 0.9 * (y - 1.1), -0.13, -0.20)
    return on * (0.75 + 0.25 * bands((y - 0.35 * z) / 0.05, 0.5))


def _feathers(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    body = ramp(y, 0.8, 0.9) * ramp(z, 0.45, 0.3)
    return 0.35 * body * bands((z + 0.5 * y) / 0.09 + 0.6 * s.noise(0.10, 4), 0.3)


def _collar(s: Surface) -> np.ndarray:
    """Where the down of the breast gives way to the bare neck."""
    along = (s.points[:, 1] - 1.42) + 0.7 * (s.points[:, 2] - 0.45)
    return ramp(along, 0.03, -0.02) * ramp(s.points[:, 1], 1.00, 1.05)


def _paints() -> list[Paint]:
    eye = (0.040, 2.352, 0.682)
    return [
        Paint(BLACK, _collar),
        Paint(WHITE, lambda s: s.near(TAIL, 0.03) * ramp(s.points[:, 2], -0.50, -0.60)),
        Paint("#5a5254", _feathers),
        Paint("#bdb5aa", lambda s: 0.6 * s.near(TAIL, 0.03) * ramp(s.points[:, 2], -0.55, -0.65) * bands(s.points[:, 0] / 0.05, 0.3)),
        Paint(WHITE, _plumes),
        Paint(BLACK, lambda s: ramp(s.points[:, 1], 0.985, 1.015) * ramp(s.points[:, 0], 0.30, 0.28) * ramp(s.points[:, 1], 1.10, 1.05)),
        spot(WHITE, ball(eye, 0.0225), 0.005),
        spot(DARK, ball((0.044, 2.353, 0.686), 0.0185), 0.004),
        spot(DARK, ball((0.019, 2.331, 0.795), 0.004), 0.004),
        Paint("#c2726a", lambda s: ramp(np.abs(s.points[:, 1] - 0.485), 0.07, 0.02) * ramp(s.points[:, 2], 0.0, -0.05)),
    ]
