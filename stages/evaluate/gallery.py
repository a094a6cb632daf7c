"""The gallery of a suite as one HTML file: a film, the figures and a link for every result."""

from __future__ import annotations

import base64
import html
import json
from importlib import resources
from typing import Any, Protocol

from . import suite


class Film(Protocol):
    """What a result shows of itself: an mp4 and a JPEG, and their size. [px]"""

    film: bytes
    still: bytes
    width: int
    height: int


def page(results: list[dict[str, Any]], films: dict[str, Film], *, title: str = "Suite", subtitle: str = "") -> str:
    """The page's HTML; it needs no network and no other file, its links lead to the motions' own pages.

    Text of the results cannot leave its place: all of it lies in a JSON element without a single "<", and the page's
    script sets text as text. The content security policy allows neither other scripts nor requests.

    Parameters:
        results: As `suite.row` takes them.
        films: By the result's "folder".
        subtitle: What all results have in common.
    """
    columns = [column for column in suite.COLUMNS if any(suite.value(result, column) is not None for result in results)]
    data = {
        "title": title,
        "subtitle": subtitle,
        "sentence": suite.sentence(suite.summary(results)) if results else "Nothing yet.",
        "columns": [{"key": c.key, "heading": c.heading, "digits": int(c.form[1]), "better": c.better, "words": c.words} for c in columns],
        "results": [_shown(result, films.get(result.get("folder", "")), columns) for result in results],
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    template = (resources.files(__package__) / "gallery.html").read_text(encoding="utf-8")
    head, between, tail = template.replace("@TITLE@", html.escape(title), 1).partition("@DATA@")
    assert between, "gallery.html has lost its @DATA@"
    return head + text + tail


def _shown(result: dict[str, Any], film: Film | None, columns: list[suite.Column]) -> dict[str, Any]:
    flat = suite.row(result)
    shown = {name: flat[name] for name in ("asset", "prompt", "seed", "status", "stage", "reason", "asked", "distill_gait", "track_gait", "right", "tracking")}
    numbers = {column.key: None if (number := suite.value(result, column)) is None else round(number, 4) for column in columns}
    media = {"film": _data("video/mp4", film.film), "still": _data("image/jpeg", film.still), "width": film.width, "height": film.height} if film else {}
    link = f"{result['folder']}/index.html" if result.get("folder") and result["status"] == suite.DONE else ""
    return shown | {"values": numbers, "link": link} | media


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
