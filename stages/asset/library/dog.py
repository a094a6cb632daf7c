"""A tricolour hound: 0.58 m at the withers, black saddle, brown head, white legs and tail tip, red collar."""

from __future__ import annotations

import numpy as np

from . import quadruped
from .sdf import Disc, Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Paint, Surface, ramp, spot

BROWN, BLACK, WHITE, RED, PINK, EAR_BROWN = "#b06a2f", "#231c1a", "#f4efe6", "#c8202c", "#d98a86", "#7d4420"

TAIL = Tube(
    (
        (0, 0.485, -0.31, 0.034, 0.034),
        (0, 0.540, -0.40, 0.026, 0.026),
        (0, 0.630, -0.455, 0.023, 0.023),
        (0, 0.725, -0.455, 0.020, 0.020),
        (0, 0.790, -0.415, 0.011, 0.011),
    )
)
COLLAR = Disc((0, 0.553, 0.326), (0.069, 0.083), 0.013, (48, 0, 90))
EAR = Disc((0.084, 0.645, 0.413), (0.076, 0.042), 0.010, (-6, 8, 12))
LENSES = (
    Lens((0, 0.60, 0.41), 0.36, 1.55, 0.62),
    Lens((0, 0.66, 0.54), 0.13, 1.5, 0.3),
    Lens((0.08, 0.03, 0.22), 0.078, 1.4),
    Lens((0.08, 0.03, -0.29), 0.078, 1.4),
)


def animal() -> Animal:
    """The recipe."""
    return Animal("dog", "quadruped", [*_trunk(), *_legs(), *_head()], _joints(), _paints(), 0.0162, LENSES, color_blend=0.006)


def _trunk() -> list[Part]:
    torso = Tube(
        (
            (0, 0.425, -0.345, 0.055, 0.065),
            (0, 0.435, -0.26, 0.083, 0.100),
            (0, 0.432, -0.09, 0.082, 0.103),
            (0, 0.410, 0.08, 0.096, 0.145),
            (0, 0.402, 0.20, 0.090, 0.158),
            (0, 0.420, 0.285, 0.065, 0.115),
        )
    )
    neck = Tube(((0, 0.455, 0.22, 0.070, 0.100), (0, 0.545, 0.32, 0.058, 0.074), (0, 0.635, 0.405, 0.055, 0.062)))
    return [
        Part(torso, WHITE),
        Part(neck, BROWN, 0.05),
        Part(Ellipsoid((0.060, 0.445, 0.19), (0.036, 0.095, 0.065), (-20, 0, 0)), WHITE, 0.04, True),
        Part(TAIL, BLACK, 0.03),
    ]


def _legs() -> list[Part]:
    return [
        Part(Tube(((0.070, 0.395, 0.225, 0.036, 0.068), (0.078, 0.290, 0.172, 0.031, 0.044)), steps=1), WHITE, 0.04, True),
        Part(Tube(((0.078, 0.300, 0.168, 0.032, 0.045), (0.080, 0.200, 0.178, 0.027, 0.031), (0.080, 0.100, 0.188, 0.024, 0.026))), WHITE, 0.02, True),
        Part(cone((0.080, 0.105, 0.188), (0.080, 0.040, 0.200), 0.025, 0.027), WHITE, 0.015, True),
        Part(Ellipsoid((0.080, 0.026, 0.222), (0.034, 0.028, 0.046)), WHITE, 0.025, True),
        Part(ball((0.067, 0.020, 0.252), 0.016), WHITE, 0.008, True),
        Part(ball((0.093, 0.020, 0.252), 0.016), WHITE, 0.008, True),
        # hind
        Part(Tube(((0.055, 0.450, -0.275, 0.050, 0.098), (0.078, 0.375, -0.245, 0.047, 0.080), (0.083, 0.295, -0.205, 0.034, 0.046))), WHITE, 0.04, True),
        Part(Tube(((0.083, 0.305, -0.210, 0.035, 0.050), (0.081, 0.235, -0.270, 0.028, 0.037), (0.080, 0.158, -0.338, 0.021, 0.026))), WHITE, 0.025, True),
        Part(cone((0.080, 0.158, -0.340), (0.080, 0.040, -0.315), 0.026, 0.026), WHITE, 0.012, True),
        Part(Ellipsoid((0.080, 0.025, -0.290), (0.033, 0.027, 0.046)), WHITE, 0.025, True),
        Part(ball((0.067, 0.019, -0.260), 0.016), WHITE, 0.008, True),
        Part(ball((0.093, 0.019, -0.260), 0.016), WHITE, 0.008, True),
    ]


