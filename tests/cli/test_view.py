"""akd view: what it serves, what it refuses, and that the browser shows it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from akd_cli.serve import _range, server
from akd_cli.workspace import Workspace
from tests.browser import chromium, opened, until

MOTION = "a-tiger-walking"


@pytest.fixture
def served(akd, ran):
    """A workspace with one rendered motion, and a function that asks for an address."""
    assert akd("distill", "-p", "a tiger walking").code == 0
    assert akd("render", "--size", "64x48", "--sheet-frames", "2").code == 0
    workspace = Workspace(Path("runs/tiger").resolve())
    running = server(workspace, 0)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    port = running.server_address[1]

    def get(path: str, method: str = "GET", **headers: str) -> tuple[int, dict, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    yield workspace, get, f"http://127.0.0.1:{port}/"
    running.shutdown()
    running.server_close()


def test_status_tells_of_motions_and_of_whoever_is_at_work(served):
    workspace, get, _ = served
    status = json.loads(get("/api/status")[2])
    (motion,) = status["motions"]
    assert (status["name"], status["source"], status["writer"], status["fresh"]) == ("tiger", "tiger", None, True)
    assert motion["prompt"] == "a tiger walking" and not motion["running"] and [a["state"] for a in motion["artifacts"]] == ["fresh"] * 3
    folder = workspace.root / "motions" / MOTION
    (folder / "distill.preview.png").write_bytes(b"picture")
    with workspace.locked():
        (folder / "distill.h5.partial").write_bytes(b"checkpoint")
        preview = json.loads(get("/api/status")[2])["motions"][0]["preview"]
    assert get(preview)[2] == b"picture"
    (folder / "distill.preview.png").write_bytes(b"another")
    later = json.loads(get("/api/status")[2])["motions"][0]["preview"]
    assert later != preview  # the address changes with the picture, so that the browser asks again
    (folder / "render.png").unlink()
    assert not json.loads(get("/api/status")[2])["fresh"]


def test_index_page_and_files(served):
    workspace, get, _ = served
    code, headers, body = get("/")
    assert code == 200 and b"/api/status" in body and "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(f"/motions/{MOTION}/")[2] == get(f"/motions/{MOTION}/index.html")[2]
    assert b'id="model-track"' in get(f"/motions/{MOTION}/")[2]
    video = (workspace.root / "motions" / MOTION / "render.mp4").read_bytes()
    code, headers, body = get(f"/motions/{MOTION}/render.mp4?123")
    assert (code, headers["Content-Type"], body) == (200, "video/mp4", video)
    code, headers, body = get(f"/motions/{MOTION}/render.mp4", Range="bytes=10-19")
    assert (code, headers["Content-Range"], body) == (206, f"bytes 10-19/{len(video)}", video[10:20])
    code, headers, body = get(f"/motions/{MOTION}/render.mp4", method="HEAD")
    assert code == 200 and headers["Content-Length"] == str(len(video)) and body == b""


NOT_SERVED = (
    "/motions/../workspace.json", "/motions/%2e%2e/workspace.json", f"/motions/{MOTION}/../../rig.h5", f"/motions/{MOTION}/..%2f..%2frig.h5",
    f"/motions/{MOTION}/%2e%2e%2f%2e%2e%2fworkspace.json", "/workspace.json", "/rig.h5", "//etc/passwd", "/etc/passwd", f"/motions/{MOTION}//etc/passwd",
    f"/motions/{MOTION}/render.json", f"/motions/{MOTION}/distill.h5.partial", "/motions//render.mp4", f"/motions/{MOTION}/render.mp4%00", "/api",
    f"/motions/{MOTION}", f"/motions/..%5c{MOTION}/render.mp4", "/%2e%2e/%2e%2e/etc/passwd", "/motions/no-such-motion/",
)  # fmt: skip


def test_nothing_else_is_served_to_nobody_else_and_nothing_is_written(served):
    _, get, _ = served
    assert {path: get(path)[0] for path in NOT_SERVED} == dict.fromkeys(NOT_SERVED, 404)
    # foreign names that point to this computer
    for host in ("evil.example", "evil.example:80", "", "127.0.0.1.evil.example"):
        assert get("/api/status", Host=host)[0] == 403
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert get("/", method=method)[0] == 501


def test_links_out_of_the_workspace_are_not_followed(served, tmp_path):
    workspace, get, _ = served
    (tmp_path / "secret").write_bytes(b"secret")
    link = workspace.root / "motions" / MOTION / "track.xml"
    os.symlink(tmp_path / "secret", link)
    assert get(f"/motions/{MOTION}/track.xml")[0] == 404


def test_a_damaged_motion_says_so_and_does_not_end_it(served):
    workspace, get, _ = served
    (workspace.root / "motions" / MOTION / "track.h5").write_bytes(b"no artifact")
    code, _, body = get(f"/motions/{MOTION}/")
    assert code == 503 and b"track.h5" in body
    assert "track.h5" in json.loads(get("/api/status")[2])["motions"][0]["facts"]


def test_a_port_that_is_taken_is_refused_with_a_way_out(akd, served):
    port = urllib.parse.urlsplit(served[2]).port
    result = akd("view", "--port", str(port))
    assert result.code == 2 and f"--port {port}" in result.err and "0 for any" in result.err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_program_says_where_and_stops_when_asked_to(tmp_path, stop):
    (tmp_path / "workspace.json").write_text('{"source": "tiger"}')
    command = [sys.executable, "-m", "akd_cli", "view", str(tmp_path), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        address = json.loads(running.stdout.readline())["address"]
        with urllib.request.urlopen(address + "api/status", timeout=30) as answer:
            assert json.load(answer)["motions"] == []
        running.send_signal(stop)
        assert running.wait(30) == 0 and "stopped" in running.stderr.read()


def test_byte_ranges():
    assert [_range(f"bytes={r}", 100) for r in ("0-9", "90-", "-10", "95-200", "200-", "9-3", "", "0-9,20-29")] == [
        (0, 10), (90, 100), (90, 100), (95, 100), None, None, None, None,
    ]  # fmt: skip


def test_the_browser_shows_the_index_and_follows_to_the_page(served):
    workspace, _, address = served
    folder = workspace.root / "motions" / "a-<b>bold-tiger"
    folder.mkdir()
    with chromium() as browser, opened(browser, address) as (found, trouble):
        until(found, "document.querySelectorAll('#motions article').length == 2")
        assert found.locator("#motions b").count() == 0 and "<b>bold" in found.locator("#motions").inner_text()
        assert found.locator(".chip.fresh").count() == 7
        found.locator("#motions a").click()
        found.wait_for_selector("html[data-ready=yes]", timeout=30_000)
        assert found.title() == "a tiger walking" and trouble == []
