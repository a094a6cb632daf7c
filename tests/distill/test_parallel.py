"""Two processes are one run: the same gradients as one process with all views, the same bits on both, one artifact."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from schemas.errors import InputError
from schemas.motion import Motion
from stages.distill import parallel

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def torchrun(*arguments: str, processes: int = 2, **more) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=240, env=ONE_THREAD, **more)


def test_two_processes_have_the_gradient_of_one(tmp_path):
    done = torchrun("-m", "tests.distill.ranks", str(tmp_path / "two.pt"))
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = torch.load(tmp_path / "two.pt")
    # in a process as fresh as theirs: threads and flags that other tests leave here would change the rounding
    alone_in = [sys.executable, "-m", "tests.distill.ranks", str(tmp_path / "alone.pt")]
    subprocess.run(alone_in, check=True, capture_output=True, cwd=ROOT, timeout=240, env=ONE_THREAD)
    (alone,) = torch.load(tmp_path / "alone.pt")
    for name, wanted in alone["gradients"].items():
        assert torch.equal(first["gradients"][name], second["gradients"][name]), "the processes would drift apart"
        off = float((first["gradients"][name] - wanted).norm() / wanted.norm())
        assert off <= 1e-5, f"{name}: {off:.2g}"
    assert torch.equal(first["angles"], second["angles"])
    assert torch.allclose(first["rows"][0], alone["rows"][0], rtol=1e-5, atol=1e-9)
    # Adam divides by the size of the gradient: where that is rounding, so is the step
    assert (first["angles"] - alone["angles"]).norm() <= 1e-2 * alone["angles"].norm()


def test_the_command_on_two_processes_writes_one_artifact(tmp_path):
    space = str(tmp_path / "tiger")
    body = ["-m", "akd_cli", "splat", "tiger", "--workspace", space, "--kernels", "200", "--iterations", "1", "--quiet"]
    subprocess.run([sys.executable, *body], cwd=ROOT, check=True, capture_output=True, timeout=240)
    command = ["-m", "akd_cli", "distill", "-p", "a tiger walking", "--prior", "ideal", "--iterations", "2", "--workspace", space]
    two = torchrun(*command, "--json")
    assert two.returncode == 0, two.stderr[-3000:]
    assert two.stdout.count('"action"') == 1, "one process alone reports"
    path = tmp_path / "tiger" / "motions" / "a-tiger-walking" / "distill.h5"
    motion = Motion.load(path)
    assert np.abs(motion.angles).max() > 0 and motion.report["iterations"] == 2
    again = torchrun(*command)  # fresh: the processes that wait are told that there is nothing to do
    assert again.returncode == 0 and "is fresh" in again.stdout
    assert not list(path.parent.glob("*.partial"))


def test_views_are_divided_evenly_or_refused():
    shares = [parallel.World(rank, 3).share(6) for rank in range(3)]
    assert [list(range(6))[share] for share in shares] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(InputError, match="--views 4: cannot be divided among 3 processes; give a multiple, such as 6"):
        parallel.World(0, 3).share(4)


@pytest.mark.parametrize(("rank", "size"), [("1", "1"), ("x", "2"), ("-1", "2")])
def test_an_environment_that_torchrun_did_not_set_is_refused(monkeypatch, rank, size):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(InputError, match="torchrun"):
        parallel.launched()
