"""Stages run when they must, and only then; status says why."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from akd_cli import app, rig, splat
from akd_cli.chain import STAGES, Chain, param_reasons
from akd_cli.execute import _order
from akd_cli.workspace import Workspace
from schemas import artifact
from stages.distill.params import Params as DistillParams
from tests.schemas import samples

TETRA = Path("tetra.glb")
MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"


@pytest.fixture
def model(akd):
    """A model file in the current folder."""
    TETRA.write_bytes(b"glTF stands in for a model: the stage is not run")
    return str(TETRA)


def states(akd, *arguments) -> dict[str, tuple[str, str]]:
    """stage -> (state, reasons) as status --json tells."""
    found = akd("status", "--json", *arguments).json
    return {entry["stage"]: (entry["state"], "; ".join(entry["reasons"])) for entry in found["artifacts"]}


def test_stages_before_it_run_first_and_only_once(akd, ran, model):
    first = akd("skin", model)
    assert first.code == 0 and ran == ["asset", "rig", "skin"]
    assert "asset: runs first" in first.err and "rig: runs first" in first.err
    assert sorted(p.name for p in Path("runs/tetra").glob("*.*")) == [
        ".lock", "asset.glb", "asset.h5", "rig.glb", "rig.h5", "rig.png", "skin.glb", "skin.h5", "skin.png", "workspace.json",
    ]  # fmt: skip
    again = akd("skin", model)
    assert again.code == 0 and "fresh" in again.out and ran == ["asset", "rig", "skin"]
    assert akd("skin", "--force").code == 0 and ran[3:] == ["skin"]


def test_distill_takes_the_character_that_the_prompt_names(akd, ran):
    result = akd("distill", "--prompt", "a tiger walking", "--json")
    assert result.code == 0 and ran == ["asset", "rig", "skin", "splat", "distill"]
    assert result.json["workspace"] == "runs/tiger" and [o["stage"] for o in result.json["earlier"]] == ["asset", "rig", "skin", "splat"]
    assert Path("runs/tiger/motions/a-tiger-walking/distill.glb").stat().st_size > 500
    assert akd("track").code == 0 and ran[5:] == ["track"]
    assert akd("distill", "-p", "a tiger walking").code == 0 and ran[6:] == []
    assert akd("distill", "-p", "A tiger walking!").code == 0 and ran[6:] == ["distill"]  # same folder, another sentence


def test_a_workspace_named_in_the_prompt_wins_over_the_library(akd, ran):
    Path("tiger.glb").write_bytes(b"a tiger of one's own")
    assert akd("asset", "tiger.glb").code == 0
    assert akd("distill", "-p", "a tiger walking").code == 0
    assert json.loads(Path("runs/tiger/workspace.json").read_text())["source"].endswith("tiger.glb")


def test_status_says_why(akd, ran, model):
    assert akd("splat", model).code == 0
    assert {state for state, _ in states(akd).values()} == {"fresh"}
    assert akd("rig", "--limits", "free").code == 0
    assert states(akd)["rig"] == ("fresh", "")
    assert states(akd)["skin"] == ("stale", "rig.h5 has changed")
    assert states(akd)["splat"] == ("stale", "skin is stale")
    Path("runs/tetra/skin.h5").unlink()
    assert states(akd)["skin"] == ("missing", "skin.h5 was never written")
    assert states(akd)["splat"] == ("stale", "skin.h5 is missing")
    TETRA.write_bytes(b"another model")
    assert states(akd)["asset"] == ("stale", "source tetra.glb has changed")
    Path("runs/tetra/rig.h5").write_bytes(b"not HDF5")
    assert "not an HDF5 file" in states(akd)["rig"][1]
    assert "runs/tetra (" in akd("status").out


def test_an_earlier_stage_keeps_the_parameters_it_was_given(akd, ran, model):
    assert akd("rig", model, "--limits", "free").code == 0
    TETRA.write_bytes(b"another model")
    assert akd("skin").code == 0
    header = artifact.read_header("runs/tetra/rig.h5")
    assert header.params["limits"] == "free" and header.params["given"] == ["limits"]
    result = akd("rig")
    assert "limits free -> anatomy" in result.err and artifact.read_header("runs/tetra/rig.h5").params["limits"] == "anatomy"


def test_cosmetic_parameters_never_make_an_artifact_stale(akd, ran, model):
    assert akd("splat", model, "--device", "cpu").code == 0
    ran.clear()
    assert akd("splat", "--device", "auto").code == 0 and ran == []
    assert akd("splat", "--seed", "3").code == 0 and ran == ["splat"]


def test_what_a_stage_chose_itself_is_no_reason():
    resolved = {**vars(DistillParams(iterations=10)), "guidance_scale": 7.0, "weighting": "eps", "given": ["iterations"]}
    assert param_reasons(resolved, DistillParams(iterations=10)) == []
    assert param_reasons(resolved, DistillParams()) == ["iterations 10 -> unset"]
    assert param_reasons(resolved, DistillParams(iterations=10, guidance_scale=8.0)) == ["guidance-scale 7.0 -> 8.0"]


def test_a_file_given_by_hand_is_followed(akd, ran, model):
    samples.rig().save("mine.h5")
    assert akd("rig", model, "--skeleton", "mine.h5").code == 0
    assert states(akd)["rig"] == ("fresh", "")
    changed = samples.rig()
    changed.category = "biped"
    changed.save("mine.h5")
    assert states(akd)["rig"] == ("stale", "skeleton mine.h5 has changed")
    assert "no longer given" in akd("rig").err
    assert akd("rig", "--skeleton", "gone.h5").code == 2


def test_a_kill_before_the_views_is_mended_without_running_the_stage(akd, ran, model, monkeypatch):
    def killed(job, written):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(splat, "write_views", killed)
        assert akd("splat", model).code == 130
    assert states(akd)["splat"] == ("stale", "splat.ply is missing; splat.spz is missing")
    ran.clear()
    assert "again" in akd("splat").out and ran == [] and Path("runs/tetra/splat.ply").exists()
    # the artifact is newer than its view: a kill in a second run
    os.utime("runs/tetra/splat.ply", (1, 1))
    assert states(akd)["splat"] == ("stale", "splat.ply is older than splat.h5")
    assert akd("splat").code == 0 and ran == [] and states(akd)["splat"][0] == "fresh"


def test_an_interrupted_run_keeps_the_old_artifact(akd, ran, model, monkeypatch):
    assert akd("rig", model).code == 0
    before = Path("runs/tetra/rig.h5").read_bytes()

    def interrupted(job):
        raise KeyboardInterrupt

    monkeypatch.setattr(rig, "make", interrupted)
    result = akd("rig", "--limits", "free")
    assert result.code == 130 and "the old artifact is intact, run again to resume" in result.err
    assert Path("runs/tetra/rig.h5").read_bytes() == before and states(akd)["rig"][0] == "fresh"


def test_status_tells_what_became_of_an_unfinished_run(akd, ran, model):
    assert akd("distill", model, "--prompt", "a tiger walking").code == 0
    motion = Path("runs/tetra/motions/a-tiger-walking")
    (motion / "distill.h5.partial").write_bytes(b"a checkpoint")
    assert states(akd)["distill"] == ("fresh", "a run was interrupted: the same command goes on with it")
    (motion / "distill.preview.png").write_bytes(b"a picture")
    code = "import sys, pathlib, akd_cli.workspace as w\nwith w.Workspace(pathlib.Path(sys.argv[1])).locked(): print(1, flush=True); input()"
    environment = {**os.environ, "PYTHONPATH": str(MAKEFILE.parent)}
    with subprocess.Popen([sys.executable, "-c", code, "runs/tetra"], stdin=-1, stdout=-1, text=True, env=environment) as process:
        process.stdout.readline()
        said = states(akd)["distill"][1]
        process.stdin.write("\n")
    assert said == f"a run is at work (process {process.pid}); see {motion}/distill.preview.png"
    (motion / "distill.stopped.h5").write_bytes(b"a motion")
    assert states(akd)["distill"][1] == f"a run stopped: the same command says why; see {motion}/distill.preview.png"
    os.utime(motion / "distill.stopped.h5", (1, 1))
    assert states(akd)["distill"][1].startswith("a run was interrupted"), "the one that stopped was another one, before"


def test_a_polite_kill_is_an_interruption_with_a_code_of_its_own(akd, ran, model, monkeypatch):
    for name, word, code in (("SIGTERM", "terminated", 143), ("SIGHUP", "terminal closed", 129)):
        number = getattr(signal, name)
        monkeypatch.setattr(rig, "make", lambda job, number=number: [signal.raise_signal(number) for _ in range(2)])
        result = akd("rig", model, "--force")
        assert result.code == code and f"akd: {word}; the old artifact is intact, run again to resume" in result.err
        assert signal.getsignal(number) is signal.SIG_DFL, "put back"


def test_fresh_artifacts_get_a_new_time_stamp_for_make(akd, ran, model):
    assert akd("rig", model).code == 0
    os.utime("runs/tetra/rig.h5", (1, 1))
    assert akd("rig").code == 0 and ran == ["asset", "rig"] and os.stat("runs/tetra/rig.h5").st_mtime > 1e9
    assert states(akd)["rig"][0] == "fresh"
    before = os.stat("runs/tetra/rig.h5").st_mtime_ns
    assert akd("skin").code == 0 and akd("rig").code == 0
    assert os.stat("runs/tetra/rig.h5").st_mtime_ns == before  # it was newer than its input: skin stays newer than rig


def test_make_and_status_agree(akd, ran):
    """The Makefile's rules name the inputs of the chain, so that a time stamp and a content change tell the same."""
    rules = dict(re.findall(r"^\$\([WM]\)/(\w+)\.\w+ .*&: \$\([WM]\)/(\w+)\.", MAKEFILE.read_text(), re.M))
    assert list(rules) == list(STAGES)[1:]
    for stage, direct in rules.items():
        assert set(_order(stage)) == {direct, *_order(direct)}


