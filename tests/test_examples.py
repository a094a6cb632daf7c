"""Every example runs, as it stands: akd.toml in the folder makes its stages small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trimesh

from stages.asset.stage import run as asset

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SMALL = """
quiet = true
[splat]
kernels = 300
views = 4
size = 48
iterations = 4
[distill]
iterations = 3
preview = false
[track]
iterations = 2
[render]
size = "96x64"
sheet-frames = 2
"""
ENDS = {
    "built_in.sh": ((), ["runs/tiger/motions/a-tiger-walking/index.html", "runs/tiger/motions/a-tiger-walking/metrics.json"], "metrics.json"),
    "read_with_h5py.py": (("runs/tiger/motions/a-tiger-walking/track.h5",), [], "17 frames at 16 Hz"),
    "game_engine.sh": ((), ["tiger.glb", "tiger.bvh"], "a tiger running"),
    "stage_by_stage.sh": ((), [], "rig.h5 has changed"),
    "own_asset.sh": (("mine.obj", "a dog walking"), ["runs/mine/motions/a-dog-walking/track.glb"], "runs/mine/rig.png"),
    "custom_skeleton_and_weights.sh": ((), ["runs/custom/skin.h5"], "skin   fresh"),
    "batch.py": (("a tiger walking", "a wyvern walking"), [], "a wyvern walking: akd: "),
}
"""By script: arguments, files that it leaves, words that it prints. In this order, so that each finds what the ones before made."""
LONG = ("game_engine.sh", "stage_by_stage.sh", "own_asset.sh")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An empty folder with small settings, a program `akd` and a mesh without a skeleton."""
    place = tmp_path_factory.mktemp("examples")
    (place / "akd.toml").write_text(SMALL)
    (place / "bin").mkdir()
    program = place / "bin" / "akd"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m akd_cli "$@"\n')
    program.chmod(0o755)
    dog = asset("dog")
    trimesh.Trimesh(dog.vertices, dog.faces, process=False).export(place / "mine.obj")
    return place


def test_every_example_is_run_and_says_how_it_is_called():
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == set(ENDS)
    assert all("usage: " in (EXAMPLES / name).read_text() for name in ENDS)
    assert all(os.access(EXAMPLES / name, os.X_OK) for name in ENDS if name.endswith(".sh"))


@pytest.mark.parametrize("name", ENDS)
def test_example(folder, name):
    if name in LONG and os.environ.get("AKD_TEST_EXAMPLES") == "quick":
        pytest.skip("takes about 25 s of a core, and AKD_TEST_EXAMPLES=quick asks for the others alone")
    arguments, files, words = ENDS[name]
    if any(str(one).startswith("runs/") and not (folder / one).exists() for one in arguments):
        pytest.skip("reads what built_in.sh makes: run the whole file")
    environment = {key: value for key, value in os.environ.items() if key != "AKD_WORKSPACE"}
    environment |= {"PATH": f"{folder / 'bin'}:{environment['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*(["bash"] if name.endswith(".sh") else [sys.executable]), str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert words in done.stdout and [file for file in files if not (folder / file).is_file()] == []
