"""The table of a suite: one row per asset, prompt and seed, for people, for spreadsheets and as Markdown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

DONE, FAILED, WAITING = "done", "failed", "waiting"
"""States of a result."""

_STEMS = {
    "walk": "walking", "run": "running", "jump": "jumping", "stand": "standing", "trot": "trotting", "pac": "pacing", "canter": "cantering",
    "gallop": "galloping", "bound": "bounding", "hop": "hopping",
}  # fmt: skip


class Column(NamedTuple):
    """One column of numbers.

    Attributes:
        key: In the CSV file and in the gallery.
        heading: For people, with its unit.
        path: Of the figure (`figures.FIGURES`) in the result.
        form: Format for people.
        factor: From the figure's unit to the column's.
        better: "low" or "high" where one end is better, else "".
        words: What it is.
    """

    key: str
    heading: str
    path: str
    form: str
    factor: float
    better: str
    words: str


COLUMNS = (
    Column("confidence", "sure %", "track.confidence", ".0f", 100, "high", "Belief in the gait that was seen."),
    Column("period_s", "period s", "track.period", ".2f", 1, "", "Stride time."),
    Column("swing_rad", "swing rad", "track.swing", ".2f", 1, "high", "Mean range of the legs' swing."),
    Column("lengths", "lengths", "track.distance_lengths", ".2f", 1, "", "Distance covered, in body lengths."),
    Column("slide", "slide", "track.slide_stance", ".2f", 1, "low", "Speed of feet that bear the body over the body's speed: 0 is planted."),
    Column("deepest_cm", "deepest cm", "track.penetration", ".1f", 100, "low", "Depth of the lowest cuboid corner below the ground, at worst."),
    Column("floating_cm", "floating cm", "track.floating", ".1f", 100, "low", "Mean height of the lowest corner above the ground; flight counts."),
    Column("jerk", "jerk h/s3", "track.jerk", ".0f", 1, "low", "Third derivative of joint positions, in hip heights per second cubed."),
    Column("loop_rad", "loop rad", "track.loop.pose", ".3f", 1, "low", "Jump of the pose where the clip starts again."),
    Column("limits_percent", "limits %", "track.limits.share", ".1f", 100, "low", "Joint angles beyond their limits."),
    Column("edges_percent", "edges %", "track.shape.mean", ".1f", 100, "low", "Change of the mesh's edge lengths."),
    Column("sa", "SA", "videophy.sa", ".2f", 1, "high", "VideoPhy's semantic adherence."),
    Column("pc", "PC", "videophy.pc", ".2f", 1, "high", "VideoPhy's physical commonsense."),
    Column("distill_s", "distil s", "seconds.distill", ".0f", 1, "low", "Time of the distillation."),
    Column("track_s", "track s", "seconds.track", ".0f", 1, "low", "Time of tracking."),
)
"""Figures of the tracked motion unless the words say otherwise."""


def asked(prompt: str) -> str:
    """The gait that a sentence names, "" where it names none known: "a tiger walks" -> "walking"."""
    for word in re.findall(r"[a-z]+", prompt.lower()):
        for stem, gait in _STEMS.items():
            if re.fullmatch(rf"{stem}(e|s|es|{stem[-1]}?ing)?", word):
                return gait
    return ""


def seen(figures: dict[str, Any], gait: str) -> bool | None:
    """Whether a motion's figures show the gait asked for, by its label or its family; None where none was asked for."""
    if not gait:
        return None
    return gait in (figures["label"], figures["gait"])


def value(result: dict[str, Any], column: Column) -> float | None:
    """A column's number in its unit, None where there is none."""
    first, *rest = column.path.split(".")
    found: Any = result.get(first) if first in ("seconds", "videophy") else (result.get("figures") or {}).get(first)
    if rest == ["swing"]:
        legs = [leg["range"] for leg in (found or {}).get("legs", {}).values()]
        found = float(np.mean(legs)) if legs else None
    else:
        for name in rest:
            found = found.get(name) if isinstance(found, dict) else None
    return None if found is None else column.factor * float(found)


