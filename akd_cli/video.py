"""What is on record about a rendered video: render.json beside it, written last."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from schemas.artifact import Header, file_digest
from schemas.atomic import write_text
from schemas.errors import MissingError, SchemaError


@dataclasses.dataclass
class Video:
    """A rendering: its figures, and the sha256 of the files that belong to it.

    Attributes:
        figures: {"frames": n, "width": px, "height": px, "fps": Hz, "seconds": s}.
        files: sha256 by file name.
    """

    figures: dict[str, Any]
    files: dict[str, str]
    header: Header = dataclasses.field(default_factory=Header)
    folder: Path = Path()

    @classmethod
    def load(cls, path: Path) -> Video:
        """Read render.json.

        Raises:
            MissingError: No such file. SchemaError: Not a record of a rendering.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            header = Header(**content["header"])
            if header.schema != "akd.render":
                raise ValueError(f"schema is '{header.schema}'")
            return cls(dict(content["figures"]), dict(content["files"]), header, path.parent)
        except FileNotFoundError as error:
            raise MissingError(f"{path}: no such file;", "run akd render.") from error
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise SchemaError(f"{path}: not a record of a rendering ({error});", "run akd render again.") from error

    def save(self, path: Path) -> Path:
        """Write render.json atomically."""
        header = dataclasses.replace(self.header, schema="akd.render", version="1.0", digest=self.content_digest())
        content = {"header": dataclasses.asdict(header), "figures": self.figures, "files": self.files}
        write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
        self.header, self.folder = header, path.parent
        return path

    def content_digest(self) -> str:
        """The video's own sha256. [hex]"""
        return self.files.get("render.mp4", "")

    def changed(self) -> list[str]:
        """Files that are not those on record."""
        return [f"{name} is not the one on record" for name, digest in sorted(self.files.items()) if file_digest(self.folder / name) != digest]