def test_output_copies_the_file_with_that_ending(akd, ran, model):
    assert akd("rig", model, "-o", "out/mine.glb").code == 0
    assert Path("out/mine.glb").read_bytes() == Path("runs/tetra/rig.glb").read_bytes()
    ran.clear()
    wrong = akd("rig", "--force", "-o", "mine.fbx")
    assert wrong.code == 2 and ".h5, .glb" in wrong.err and ran == []


def test_two_runs_do_not_clash(akd, ran, model):
    with Workspace(Path("runs/tetra")).locked():
        result = akd("asset", model)
    assert result.code == 2 and f"process {os.getpid()}" in result.err and ran == []
    assert akd("asset", model).code == 0


def test_another_asset_does_not_slip_into_a_workspace(akd, ran, model):
    assert akd("asset", model).code == 0
    Path("other").mkdir()
    Path("other/tetra.glb").write_bytes(b"another")
    result = akd("asset", "other/tetra.glb")
    assert result.code == 2 and "holds" in result.err and "--workspace" in result.err
    assert akd("asset", "other/tetra.glb", "-w", "runs/second").code == 0


def test_an_asset_that_cannot_be_read_leaves_no_trace_in_later_runs(akd):
    Path("bad.glb").write_bytes(b"not a model")
    assert akd("rig", "bad.glb").code == 2
    assert "no workspace here" in akd("status").err
    Path("other").mkdir()
    Path("other/bad.glb").write_bytes(b"not a model either")
    assert "holds" not in akd("asset", "other/bad.glb").err


