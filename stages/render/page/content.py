"""What the page shows of each motion, as JSON values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from schemas.motion import Motion
from schemas.rig import Rig

LOOKS = {"distill": ("Distilled", "#0072b2", "7 4"), "track": ("Tracked", "#d55e00", "")}
"""Name, colour and dash of a motion by where it comes from: blue and vermillion of Okabe and Ito's palette, which colour-blind people tell apart."""

_LOSS_ROWS = 1000  # more points than a chart has pixels


@dataclasses.dataclass(frozen=True)
class Shown:
    """A motion on the page.

    Attributes:
        id: "distill" or "track"; also the name of its model.
        motion: The artifact.
        model: The bytes of its .glb.
        feet: Names of the feet. [(L,)]
        contact: Whether each foot is on the ground. [bool, (F, L)]
        summary: A sentence about it, such as its gait.
    """

    id: str
    motion: Motion
    model: bytes
    feet: list[str]
    contact: np.ndarray
    summary: str = ""


@dataclasses.dataclass(frozen=True)
class Figure:
    """One row of the table of figures; `values` has one text a motion."""

    name: str
    unit: str
    values: list[str]
    help: str = ""


def content(rig: Rig, shown: list[Shown], figures: list[Figure], *, slug: str, files: list[Path]) -> dict[str, Any]:
    """Everything but the models, as JSON values.

    Parameters:
        shown: One or two motions of the rig.
        figures: Rows of the table.
        slug: Stem of the names under which files are saved.
        files: Files that lie in the page's folder, to link to.
    """
    last = shown[-1].motion
    facts = [fact for fact in (rig.name, rig.category if rig.category != rig.name else "", f"{rig.joint_count} joints") if fact]
    facts += [f"{last.frame_count} frames at {last.fps:g} Hz", f"{last.duration:.2f} s", last.header.created[:10]]
    return {
        "prompt": " ".join(shown[0].motion.prompt.split()),
        "slug": slug,
        "facts": [fact for fact in facts if fact],
        "joints": [_joint(rig, index) for index in range(rig.joint_count)],
        "joint": _liveliest(last),
        "motions": [_motion(one) for one in shown],
        "metrics": [dataclasses.asdict(figure) for figure in figures],
        "files": [{"name": path.name, "bytes": path.stat().st_size} for path in files],
    }


def runs(contact: np.ndarray, fps: float) -> list[list[float]]:
    """Times from which to which a foot is down; a frame stands for half a frame before and after it. [bool (F,) -> s]"""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], contact, [False]]).astype(int))).reshape(-1, 2)
    end = (len(contact) - 1) / fps
    return [[round(max((a - 0.5) / fps, 0.0), 4), round(min((b - 0.5) / fps, end), 4)] for a, b in edges.tolist()]


def _joint(rig: Rig, index: int) -> dict[str, Any]:
    return {
        "name": rig.joint_names[index],
        "role": rig.roles[index].replace("_", " "),
        "parent": int(rig.parents[index]),
        "limits": _rounded(rig.limits[index]),
    }


def _liveliest(motion: Motion) -> int:
    """The joint that turns most: what to look at first."""
    return int(np.ptp(motion.angles, axis=0).sum(1).argmax())


def _motion(shown: Shown) -> dict[str, Any]:
    motion, header = shown.motion, shown.motion.header
    label, color, dash = LOOKS[shown.id]
    given = set(header.params.get("given", ()))
    settings = [
        [name.replace("_", " "), _text(value), name in given]
        for name, value in sorted(header.params.items())
        if name not in ("given", "configured") and value not in ("", None)
    ]
    return {
        "id": shown.id,
        "label": label,
        "color": color,
        "dash": dash,
        "fps": motion.fps,
        "frames": motion.frame_count,
        "angles": [_rounded(motion.angles[:, joint].ravel()) for joint in range(motion.angles.shape[1])],
        "root": _rounded(motion.root_positions.ravel()),
        "feet": [{"name": name, "runs": runs(shown.contact[:, leg], motion.fps)} for leg, name in enumerate(shown.feet)],
        "losses": _losses(motion),
        "settings": settings,
        "made": ", ".join(part for part in (f"in {header.seconds:.0f} s" if header.seconds else "", f"seed {header.seed}") if part),
        "summary": shown.summary,
    }


def _losses(motion: Motion) -> dict[str, Any] | None:
    if motion.losses is None or not motion.loss_names or len(motion.loss_names) < 2:
        return None
    rows = motion.losses[:: max(1, -(-len(motion.losses) // _LOSS_ROWS))]
    return {"names": motion.loss_names, "rows": [[float(f"{value:.5g}") for value in row] for row in rows]}


def _rounded(values: np.ndarray) -> Any:
    return np.round(values.astype(np.float64), 5).tolist()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
