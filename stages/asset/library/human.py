"""A human: 1.75 m, arms 45 degrees away from the body, t-shirt, jeans, trainers."""

from __future__ import annotations

import numpy as np

from .sdf import Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Joint, Paint, Surface, ramp, spot

SKIN, SHIRT, JEANS, SHOE, SOLE, HAIR, LIP, DARK, WHITE = (
    "#dba583", "#2f8f83", "#2e4470", "#d9d4cb", "#f5f3ee", "#43291a", "#b5655a", "#1a1412", "#f7f4f0",
)  # fmt: skip

SHOULDER, ELBOW, WRIST, KNUCKLE = (0.180, 1.415, -0.015), (0.368, 1.222, -0.030), (0.545, 1.042, 0.010), (0.605, 0.982, 0.027)
HAND_SIDE = (0.12, -0.12, 1.0)
LENSES = (Lens((0, 1.635, 0.03), 0.24, 2.1), Lens((0.62, 0.965, 0.03), 0.20, 2.1))


def animal() -> Animal:
    """The recipe."""
    return Animal("human", "biped", [*_torso(), *_legs(), *_arms(), *_head()], _joints(), _paints(), 0.0222, LENSES, color_blend=0.006)


def _torso() -> list[Part]:
    return [
        Part(Tube(((0, 0.90, -0.005, 0.150, 0.108), (0, 0.975, -0.008, 0.160, 0.112), (0, 1.03, -0.003, 0.146, 0.100))), JEANS),
        Part(
            Tube(
                (
                    (0, 0.985, -0.004, 0.155, 0.108),
                    (0, 1.10, 0.002, 0.137, 0.096),
                    (0, 1.24, 0.004, 0.152, 0.106),
                    (0, 1.35, -0.002, 0.162, 0.106),
                    (0, 1.43, -0.018, 0.118, 0.074),
                )
            ),
            SHIRT,
            0.02,
        ),
        Part(Ellipsoid((0.075, 1.315, 0.055), (0.085, 0.060, 0.052)), SHIRT, 0.05, True),  # chest
        Part(Tube(((0.04, 1.455, -0.022, 0.055, 0.050), (0.150, 1.428, -0.018, 0.056, 0.060)), side=(0, 0, 1), steps=1), SHIRT, 0.04, True),
        Part(Ellipsoid((0.075, 0.92, -0.055), (0.085, 0.085, 0.075)), JEANS, 0.04, True),  # seat
        Part(cone((0, 1.43, -0.015), (0, 1.56, 0.005), 0.056, 0.052), SKIN, 0.03),
    ]


def _legs() -> list[Part]:
    thigh = Tube(((0.092, 0.90, 0.000, 0.086, 0.098), (0.102, 0.72, 0.010, 0.075, 0.085), (0.108, 0.51, 0.016, 0.058, 0.064)))
    shin = Tube(((0.108, 0.52, 0.015, 0.058, 0.064), (0.112, 0.38, -0.012, 0.056, 0.064), (0.116, 0.10, -0.024, 0.050, 0.056)))
    return [
        Part(thigh, JEANS, 0.02, True),
        Part(shin, JEANS, 0.02, True),
        Part(Tube(((0.118, 0.075, -0.028, 0.043, 0.052), (0.124, 0.052, 0.070, 0.046, 0.042), (0.128, 0.036, 0.150, 0.042, 0.032))), SHOE, 0.02, True),
        Part(Tube(((0.118, 0.012, -0.040, 0.044, 0.022), (0.124, 0.012, 0.070, 0.048, 0.022), (0.128, 0.012, 0.155, 0.044, 0.020))), SOLE, 0.004, True),
    ]


def _arms() -> list[Part]:
    hand_end = (0.622, 0.965, 0.032)
    parts = [
        Part(Tube(((*SHOULDER, 0.066, 0.066), (0.280, 1.312, -0.022, 0.060, 0.060)), side=(0, 0, 1), steps=1), SHIRT, 0.04, True),
        Part(Tube(((0.25, 1.343, -0.020, 0.045, 0.045), (*ELBOW, 0.039, 0.039)), side=(0, 0, 1), steps=1), SKIN, 0.0, True),
        Part(Tube(((*ELBOW, 0.039, 0.040), (0.44, 1.148, -0.018, 0.040, 0.036), (*WRIST, 0.028, 0.022)), side=(0, 0, 1)), SKIN, 0.02, True),
        Part(Tube(((*WRIST, 0.030, 0.021), (0.580, 1.006, 0.020, 0.041, 0.019), (*hand_end, 0.041, 0.015)), side=HAND_SIDE), SKIN, 0.02, True),
        Part(Tube(((0.565, 1.030, 0.045, 0.013, 0.013), (0.590, 1.000, 0.075, 0.013, 0.013), (0.612, 0.968, 0.092, 0.010, 0.010))), SKIN, 0.012, True),
    ]
    along = np.array([0.70, -0.71, 0.08])
    for reach, across in ((0.076, 0.036), (0.088, 0.012), (0.083, -0.012), (0.066, -0.035)):
        root = np.array(KNUCKLE) + across * np.array([0.12, -0.12, 1.0])
        middle, tip = root + 0.6 * reach * along, root + reach * along + (-0.012, -0.010, 0.002)
        stations = tuple((*map(float, point), r, r) for point, r in ((root, 0.0120), (middle, 0.0112), (tip, 0.0095)))
        parts.append(Part(Tube(stations), SKIN, 0.005, True))
    return parts


