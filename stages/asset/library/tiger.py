"""A tiger: 0.95 m at the shoulder, head low, long tail."""

from __future__ import annotations

import numpy as np

from . import quadruped
from .sdf import Disc, Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Paint, Surface, bands, ramp, spot

ORANGE, WHITE, BLACK, PINK, AMBER = "#e08a2c", "#f6eddc", "#1c1512", "#c9766c", "#e8b020"

TAIL = Tube(
    (
        (0, 0.80, -0.58, 0.055, 0.060),
        (0, 0.70, -0.76, 0.042, 0.042),
        (0, 0.46, -0.90, 0.036, 0.036),
        (0, 0.29, -1.08, 0.034, 0.034),
        (0, 0.31, -1.26, 0.030, 0.030),
        (0, 0.38, -1.36, 0.020, 0.020),
    )
)


def animal() -> Animal:
    """The recipe."""
    return Animal("tiger", "quadruped", [*_trunk(), *_legs(), *_head()], _joints(), _paints(), 0.028, LENSES, color_blend=0.012)


LENSES = (Lens((0, 1.0, 0.88), 0.65, 1.8, 0.5), Lens((0, 1.0, 0.95), 0.16, 1.4, 0.3))


def _trunk() -> list[Part]:
    torso = Tube(
        (
            (0, 0.70, -0.66, 0.085, 0.10),
            (0, 0.73, -0.54, 0.135, 0.165),
            (0, 0.715, -0.25, 0.148, 0.175),
            (0, 0.69, 0.05, 0.165, 0.205),
            (0, 0.68, 0.32, 0.165, 0.235),
            (0, 0.72, 0.50, 0.125, 0.175),
        )
    )
    neck = Tube(((0, 0.77, 0.40, 0.115, 0.17), (0, 0.86, 0.60, 0.10, 0.145), (0, 0.95, 0.76, 0.10, 0.12)))
    return [
        Part(torso, ORANGE),
        Part(neck, ORANGE, 0.10),
        Part(Ellipsoid((0.105, 0.76, 0.36), (0.060, 0.175, 0.12), (-12, 0, 0)), ORANGE, 0.07, True),
        Part(TAIL, ORANGE, 0.05),
    ]


def _legs() -> list[Part]:
    return [
        # fore: upper arm, forearm, wrist, paw
        Part(Tube(((0.115, 0.66, 0.44, 0.065, 0.13), (0.122, 0.48, 0.37, 0.056, 0.078)), steps=1), ORANGE, 0.08, True),
        Part(Tube(((0.122, 0.50, 0.365, 0.062, 0.086), (0.124, 0.32, 0.385, 0.056, 0.068), (0.125, 0.15, 0.40, 0.048, 0.053))), ORANGE, 0.03, True),
        Part(cone((0.125, 0.16, 0.40), (0.125, 0.07, 0.42), 0.050, 0.052), ORANGE, 0.02, True),
        Part(Ellipsoid((0.125, 0.042, 0.462), (0.062, 0.046, 0.085)), ORANGE, 0.04, True),
        Part(cone((0.105, 0.034, 0.50), (0.102, 0.028, 0.532), 0.028, 0.022), ORANGE, 0.012, True),
        Part(cone((0.146, 0.034, 0.50), (0.149, 0.028, 0.532), 0.028, 0.022), ORANGE, 0.012, True),
        # hind: thigh, shin, metatarsus, paw
        Part(Tube(((0.085, 0.73, -0.50, 0.085, 0.17), (0.125, 0.58, -0.43, 0.075, 0.135), (0.135, 0.45, -0.36, 0.056, 0.075))), ORANGE, 0.06, True),
        Part(Tube(((0.135, 0.47, -0.37, 0.058, 0.080), (0.13, 0.37, -0.465, 0.053, 0.072), (0.125, 0.255, -0.575, 0.045, 0.050))), ORANGE, 0.04, True),
        Part(cone((0.125, 0.255, -0.575), (0.125, 0.07, -0.525), 0.049, 0.047), ORANGE, 0.02, True),
        Part(Ellipsoid((0.125, 0.040, -0.485), (0.058, 0.043, 0.085)), ORANGE, 0.04, True),
        Part(cone((0.106, 0.032, -0.45), (0.103, 0.027, -0.415), 0.026, 0.021), ORANGE, 0.012, True),
        Part(cone((0.145, 0.032, -0.45), (0.148, 0.027, -0.415), 0.026, 0.021), ORANGE, 0.012, True),
    ]


def _head() -> list[Part]:
    return [
        Part(Ellipsoid((0, 0.995, 0.83), (0.118, 0.118, 0.135)), ORANGE, 0.06),
        Part(Ellipsoid((0.075, 0.955, 0.81), (0.068, 0.090, 0.070), (0, 0, 20)), WHITE, 0.04, True),  # ruff
        Part(Tube(((0, 1.005, 0.90, 0.060, 0.055), (0, 0.985, 0.995, 0.040, 0.036)), steps=1), ORANGE, 0.04),  # bridge
        Part(Ellipsoid((0.034, 0.945, 0.985), (0.045, 0.040, 0.050)), WHITE, 0.025, True),  # muzzle
        Part(Tube(((0, 0.905, 0.88, 0.060, 0.035), (0, 0.900, 0.975, 0.040, 0.030)), steps=1), WHITE, 0.02),  # jaw
        Part(Ellipsoid((0, 0.981, 1.026), (0.030, 0.020, 0.018)), WHITE, 0.012),
        Part(Ellipsoid((0.056, 1.03, 0.918), (0.030, 0.018, 0.030), (0, 0, 10)), ORANGE, 0.02, True),  # brow
        Part(ball((0.057, 1.012, 0.931), 0.026), AMBER, 0.0, True),
        Part(Disc((0.085, 1.092, 0.795), (0.052, 0.052), 0.018, (-10, -70, 0)), ORANGE, 0.02, True),
    ]