def row(result: dict[str, Any]) -> dict[str, Any]:
    """A result as flat values: what was asked, what came of it, and the columns that have a number."""
    figures = result.get("figures") or {}
    head = {name: result.get(name, "") for name in ("asset", "prompt", "seed", "status", "stage", "reason", "asked")}
    labels = {f"{stage}_gait": (figures.get(stage) or {}).get("label", "") for stage in ("distill", "track")}
    numbers = {column.key: value(result, column) for column in COLUMNS}
    return head | labels | {"right": result.get("right"), "tracking": result.get("tracking", ""), "folder": result.get("folder", "")} | numbers


def csv_text(results: Iterable[dict[str, Any]]) -> str:
    """The table as a CSV file (RFC 4180, a heading first); numbers as they are, empty where there is none."""
    rows = [row(result) for result in results]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\r\n")
    writer.writeheader()
    for one in rows:
        writer.writerow({key: "" if entry is None else round(entry, 6) if isinstance(entry, float) else entry for key, entry in one.items()})
    return out.getvalue()


def table(results: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Heading and rows for people; columns that nobody has a number for are left out."""
    shown = [column for column in COLUMNS if any(value(result, column) is not None for result in results)]
    lines = [("asset", "prompt", "seed", "asked", "distilled", "tracked", *(column.heading for column in shown))]
    for result in results:
        one = row(result)
        if result["status"] != DONE:
            why = " ".join(f"{one['stage']}: {one['reason']}".split()) if result["status"] == FAILED else ""
            lines.append((one["asset"], one["prompt"], str(one["seed"]), one["asked"] or "-", result["status"], why, *("-" for _ in shown)))
            continue
        gait = one["track_gait"] + (" (fell)" if result.get("tracking", "ok") != "ok" else "")
        numbers = ("-" if (number := value(result, column)) is None else f"{number:{column.form}}" for column in shown)
        lines.append((one["asset"], one["prompt"], str(one["seed"]), one["asked"] or "-", one["distill_gait"], gait, *numbers))
    return lines


def markdown(rows: list[tuple[str, ...]]) -> str:
    """A Markdown table whose first row is the heading."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of the suite, and mean and standard deviation of every column over what is done.

    Returns:
        results, done, failed, asked (done results whose prompt names a gait), right (of those: the tracked motion shows
        it), right_distilled, and `columns` {key: {"mean", "sd", "count"}}; the sample standard deviation, 0 for one.
    """
    done = [result for result in results if result["status"] == DONE]
    judged = [result for result in done if result.get("right") is not None]
    columns = {}
    for column in COLUMNS:
        numbers = np.array([number for result in done if (number := value(result, column)) is not None], np.float64)
        if len(numbers):
            sd = float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0
            columns[column.key] = {"mean": round(float(numbers.mean()), 6), "sd": round(sd, 6), "count": len(numbers)}
    return {
        "results": len(results), "done": len(done), "failed": sum(result["status"] == FAILED for result in results), "asked": len(judged),
        "right": sum(bool(result["right"]) for result in judged), "right_distilled": sum(bool(result.get("right_distilled")) for result in judged),
        "columns": columns,
    }  # fmt: skip


def sentence(found: dict[str, Any]) -> str:
    """The counts of `summary` in words."""
    gaits = f"; the gait asked for is seen in {found['right']} of {found['asked']} ({found['right_distilled']} before tracking)" if found["asked"] else ""
    columns = {column.key: column for column in COLUMNS}
    means = [
        f"{columns[key].heading} {entry['mean']:{columns[key].form}}" + (f" +- {entry['sd']:{columns[key].form}}" if entry["count"] > 1 else "")
        for key, entry in found["columns"].items()
        if key in ("slide", "deepest_cm", "sa", "pc")
    ]
    failed = f", {found['failed']} failed" if found["failed"] else ""
    return f"{found['done']} of {found['results']} done{failed}{gaits}{'; ' + ', '.join(means) if means else ''}."
