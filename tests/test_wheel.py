"""The package as users install it: the wheel holds what the program needs, and runs from anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("akd_cli", "schemas", "stages")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: setuptools leaves folders beside what it builds."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 builds the wheel; pip install -c constraints.txt setuptools")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    (made,) = out.glob("akd-*.whl")
    return made


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout: which files belong to the packages is not known")
    wanted = {name for name in tracked.stdout.split("\n") if name and (ROOT / name).is_file()}
    sources = {name for name in wanted if "/web/" in name}  # of the page's bundle, which is in the wheel
    missing = wanted - sources - set(zipfile.ZipFile(wheel).namelist())
    assert not missing


def test_the_installed_program_runs_from_anywhere(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def python(*arguments: str) -> str:
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert python("-c", "import akd_cli; print(akd_cli.__file__)").startswith(str(tmp_path / "site"))
    assert "tiger" in python("-m", "akd_cli", "asset", "tiger", "--workspace", "tiger")  # a folder of that name is no obstacle
    assert "embedded" in python("-m", "akd_cli", "doctor")