def _head() -> list[Part]:
    return [
        Part(Ellipsoid((0, 1.665, 0.000), (0.076, 0.098, 0.094)), SKIN, 0.03),
        Part(Ellipsoid((0, 1.610, 0.032), (0.060, 0.078, 0.062)), SKIN, 0.03),  # face
        Part(Tube(((0, 1.570, 0.040, 0.036, 0.026), (0, 1.560, 0.074, 0.022, 0.020)), steps=1), SKIN, 0.025),  # chin
        Part(Tube(((0, 1.655, 0.090, 0.010, 0.010), (0, 1.622, 0.112, 0.013, 0.013)), steps=1), SKIN, 0.010),  # nose
        Part(ball((0.012, 1.618, 0.100), 0.010), SKIN, 0.008, True),
        Part(Ellipsoid((0.030, 1.672, 0.083), (0.020, 0.008, 0.012)), SKIN, 0.012, True),  # brow
        Part(Ellipsoid((0, 1.588, 0.090), (0.022, 0.010, 0.012)), SKIN, 0.006),  # lips
        Part(ball((0.030, 1.652, 0.080), 0.0125), WHITE, 0.002, True),
        Part(Ellipsoid((0.079, 1.640, -0.002), (0.011, 0.030, 0.018), (0, 15, 0)), SKIN, 0.006, True),  # ear
        Part(Ellipsoid((0, 1.700, -0.022), (0.086, 0.086, 0.098)), HAIR, 0.0),
        Part(Ellipsoid((0, 1.645, -0.050), (0.078, 0.090, 0.062)), HAIR, 0.02),
        Part(Ellipsoid((0.030, 1.752, 0.055), (0.050, 0.026, 0.040), (-20, 0, -15)), HAIR, 0.02, True),  # fringe
    ]


def _joints() -> list[Joint]:
    return [
        Joint("pelvis", "", (0, 0.960, 0), (0, 1.060, 0.0), "pelvis"),
        Joint("spine", "pelvis", (0, 1.060, 0.0), (0, 1.230, 0.0), "spine"),
        Joint("chest", "spine", (0, 1.230, 0.0), (0, 1.445, -0.015), "chest"),
        Joint("neck", "chest", (0, 1.460, -0.015), (0, 1.570, 0.005), "neck"),
        Joint("head", "neck", (0, 1.570, 0.005), (0, 1.750, 0.010), "head"),
        Joint("left_clavicle", "chest", (0.030, 1.430, -0.015), SHOULDER, "left_arm_shoulder"),
        Joint("left_arm_upper", "left_clavicle", SHOULDER, ELBOW, "left_arm_upper"),
        Joint("left_arm_lower", "left_arm_upper", ELBOW, WRIST, "left_arm_lower"),
        Joint("left_hand", "left_arm_lower", WRIST, (0.655, 0.932, 0.035), "left_arm_foot"),
        Joint("left_thigh", "pelvis", (0.092, 0.920, 0.0), (0.108, 0.505, 0.018), "left_hind_upper"),
        Joint("left_shin", "left_thigh", (0.108, 0.505, 0.018), (0.117, 0.085, -0.028), "left_hind_lower"),
        Joint("left_foot", "left_shin", (0.117, 0.085, -0.028), (0.128, 0.030, 0.165), "left_hind_foot"),
    ]


def _hair(s: Surface) -> np.ndarray:
    """Scalp colour where skin shows between the locks, above ear and hairline."""
    x, y, z = s.points.T
    return ramp(y + 0.9 * np.minimum(0.03 - z, 0.08), 1.715, 1.728) * ramp(y, 1.50, 1.52) * ramp(x, 0.12, 0.11)


def _paints() -> list[Paint]:
    return [
        Paint(HAIR, _hair),
        Paint("#253759", lambda s: ramp(np.abs(s.points[:, 1] - 1.012), 0.016, 0.008) * ramp(s.points[:, 0], 0.25, 0.24)),
        spot(LIP, Ellipsoid((0, 1.588, 0.096), (0.020, 0.0045, 0.014)), 0.004),
        spot(HAIR, Ellipsoid((0.031, 1.677, 0.090), (0.018, 0.003, 0.02), (0, 0, 4)), 0.005),
        spot(WHITE, Ellipsoid((0.030, 1.652, 0.088), (0.011, 0.006, 0.012)), 0.004),
        spot("#3b2a1e", ball((0.030, 1.652, 0.094), 0.0045), 0.004),
        Paint(SOLE, lambda s: ramp(s.points[:, 1], 0.030, 0.024)),
        Paint("#b5483a", lambda s: s.near(Ellipsoid((0.170, 0.055, 0.06), (0.02, 0.012, 0.05)), 0.008)),
    ]
