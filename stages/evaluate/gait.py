"""Which gait a motion shows, and how well its feet meet the ground; from joint motion alone, no images."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from schemas.motion import Motion
from schemas.rig import Rig

from . import cycle as cycles
from . import feet, shape, smoothness, trajectory
from .label import LABELS, label_of
from .limbs import limb_swings
from .limits import limit_violations
from .loop import Gap, loop_gap
from .trajectory import Trajectory, trajectory_of

TEMPLATES: dict[str, dict[str, float]] = {
    "walking": {"left_hind": 0.0, "left_fore": 0.75, "right_hind": 0.5, "right_fore": 0.25},
    "running": {"left_hind": 0.0, "left_fore": 0.5, "right_hind": 0.5, "right_fore": 0.0},
    "jumping": {"left_hind": 0.0, "left_fore": 0.4, "right_hind": 0.0, "right_fore": 0.4},
}
"""Phase leads of the feet in cycles: lateral-sequence walk, diagonal pairs, pairs together."""

PHASE_TOLERANCE = 0.12
"""A pair of legs has the phase of a template if it is this close. [cycles]"""


def analyse(rig: Rig, motion: Motion, mesh: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None) -> dict[str, Any]:
    """Measure a motion. All values are JSON types.

    A clip that was made to run on the spot is to be passed through `off_treadmill` first.

    Parameters:
        mesh: Vertices at rest [m, (V, 3)], faces [(T, 3)] and skin weights [(V, J)], for the figures of shape.

    Returns:
        The figures that `figures.FIGURES` defines, "treadmill" and "against" excepted: of the gait, the path, the feet,
        smoothness, the loop, joint limits, limbs and shape. Figures of a loop are None for fewer than four frames, those
        of shape without a mesh.

    Raises:
        InputError: The motion is not of this rig.
    """
    path = trajectory_of(rig, motion)
    gap, beyond = loop_gap(motion), limit_violations(rig, motion)
    change = (None, None)
    if mesh is not None:
        vertices, faces, weights = mesh
        change = shape.edge_change(vertices, shape.edges_of(faces), shape.skinned_frames(rig, motion, vertices, weights))
    more = {
        "limbs": limb_swings(rig, motion),
        "smoothness": {
            "second_difference": smoothness.second_difference(motion),
            "acceleration": smoothness.acceleration(motion),
            "spectral_arc_length": smoothness.spectral_arc_length(smoothness.joint_speed(motion), path.fps),
        },
        "loop": dataclasses.asdict(gap) if gap else dict.fromkeys(field.name for field in dataclasses.fields(Gap)),
        "limits": dataclasses.asdict(beyond),
        "shape": dict(zip(("mean", "p95"), change, strict=True)),
    }
    return measure(path, rig.length) | _rounded(more)


def measure(path: Trajectory, length: float) -> dict[str, Any]:
    """The figures of `analyse` that trajectories tell; `length` is the body's. [m]"""
    travelled = trajectory.distance(path.root)
    duration = max((path.frame_count - 1) / path.fps, 1e-9)
    turn = trajectory.turn(path.ahead)
    result: dict[str, Any] = {
        "gait": "", "label": "", "confidence": 0.0, "scores": {}, "labels": {}, "period": 0.0, "frequency": 0.0, "fit": 0.0,
        "duty": 0.0, "footfall_frequency": 0.0, "legs": {}, "phases": {}, "footfall_phases": {},
        "distance": travelled, "distance_lengths": travelled / max(length, 1e-9), "forward": trajectory.forward_distance(path.root, path.ahead),
        "speed": travelled / duration,
        "path": {
            "length": trajectory.path_length(path.root), "straightness": trajectory.straightness(path.root),
            "sideways": trajectory.sideways(path.root, path.ahead), "turn": turn, "turn_rate": turn / duration,
        },
        "bob": trajectory.bob(path.root), "slide": 0.0, "slide_stance": 0.0, "contact": 0.0,
        "penetration": trajectory.penetration(path.lowest), "floating": trajectory.floating(path.lowest),
        "jerk": trajectory.jerk(path.joints, path.fps, path.height),
    }  # fmt: skip
    if path.names:
        speed = trajectory.path_speed(path.root, path.fps)
        result |= {
            "slide": feet.foot_slide(path.soles, path.height, path.fps, speed),
            "slide_stance": feet.stance_slide(path, speed),
            "contact": feet.contact_share(path.soles, path.height),
            **_stride(path),
        }
    return _rounded(result)


