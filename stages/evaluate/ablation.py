"""The paper's ablation: its rows and scores (METHOD 9), and ours that can be had offline, gathered over seeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .gait import phases_right

FULL, NO_GROUND_LOSS, NO_SMOOTHNESS = "full", "without ground loss", "without smoothness"
NO_GROUND, WITH_GROUND = "without ground rendering", "with ground rendering"

PAPER: dict[str, dict[str, tuple[float, float]]] = {
    "ostrich": {FULL: (0.982, 0.294), NO_GROUND: (0.777, 0.107)},
    "tiger": {FULL: (0.989, 0.321), NO_GROUND_LOSS: (0.979, 0.269), NO_SMOOTHNESS: (0.984, 0.294)},
}
"""What the paper reports, by asset and row: VideoPhy's semantic adherence and physical commonsense, of CogVideoX-5B. [0..1]"""

VIDEOPHY = "not available offline"
"""Why our rows have no such scores: the rater is a language model of seven billion parameters that is not shipped."""

SCORES: dict[str, tuple[str, str]] = {
    "swing": ("swing rad", ".2f"),
    "forward_lengths": ("forward lengths", ".2f"),
    "slide": ("slide", ".2f"),
    "penetration_cm": ("deepest cm", ".1f"),
    "floating_cm": ("floating cm", ".1f"),
    "jerk": ("jerk heights/s^3", ".0f"),
    "acceleration": ("acceleration rad/s^2", ".2f"),
    "spectral_arc_length": ("SPARC", ".2f"),
    "seconds": ("CPU s", ".0f"),
}
"""Scores that are averaged over seeds: their headings with units, and how they are printed."""


def rows(ground: bool) -> dict[str, dict[str, Any]]:
    """Parameters of distill that each row changes; `ground`: whether the prior wants to see a ground.

    The paper takes the rendered ground away. A prior that was trained without one is shown one instead.
    """
    other = {NO_GROUND: {"ground_render": False}} if ground else {WITH_GROUND: {"ground_render": True}}
    return {FULL: {}, **other, NO_GROUND_LOSS: {"ground_loss": False}, NO_SMOOTHNESS: {"smoothness": False}}


def scores(figures: dict[str, Any], gait: str, length: float) -> dict[str, Any]:
    """What a trial counts for.

    Parameters:
        figures: Of `gait.analyse`.
        gait: Family that was asked for.
        length: Of the rig. [m]

    Returns:
        got: label; right: whether the family is the one asked for; phases_right; and the scores named in `SCORES` but the seconds.
    """
    legs = [leg["range"] for leg in figures["legs"].values()]
    return {
        "got": figures["label"], "right": figures["gait"] == gait, "phases_right": phases_right(figures, gait),
        "swing": float(np.mean(legs)) if legs else 0.0, "forward_lengths": figures["forward"] / length, "slide": figures["slide"],
        "penetration_cm": 100 * figures["penetration"], "floating_cm": 100 * figures["floating"], "jerk": figures["jerk"],
        "acceleration": figures["smoothness"]["acceleration"], "spectral_arc_length": figures["smoothness"]["spectral_arc_length"],
    }  # fmt: skip


def summarise(trials: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry per asset and row, in the order of the trials.

    Parameters:
        trials: Entries of `scores` with "asset", "row", "seed" and "seconds".

    Returns:
        asset, row, trials (how many), right and phases_right (how many of them), got (labels), paper ({"row", "sa", "pc"} or None)
        and for each of `SCORES` {"mean", "sd", "low", "high"}; the sample standard deviation is 0 for one trial.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for trial in trials:
        groups.setdefault((trial["asset"], trial["row"]), []).append(trial)
    table = []
    for (asset, row), members in groups.items():
        paper_row = NO_GROUND if row == WITH_GROUND else row
        paper = PAPER.get(asset, {}).get(paper_row)
        entry: dict[str, Any] = {"asset": asset, "row": row, "trials": len(members), "got": [member["got"] for member in members]}
        entry |= {name: sum(bool(member[name]) for member in members) for name in ("right", "phases_right")}
        entry["paper"] = {"row": paper_row, "sa": paper[0], "pc": paper[1]} if paper else None
        for name in SCORES:
            values = np.array([member[name] for member in members], np.float64)
            sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            entry[name] = {key: round(float(v), 6) for key, v in {"mean": values.mean(), "sd": sd, "low": values.min(), "high": values.max()}.items()}
        table.append(entry)
    return table


def table(summary: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Heading and rows for people."""
    heading = ("asset", "row", "paper SA / PC", "ours SA / PC", "right gait", "phases", *(heading for heading, _ in SCORES.values()))
    lines = [heading]
    for entry in summary:
        paper = f"{entry['paper']['sa']:.3f} / {entry['paper']['pc']:.3f}" if entry["paper"] else "-"
        if entry["paper"] and entry["paper"]["row"] != entry["row"]:
            paper += f" ({entry['paper']['row']})"
        counts = tuple(f"{entry[name]}/{entry['trials']}" for name in ("right", "phases_right"))
        values = []
        for name, (_, form) in SCORES.items():
            spread = f" +- {entry[name]['sd']:{form}}" if entry["trials"] > 1 and name != "seconds" else ""
            values.append(f"{entry[name]['mean']:{form}}{spread}")
        lines.append((entry["asset"], entry["row"], paper, VIDEOPHY, *counts, *values))
    return lines


def caption(prior: str, ground: bool, iterations: int, kernels: dict[str, int], seeds: int) -> str:
    """What the table shows and what it does not."""
    shown = (
        "As in the paper, the prior sees a rendered ground unless a row takes it away."
        if ground
        else "This prior was trained on a plain background: its full row renders no ground, and the row in the paper's place shows what rendering one does."
    )
    bodies = ", ".join(f"{name} {count} kernels" for name, count in kernels.items())
    return (
        f"Prior {prior}, {iterations} iterations at most, walking, {seeds} seed{'s' if seeds != 1 else ''}; {bodies}. {shown} "
        f"The paper's scores are VideoPhy's, of CogVideoX-5B; ours are {VIDEOPHY}. Means and standard deviations over seeds."
    )
