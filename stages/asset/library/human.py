"""A human: 1.75 m, arms 45 degrees away from the body, t-shirt, jeans, trainers."""

from __future__ import annotations

import numpy as np

from .sdf import Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Joint, Paint, ramp, spot

SKIN, SHIRT, JEANS, SHOE, SOLE, HAIR, LIP, DARK, WHITE = (
    "#dba583", "#2f8f83", "#2e4470", "#d9d4cb", "#f5f3ee", "#43291a", "#b5655a", "#1a1412", "#f7f4f0",
)  # fmt: skip

SHOULDER, ELBOW, WRIST, KNUCKLE = (0.180, 1.415, -0.015), (0.368, 1.222, -0.030), (0.545, 1.042, 0.010), (0.605, 0.982, 0.027)
HAND_SIDE = (0.12, -0.12, 1.0)
LENSES = (Lens((0, 1.63, 0.04), 0.55, 2.3, 0.45), Lens((0, 1.63, 0.09), 0.20, 1.6, 0.5), Lens((0.625, 0.960, 0.03), 0.25, 2.6, 0.45))


def animal() -> Animal:
    """The recipe."""
    return Animal("human", "biped", [*_torso(), *_legs(), *_arms(), *_head()], _joints(), _paints(), 0.026, LENSES, color_blend=0.006)


def _torso() -> list[Part]:
    return [
        Part(Tube(((0, 0.90, -0.005, 0.150, 0.108), (0, 0.955, -0.008, 0.158, 0.110), (0, 0.990, -0.003, 0.140, 0.095))), JEANS),
        Part(
            Tube(
                (
                    (0, 0.965, -0.004, 0.172, 0.124),
                    (0, 1.10, 0.002, 0.141, 0.098),
                    (0, 1.24, 0.004, 0.152, 0.106),
                    (0, 1.35, -0.002, 0.170, 0.108),
                    (0, 1.43, -0.018, 0.118, 0.074),
                )
            ),
            SHIRT,
            0.02,
        ),
        Part(Ellipsoid((0.075, 1.315, 0.055), (0.085, 0.060, 0.052)), SHIRT, 0.05, True),  # chest
        Part(Tube(((0.04, 1.455, -0.022, 0.055, 0.050), (0.170, 1.420, -0.018, 0.060, 0.060)), side=(0, 0, 1), steps=1), SHIRT, 0.03, True),
        Part(Ellipsoid((0.075, 0.92, -0.045), (0.080, 0.085, 0.070)), JEANS, 0.04, True),  # seat
        Part(cone((0, 1.43, -0.018), (0, 1.57, -0.004), 0.056, 0.050), SKIN, 0.03),
    ]


def _legs() -> list[Part]:
    thigh = Tube(((0.090, 0.90, 0.000, 0.084, 0.098), (0.108, 0.72, 0.010, 0.074, 0.085), (0.122, 0.51, 0.016, 0.057, 0.064)))
    shin = Tube(((0.122, 0.52, 0.015, 0.057, 0.064), (0.132, 0.38, -0.012, 0.055, 0.064), (0.142, 0.10, -0.024, 0.050, 0.056)))
    return [
        Part(thigh, JEANS, 0.02, True),
        Part(shin, JEANS, 0.02, True),
        Part(Tube(((0.144, 0.075, -0.028, 0.043, 0.052), (0.152, 0.052, 0.070, 0.046, 0.042), (0.158, 0.036, 0.150, 0.042, 0.032))), SHOE, 0.02, True),
        Part(Tube(((0.144, 0.012, -0.040, 0.044, 0.022), (0.152, 0.012, 0.070, 0.048, 0.022), (0.158, 0.012, 0.155, 0.044, 0.020))), SOLE, 0.004, True),
    ]


