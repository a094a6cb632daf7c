"""The gallery of a suite: small films of what is done, put into one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Gallery:
    """Writes a suite's page; keeps the small films it made, for the page is written after every entry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._films: dict[tuple[str, int], Any] = {}

    def page(self, results: list[dict[str, Any]], subtitle: str) -> str:
        """The page's HTML."""
        from stages.evaluate.gallery import page

        films = {result["folder"]: film for result in results if result.get("folder") and (film := self._film(result["folder"]))}
        return page(results, films, subtitle=subtitle)

    def _film(self, folder: str) -> Any:
        from stages.render.thumbnail import shrink

        path = self._folder / folder / "render.mp4"
        if not path.is_file():
            return None
        key = folder, path.stat().st_mtime_ns
        if key not in self._films:
            self._films[key] = shrink(path)
        return self._films[key]
