"""Key figures of an artifact, for results and for `akd inspect`."""

from __future__ import annotations

from typing import Any

import numpy as np


def figures(artifact: Any) -> dict[str, Any]:
    """The figures of any artifact by name; values are numbers, strings or lists."""
    kind = artifact.header.schema.removeprefix("akd.")
    return {key: value for key, value in _OF.get(kind, dict)(artifact).items() if value not in (None, "")}


def sentence(found: dict[str, Any]) -> str:
    """Figures on one line; lists, long texts and the figures of the run are left to inspect."""
    brief = {key: value for key, value in found.items() if not isinstance(value, (list, dict)) and len(str(value)) <= 40 and not key.startswith("run_")}
    return ", ".join(_phrase(key, value) for key, value in brief.items())


def _phrase(key: str, value: Any) -> str:
    """One figure in words: "24 joints", "height 1.143 m", "prompt a tiger walking"."""
    name, _, unit = key.rpartition("_")
    if name and unit in _UNITS:
        return f"{name.replace('_', ' ')} {_short(value)} {_UNITS[unit]}"
    words = key.replace("_", " ")
    if _is_count(value):
        return f"{value} {words.removesuffix('s') if value == 1 else words}"
    return f"{words} {_short(value)}"


_UNITS = {"m": "m", "rad": "rad", "s": "s"}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _asset(asset: Any) -> dict[str, Any]:
    low, high = asset.vertices.min(0), asset.vertices.max(0)
    return {
        "name": asset.name,
        "category": asset.category,
        "vertices": len(asset.vertices),
        "faces": len(asset.faces),
        "materials": len(asset.materials.get("list", [])),
        "joints": 0 if asset.joint_parents is None else len(asset.joint_parents),
        "height_m": float(high[1] - low[1]),
        "length_m": float(high[2] - low[2]),
        "notes": list(asset.source.get("notes", [])),
    }


def _rig(rig: Any) -> dict[str, Any]:
    return {
        "name": rig.name,
        "category": rig.category,
        "joints": rig.joint_count,
        "joints_with_a_role": sum(role not in ("", "other") for role in rig.roles),
        "from": str(rig.source.get("kind", "")),
        "notes": list(rig.source.get("notes", [])),
    }


def _skin(skin: Any) -> dict[str, Any]:
    influences = (skin.weights > 1e-3).sum(1)
    return {
        "method": skin.method,
        "vertices": skin.weights.shape[0],
        "bones": skin.weights.shape[1],
        "mean_influences": float(influences.mean()),
        **_numbers(skin.report),
    }


def _splat(splat: Any) -> dict[str, Any]:
    return {"kernels": len(splat.means), **_numbers({k: v for k, v in splat.report.items() if k != "kernels"})}


def _motion(motion: Any) -> dict[str, Any]:
    path = np.diff(motion.root_positions[:, [0, 2]], axis=0)
    return {
        "prompt": motion.prompt,
        "frames": motion.frame_count,
        "fps": float(motion.fps),
        "duration_s": motion.duration,
        "travelled_m": float(np.linalg.norm(path, axis=1).sum()),
        "mean_joint_range_rad": float(np.ptp(motion.angles, axis=0).mean()),
        **{f"run_{key}": value for key, value in _numbers(motion.report).items()},
    }


def _track(track: Any) -> dict[str, Any]:
    report = track.report
    feet = report.get("feet", {})
    verdict = {"tracking": "FAILED" if report["failed"] else "ok"} if "failed" in report else {}
    slide = {"foot_slide": f"{feet['slide_before']:.2f} -> {feet['slide_after']:.2f} m/s"} if feet else {}
    return {**_motion(track), **verdict, **slide}


def _render(video: Any) -> dict[str, Any]:
    return dict(video.figures)


def _numbers(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if isinstance(value, (int, float, str)) and not isinstance(value, bool)}


_OF = {"asset": _asset, "rig": _rig, "skin": _skin, "splat": _splat, "motion": _motion, "track": _track, "render": _render}
