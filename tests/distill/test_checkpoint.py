"""Checkpoints and the cache of encoded prompts."""

from __future__ import annotations

import pytest
import torch

from schemas.errors import InputError, SchemaError
from stages.distill import checkpoint
from stages.distill.priors.text_cache import TextCache, cache_folder

IDENTITY = {"iterations": 10, "prompt": "a tiger walking", "seed": 0}
STATE = {
    "iteration": 4,
    "variables": {"joints": torch.arange(6.0).reshape(2, 3)},
    "rng": '{"state": 340282366920938463463374607431768211455}',
    "losses": [[1.0]],
}


def test_round_trip_beside_the_target(tmp_path):
    path = checkpoint.partial_path(tmp_path / "distill.h5")
    assert path.name == "distill.h5.partial"
    assert checkpoint.load(path, IDENTITY) is None
    checkpoint.save(path, IDENTITY, STATE)
    state = checkpoint.load(path, IDENTITY)
    assert torch.equal(state["variables"]["joints"], STATE["variables"]["joints"]) and state["rng"] == STATE["rng"]
    assert [p.name for p in tmp_path.iterdir()] == ["distill.h5.partial"]
    checkpoint.discard(path)
    checkpoint.discard(path)
    assert not path.exists()


def test_an_unfinished_run_with_other_parameters_is_refused(tmp_path):
    path = tmp_path / "distill.h5.partial"
    checkpoint.save(path, IDENTITY, STATE)
    with pytest.raises(InputError, match="seed = 0, this one has 1.*delete"):
        checkpoint.load(path, IDENTITY | {"seed": 1})


def test_a_finished_run_with_other_parameters_is_passed_over(tmp_path):
    path = tmp_path / "distill.h5.partial"
    checkpoint.save(path, IDENTITY, STATE | {"iteration": 10})
    assert checkpoint.load(path, IDENTITY | {"seed": 1}) is None
    assert checkpoint.load(path, IDENTITY)["iteration"] == 10


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_damage_is_named(tmp_path, content):
    path = tmp_path / "distill.h5.partial"
    if content is None:
        checkpoint.save(path, IDENTITY, STATE)
        content = path.read_bytes()[:200]
    path.write_bytes(content)
    with pytest.raises(SchemaError, match="distill.h5.partial: not a checkpoint"):
        checkpoint.load(path, IDENTITY)


def test_a_checkpoint_never_runs_code(tmp_path):
    path = tmp_path / "distill.h5.partial"
    torch.save({"format": checkpoint.FORMAT, "identity": IDENTITY, "state": checkpoint.Clock(1.0)}, path)
    with pytest.raises(SchemaError):
        checkpoint.load(path, IDENTITY)


def test_the_clock_adds_up_sittings():
    clock = checkpoint.Clock(every=1e9, spent=100.0)
    assert 100 <= clock.seconds() < 110 and not clock.due()
    assert checkpoint.Clock(every=0).due()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_prompt_is_encoded_once(tmp_path, dtype):
    calls = []

    def encode(prompt):
        calls.append(prompt)
        return torch.full((1, 3, 2), 0.1 + len(prompt), dtype=dtype)

    cache = TextCache("model", tmp_path)
    first, again = cache.get("a tiger", encode), TextCache("model", tmp_path).get("a tiger", encode)
    assert calls == ["a tiger"] and torch.equal(first, again) and again.dtype == dtype
    TextCache("another model", tmp_path).get("a tiger", encode)
    cache.get("", encode)
    assert calls == ["a tiger", "a tiger", ""]


def test_a_damaged_or_unwritable_cache_is_no_obstacle(tmp_path):
    cache = TextCache("model", tmp_path)
    cache.get("a tiger", lambda _: torch.ones(1))
    cache.path("a tiger").write_bytes(b"junk")
    assert cache.get("a tiger", lambda _: torch.zeros(1)).item() == 0
    (tmp_path / "file").write_text("in the way")
    assert TextCache("model", tmp_path / "file" / "text").get("a tiger", lambda _: torch.ones(1)).item() == 1


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("AKD_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("AKD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "akd"
