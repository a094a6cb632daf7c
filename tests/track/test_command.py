"""The command track: a failure is said on the result line and, with --strict, by the exit code."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from akd_cli import execute
from akd_cli import track as command
from akd_cli.describe import figures, sentence
from schemas.errors import InputError
from schemas.gltf import write
from stages.track.params import Params
from stages.track.stage import run
from tests.schemas import samples

from .beasts import quadruped, trot


def test_strict_turns_a_failure_into_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for report in ({"failed": True, "reason": "it fell over: the root leans 80 degrees"}, {"failed": False, "reason": ""}):
        monkeypatch.setattr(execute, "run", lambda *_, report=report, **__: SimpleNamespace(report=report))
        command.track()
        if report["failed"]:
            with pytest.raises(InputError, match="80 degrees"):
                command.track(strict=True)
        else:
            command.track(strict=True)


def test_the_result_line_tells_failure_and_feet() -> None:
    rig = quadruped()
    motion = trot(rig, frames=5)
    motion.angles = np.random.default_rng(0).uniform(-3, 3, motion.angles.shape).astype(np.float32)
    motion.angles[:, 0] = 0
    line = sentence(figures(run(rig, motion, Params(iterations=4, substeps=12))))
    assert "tracking FAILED" in line
    line = sentence(figures(run(rig, trot(rig, frames=5), Params(iterations=20))))
    assert "tracking ok" in line
    assert "foot slide" in line
    assert "m/s" in line


def test_the_glb_tells_of_the_feet(tmp_path) -> None:
    asset, rig, track = samples.asset(), samples.rig(), samples.track()
    track.report["feet"] = {"slide_before": 0.3, "slide_after": 0.05, "stances": {"foot": [[0.0, 0.5]]}}
    write(tmp_path / "a.glb", asset, rig, None, track)
    data = (tmp_path / "a.glb").read_bytes()
    length = int.from_bytes(data[12:16], "little")
    assert json.loads(data[20 : 20 + length])["asset"]["extras"]["akd"]["feet"] == track.report["feet"]
