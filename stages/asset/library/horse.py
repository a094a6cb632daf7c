"""A bay horse: 1.6 m at the withers, black mane, tail and lower legs, white blaze."""

from __future__ import annotations

import numpy as np

from . import quadruped
from .sdf import Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Paint, Surface, bands, ramp, spot

BAY, DARK, WHITE, HOOF, MUZZLE = "#94552b", "#241a17", "#f2ece0", "#4a4038", "#4d3326"

MANE = Tube(
    (
        (0, 2.03, 1.13, 0.030, 0.045),
        (0, 2.09, 1.05, 0.036, 0.055),
        (0, 2.03, 0.93, 0.056, 0.100),
        (0, 1.87, 0.77, 0.074, 0.125),
        (0, 1.69, 0.60, 0.078, 0.115),
        (0, 1.55, 0.42, 0.040, 0.040),
    )
)
TAIL = Tube(
    (
        (0, 1.42, -0.78, 0.050, 0.050),
        (0, 1.36, -0.92, 0.055, 0.060),
        (0, 1.13, -1.02, 0.075, 0.080),
        (0, 0.82, -1.05, 0.090, 0.095),
        (0, 0.56, -1.04, 0.080, 0.080),
        (0, 0.40, -1.01, 0.030, 0.030),
    )
)
LENSES = (Lens((0, 1.88, 1.18), 1.2, 1.8, 0.55), Lens((0.155, 0.08, 0.50), 0.15, 1.5), Lens((0.155, 0.08, -0.66), 0.15, 1.5))


def animal() -> Animal:
    """The recipe."""
    return Animal("horse", "quadruped", [*_trunk(), *_legs(), *_head()], _joints(), _paints(), 0.041, LENSES, color_blend=0.015)


def _trunk() -> list[Part]:
    torso = Tube(
        (
            (0, 1.26, -0.80, 0.13, 0.15),
            (0, 1.27, -0.64, 0.225, 0.265),
            (0, 1.235, -0.32, 0.235, 0.275),
            (0, 1.195, 0.02, 0.265, 0.315),
            (0, 1.205, 0.36, 0.235, 0.335),
            (0, 1.22, 0.60, 0.155, 0.22),
        )
    )
    neck = Tube(((0, 1.30, 0.46, 0.13, 0.29), (0, 1.53, 0.69, 0.10, 0.225), (0, 1.77, 0.88, 0.082, 0.165), (0, 1.96, 1.02, 0.075, 0.125)))
    return [
        Part(torso, BAY),
        Part(neck, BAY, 0.16),
        Part(Ellipsoid((0, 1.50, 0.34), (0.06, 0.09, 0.22)), BAY, 0.10),  # withers
        Part(Ellipsoid((0.155, 1.24, 0.45), (0.095, 0.27, 0.17), (-25, 0, 0)), BAY, 0.10, True),
        Part(Ellipsoid((0.12, 1.10, 0.62), (0.10, 0.14, 0.11)), BAY, 0.08, True),  # breast
        Part(TAIL, DARK, 0.06),
    ]


def _legs() -> list[Part]:
    return [
        Part(Tube(((0.160, 1.12, 0.53, 0.085, 0.17), (0.165, 0.93, 0.44, 0.075, 0.12)), steps=1), BAY, 0.10, True),
        Part(Tube(((0.165, 0.96, 0.43, 0.080, 0.118), (0.160, 0.74, 0.455, 0.062, 0.084), (0.155, 0.53, 0.475, 0.048, 0.054))), BAY, 0.05, True),
        Part(ball((0.155, 0.505, 0.480), 0.054), BAY, 0.03, True),
        Part(cone((0.155, 0.48, 0.475), (0.155, 0.22, 0.470), 0.043, 0.039), BAY, 0.03, True),
        Part(ball((0.155, 0.20, 0.470), 0.048), BAY, 0.03, True),
        Part(cone((0.155, 0.19, 0.475), (0.155, 0.10, 0.510), 0.042, 0.045), BAY, 0.02, True),
        Part(cone((0.155, 0.08, 0.515), (0.155, 0.015, 0.535), 0.054, 0.072), HOOF, 0.015, True),
        # hind: thigh, gaskin, hock, cannon, hoof
        Part(Tube(((0.125, 1.30, -0.60, 0.125, 0.24), (0.160, 1.10, -0.55, 0.112, 0.21), (0.168, 0.95, -0.48, 0.080, 0.13))), BAY, 0.10, True),
        Part(Tube(((0.166, 0.98, -0.50, 0.082, 0.135), (0.160, 0.80, -0.625, 0.062, 0.088), (0.155, 0.60, -0.745, 0.046, 0.060))), BAY, 0.06, True),
        Part(cone((0.155, 0.625, -0.785), (0.155, 0.565, -0.755), 0.040, 0.050), BAY, 0.04, True),
        Part(cone((0.155, 0.56, -0.750), (0.155, 0.22, -0.700), 0.047, 0.041), BAY, 0.03, True),
        Part(ball((0.155, 0.20, -0.697), 0.049), BAY, 0.03, True),
        Part(cone((0.155, 0.19, -0.69), (0.155, 0.10, -0.655), 0.043, 0.045), BAY, 0.02, True),
        Part(cone((0.155, 0.08, -0.650), (0.155, 0.015, -0.630), 0.053, 0.070), HOOF, 0.015, True),
    ]


