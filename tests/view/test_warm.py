"""The rasterizer knows whether it has been compiled: in a cache of its own it has not, and after compiling it has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stages.view import warm

ROOT = Path(__file__).resolve().parents[2]


def test_an_empty_cache_is_pending(tmp_path):
    """In a process of its own: numba reads where its cache is when it loads."""
    code = "from stages.view import warm; print(warm.pending(), warm.pending(posed=True))"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "empty")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_nothing_is_pending_once_compiled():
    assert warm.compile_all() > 0
    assert not warm.pending() and not warm.pending(posed=True)
    code = "from stages.view import warm; print(warm.pending(), warm.pending(posed=True))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["False", "False"]
