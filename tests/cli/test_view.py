"""akd view: what it serves, what it refuses, and that the browser shows it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
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
HERE = f"/tiger/motions/{MOTION}"


@contextlib.contextmanager
def serving(place: Path):
    """A running server of a place: a function that asks for an address, and its own address."""
    running = server(place, 0)
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

    yield get, f"http://127.0.0.1:{port}/"
    running.shutdown()
    running.server_close()


@pytest.fixture
def served(akd, ran):
    """A workspace with one rendered motion, a function that asks for an address, and the server's own address."""
    assert akd("distill", "-p", "a tiger walking").code == 0
    assert akd("render", "--size", "64x48", "--sheet-frames", "2").code == 0
    workspace = Workspace(Path("runs/tiger").resolve())
    with serving(workspace.root) as (get, address):
        yield workspace, get, address


def test_status_tells_of_motions_and_of_whoever_is_at_work(served):
    workspace, get, _ = served
    whole = json.loads(get("/api/status")[2])
    (status,) = whole["workspaces"]
    (motion,) = status["motions"]
    assert (whole["name"], status["name"], status["source"], status["writer"], status["fresh"]) == ("tiger", "tiger", "tiger", None, True)
    assert motion["prompt"] == "a tiger walking" and not motion["running"] and [a["state"] for a in motion["artifacts"]] == ["fresh"] * 3
    folder = workspace.root / "motions" / MOTION
    (folder / "distill.preview.png").write_bytes(b"picture")
    with workspace.locked():
        (folder / "distill.h5.partial").write_bytes(b"checkpoint")
        preview = json.loads(get("/api/status")[2])["workspaces"][0]["motions"][0]["preview"]
    assert get(preview)[2] == b"picture"
    (folder / "distill.preview.png").write_bytes(b"another")
    later = json.loads(get("/api/status")[2])["workspaces"][0]["motions"][0]["preview"]
    assert later != preview  # the address changes with the picture, so that the browser asks again
    (folder / "render.png").unlink()
    assert not json.loads(get("/api/status")[2])["workspaces"][0]["fresh"]


def test_index_page_and_files(served):
    workspace, get, _ = served
    code, headers, body = get("/")
    assert code == 200 and b"/api/status" in body and "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(f"{HERE}/")[2] == get(f"{HERE}/index.html")[2]
    assert b'id="model-track"' in get(f"{HERE}/")[2]
    video = (workspace.root / "motions" / MOTION / "render.mp4").read_bytes()
    code, headers, body = get(f"{HERE}/render.mp4?123")
    assert (code, headers["Content-Type"], body) == (200, "video/mp4", video)
    code, headers, body = get(f"{HERE}/render.mp4", Range="bytes=10-19")
    assert (code, headers["Content-Range"], body) == (206, f"bytes 10-19/{len(video)}", video[10:20])
    code, headers, body = get(f"{HERE}/render.mp4", method="HEAD")
    assert code == 200 and headers["Content-Length"] == str(len(video)) and body == b""


NOT_SERVED = (
    "/tiger/motions/../workspace.json", "/tiger/motions/%2e%2e/workspace.json", f"{HERE}/../../rig.h5", f"{HERE}/..%2f..%2frig.h5",
    f"{HERE}/%2e%2e%2f%2e%2e%2fworkspace.json", "/workspace.json", "/tiger/workspace.json", "/rig.h5", "//etc/passwd", "/etc/passwd",
    f"{HERE}//etc/passwd", f"{HERE}/render.json", f"{HERE}/distill.h5.partial", "/tiger/motions//render.mp4", f"{HERE}/render.mp4%00", "/api", HERE,
    f"/tiger/motions/..%5c{MOTION}/render.mp4", "/%2e%2e/%2e%2e/etc/passwd", "/tiger/motions/no-such-motion/", f"/motions/{MOTION}/render.mp4",
    f"/..{HERE}/render.mp4", f"/%2e%2e/motions/{MOTION}/render.mp4", f"/./motions/{MOTION}/render.mp4", f"/tiger%2f..%2ftiger/motions/{MOTION}/render.mp4",
    f"//motions/{MOTION}/render.mp4", "/tiger/", "/tiger/api/status",
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
    assert get(f"{HERE}/track.xml")[0] == 404


def test_a_damaged_motion_says_so_and_does_not_end_it(served):
    workspace, get, _ = served
    (workspace.root / "motions" / MOTION / "track.h5").write_bytes(b"no artifact")
    code, _, body = get(f"{HERE}/")
    assert code == 503 and b"track.h5" in body
    assert "track.h5" in json.loads(get("/api/status")[2])["workspaces"][0]["motions"][0]["facts"]


def test_a_port_that_is_taken_is_refused_with_a_way_out(akd, served):
    port = urllib.parse.urlsplit(served[2]).port
    result = akd("view", "--port", str(port))
    assert result.code == 2 and f"--port {port}" in result.err and "0 for any" in result.err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_program_says_where_and_stops_when_asked_to(tmp_path, stop):
    (tmp_path / "workspace.json").write_text('{"source": "tiger"}')
    command = [sys.executable, "-m", "akd_cli", "view", str(tmp_path), "--port", "0", "--json"]
    # a shell's background jobs ignore Ctrl-C, and so would what the tests start from one
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    ) as running:
        try:
            address = json.loads(running.stdout.readline())["address"]
            with urllib.request.urlopen(address + "api/status", timeout=30) as answer:
                assert json.load(answer)["workspaces"][0]["motions"] == []
            running.send_signal(stop)
            assert running.wait(30) == 0 and "stopped" in running.stderr.read()
        finally:
            running.kill()


