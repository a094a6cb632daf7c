"""The paper's ablation: its rows, how trials are gathered, and the command that runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from akd_cli import ablation as command
from akd_cli import app
from schemas.motion import Motion
from stages.distill.params import Params
from stages.evaluate import ablation
from stages.evaluate.gait import analyse

from .chain import rig, swinging


def test_rows_change_one_thing_each_by_parameters_that_exist():
    for ground, third in ((True, ablation.NO_GROUND), (False, ablation.WITH_GROUND)):
        rows = ablation.rows(ground)
        assert list(rows) == [ablation.FULL, third, ablation.NO_GROUND_LOSS, ablation.NO_SMOOTHNESS]
        assert rows[ablation.FULL] == {} and all(len(changes) == 1 for name, changes in rows.items() if name != ablation.FULL)
        assert rows[third] == {"ground_render": not ground}
        for changes in rows.values():
            Params(**changes)


def test_the_papers_scores_are_those_of_the_paper():
    assert ablation.PAPER["ostrich"] == {"full": (0.982, 0.294), "without ground rendering": (0.777, 0.107)}
    assert ablation.PAPER["tiger"] == {"full": (0.989, 0.321), "without ground loss": (0.979, 0.269), "without smoothness": (0.984, 0.294)}


def test_scores_of_a_trial():
    motion = swinging(33, 32)
    figures = analyse(rig(), motion)
    found = ablation.scores(figures, "walking", 2.0)
    assert set(found) == {"got", "right", "phases_right", *ablation.SCORES} - {"seconds"}
    assert found["right"] == (figures["gait"] == "walking") and found["got"] == figures["label"]
    assert found["swing"] == pytest.approx(np.mean([leg["range"] for leg in figures["legs"].values()]))
    assert found["penetration_cm"] == 100 * figures["penetration"]


def trial(row, seed, asset="ostrich", **values):
    scores = dict.fromkeys(ablation.SCORES, 1.0) | {"got": "walking", "right": True, "phases_right": False}
    return {"asset": asset, "row": row, "seed": seed, **scores, **values}


def test_summary_and_table():
    trials = [trial("full", seed, slide=slide, right=seed != 1) for seed, slide in enumerate((0.1, 0.2, 0.6))] + [trial("with ground rendering", 0)]
    full, shown = ablation.summarise(trials)
    assert (full["trials"], full["right"], full["phases_right"]) == (3, 2, 0)
    assert full["slide"] == {"mean": 0.3, "sd": pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1), abs=1e-6), "low": 0.1, "high": 0.6}
    assert full["paper"] == {"row": "full", "sa": 0.982, "pc": 0.294} and shown["slide"]["sd"] == 0
    heading, first, second = ablation.table([full, shown])
    assert len(heading) == len(first) == len(second)
    assert first[:6] == ("ostrich", "full", "0.982 / 0.294", "not available offline", "2/3", "0/3")
    # the paper took the ground away; it is said that this row did the opposite
    assert second[1:3] == ("with ground rendering", "0.777 / 0.107 (without ground rendering)")
    assert ablation.table(ablation.summarise([trial("full", 0, asset="dog")]))[1][2] == "-"
    assert "plain background" in ablation.caption("embedded", False, 150, {"tiger": 9}, 3)
    assert "plain background" not in ablation.caption("cogvideox-5b", True, 150, {"tiger": 9}, 1)


def test_log_keeps_finished_trials_and_leaves_out_what_a_kill_cut_off(tmp_path):
    path = tmp_path / "trials.jsonl"
    log = command.Log(path)
    log.add({"key": "a", "slide": 1})
    with open(path, "a") as file:
        file.write('{"key": "b", "sli')
    again = command.Log(path)
    assert again.find("a") == {"key": "a", "slide": 1} and again.find("b") is None
    again.add({"key": "c"})
    assert command.Log(path).find("c") == {"key": "c"} and command.Log(path).find("a")


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """A folder of ablations with the built-in tiger of few kernels in it."""
    out = tmp_path_factory.mktemp("ablation")
    words = ["splat", "tiger", "--workspace", str(out / "tiger"), "--kernels", "300", "--iterations", "0", "--quiet"]
    assert app.run(words) == 0
    return out


def test_the_command_runs_every_row_once_and_resumes(bodies, capsys, monkeypatch):
    from stages.distill import stage
    from stages.distill.priors import registry

    ran, whole, load, loaded = [], stage.run, registry.load_prior, {}

    def counted(*args, **options):
        ran.append(args[3])
        return whole(*args, **options)

    def once(name, **options):
        return loaded.get(name) or loaded.setdefault(name, load(name, **options))

    monkeypatch.setattr(stage, "run", counted)
    monkeypatch.setattr(registry, "load_prior", once)

    def call(*more):
        capsys.readouterr()
        ran.clear()
        assert app.run(["evaluate", "--ablation", "--seeds", "1", "--iterations", "2", "--out", str(bodies), *more]) == 0
        return capsys.readouterr()

    shown = call("--json")
    found = json.loads(shown.out)
    assert [(params.ground_render, params.ground_loss, params.smoothness) for params in ran] == [
        (None, True, True), (True, True, True), (None, False, True), (None, True, False),
    ]  # fmt: skip
    assert [row["row"] for row in found["rows"]] == ["full", "with ground rendering", "without ground loss", "without smoothness"]
    assert found["schema"] == command.SCHEMA and found["videophy"] == "not available offline" and found["iterations"] == 2
    assert "4 trials of 2 steps" in shown.err and "tiger, without smoothness, seed 0" in shown.err
    # every row changed the motion
    motions = [json.loads(line)["motion"] for line in Path(found["trials"]).read_text().splitlines()]
    assert len({Motion.load(bodies / motion).angles.tobytes() for motion in motions}) == 4
    # nothing is computed again, and a lost trial alone is
    table = call().out
    assert ran == [] and "0.989 / 0.321" in table and "not available offline" in table
    lines = Path(found["trials"]).read_text().splitlines()
    Path(found["trials"]).write_text("\n".join(lines[:1] + lines[2:]) + "\n")
    again = json.loads(call("--json").out)
    assert [params.ground_render for params in ran] == [True]
    for old, new in zip(found["rows"], again["rows"], strict=True):
        assert {name: value for name, value in old.items() if name != "seconds"} == {name: value for name, value in new.items() if name != "seconds"}
    # other settings are other trials
    call("--iterations", "1")
    assert len(ran) == 4
    page = (bodies / "ablation.md").read_text()
    assert page.count("\n| tiger |") == 4 and "VideoPhy" in page


def test_a_character_that_the_prior_does_not_know_is_an_animal(capsys):
    from akd_cli.console import Console

    assert command.sentence("ostrich", "embedded", Console()) == "an ostrich walking"
    assert command.sentence("thing-2", "embedded", Console()) == "an animal walking" and "a thing 2 walking" in capsys.readouterr().err


def test_mistakes_get_one_line(tmp_path, capsys):
    for words, says in (
        (["--asset", "nothing.glb"], "nothing.glb"),
        (["--prior", "nosuch"], "nosuch"),
        (["--seeds", "0"], "--seeds 0"),
        (["distill.h5"], "belong to --ablation"),
    ):
        capsys.readouterr()
        assert app.run(["evaluate", "--ablation", "--out", str(tmp_path / "out"), *words]) == 2
        err = capsys.readouterr().err
        assert says in err and len(err.strip().splitlines()) == 1, err
    assert app.run(["evaluate", "--seeds", "5"]) == 2 and "belong to --ablation" in capsys.readouterr().err
