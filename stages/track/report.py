"""What a tracked motion is worth: contact figures, distance to the target, and whether it failed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .feet import Contacts, runs

_NEAR = 0.02  # of the standing height: a corner lower than this is in contact


def contact_figures(corners: np.ndarray, fps: float, height: float) -> dict[str, float]:
    """Contact with the ground at the frame rate.

    Parameters:
        corners: Cuboid corners. [m, (F, J, 8, 3)]
        fps: [Hz]
        height: Standing height of the body. [m]

    Returns:
        penetration_max, penetration_mean: Depth of the lowest corner. [m]
        slide: Mean horizontal speed of corners that stay within 2% of the height of the ground. [m/s]
        airborne: Share of frames whose lowest corner is higher than that.
        clearance: Mean height of the lowest corner above ground, where it is above. [m]
    """
    points = corners.reshape(len(corners), -1, 3).astype(np.float64)
    low = points[..., 1].min(1)
    near = points[..., 1] < _NEAR * height
    held = near[1:] & near[:-1]
    speed = np.linalg.norm(np.diff(points[..., [0, 2]], axis=0), axis=-1) * fps
    return {
        "penetration_max": float(np.maximum(-low, 0).max()),
        "penetration_mean": float(np.maximum(-low, 0).mean()),
        "slide": float(speed[held].mean()) if held.any() else 0.0,
        "airborne": float((low > _NEAR * height).mean()),
        "clearance": float(np.maximum(low, 0).mean()),
    }


def stance_slide(corners: np.ndarray, time_step: float) -> float:
    """Mean horizontal speed of corners while they press on the ground, over simulation steps. [m, (T, J, 8, 3) -> m/s]"""
    points = corners.reshape(len(corners), -1, 3).astype(np.float64)
    held = (points[1:, :, 1] < 0) & (points[:-1, :, 1] < 0)
    speed = np.linalg.norm(np.diff(points[..., [0, 2]], axis=0), axis=-1) / time_step
    return float(speed[held].mean()) if held.any() else 0.0


def foot_figures(contacts: Contacts, names: list[str], before: np.ndarray, after: np.ndarray, fps: float) -> dict[str, Any]:
    """Feet before and after, at the frames in which the motion means them to stand; the same frames for both.

    Parameters:
        names: Of the bones. [(J,)]
        before, after: Cuboid corners as they came, and tracked. [m, (F, J, 8, 3)]

    Returns:
        slide_before, slide_after: Mean horizontal speed of the corner that a foot stands on. [m/s]
        floating_before, floating_after: Mean height of a standing foot's lowest corner, where it is above ground. [m]
        penetration_before, penetration_after: Largest depth of any corner of the body. [m]
        stances: From and to when each foot stands, by the name of its first bone. [s]
    """
    result: dict[str, Any] = {}
    for when, corners in (("before", before.astype(np.float64)), ("after", after.astype(np.float64))):
        here, later = contacts.points(corners)
        speed = np.linalg.norm((later - here)[..., [0, 2]], axis=-1) * fps
        low = np.stack([corners[:, foot.bones][..., 1].reshape(len(corners), -1).min(1) for foot in contacts.feet], 1) if contacts.feet else np.zeros((0, 0))
        result[f"slide_{when}"] = float(speed[contacts.held].mean()) if contacts.held.any() else 0.0
        result[f"floating_{when}"] = float(np.maximum(low[contacts.down], 0).mean()) if contacts.down.any() else 0.0
        result[f"penetration_{when}"] = float(np.maximum(-corners[..., 1], 0).max())
    times = {
        names[foot.bones[0]]: [[round(first / fps, 4), round(last / fps, 4)] for first, last in runs(contacts.down[:, number])]
        for number, foot in enumerate(contacts.feet)
    }
    return {**result, "stances": times}


def corner_rmse(corners: np.ndarray, target: np.ndarray) -> float:
    """Root mean squared distance of corners. [m]"""
    return float(np.sqrt(((corners.astype(np.float64) - target) ** 2).sum(-1).mean()))


def failure(
    corners: np.ndarray, target: np.ndarray, ups: np.ndarray, target_ups: np.ndarray, roots: np.ndarray, target_roots: np.ndarray, height: float
) -> str:
    """Why the result does not count as tracking, or "".

    Parameters:
        corners, target: Simulated and wanted corners. [m, (F, J, 8, 3)]
        ups, target_ups: Root's up direction in the world. [(F, 3)]
        roots, target_roots: Height of the root joint. [m, (F,)]
        height: Standing height. [m]
    """
    if not np.isfinite(corners).all():
        return "the simulation is not finite"
    tilt = np.degrees(np.arccos(np.clip((ups * target_ups).sum(1), -1, 1)))
    if tilt.max() > 60:
        return f"it fell over: the root leans {tilt.max():.0f} degrees from the target at frame {int(tilt.argmax())}"
    drop = target_roots - roots
    if drop.max() > 0.4 * height:
        return f"it collapsed: the root is {drop.max():.2f} m below the target at frame {int(drop.argmax())}"
    error = corner_rmse(corners, target)
    if error > 0.25 * height:
        return f"it cannot follow: the corners are {error:.2f} m from the target, a quarter of the height is {0.25 * height:.2f} m"
    return ""