def _head() -> list[Part]:
    skull = Tube(
        (
            (0, 2.005, 1.035, 0.078, 0.095),
            (0, 1.905, 1.145, 0.090, 0.125),
            (0, 1.785, 1.270, 0.068, 0.092),
            (0, 1.675, 1.385, 0.052, 0.066),
            (0, 1.605, 1.455, 0.058, 0.064),
        )
    )
    return [
        Part(skull, BAY, 0.06),
        Part(Ellipsoid((0.050, 1.845, 1.105), (0.045, 0.095, 0.095)), BAY, 0.04, True),  # cheek
        Part(Ellipsoid((0.035, 1.625, 1.492), (0.030, 0.032, 0.026)), BAY, 0.02, True),  # nostril
        Part(ball((0.048, 1.632, 1.518), 0.013), "", 0.008, True, carve=True),
        Part(Tube(((0, 1.63, 1.30, 0.040, 0.035), (0, 1.572, 1.405, 0.040, 0.030)), steps=1), BAY, 0.03),  # chin
        Part(Ellipsoid((0.075, 1.945, 1.175), (0.030, 0.026, 0.040), (45, 0, 0)), BAY, 0.03, True),  # brow
        Part(ball((0.082, 1.918, 1.188), 0.025), DARK, 0.006, True),
        Part(Tube(((0.054, 2.05, 1.03, 0.032, 0.030), (0.068, 2.14, 1.050, 0.038, 0.030), (0.074, 2.26, 1.085, 0.014, 0.014))), BAY, 0.02, True),
        Part(MANE, DARK, 0.012),
    ]


def _joints() -> list:
    tail = [tuple(p) for p in TAIL.curve(np.array([0.2, 1.6, 2.9, 4.8])).tolist()]
    return quadruped.skeleton(
        {
            "trunk": [(0, 1.36, -0.58), (0, 1.34, -0.20), (0, 1.34, 0.16), (0, 1.40, 0.46)],
            "neck": [(0, 1.42, 0.50), (0, 1.70, 0.80), (0, 1.97, 1.03), (0, 1.62, 1.46)],
            "jaw": [(0, 1.84, 1.10), (0, 1.57, 1.40)],
            "tail": tail,
            "fore": [(0.12, 1.44, 0.34), (0.155, 1.10, 0.57), (0.165, 0.94, 0.43), (0.155, 0.505, 0.480), (0.155, 0.04, 0.53)],
            "hind": [(0.12, 1.32, -0.58), (0.168, 0.98, -0.47), (0.155, 0.585, -0.755), (0.155, 0.04, -0.635)],
        }
    )


def _points(s: Surface) -> np.ndarray:
    """Black of the lower legs, fading out above knee and hock."""
    return ramp(s.points[:, 1] + 0.03 * s.noise(0.1, 2), 0.66, 0.50)


def _locks(s: Surface) -> np.ndarray:
    """Lighter strands in mane and tail."""
    x, y, z = s.points.T
    mane = s.near(MANE, 0.02) * bands((z + 0.8 * y) / 0.06, 0.3)
    tail = s.near(TAIL, 0.02) * ramp(z, -0.86, -0.92) * bands((x + 0.03 * np.sin(y * 6)) / 0.05, 0.3)
    return 0.5 * np.maximum(mane, tail)


def _blaze(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    front = (z - 1.20) + (y - 1.85)
    return ramp(x, 0.042, 0.018) * ramp(front, 0.055, 0.085) * ramp(y, 1.66, 1.70) * ramp(y, 1.99, 1.95)


def _paints() -> list[Paint]:
    return [
        Paint("#7c4522", lambda s: ramp(s.normals[:, 1], -0.2, -0.8) * ramp(s.points[:, 1], 0.6, 0.8)),
        Paint(DARK, _points),
        Paint(HOOF, lambda s: ramp(s.points[:, 1], 0.10, 0.085)),
        Paint("#4e3d33", _locks),
        Paint(MUZZLE, lambda s: ramp(s.points[:, 2] - s.points[:, 1], -0.32, -0.17) * ramp(s.points[:, 2], 1.0, 1.2)),
        Paint(WHITE, _blaze),
        spot(DARK, ball((0.084, 1.918, 1.188), 0.031), 0.012),
        spot("#5a3a1e", Ellipsoid((0.108, 1.918, 1.192), (0.008, 0.014, 0.014)), 0.008),
        spot(DARK, ball((0.048, 1.632, 1.518), 0.018), 0.010),
        spot(DARK, Ellipsoid((0, 1.590, 1.475), (0.08, 0.008, 0.06), (45, 0, 0)), 0.008),
        spot("#5a3524", Ellipsoid((0.070, 2.145, 1.095), (0.022, 0.075, 0.030), (15, 0, 0)), 0.012),
    ]
