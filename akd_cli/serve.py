"""The server of `akd view`: read-only, for this computer alone.

It answers a fixed set of addresses: the index, the state as JSON, the page of each motion, and a list of file names in
the motions' folders. No address is ever turned into a path: names of workspaces, motions and files are looked up among
those that there are.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
from importlib import resources
from pathlib import Path
from urllib.parse import unquote, urlsplit

from schemas.errors import AkdError, InputError

from .board import Shelf

KINDS = {
    ".png": "image/png", ".mp4": "video/mp4", ".glb": "model/gltf-binary", ".json": "application/json", ".h5": "application/x-hdf5", ".xml": "application/xml",
}  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD; set `shelf` in a subclass."""

    shelf: Shelf
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
            return "application/json", json.dumps(self.shelf.status()).encode(), ""
        match = re.fullmatch(r"/([^/]+)/motions/([^/]+)/([^/]*)", path)
        workspace, slug, name = (unquote(part) for part in match.groups()) if match else ("", "", "")
        board = self.shelf.boards().get(workspace)
        if board is None:
            return None, b"", ""
        if name in ("", "index.html") and slug in board.motions():
            return "text/html; charset=utf-8", board.page(slug).encode(), ""
        found = board.file(slug, name)
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


def server(place: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server on 127.0.0.1 for a workspace, or for all workspaces in a folder; not yet running.

    Raises:
        InputError: The port is taken.
    """
    handler = type("ShelfHandler", (Handler,), {"shelf": Shelf(place)})
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