def _stride(path: Trajectory) -> dict[str, Any]:
    """The figures that need a cycle, and the gait."""
    swing = cycles.leg_angles(path.hips, path.soles, path.ahead)
    cycle = cycles.fit_cycle(swing, path.fps)
    spread = np.ptp(swing, axis=0)
    found = feet.stances(path)
    duty = feet.duty_factors(found, cycle.period)
    lifts = feet.lift(path.soles, path.height), feet.pair_lift(path.soles, path.names, path.height)
    label = label_of(path.names, float(spread.mean()) if cycle.period else 0.0, cycle, duty, *lifts)
    legs = {
        name: {"swing": float(cycle.swing[k]), "range": float(spread[k]), "phase": float(cycle.lead[k]), "duty": float(duty[k])}
        for k, name in enumerate(path.names)
    }
    return {
        "gait": label.family, "label": label.name, "confidence": label.confidence, "scores": label.families(), "labels": label.beliefs,
        "period": cycle.period, "frequency": 1 / cycle.period if cycle.period else 0.0, "fit": cycle.fit,
        "duty": float(duty.mean()), "footfall_frequency": feet.stride_frequency(found), "legs": legs,
        "phases": cycles.pair_leads(path.names, cycle.lead), "footfall_phases": cycles.pair_leads(path.names, feet.footfall_leads(found, cycle.period)),
    }  # fmt: skip


def off_treadmill(rig: Rig, motion: Motion) -> tuple[Motion, float]:
    """Let a clip that was made to run on the spot cover ground: the root moves ahead by what standing feet run backward.

    Returns:
        The motion, and the speed that was added (`feet.treadmill_speed`, 0 where the feet stand as they are). [m/s]

    Raises:
        InputError: The motion is not of this rig.
    """
    path = trajectory_of(rig, motion)
    speed = feet.treadmill_speed(path)
    steps = np.vstack([np.zeros((1, 3)), np.cumsum(path.ahead[:-1], axis=0)]) * speed / path.fps
    return dataclasses.replace(motion, root_positions=(path.root + steps).astype(np.float32)), speed


def phases_right(figures: dict[str, Any], gait: str) -> bool:
    """Whether every pair of legs that was measured has the phase of the gait.

    Walking is the lateral sequence only; running is diagonal pairs, or what is labelled a canter or a gallop. Of two legs
    only their one lag is tested. A label that is no family, such as "pacing", must be the label.
    """
    if gait not in TEMPLATES:
        return gait in LABELS and figures["label"] == gait
    if gait == "running" and figures["label"] in ("cantering", "galloping"):
        return True
    table = TEMPLATES[gait]
    wanted = {name: (table[b] - table[a]) % 1 for name, (a, b) in cycles.PAIRS.items()}
    errors = [cycles.gap(lead, wanted[name]) for name, lead in figures["phases"].items()]
    return bool(errors) and max(errors) < PHASE_TOLERANCE


def summary(figures: dict[str, Any]) -> str:
    """One or two lines for people."""
    phases = ", ".join(f"{name} {lead:.2f}" for name, lead in figures["phases"].items())
    swing = np.mean([leg["range"] for leg in figures["legs"].values()]) if figures["legs"] else 0.0
    gait = f"{figures['label']} ({100 * figures['confidence']:.0f}% sure)" if figures["label"] else "no legs"
    cycle = f", period {figures['period']:.2f} s, duty {figures['duty']:.2f}, phases {phases}" if figures["label"] not in ("standing", "") else ""
    return (
        f"{gait}: legs swing {swing:.2f} rad{cycle}; {figures['distance']:.2f} m ({figures['distance_lengths']:.1f} lengths), "
        f"feet slide at {figures['slide']:.2f} of body speed, deepest {100 * figures['penetration']:.1f} cm, floating {100 * figures['floating']:.1f} cm"
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return round(float(value), 6) if isinstance(value, (float, np.floating)) else value
