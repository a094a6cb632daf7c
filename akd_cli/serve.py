"""The server of `akd view`: read-only, for this computer alone.

It answers a fixed set of addresses: the index, the state as JSON, the page of each motion, and a list of file names in
the motions' folders. No address is ever turned into a path: names are looked up among those that are allowed.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from schemas.errors import AkdError, InputError

from .chain import STAGES, Chain
from .page import BESIDE, build, of_motion
from .workspace import Workspace

KINDS = {
    ".png": "image/png", ".mp4": "video/mp4", ".glb": "model/gltf-binary", ".json": "application/json", ".h5": "application/x-hdf5", ".xml": "application/xml",
}  # fmt: skip
FILES = (*BESIDE, "distill.preview.png", "distill.loss.png")
"""Names that are served from a motion's folder."""


class Board:
    """What is known of a workspace, read again when its files change."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._lock = threading.Lock()
        self._seen: Any = None
        self._states: list[Any] = []
        self._facts: dict[str, dict[str, str]] = {}
        self._pages: dict[str, tuple[Any, str]] = {}

    def status(self) -> dict[str, Any]:
        """The answer to /api/status."""
        with self._lock:
            self._refresh()
        writer = self.workspace.writer()
        motions = [self._motion(slug, bool(writer)) for slug in self.workspace.motions()]
        return {
            "name": self.workspace.root.resolve().name,
            "source": Path(str(self.workspace.notes.get("source", "unknown"))).name,
            "fresh": all(state.fresh for state in self._states),
            "writer": writer,
            "assets": [state.as_dict() for state in self._states if not state.motion],
            "motions": motions,
        }

    def page(self, slug: str) -> str:
        """The page of a motion, made again when its files change.

        Raises:
            AkdError: It cannot be made yet.
        """
        folder = self._folder(slug)
        with self._lock:
            seen = _stamps([folder / "distill.h5", folder / "track.h5", self.workspace.path("rig.h5"), self.workspace.path("skin.h5")])
            if self._pages.get(slug, (None,))[0] != seen:
                chain = Chain(self.workspace)
                self._pages[slug] = seen, build(chain, of_motion(chain, slug), folder)
            return self._pages[slug][1]

    def file(self, slug: str, name: str) -> Path | None:
        """The path of a file of a motion, None unless it is there and meant to be seen."""
        if slug not in self.workspace.motions() or name not in FILES:
            return None
        path = self._folder(slug) / name
        inside = path.is_file() and path.resolve().is_relative_to(self.workspace.root.resolve())
        return path if inside else None

    def _folder(self, slug: str) -> Path:
        return self.workspace.root / "motions" / slug

    def _refresh(self) -> None:
        folders = [self.workspace.root, *(self._folder(slug) for slug in self.workspace.motions())]
        # contents of checkpoints and previews change all the time and say nothing about what is fresh
        names = sorted(path for folder in folders for path in folder.glob("*") if not path.name.startswith("."))
        seen = [path.name for path in names], _stamps([path for path in names if path.suffix != ".partial" and path.name not in FILES[-2:]])
        if seen == self._seen:
            return
        chain = Chain(self.workspace)
        self._states, self._seen = chain.states(), seen
        self._facts = {slug: _facts(chain, slug) for slug in self.workspace.motions()}

    def _motion(self, slug: str, writing: bool) -> dict[str, Any]:
        folder = self._folder(slug)
        base = f"/motions/{quote(slug)}/"

        def address(name: str) -> str | None:
            path = self.file(slug, name)
            return f"{base}{name}?{path.stat().st_mtime_ns}" if path else None

        made = any((folder / f"{stage}.h5").exists() for stage in ("distill", "track"))
        return {
            "slug": slug,
            **self._facts.get(slug, {"prompt": slug.replace("-", " "), "facts": ""}),
            "page": base if made else None,
            "video": address("render.mp4"),
            "preview": address("distill.preview.png"),
            "loss": address("distill.loss.png"),
            "running": writing and _at_work(folder),
            "artifacts": [state.as_dict() for state in self._states if state.motion == slug and state.stage in STAGES],
        }


def _at_work(folder: Path) -> bool:
    """Whether a motion of a workspace in which somebody writes is the one that is being made."""
    partial, preview, artifact = any(folder.glob("*.partial")), folder / "distill.preview.png", folder / "distill.h5"
    if partial or not artifact.exists():
        return True
    return preview.exists() and preview.stat().st_mtime_ns > artifact.stat().st_mtime_ns


def _facts(chain: Chain, slug: str) -> dict[str, str]:
    """The prompt and a line about a motion."""
    prompt, line = slug.replace("-", " "), ""
    for stage in ("distill", "track"):
        if chain.path(stage, slug).exists():
            try:
                motion = chain.load(stage, slug)
            except AkdError as error:
                line = str(error)
                continue
            prompt = motion.prompt if stage == "distill" or not line else prompt
            line = f"{motion.frame_count} frames, {motion.duration:.2f} s, made {motion.header.created[:16].replace('T', ' ')}"
    return {"prompt": prompt, "facts": line}


def _stamps(paths: list[Path]) -> list[tuple[str, int, int]]:
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:  # it may go while we look
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD; set `board` in a subclass."""

    board: Board
    server_version = "akd"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line."""

    def _answer(self, body: bool) -> None:
        # a foreign site could have its own name point to 127.0.0.1 and read what we say: only our names are answered
        if self.headers.get("Host", "").rsplit(":", 1)[0] not in ("127.0.0.1", "localhost"):
            return self._send(403, "text/plain", b"ask for 127.0.0.1\n", body)
        try:
            kind, content, policy = self._content(urlsplit(self.path).path)
        except AkdError as error:
            return self._send(503, "text/plain; charset=utf-8", f"{error}\n".encode(), body)
        if kind is None:
            return self._send(404, "text/plain", b"no such page\n", body)
        self._send(200, kind, content, body, policy)

    def _content(self, path: str) -> tuple[str | None, bytes, str]:
        if path == "/":
            return "text/html; charset=utf-8", *_index()
        if path == "/api/status":
            return "application/json", json.dumps(self.board.status()).encode(), ""
        match = re.fullmatch(r"/motions/([^/]+)/([^/]*)", path)
        slug, name = (unquote(part) for part in match.groups()) if match else ("", "")
        if name in ("", "index.html") and slug in self.board.workspace.motions():
            return "text/html; charset=utf-8", self.board.page(slug).encode(), ""
        found = self.board.file(slug, name) if match else None
        return (KINDS[found.suffix], found.read_bytes(), "") if found else (None, b"", "")

    def _send(self, code: int, kind: str, content: bytes, body: bool, policy: str = "") -> None:
        part = _range(self.headers.get("Range", ""), len(content)) if code == 200 else None
        self.send_response(206 if part else code)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Accept-Ranges", "bytes")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        if part:
            self.send_header("Content-Range", f"bytes {part[0]}-{part[1] - 1}/{len(content)}")
            content = content[part[0] : part[1]]
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


def server(workspace: Workspace, port: int) -> http.server.ThreadingHTTPServer:
    """A server for a workspace on 127.0.0.1, not yet running.

    Raises:
        InputError: The port is taken.
    """
    handler = type("WorkspaceHandler", (Handler,), {"board": Board(workspace)})
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise InputError(f"--port {port}: cannot be used ({error.strerror});", "choose another one, or 0 for any that is free.") from error


def _index() -> tuple[bytes, str]:
    """The index page and its content security policy."""
    text = (resources.files("stages.render.page") / "workspace.html").read_text(encoding="utf-8")

    def allowed(tag: str) -> str:
        inside = text[text.index(f"<{tag}>") + len(tag) + 2 : text.index(f"</{tag}>")]
        return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"

    own = "img-src 'self' data:; media-src 'self'; connect-src 'self'"
    return text.encode(), f"default-src 'none'; script-src {allowed('script')}; style-src {allowed('style')}; {own}; base-uri 'none'; frame-ancestors 'none'"


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """First byte and end of a single byte range, as videos ask for; None for anything else: then all is sent."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted.strip())
    if not match or not any(match.groups()):
        return None
    start, last = match.groups()
    first = int(start) if start else max(size - int(last), 0)
    end = min(int(last) + 1, size) if start and last else size
    return (first, end) if first < end else None