def _joints() -> list:
    return quadruped.skeleton(
        {
            "trunk": [(0, 0.78, -0.48), (0, 0.77, -0.17), (0, 0.76, 0.14), (0, 0.78, 0.44)],
            "neck": [(0, 0.79, 0.46), (0, 0.95, 0.75), (0, 0.97, 1.00)],
            "jaw": [(0, 0.935, 0.83), (0, 0.905, 0.97)],
            "tail": [tuple(p) for p in TAIL.curve(np.array([0.2, 1.35, 2.4, 3.5, 4.9])).tolist()],
            "fore": [(0.09, 0.84, 0.34), (0.115, 0.64, 0.46), (0.122, 0.49, 0.36), (0.125, 0.17, 0.40), (0.125, 0.035, 0.50)],
            "hind": [(0.085, 0.74, -0.49), (0.132, 0.47, -0.36), (0.125, 0.25, -0.57), (0.125, 0.035, -0.485)],
        }
    )


def _flank(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    lean = 0.18 * np.sin(9 * z) * (y - 0.7)
    phase = (z + lean) / 0.098 + 0.55 * s.noise(0.22, 3)
    width = 0.40 * ramp(y, 0.50, 0.74) * (0.75 + 0.5 * s.noise(0.15, 8))
    return bands(phase, width) * ramp(z, 0.66, 0.56) * ramp(z, -0.68, -0.60) * ramp(y, 0.50, 0.60) * ramp(s.normals[:, 1], -0.7, -0.3)


def _limbs(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    phase = (y + 0.25 * np.abs(z + 0.1)) / 0.085 + 0.4 * s.noise(0.12, 5)
    fore = 0.25 * ramp(z, 0.1, 0.2) * ramp(x, 0.11, 0.14)
    width = np.where(z > 0, fore, 0.40 * ramp(x, 0.08, 0.11))
    return bands(phase, width) * ramp(y, 0.62, 0.52) * ramp(y, 0.09, 0.14) * ramp(np.abs(z + 0.1), 0.2, 0.24)


def _tail_phase(s: Surface) -> np.ndarray:
    at = np.linspace(0, 5, 101)
    curve = TAIL.curve(at)
    nearest = np.linalg.norm(s.points[:, None] - curve[None], axis=2).argmin(1)
    return at[nearest]


def _tail_rings(s: Surface) -> np.ndarray:
    at = _tail_phase(s)
    on = ramp(TAIL.distance(s.points), 0.02, 0.005) * ramp(at, 0.35, 0.5)
    return on * np.maximum(bands(at * 2.1, 0.42), ramp(at, 4.5, 4.6))


def _face(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    crown = bands((z - 0.6 * x) / 0.055, 0.36) * ramp(y, 1.035, 1.06) * ramp(x, 0.012, 0.03) * ramp(z, 0.62, 0.68) * ramp(z, 0.95, 0.93)
    cheek = bands((z + 0.5 * y) / 0.06 + 0.3, 0.36) * ramp(x, 0.09, 0.11) * ramp(y, 0.86, 0.88) * ramp(y, 1.02, 1.0) * ramp(z, 0.68, 0.70)
    return np.maximum(crown, cheek)


def _belly(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    under = ramp(s.normals[:, 1], -0.35, -0.75) * ramp(y, 0.38, 0.44)
    inner = ramp(s.normals[:, 0], -0.3, -0.7) * ramp(y, 0.60, 0.5)
    throat = ramp(s.normals[:, 1], -0.1, -0.5) * ramp(z, 0.5, 0.6)
    return np.maximum(np.maximum(under, inner), throat)


def _paints() -> list[Paint]:
    return [
        Paint(WHITE, _belly),
        spot(WHITE, Ellipsoid((0.055, 1.048, 0.925), (0.022, 0.010, 0.03)), 0.012),
        Paint(BLACK, _flank),
        Paint(BLACK, _limbs),
        Paint(BLACK, _tail_rings),
        Paint(BLACK, _face),
        Paint(BLACK, lambda s: s.near(ball((0.085, 1.092, 0.785), 0.06), 0.01) * ramp(s.normals[:, 2], 0.0, -0.3) * ramp(s.points[:, 1], 1.07, 1.09)),
        spot(WHITE, Disc((0.091, 1.098, 0.813), (0.030, 0.030), 0.010, (-10, -70, 0)), 0.006),
        spot(BLACK, ball((0.057, 1.012, 0.931), 0.028), 0.007),
        Paint(AMBER, lambda s: s.near(ball((0.059, 1.013, 0.948), 0.016), 0.008)),
        spot(BLACK, ball((0.062, 1.013, 0.960), 0.008), 0.005),
        spot(PINK, Ellipsoid((0, 0.983, 1.035), (0.024, 0.013, 0.02)), 0.006),
        spot(BLACK, Ellipsoid((0, 0.922, 1.0), (0.05, 0.003, 0.06)), 0.008),
    ]
