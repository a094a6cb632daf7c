"""Checkpoints and the cache of encoded prompts."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest
import torch

from schemas.errors import InputError, SchemaError, StorageError
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


def test_flipped_bits_are_noticed(tmp_path):
    path = tmp_path / "distill.h5.partial"
    checkpoint.save(path, IDENTITY, STATE)
    whole, draw = path.read_bytes(), random.Random(0)
    for _ in range(50):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        with pytest.raises(SchemaError, match="distill.h5.partial"):
            checkpoint.load(path, IDENTITY)


def test_a_checkpoint_never_runs_code(tmp_path, monkeypatch):
    path = tmp_path / "distill.h5.partial"
    checkpoint.save(path, IDENTITY, STATE | {"iteration": checkpoint.Clock(1.0)})  # a class of its own, pickled
    with pytest.raises(SchemaError, match="UnpicklingError"):
        checkpoint.load(path, IDENTITY)


def test_another_format_is_named(tmp_path, monkeypatch):
    path = tmp_path / "distill.h5.partial"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", "akd.distill.checkpoint 77")
        checkpoint.save(path, IDENTITY, STATE)
    with pytest.raises(SchemaError, match="format 'akd.distill.checkpoint 77', this akd reads 'akd.distill.checkpoint 2'; delete"):
        checkpoint.load(path, IDENTITY)


def test_entries_that_nobody_takes_up_or_that_are_missing_are_named(tmp_path):
    path = tmp_path / "distill.h5.partial"
    checkpoint.save(path, IDENTITY, STATE)
    assert checkpoint.load(path, IDENTITY, STATE.keys())["iteration"] == 4
    with pytest.raises(SchemaError, match="holds rng, which this akd does not know and lacks estimator, windows; use the akd that wrote it"):
        checkpoint.load(path, IDENTITY, {*STATE, "estimator", "windows"} - {"rng"})


def test_values_that_do_not_fit_are_told_of_without_a_traceback(tmp_path):
    path = tmp_path / "distill.h5.partial"
    leaves = {"joints": torch.zeros(2, 3, requires_grad=True)}
    checkpoint.fill(leaves, STATE["variables"])
    assert torch.equal(leaves["joints"], STATE["variables"]["joints"]) and leaves["joints"].requires_grad
    for saved, what in (
        ({"joints": torch.zeros(3, 2)}, r"joints of shape \(3, 2\) instead of \(2, 3\)"),
        ({"turns": torch.zeros(2, 3)}, "variables turns instead of joints"),
    ):
        with pytest.raises(SchemaError, match=f"does not fit this akd.*{what}.*delete"), checkpoint.fitting(path):
            checkpoint.fill(leaves, saved)
    with pytest.raises(SchemaError, match="KeyError: 'norms'"), checkpoint.fitting(path):
        {}["norms"]
    with pytest.raises(KeyboardInterrupt), checkpoint.fitting(path):
        raise KeyboardInterrupt


def test_a_stopped_run_says_why_and_is_not_in_the_way_of_another(tmp_path):
    path = tmp_path / "distill.h5.partial"
    checkpoint.save(path, IDENTITY, STATE, stopped="step 4: the gradient of joints is not finite (nan in 3 of 6 values)")
    with pytest.raises(InputError, match="this run stopped at step 4: the gradient of joints is not finite.*it would do so again.*--force"):
        checkpoint.load(path, IDENTITY)
    assert checkpoint.load(path, IDENTITY | {"seed": 1}) is None
    kept = checkpoint.stopped_path(path)
    assert kept.name == "distill.stopped.h5" and kept.parent == tmp_path
    kept.write_text("a motion")
    checkpoint.discard(path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "distill.h5.partial"
    checkpoint.save(path, IDENTITY, STATE)
    before = path.read_bytes()

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="distill.h5.partial: no space left on the disk"):
        patch.setattr(Path, "write_bytes", full)
        checkpoint.save(path, IDENTITY, STATE | {"iteration": 5})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


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
