"""Progress goes to stderr, results to stdout; numbers are readable."""

from __future__ import annotations

import json

import numpy as np
import pytest

from akd_cli import console as module
from akd_cli.console import Console, LiveProgress, PlainProgress, duration, table


def test_json_results_are_valid_json_whatever_the_figures(capsys):
    Console(as_json=True).result({"a": float("nan"), "b": [np.float32(1.5), np.arange(2)], "c": {"d": float("inf")}}, "words")
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, [0, 1]], "c": {"d": None}}
    Console().result({}, "one", "two")
    assert capsys.readouterr().out == "one\ntwo\n"


def test_without_a_terminal_progress_is_an_occasional_line(capsys, monkeypatch):
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(now)))
    with PlainProgress("distill", Console()) as progress:
        progress.begin("distill", 100)
        for step in range(40, 44):  # resumed at 40: the rate is of what was done since
            progress.update(step + 1, loss=0.5)
        progress.note("done")
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1] == "distill: done"
    assert err.splitlines()[1] == "distill: distill 42/100, 0.167/s, 5 min 48 s left, loss 0.5"


def test_quiet_says_nothing_and_a_terminal_gets_a_bar(capsys, monkeypatch):
    with Console(quiet=True).progress("rig") as progress:
        progress.begin("a", 2)
        progress.update(1)
        progress.note("b")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Console().progress("rig") as progress:
        assert isinstance(progress, LiveProgress)
        progress.update(1)  # before any phase began
        progress.begin("steps [1]", 3)
        progress.update(3, loss=1.0)
        progress.note("a note [with brackets]")
    out, err = capsys.readouterr()
    assert out == "" and "3/3" in err and "a note [with brackets]" in err and "steps [1]" in err


@pytest.mark.parametrize(("seconds", "words"), [(4.21, "4.2 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (59.99, "60.0 s")])
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_tables_align():
    assert table([("a", "bb", "c"), ("aaa", "b", "")]) == ["a    bb  c", "aaa  b"]
    assert table([]) == []
