"""akd view: a workspace in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import ReadOptions
from .status import Place, Workspace

Port = Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0 takes any that is free.", min=0, max=65535)]
Browser = Annotated[bool, typer.Option("--browser", help="Open it in the browser.")]
EXAMPLES = "akd view", "akd view runs/tiger --browser", "akd view --port 0"


def view(
    place: Place = None,
    workspace: Workspace = None,
    port: Port = 8090,
    browser: Browser = False,
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
) -> None:
    """Serve a workspace to the browser of this computer: all its motions, and how a running distillation gets on.

    Only this computer can reach it, nothing can be changed through it. Ctrl-C ends it.
    """
    from .console import Console
    from .serve import server
    from .workspace import resolve

    found, _ = resolve(workspace, place)
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
