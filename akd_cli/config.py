"""akd config: what akd.toml sets here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .options import ReadOptions
from .status import Place, Workspace

All = Annotated[bool, typer.Option("--all", help="Also show what is at its default.")]
Template = Annotated[bool, typer.Option("--template", help="Print an akd.toml with every key as a comment, and stop.")]
EXAMPLES = "akd config", "akd config runs/tiger --all --json", "akd config --template"


def config(
    place: Place = None,
    workspace: Workspace = None,
    all: All = False,
    template: Template = False,
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
) -> None:
    """Show what stages use where no flag is given: akd.toml of the current folder, over it that of the workspace.

    Which values an artifact was made with, and which of them were given by flags, akd inspect shows.
    """
    from schemas.errors import InputError, MissingError

    from . import settings
    from .console import Console, table
    from .workspace import resolve

    if template:
        if options.json:
            raise InputError("--template: is TOML, not JSON;", "leave out --json, or leave out --template for the values as JSON.")
        print(settings.template(), end="")
        return
    try:
        root = resolve(workspace, place)[0].root
    except MissingError:
        if workspace or place:
            raise
        root = None  # no workspace yet: the current folder's file
    found = settings.read(root)
    parameters = {stage: _parameters(found, stage, kind) for stage, kind in settings.sections().items()}
    shown = [
        (f"[{stage}]", name, "unset" if entry["value"] is None else str(entry["value"]), entry["from"])
        for stage, entries in parameters.items()
        for name, entry in entries.items()
        if all or entry["from"] != "default"
    ]
    files = [str(path) for path in found.files]
    data = {"workspace": str(root) if root else None, "files": files, "quiet": bool(found.quiet), "parameters": parameters}
    Console(options.quiet, options.json).result(data, " over ".join(reversed(files)) or "no akd.toml: everything is at its default", *table(shown))


def _parameters(found: Any, stage: str, kind: type) -> dict[str, dict[str, Any]]:
    """Value and origin of every parameter of a stage."""
    import dataclasses

    from .settings import key_of

    entries = {}
    for field in dataclasses.fields(kind):
        value = found.of(stage).get(field.name)
        entries[key_of(field)] = {"value": value.value if value else field.default, "from": str(value.file) if value else "default"}
    return entries
