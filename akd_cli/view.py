"""akd view: a workspace, or a folder of workspaces, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import InputError

from .options import ReadOptions
from .status import Workspace

Place = Annotated[str | None, typer.Argument(help="A workspace, a file in one, or a folder of workspaces.", show_default=False)]
Port = Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0 takes any that is free.", min=0, max=65535)]
Browser = Annotated[bool, typer.Option("--browser", help="Open it in the browser.")]
EXAMPLES = "akd view", "akd view runs", "akd view runs/tiger --browser", "akd view --port 0"


def view(
    place: Place = None,
    workspace: Workspace = None,
    port: Port = 8090,
    browser: Browser = False,
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
) -> None:
    """Serve a workspace, or all workspaces of a folder, to the browser of this computer: motions, and how running distillations get on.

    Only this computer can reach it, nothing can be changed through it. Ctrl-C ends it.
    """
    from .console import Console
    from .serve import server

    found = _folder(place) or _workspace(workspace, place)
    console = Console(options.quiet, options.json)
    with server(found, port) as running:
        address = f"http://127.0.0.1:{running.server_address[1]}/"
        console.result({"workspace": str(found), "address": address}, f"{found}: {address}")
        if browser:
            import webbrowser

            webbrowser.open(address)
        try:
            running.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            console.note("view: stopped")


def _folder(place: str | None) -> Path | None:
    """The folder of workspaces that is meant, if it is one.

    Raises:
        InputError: A folder without any.
    """
    from .workspace import NOTES

    folder = Path(place or "")
    if not place or not folder.is_dir() or (folder / NOTES).exists():
        return None
    if not any(folder.glob(f"*/{NOTES}")):
        raise InputError(f"{place}: is no workspace, and no folder in it is one;", "make one with akd asset FILE.")
    return folder


def _workspace(workspace: str | None, place: str | None) -> Path:
    from .workspace import resolve

    return resolve(workspace, place)[0].root
