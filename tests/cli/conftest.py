"""A command line whose stages give small ready-made artifacts at once: what is tested is the house around them."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable

import pytest

from akd_cli import app
from tests.schemas import samples

SAMPLES = {"asset": samples.asset, "rig": samples.rig, "skin": samples.skin, "splat": samples.splat, "distill": samples.motion, "track": samples.track}


@dataclasses.dataclass
class Result:
    """What a run of the program gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """The one JSON object on stdout."""
        assert len(self.out.strip().splitlines()) == 1
        return json.loads(self.out)


@pytest.fixture
def akd(tmp_path, monkeypatch, capsys) -> Callable[..., Result]:
    """Run the program in an empty folder: akd("rig", "--limits", "free") -> Result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AKD_WORKSPACE", raising=False)

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        code = app.run(arguments)
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """Let the stages answer at once with a sample artifact; the list tells which were run."""
    calls: list[str] = []

    def maker(stage: str) -> Callable:
        def make(job):
            calls.append(stage)
            artifact = SAMPLES[stage]()
            if stage == "rig":  # a parameter that shows in the content
                artifact.category = job.params.limits
            if stage == "distill":
                artifact.prompt = job.prompt
            return artifact.stamped(params=job.params, seed=getattr(job.params, "seed", 0))

        return make

    for stage in SAMPLES:
        monkeypatch.setattr(importlib.import_module(f"akd_cli.{stage}"), "make", maker(stage))
    return calls
