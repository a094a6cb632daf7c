"""akd status: what is fresh, stale or missing, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import ReadOptions

Place = Annotated[str | None, typer.Argument(help="A workspace, or a file in one.", show_default=False)]
Workspace = Annotated[
    str | None, typer.Option("--workspace", "-w", help="Folder of the artifacts (default: $AKD_WORKSPACE, else the one used last under runs/).")
]
EXAMPLES = "akd status", "akd status runs/tiger --json"


def status(place: Place = None, workspace: Workspace = None, options: ReadOptions = ReadOptions()) -> None:  # noqa: B008 (frozen)
    """Tell which artifacts of a workspace are fresh, stale or missing, and why.

    An artifact is stale when an input has changed, when a parameter is not what it would be made with today, or when
    a file made from it is missing. Parameters that cannot change the result (device, ...) never make it stale.
    """
    from .chain import Chain
    from .console import Console, table
    from .workspace import resolve

    found, _ = resolve(workspace, place)
    states = Chain(found).states()
    rows = [("motions/" + s.motion if s.motion else "", s.stage, s.state, "; ".join(s.reasons)) for s in states]
    stale = sum(not s.fresh for s in states)
    verdict = "everything is fresh" if not stale else f"{stale} of {len(states)} to do"
    motions = "" if found.motions() else ', no motion yet (akd distill --prompt "...")'
    asset = found.notes.get("source", "unknown")
    data = {"workspace": str(found), "source": asset, "fresh": not stale, "artifacts": [s.as_dict() for s in states]}
    Console(options.quiet, options.json).result(data, f"{found} ({asset}): {verdict}{motions}", *table(rows))