def _arms() -> list[Part]:
    hand_end = (0.622, 0.965, 0.032)
    parts = [
        Part(Tube(((0.192, 1.408, -0.015, 0.068, 0.066), (0.285, 1.307, -0.022, 0.058, 0.058)), side=(0, 0, 1), steps=1), SHIRT, 0.04, True),
        Part(Tube(((0.25, 1.343, -0.020, 0.045, 0.045), (*ELBOW, 0.039, 0.039)), side=(0, 0, 1), steps=1), SKIN, 0.0, True),
        Part(Tube(((*ELBOW, 0.039, 0.040), (0.44, 1.148, -0.018, 0.040, 0.036), (*WRIST, 0.028, 0.022)), side=(0, 0, 1)), SKIN, 0.02, True),
        Part(Tube(((*WRIST, 0.030, 0.021), (0.580, 1.006, 0.020, 0.041, 0.019), (*hand_end, 0.041, 0.015)), side=HAND_SIDE), SKIN, 0.02, True),
        Part(Tube(((0.565, 1.030, 0.045, 0.013, 0.013), (0.590, 1.000, 0.075, 0.013, 0.013), (0.612, 0.968, 0.092, 0.010, 0.010))), SKIN, 0.012, True),
    ]
    along = np.array([0.70, -0.71, 0.08])
    for reach, across in ((0.084, 0.034), (0.096, 0.0115), (0.092, -0.0115), (0.074, -0.034)):
        root = np.array(KNUCKLE) + across * np.array(HAND_SIDE)
        middle, tip = (root + share * reach * along + 0.55 * share * across * np.array(HAND_SIDE) for share in (0.6, 1.0))
        stations = tuple((*map(float, point), r, r) for point, r in ((root, 0.0115), (middle, 0.0105), (tip - (0.010, 0.008, 0), 0.0085)))
        parts.append(Part(Tube(stations), SKIN, 0.005, True))
    return parts


def _head() -> list[Part]:
    return [
        Part(Ellipsoid((0, 1.670, 0.000), (0.075, 0.098, 0.094)), SKIN, 0.015),
        Part(Ellipsoid((0, 1.612, 0.034), (0.058, 0.070, 0.060)), SKIN, 0.03),  # face
        Part(Tube(((0, 1.572, 0.036, 0.038, 0.024), (0, 1.561, 0.078, 0.021, 0.019)), steps=1), SKIN, 0.025),  # chin
        Part(Tube(((0, 1.658, 0.088, 0.009, 0.009), (0, 1.623, 0.106, 0.0125, 0.0125)), steps=1), SKIN, 0.010),  # nose
        Part(ball((0.011, 1.619, 0.098), 0.009), SKIN, 0.008, True),
        Part(Ellipsoid((0.030, 1.672, 0.083), (0.020, 0.008, 0.012)), SKIN, 0.012, True),  # brow
        Part(Ellipsoid((0, 1.588, 0.090), (0.022, 0.010, 0.012)), SKIN, 0.006),  # lips
        Part(ball((0.031, 1.652, 0.078), 0.0125), SKIN, 0.004, True),
        Part(Ellipsoid((0.080, 1.640, 0.000), (0.012, 0.030, 0.019), (0, 18, 0)), SKIN, 0.004, True),  # ear
        Part(Ellipsoid((0, 1.700, -0.022), (0.086, 0.086, 0.098)), HAIR, 0.0),
        Part(Ellipsoid((0, 1.650, -0.050), (0.077, 0.085, 0.060)), HAIR, 0.02),
        Part(Ellipsoid((0.034, 1.752, 0.035), (0.046, 0.026, 0.052), (-12, 0, -18)), HAIR, 0.03, True),  # fringe
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
        Joint("left_thigh", "pelvis", (0.090, 0.920, 0.0), (0.122, 0.505, 0.018), "left_hind_upper"),
        Joint("left_shin", "left_thigh", (0.122, 0.505, 0.018), (0.143, 0.085, -0.028), "left_hind_lower"),
        Joint("left_foot", "left_shin", (0.143, 0.085, -0.028), (0.158, 0.030, 0.165), "left_hind_foot"),
    ]


def _paints() -> list[Paint]:
    return [
        spot(LIP, Ellipsoid((0, 1.588, 0.096), (0.020, 0.004, 0.040)), 0.005),
        spot("#7d573f", Ellipsoid((0.032, 1.675, 0.090), (0.0150, 0.0020, 0.04), (0, 0, -4)), 0.005),
        spot(WHITE, Ellipsoid((0.031, 1.652, 0.088), (0.0110, 0.0045, 0.030)), 0.003),
        spot("#3b2a1e", Ellipsoid((0.031, 1.652, 0.090), (0.0045, 0.0048, 0.030)), 0.003),
        Paint(SOLE, lambda s: ramp(s.points[:, 1], 0.030, 0.024)),
        Paint("#b5483a", lambda s: s.near(Ellipsoid((0.198, 0.055, 0.06), (0.02, 0.010, 0.05)), 0.008)),
    ]