def test_where_the_workspace_comes_from(akd, ran, model, monkeypatch):
    nothing = akd("rig")
    assert nothing.code == 2 and "akd asset tiger" in nothing.err
    assert akd("asset", model).code == 0 and akd("asset", "tiger", "-w", "elsewhere").code == 0
    assert akd("rig", "--json").json["workspace"] == "runs/tetra"
    assert akd("rig", "runs/tetra/asset.h5", "--json").json["workspace"].endswith("runs/tetra")
    assert akd("rig", "elsewhere", "--json").json["workspace"] == "elsewhere"
    monkeypatch.setenv("AKD_WORKSPACE", "elsewhere")
    assert akd("skin", "--json").json["workspace"] == "elsewhere"
    assert akd("skin", "-w", "runs/tetra", "--json").json["workspace"] == "runs/tetra"
    assert akd("skin", "-w", "runs/tetra", "elsewhere").code == 2
    assert akd("status", "-w", "nowhere").code == 2


def test_the_motion_meant(akd, ran):
    assert akd("track", "-w", "runs/x").code == 2
    for prompt in ("a tiger walking", "a tiger running"):
        assert akd("distill", "-p", prompt).code == 0
    assert akd("track", "--json").json["motion"] == "a-tiger-running"
    assert akd("track", "-m", "a tiger walking", "--json").json["motion"] == "a-tiger-walking"
    assert akd("track", "runs/tiger/motions/a-tiger-running/distill.h5", "--json").json["motion"] == "a-tiger-running"
    unknown = akd("track", "-m", "a tiger flying")
    assert unknown.code == 2 and "a-tiger-running, a-tiger-walking" in unknown.err


def test_chain_order():
    assert _order("render") == list(STAGES)[:-1]
    assert all(list(STAGES).index(need) < i for i, stage in enumerate(STAGES.values()) for need in stage.needs)


def test_a_file_swapped_by_hand_is_taken_and_kept(akd, ran, model):
    assert akd("skin", model).code == 0
    mine = samples.rig()
    mine.category = "biped"
    mine.save("runs/tetra/rig.h5")
    os.utime("runs/tetra/rig.glb")
    os.utime("runs/tetra/rig.png")
    assert states(akd)["rig"] == ("fresh", "put there by hand: its inputs are not on record")
    assert states(akd)["skin"] == ("stale", "rig.h5 has changed")
    assert akd("skin").code == 0 and ran == ["asset", "rig", "skin", "skin"]
    assert Chain(Workspace(Path("runs/tetra"))).digest("rig") == mine.content_digest()


def test_a_bug_shows_a_traceback(akd, ran, model, monkeypatch):
    monkeypatch.setattr(rig, "make", lambda job: 1 / 0)
    result = akd("rig", model)
    assert result.code == 1 and "ZeroDivisionError" in result.err


def test_run_is_what_the_program_calls(monkeypatch):
    monkeypatch.setattr(app, "run", lambda arguments: 7)
    with pytest.raises(SystemExit, match="7"):
        app.main(["status"])
