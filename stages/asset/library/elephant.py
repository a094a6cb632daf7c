"""An African elephant: 3 m at the shoulder, large ears, tusks, a trunk of four joints."""

from __future__ import annotations

import numpy as np

from . import quadruped
from .sdf import Disc, Ellipsoid, Lens, Part, Tube, ball, cone
from .template import Animal, Joint, Paint, Surface, bands, ramp, spot

GREY, DARK, IVORY, PINK, NAIL = "#85807b", "#3a3634", "#f0e6cc", "#a58a80", "#c9bda8"

TRUNK = Tube(
    (
        (0, 2.42, 2.02, 0.30, 0.28),
        (0, 2.10, 2.30, 0.235, 0.23),
        (0, 1.65, 2.44, 0.190, 0.19),
        (0, 1.18, 2.46, 0.155, 0.155),
        (0, 0.74, 2.46, 0.125, 0.125),
        (0, 0.45, 2.56, 0.110, 0.105),
        (0, 0.36, 2.74, 0.105, 0.090),
    )
)
TAIL = Tube(
    (
        (0, 2.30, -1.36, 0.10, 0.10),
        (0, 2.00, -1.58, 0.070, 0.070),
        (0, 1.50, -1.64, 0.058, 0.058),
        (0, 1.12, -1.64, 0.060, 0.060),
        (0, 0.92, -1.64, 0.075, 0.075),
        (0, 0.72, -1.63, 0.045, 0.045),
    )
)
TUSK = Tube(((0.245, 2.12, 2.06, 0.095, 0.095), (0.355, 1.80, 2.32, 0.085, 0.085), (0.385, 1.62, 2.66, 0.070, 0.070), (0.345, 1.66, 2.95, 0.060, 0.060)))
EAR = Disc((0.80, 2.50, 1.30), (0.68, 0.60), 0.060, (0, -42, 6))
LOBE = Disc((0.72, 2.06, 1.42), (0.46, 0.34), 0.058, (0, -42, 6))
LENSES = (Lens((0.75, 2.40, 1.35), 2.3, 1.6, 0.55), Lens((0.30, 2.0, 2.52), 1.2, 1.5, 0.66))


def animal() -> Animal:
    """The recipe."""
    return Animal("elephant", "quadruped", [*_trunk(), *_legs(), *_head()], _joints(), _paints(), 0.099, LENSES, color_blend=0.03)


def _trunk() -> list[Part]:
    torso = Tube(
        (
            (0, 1.90, -1.42, 0.34, 0.42),
            (0, 1.94, -1.10, 0.62, 0.78),
            (0, 1.90, -0.40, 0.76, 0.86),
            (0, 1.90, 0.30, 0.76, 0.88),
            (0, 2.06, 0.90, 0.60, 0.82),
            (0, 2.20, 1.25, 0.42, 0.58),
        )
    )
    neck = Tube(((0, 2.30, 1.00, 0.46, 0.62), (0, 2.48, 1.60, 0.38, 0.46)), steps=1)
    return [
        Part(torso, GREY),
        Part(neck, GREY, 0.25),
        Part(Ellipsoid((0.36, 2.00, 0.86), (0.26, 0.66, 0.42), (-10, 0, 0)), GREY, 0.25, True),
        Part(TAIL, GREY, 0.12),
    ]


def _legs() -> list[Part]:
    fore = Tube(((0.40, 1.75, 0.84, 0.30, 0.42), (0.425, 1.28, 0.74, 0.255, 0.30), (0.425, 0.85, 0.78, 0.215, 0.235), (0.425, 0.45, 0.82, 0.190, 0.200)))
    thigh = Tube(((0.33, 1.95, -1.08, 0.36, 0.58), (0.42, 1.50, -0.98, 0.32, 0.44), (0.43, 1.12, -0.86, 0.245, 0.30)))
    shin = Tube(((0.43, 1.18, -0.88, 0.25, 0.30), (0.43, 0.80, -0.95, 0.205, 0.225), (0.425, 0.45, -1.02, 0.185, 0.195)))
    return [
        Part(fore, GREY, 0.20, True),
        Part(cone((0.425, 0.45, 0.82), (0.425, 0.15, 0.84), 0.192, 0.230), GREY, 0.08, True),
        Part(Tube(((0.425, 0.12, 0.855, 0.235, 0.24), (0.425, -0.02, 0.875, 0.26, 0.27)), steps=1), GREY, 0.06, True),
        Part(thigh, GREY, 0.20, True),
        Part(shin, GREY, 0.10, True),
        Part(cone((0.425, 0.45, -1.02), (0.425, 0.15, -0.96), 0.187, 0.215), GREY, 0.08, True),
        Part(Tube(((0.425, 0.12, -0.945, 0.215, 0.23), (0.425, -0.02, -0.92, 0.235, 0.26)), steps=1), GREY, 0.06, True),
    ]