def test_byte_ranges():
    assert [_range(f"bytes={r}", 100) for r in ("0-9", "90-", "-10", "95-200", "200-", "9-3", "", "0-9,20-29")] == [
        (0, 10), (90, 100), (90, 100), (95, 100), None, None, None, None,
    ]  # fmt: skip


def test_the_browser_shows_the_index_and_follows_to_the_page(served):
    workspace, _, address = served
    folder = workspace.root / "motions" / "a-<b>bold-tiger"
    folder.mkdir()
    with chromium() as browser, opened(browser, address) as (found, trouble):
        until(found, "document.querySelectorAll('.motions article').length == 2")
        assert found.locator(".motions b").count() == 0 and "<b>bold" in found.locator(".motions").inner_text()
        assert found.locator(".chip.fresh").count() == 7
        found.locator(".motions a").click()
        found.wait_for_selector("html[data-ready=yes]", timeout=30_000)
        assert found.title() == "a tiger walking" and trouble == []


def test_a_folder_of_workspaces(akd, served, tmp_path):
    """All that there are, those that come later too; none beyond the folder; a damaged one does not hide the others."""
    assert akd("distill", "-p", "a horse running").code == 0
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "workspace.json").write_text("{}")
    os.symlink(outside, "runs/link")
    Path("runs/no-workspace").mkdir()
    with serving(Path("runs")) as (get, _):
        names = lambda: [one["name"] for one in json.loads(get("/api/status")[2])["workspaces"]]  # noqa: E731
        assert names() == ["horse", "tiger"]
        assert get("/horse/motions/a-horse-running/")[0] == 200 and get(f"{HERE}/render.mp4")[0] == 200
        refused = ("/link/motions/", "/horse/motions/a-tiger-walking/", "/no-workspace/motions/x/", "/runs/motions/a-horse-running/", "/horse/workspace.json")
        assert {path: get(path)[0] for path in refused} == dict.fromkeys(refused, 404)
        Path("runs/new <one>").mkdir()
        Path("runs/new <one>/workspace.json").write_text("no json")
        found = {one["name"]: one for one in json.loads(get("/api/status")[2])["workspaces"]}
        assert "workspace.json" in found["new <one>"]["error"] and len(found["tiger"]["motions"]) == 1 and "error" not in found["tiger"]


def test_links_to_motions_elsewhere_are_not_followed(served, tmp_path):
    workspace, get, _ = served
    shutil.copytree(workspace.root / "motions" / MOTION, tmp_path / "other")
    os.symlink(tmp_path / "other", workspace.root / "motions" / "other")
    assert get("/tiger/motions/other/")[0] == get("/tiger/motions/other/render.mp4")[0] == 404
    assert len(json.loads(get("/api/status")[2])["workspaces"][0]["motions"]) == 1


def test_a_folder_without_workspaces_is_refused(akd, tmp_path):
    (tmp_path / "empty").mkdir()
    result = akd("view", "empty")
    assert result.code == 2 and "empty: is no workspace" in result.err and "akd asset" in result.err


def test_the_browser_shows_all_workspaces_and_who_is_at_work(akd, served):
    workspace = served[0]
    assert akd("distill", "-p", "a horse running").code == 0
    with chromium() as browser, serving(Path("runs")) as (_, address), opened(browser, address) as (found, trouble):
        until(found, "document.querySelectorAll('.motions article').length == 2")
        assert found.locator(".workspace > h2").all_inner_texts() == ["horse", "tiger"] and not found.locator(".work").first.is_visible()
        with workspace.locked():
            (workspace.root / ".lock").write_text("1")  # the number of another process
            until(found, "document.querySelector('.workspace > h2').textContent == 'tiger'")
            assert found.locator(".work h3").first.inner_text() == "At work"  # on the asset: no motion was touched since
            (workspace.root / "motions" / MOTION / "distill.h5.partial").write_bytes(b"checkpoint")
            until(found, "document.querySelector('.work h3').textContent != 'At work'")
            assert "At work: a tiger walking" in found.locator(".work").first.inner_text() and "1 at work" in found.locator("#facts").inner_text()
        until(found, "document.querySelector('.workspace > h2').textContent == 'horse'")
        assert trouble == []
