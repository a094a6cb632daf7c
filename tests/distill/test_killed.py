"""Runs that are killed, terminated, or find the disk full: nothing is half written, and what comes out is the same bit for bit."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.motion import Motion
from tests.schemas import samples

from . import akd_process, beast

STEPS = 10
DISTILL = ["distill", "-w", "beast", "--prompt", "a beast walking", "--iterations", str(STEPS), "--views", "1", "--checkpoint-every", "0", "--device", "cpu"]
DISTILL += ["--refresh", "1"]  # every step can be saved: between answers of the prior there is no state to go on from
DISTILL += ["--estimator", "consistent", "--loop"]  # both remember more from step to step
MOTION = "beast/motions/a-beast-walking"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with the motion of seed 1, the digests of the motions of seeds 0 and 1, and how many calls a run of seed 0 makes."""
    folder = tmp_path_factory.mktemp("killed")
    place = folder / "beast"
    place.mkdir()
    rig, splat = beast.rig(), beast.splat(beads=3)
    samples.asset().save(place / "asset.h5")
    rig.save(place / "rig.h5")
    samples.skin(joints=rig.joint_count).save(place / "skin.h5")
    splat.save(place / "splat.h5")
    assert finish(folder, DISTILL, hook=("calls", 0)) == 0, (folder / "err.txt").read_text()
    whole, calls = digest(folder), int((folder / "calls.txt").read_text())
    assert finish(folder, [*DISTILL, "--seed", "1"]) == 0
    assert digest(folder) != whole
    return folder, whole, digest(folder), calls


@pytest.fixture
def work(made, tmp_path):
    """A copy of that workspace to spoil: its folder, and the digests of the motion it shall have and of the one it has."""
    shutil.copytree(made[0] / "beast", tmp_path / "beast")
    return tmp_path, made[1], made[2]


def finish(folder, arguments, hook=(), limit=0) -> int:
    process = akd_process.start(folder, arguments, hook, limit)
    process.join(600)
    return process.exitcode


def digest(folder: Path) -> str:
    return Motion.load(folder / MOTION / "distill.h5").content_digest()


def steps_done(folder: Path) -> int:
    """Steps in the checkpoint, which must be whole if it is there."""
    from stages.distill import checkpoint

    path = folder / MOTION / "distill.h5.partial"
    return checkpoint._read(path, "")["state"]["iteration"] if path.exists() else 0


def wait_for_checkpoint(folder: Path, process) -> None:
    end = time.monotonic() + 600
    while not (folder / MOTION / "distill.h5.partial").exists():
        assert time.monotonic() < end and process.is_alive(), (folder / "err.txt").read_text()
        time.sleep(0.005)


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / MOTION).iterdir() if p.name.startswith(".") or p.suffix == ".partial")


def test_kills_at_random_points_change_nothing(work, made):
    folder, whole, old = work
    draw, calls = random.Random(0), made[3]
    progress = [0]
    for _ in range(5):
        code = finish(folder, DISTILL, hook=("calls", draw.randrange(1, calls // 6)))
        assert code == -signal.SIGKILL, (folder / "err.txt").read_text()
        progress.append(steps_done(folder))
        assert digest(folder) == old, "the artifact of the run before is intact"
    assert progress == sorted(progress) and 0 < progress[-1] < STEPS
    assert finish(folder, DISTILL) == 0
    assert f"going on after step {progress[-1]} of {STEPS}" in (folder / "err.txt").read_text()
    assert digest(folder) == whole
    assert leftovers(folder) == []


def test_a_kill_while_a_checkpoint_is_written_leaves_the_old_or_the_new_one(work):
    folder, whole, old = work
    for moment, gained, files in (("half", 1, 2), ("written", 1, 2), ("renamed", 2, 1)):
        before = steps_done(folder)
        assert finish(folder, DISTILL, hook=(moment, 2)) == -signal.SIGKILL, "while the second one of this process is saved"
        assert steps_done(folder) == before + gained and digest(folder) == old
        assert len(leftovers(folder)) == files, "the checkpoint, and a temporary file unless it was done"
    assert finish(folder, DISTILL) == 0
    assert digest(folder) == whole and leftovers(folder) == []


@pytest.mark.parametrize(("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted"), (signal.SIGHUP, "terminal closed")])
def test_polite_signals_save_first(work, number, word):
    folder, whole, old = work
    process = akd_process.start(folder, DISTILL)
    wait_for_checkpoint(folder, process)
    os.kill(process.pid, number)
    process.join(600)
    said = (folder / "err.txt").read_text()
    assert process.exitcode == 128 + number, said
    assert f"akd: {word}; the old artifact is intact, run again to resume" in said and "Traceback" not in said
    assert f"stopped after {steps_done(folder)} of {STEPS} steps, saved in" in said
    assert 0 < steps_done(folder) < STEPS and digest(folder) == old
    if number == signal.SIGTERM:  # going on is the same for all
        assert finish(folder, DISTILL) == 0 and digest(folder) == whole


def test_a_full_disk_costs_the_checkpoint_not_the_old_one(work):
    folder, whole, old = work
    assert finish(folder, DISTILL, hook=("renamed", 2)) == -signal.SIGKILL
    before = (folder / MOTION / "distill.h5.partial").read_bytes()
    assert finish(folder, DISTILL, limit=8000) == 2, (folder / "err.txt").read_text()
    said = (folder / "err.txt").read_text()
    assert said.count("no checkpoint, the run goes on: ") == 1 and "distill.h5.partial: no space left on the disk" in said
    assert said.count("distill.preview.png was not written") == 1
    last = said.strip().splitlines()[-1]
    assert last.startswith("akd: ") and "distill.h5: no space left on the disk; free some space and run again" in last and "Traceback" not in said
    assert (folder / MOTION / "distill.h5.partial").read_bytes() == before and digest(folder) == old
    assert finish(folder, DISTILL) == 0 and digest(folder) == whole and leftovers(folder) == []


def test_the_program_itself_killed_and_resumed(work):
    """As a user starts it, in a process of its own."""
    folder, whole, old = work
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "akd_cli", *DISTILL, "--quiet"]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 600
        while not steps_done(folder) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
    assert 0 < steps_done(folder) < STEPS and digest(folder) == old
    assert finish(folder, DISTILL) == 0 and digest(folder) == whole
