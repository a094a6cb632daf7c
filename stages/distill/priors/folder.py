"""Reading a model folder in diffusers format: its configuration, and whether all of it is there. Light: loads no weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.errors import MissingError

PARTS = ("transformer", "vae", "scheduler")


def pipeline_class(folder: Path) -> str:
    """Class of the diffusers pipeline that a folder holds, by its model_index.json; empty if it does not say."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(index.get("_class_name", "")) if isinstance(index, dict) else ""


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A configuration file.

    Raises:
        MissingError: It is not there or is damaged.
    """
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingError(f"{folder / name}: cannot be read ({type(error).__name__});", "download the model again.") from error


def check_parts(folder: Path, family: str, parts: Iterable[str] = PARTS) -> None:
    """Raise MissingError unless the folder has these parts and all files of weights that their indices list.

    Parameters:
        family: Of the model, for the message, such as "Wan".
    """
    for part in parts:
        if not (folder / part).is_dir():
            raise MissingError(f"{folder}: has no folder '{part}';", f"give the folder of a {family} model saved by diffusers.")
        lack = missing_weights(folder / part)
        if lack:
            raise MissingError(f"{folder / part}: lacks {lack[0]} ({len(lack)} of its files are not there);", "download the model again.")


def missing_weights(part: Path) -> list[str]:
    """Files that the indices of sharded weights list and that are not there, as after an interrupted download."""
    lack: set[str] = set()
    for index in sorted(part.glob("*.index.json")):
        shards = set(read_config(part, index.name).get("weight_map", {}).values())
        lack |= {shard for shard in shards if not (part / shard).is_file()}
    return sorted(lack)
