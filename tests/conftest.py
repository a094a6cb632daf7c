"""Common to all tests: one compute thread a process, and the folder of real models."""

from __future__ import annotations

import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # pytest-xdist uses the cores
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as stages/__init__.py does, which tests import after torch

import pytest  # noqa: E402 (after the thread counts are set)


@pytest.fixture(scope="session")
def real_assets() -> Path:
    """The folder of real models, $AKD_TEST_ASSETS."""
    folder = os.environ.get("AKD_TEST_ASSETS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set AKD_TEST_ASSETS to a folder with .glb models")
    return Path(folder)
