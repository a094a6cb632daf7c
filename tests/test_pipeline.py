"""The whole pipeline, small: from a built-in character and from an artist's file to a tracked, filmed motion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from schemas.artifact import Artifact
from schemas.asset import Asset
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.skin import Skin
from schemas.splat import Splat
from schemas.track import Track
from tests.validator import assert_valid

SMALL = {
    "splat": ["--kernels", "500", "--views", "6", "--size", "64", "--iterations", "20"],
    "distill": ["--prompt", "a tiger walking", "--iterations", "6"],
    "track": ["--iterations", "4"],
    "render": ["--size", "160x96"],
}
KINDS = {"asset": Asset, "rig": Rig, "skin": Skin, "splat": Splat, "distill": Motion, "track": Track}


def akd(folder: Path, *arguments: str) -> dict:
    """Run a command in `folder` and return its JSON."""
    done = subprocess.run([sys.executable, "-m", "akd_cli", *arguments, "--json", "--quiet"], cwd=folder, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    clean = {key: value for key, value in os.environ.items() if key != "AKD_WORKSPACE"}
    return clean | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def run_all(folder: Path, workspace: str, source: str, prompt: str) -> Path:
    akd(folder, "asset", source, "--workspace", workspace)
    for stage in ("rig", "skin", "splat", "distill", "track", "render"):
        flags = [prompt if flag == "a tiger walking" else flag for flag in SMALL.get(stage, [])]
        akd(folder, stage, "--workspace", workspace, *flags)
    return folder / workspace


def artifacts(root: Path) -> dict[str, Path]:
    motion = next((root / "motions").iterdir())
    return {stage: (motion if stage in ("distill", "track") else root) / f"{stage}.h5" for stage in KINDS}


@pytest.fixture(scope="module")
def tiger(tmp_path_factory) -> Path:
    return run_all(tmp_path_factory.mktemp("tiger"), "w", "tiger", "a tiger walking")


def test_every_artifact_is_there_and_valid(tiger):
    for stage, path in artifacts(tiger).items():
        KINDS[stage].load(path)
    motion = tiger / "motions" / "a-tiger-walking"
    for name in ("asset.glb", "rig.glb", "skin.glb", "splat.ply"):
        assert (tiger / name).stat().st_size > 1000
    for name in ("distill.glb", "track.glb", "render.mp4", "render.png"):
        assert (motion / name).stat().st_size > 1000


def test_exports_pass_the_khronos_validator(tiger):
    for path in sorted(tiger.rglob("*.glb")):
        assert_valid(path)


def test_status_says_that_all_is_fresh_and_a_second_run_does_nothing(tiger):
    states = akd(tiger.parent, "status", "--workspace", "w")
    assert "stale" not in json.dumps(states) and "missing" not in json.dumps(states)
    before = {path: path.stat().st_mtime_ns for path in artifacts(tiger).values()}
    assert akd(tiger.parent, "skin", "--workspace", "w")["action"] == "fresh"
    content = {path: KINDS[stage].load(path).content_digest() for stage, path in artifacts(tiger).items()}
    assert content and before[artifacts(tiger)["splat"]] == artifacts(tiger)["splat"].stat().st_mtime_ns


def test_same_seed_gives_equal_datasets(tiger, tmp_path):
    again = run_all(tmp_path, "w", "tiger", "a tiger walking")
    for stage, path in artifacts(tiger).items():
        with h5py.File(path) as first, h5py.File(artifacts(again)[stage]) as second:
            assert sorted(first) == sorted(second)
            for name in first:
                np.testing.assert_array_equal(first[name][()], second[name][()], err_msg=f"{stage} {name}")


def test_killed_distillation_leaves_nothing_broken_and_goes_on(tiger, tmp_path):
    import shutil

    root = tmp_path / "w"
    shutil.copytree(tiger, root)
    old = artifacts(root)["distill"].read_bytes()
    command = [sys.executable, "-m", "akd_cli", "distill", "--workspace", "w", "--prompt", "a tiger walking", "--iterations", "20", "--checkpoint-every", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not list((root / "motions").rglob("*.partial")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert artifacts(root)["distill"].read_bytes() == old
    result = akd(tmp_path, "distill", "--workspace", "w", "--prompt", "a tiger walking", "--iterations", "20")
    assert result["action"] == "made"
    Motion.load(artifacts(root)["distill"])
    assert not [p for p in root.rglob(".*distill*") if p.suffix == ".h5"]


@pytest.mark.parametrize("name", ["KhronosFox"])
def test_artists_files_go_all_the_way(name, tmp_path):
    folder = os.environ.get("AKD_TEST_ASSETS")
    if not folder or not (Path(folder) / f"{name}.glb").exists():
        pytest.skip("AKD_TEST_ASSETS does not name the folder with the test models")
    root = run_all(tmp_path, "w", str(Path(folder) / f"{name}.glb"), "a fox walking")
    for stage, path in artifacts(root).items():
        assert isinstance(KINDS[stage].load(path), Artifact)
    for path in sorted(root.rglob("*.glb")):
        assert_valid(path)