def _head() -> list[Part]:
    return [
        Part(Ellipsoid((0, 0.668, 0.435), (0.068, 0.064, 0.080)), BROWN, 0.03),
        Part(Tube(((0, 0.652, 0.480, 0.046, 0.044), (0, 0.641, 0.540, 0.038, 0.037), (0, 0.636, 0.580, 0.034, 0.033))), WHITE, 0.025),
        Part(Ellipsoid((0.020, 0.620, 0.557), (0.023, 0.028, 0.042)), WHITE, 0.012, True),  # flews
        Part(Tube(((0, 0.606, 0.465, 0.038, 0.024), (0, 0.594, 0.553, 0.024, 0.016)), steps=1), WHITE, 0.015),  # jaw
        Part(Ellipsoid((0, 0.656, 0.609), (0.020, 0.015, 0.014)), BLACK, 0.006),
        Part(Ellipsoid((0.034, 0.705, 0.492), (0.018, 0.014, 0.020)), BROWN, 0.015, True),  # brow
        Part(ball((0.038, 0.684, 0.500), 0.0150), BROWN, 0.002, True),
        Part(EAR, EAR_BROWN, 0.012, True),
        Part(COLLAR, RED, 0.005),
    ]


def _joints() -> list:
    tail = [tuple(p) for p in TAIL.curve(np.array([0.25, 1.4, 2.6, 3.9])).tolist()]
    return quadruped.skeleton(
        {
            "trunk": [(0, 0.465, -0.255), (0, 0.462, -0.09), (0, 0.455, 0.075), (0, 0.470, 0.22)],
            "neck": [(0, 0.480, 0.235), (0, 0.640, 0.400), (0, 0.640, 0.600)],
            "jaw": [(0, 0.622, 0.440), (0, 0.597, 0.560)],
            "tail": tail,
            "fore": [(0.058, 0.520, 0.165), (0.070, 0.395, 0.250), (0.078, 0.296, 0.165), (0.080, 0.110, 0.188), (0.080, 0.020, 0.245)],
            "hind": [(0.055, 0.460, -0.265), (0.083, 0.303, -0.205), (0.080, 0.155, -0.338), (0.080, 0.020, -0.295)],
        }
    )


def _saddle(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    edge = 0.435 + 0.010 * s.noise(0.10, 3) - 0.045 * ramp(np.abs(z), 0.17, 0.02)
    return ramp(y, edge - 0.010, edge + 0.010) * ramp(z + 0.25 * (y - 0.45), 0.225, 0.195)


def _tan(s: Surface) -> np.ndarray:
    """Brown shoulders and thighs between the saddle and the white legs."""
    x, y, z = s.points.T
    thigh = s.near(Ellipsoid((0.09, 0.40, -0.25), (0.07, 0.10, 0.10)), 0.03)
    shoulder = s.near(Ellipsoid((0.09, 0.44, 0.20), (0.06, 0.10, 0.09)), 0.03)
    return np.maximum(thigh, shoulder)


def _blaze(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    return ramp(x, 0.018, 0.010) * ramp(z, 0.44, 0.47) * ramp(y, 0.60, 0.62)


def _throat(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    forward = ramp(s.normals[:, 2] - s.normals[:, 1], 0.7, 1.1)
    return forward * ramp(z, 0.20, 0.26) * ramp(x, 0.07, 0.055) * ramp(y, 0.62, 0.58)


def _paints() -> list[Paint]:
    eye = (0.038, 0.684, 0.500)
    return [
        Paint(BROWN, _tan),
        Paint(BLACK, _saddle),
        Paint(WHITE, lambda s: s.near(TAIL, 0.02) * ramp(s.points[:, 1], 0.68, 0.71)),
        Paint(WHITE, _throat),
        Paint(WHITE, _blaze),
        Paint(RED, lambda s: s.near(COLLAR, 0.005)),
        spot("#4a2a18", ball(eye, 0.0155), 0.004),
        spot(BLACK, ball((0.040, 0.685, 0.507), 0.0105), 0.004),
        spot("#fbf6ee", ball((0.043, 0.692, 0.512), 0.0025), 0.003),
        spot(BLACK, Ellipsoid((0, 0.658, 0.612), (0.019, 0.013, 0.014)), 0.004),
        spot("#5d4a44", Ellipsoid((0, 0.6035, 0.57), (0.05, 0.002, 0.06)), 0.005),
    ]