def _head() -> list[Part]:
    return [
        Part(Ellipsoid((0, 2.62, 1.80), (0.43, 0.47, 0.46)), GREY, 0.15),
        Part(Ellipsoid((0.16, 2.86, 1.78), (0.24, 0.26, 0.28)), GREY, 0.12, True),  # the two domes
        Part(Ellipsoid((0.28, 2.42, 1.92), (0.18, 0.30, 0.26)), GREY, 0.12, True),  # cheek
        Part(TRUNK, GREY, 0.18),
        Part(Tube(((0, 2.12, 1.78, 0.20, 0.16), (0, 1.90, 2.05, 0.10, 0.09)), steps=1), GREY, 0.10),  # jaw
        Part(cone((0.23, 2.22, 2.02), (0.31, 1.93, 2.21), 0.15, 0.115), GREY, 0.08, True),  # tusk sheath
        Part(TUSK, IVORY, 0.015, True),
        Part(EAR, GREY, 0.10, True),
        Part(LOBE, GREY, 0.06, True),
        Part(Ellipsoid((0.385, 2.60, 2.035), (0.06, 0.05, 0.07)), GREY, 0.05, True),  # brow
        Part(ball((0.395, 2.555, 2.065), 0.055), DARK, 0.01, True),
    ]


def _joints() -> list[Joint]:
    tail = [tuple(p) for p in TAIL.curve(np.array([0.2, 2.3, 4.8])).tolist()]
    joints = quadruped.skeleton(
        {
            "trunk": [(0, 2.20, -1.02), (0, 2.20, -0.32), (0, 2.20, 0.36), (0, 2.30, 1.05)],
            "neck": [(0, 2.35, 1.10), (0, 2.52, 1.62), (0, 2.50, 2.14)],
            "jaw": [(0, 2.18, 1.76), (0, 1.92, 2.02)],
            "tail": tail,
            "fore": [(0.32, 2.42, 0.72), (0.40, 1.82, 1.00), (0.425, 1.28, 0.72), (0.425, 0.48, 0.815), (0.425, 0.06, 0.96)],
            "hind": [(0.33, 2.00, -1.06), (0.43, 1.14, -0.84), (0.425, 0.48, -1.02), (0.425, 0.06, -0.84)],
        }
    )
    places = [tuple(p) for p in TRUNK.curve(np.array([0.55, 1.7, 2.9, 4.1, 5.9])).tolist()]
    trunk = [Joint(f"trunk_{i + 1}", f"trunk_{i}" if i else "head", places[i], places[i + 1], "other") for i in range(4)]
    ear = Joint("left_ear", "head", (0.46, 2.50, 1.66), (1.00, 2.45, 1.08), "ear")
    after_jaw = [joint.name for joint in joints].index("jaw") + 1
    return [*joints[:after_jaw], *trunk, ear, *joints[after_jaw:]]


def _wrinkles(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    trunk = s.near(TRUNK, 0.05) * ramp(y, 2.35, 2.1) * bands((y + 0.25 * z) / 0.16, 0.25)
    knees = ramp(y, 0.9, 0.6) * ramp(y, 0.15, 0.3) * bands(y / 0.17 + 0.2 * s.noise(0.3, 4), 0.2)
    return 0.30 * np.maximum(trunk, knees * ramp(z, 1.6, 1.4))


def _nails(s: Surface) -> np.ndarray:
    x, y, z = s.points.T
    middle = np.where(z > 0, 0.87, -0.925)
    angle = np.arctan2(x - 0.425, z - middle)
    return bands(angle / 0.55, 0.55) * ramp(np.abs(angle), 1.4, 1.2) * ramp(y, 0.15, 0.12) * ramp(y, 0.005, 0.03)


def _paints() -> list[Paint]:
    return [
        Paint("#6a6561", lambda s: 0.35 * ramp(s.noise(0.35, 6), 0.0, 0.9)),
        Paint("#5c5753", lambda s: 0.8 * ramp(s.normals[:, 1], -0.2, -0.9) * ramp(s.points[:, 1], 0.5, 0.9)),
        Paint("#a39a90", lambda s: 0.5 * ramp(s.normals[:, 1], 0.5, 1.0)),
        Paint("#4d4845", _wrinkles),
        Paint(PINK, lambda s: 0.55 * np.maximum(s.near(EAR, 0.05), s.near(LOBE, 0.05)) * ramp(s.normals[:, 2], 0.2, 0.7) * ramp(s.points[:, 0], 0.5, 0.8)),
        Paint(NAIL, _nails),
        Paint(DARK, lambda s: s.near(TAIL, 0.05) * ramp(s.points[:, 1], 1.10, 0.98)),
        spot(DARK, ball((0.400, 2.555, 2.070), 0.060), 0.035),
    ]
