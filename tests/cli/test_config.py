"""akd.toml: flags win over it, it wins over defaults, a change of it makes stages stale, and mistakes are named."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from pathlib import Path

import pytest

from akd_cli import execute, settings
from akd_cli.chain import STAGES
from akd_cli.options import Options
from schemas.artifact import read_header
from stages.render.params import Params as RenderParams
from stages.rig.params import Params as RigParams

RIG = Path("runs/tiger/rig.h5")


def write(text: str, folder: str = ".") -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "akd.toml").write_text(text)


def state(akd, stage: str) -> tuple[str, str]:
    entry = next(entry for entry in akd("status", "--json").json["artifacts"] if entry["stage"] == stage)
    return entry["state"], "; ".join(entry["reasons"])


def test_flags_win_over_the_workspace_over_the_folder_over_defaults(akd, ran):
    write('seed = 4\n[rig]\nlimits = "free"\ncategory = "cat"\n')
    write('[rig]\ncategory = "big cat"\nkeep_joints = true\n', "runs/tiger")
    assert akd("rig", "tiger", "--no-keep-joints").code == 0
    params = read_header(RIG).params
    assert (params["limits"], params["category"], params["keep_joints"], params["template"]) == ("free", "big cat", False, "auto")
    assert params["given"] == ["keep_joints"] and params["configured"] == ["category", "limits"]
    shown = akd("inspect", str(RIG)).out
    assert "big cat  (akd.toml)" in shown and "False  (given)" in shown and "configured" not in shown
    assert akd("splat").code == 0 and read_header("runs/tiger/splat.h5").seed == 4


def test_a_change_of_the_file_makes_stages_stale_as_a_flag_does(akd, ran):
    assert akd("skin", "tiger").code == 0
    write('[rig]\nlimits = "free"\n')
    assert state(akd, "rig") == ("stale", "limits anatomy -> free") and state(akd, "skin") == ("stale", "rig is stale")
    result = akd("skin")
    assert "rig: runs first: limits anatomy -> free" in result.err and state(akd, "skin")[0] == "fresh"
    Path("akd.toml").unlink()
    assert state(akd, "rig") == ("stale", "limits free -> anatomy")
    write('[rig]\nlimits = "free"\n[render]\nshadow = false\n')
    assert state(akd, "rig")[0] == "fresh"


def test_a_flag_given_once_stays_over_the_file_for_stages_that_run_for_others(akd, ran):
    write('[rig]\nlimits = "free"\n')
    assert akd("rig", "tiger", "--limits", "anatomy").code == 0  # the default, but by hand
    assert read_header(RIG).params["given"] == ["limits"] and state(akd, "rig")[0] == "fresh"
    assert akd("skin").code == 0 and read_header(RIG).params["limits"] == "anatomy"
    assert "limits anatomy -> free" in akd("rig").err, "the stage itself, without the flag: the file again"


def test_what_a_stage_chooses_itself_is_chosen_again_when_the_file_says_no_more(akd, ran):
    write("[distill]\niterations = 7\n")
    assert akd("distill", "-p", "a tiger walking").code == 0
    write("")
    assert state(akd, "distill") == ("stale", "iterations 7 -> unset")


def test_cosmetic_values_do_not_make_stale_and_quiet_is_quiet(akd, ran):
    assert akd("splat", "tiger").code == 0
    write('device = "cpu"\nquiet = true\n')
    assert state(akd, "splat")[0] == "fresh"
    assert akd("splat", "--force").err == "" and read_header("runs/tiger/splat.h5").params["configured"] == ["device"]


def test_make_runs_once_after_a_change(akd, ran):
    assert akd("rig", "tiger").code == 0
    os.utime(RIG, (1, 1))
    write("")
    assert "fresh" in akd("rig").out and RIG.stat().st_mtime_ns >= Path("akd.toml").stat().st_mtime_ns


def test_every_command_of_a_stage_gets_the_values(akd, ran):
    """Also those that do not run through the chain, such as a film of one file."""
    assert akd("distill", "-p", "a tiger walking").code == 0
    write('[render]\nsize = "64x48"\nsheet-frames = 2\n')
    made = akd("render", "runs/tiger/motions/a-tiger-walking/distill.h5", "-o", "film.mp4", "--json").json
    assert (made["figures"]["width"], made["figures"]["height"]) == (64, 48)
    write('[distill]\nprior = "cogvideox-2b"\nheight = 96\nwidth = 128\nframes = 9\n')
    plan = "distill", "-p", "a tiger walking", "--dry-run"
    found = akd(*plan, "--json").json
    assert (found["prior"], found["height"], found["width"]) == ("cogvideox-2b", 96, 128)
    assert akd(*plan, "--json", "--resolution", "64x96").json["height"] == 64, "a flag as well"
    assert "contradicts --height 96" in akd(*plan, "--resolution", "64x96", "--height", "96").err
    write('[distill]\nprior = "nosuch"\n')
    assert akd("distill", "-p", "a tiger walking").code == 2, "refused before anything is computed"


def test_callers_from_python_count_as_flags_what_differs_from_defaults(akd, ran):
    write('[rig]\nlimits = "free"\ncategory = "cat"\n')
    execute.run("rig", Options(quiet=True), RigParams(category="dog"), source="tiger", files={"skeleton": None})
    params = read_header(RIG).params
    assert (params["category"], params["limits"], params["given"], params["configured"]) == ("dog", "free", ["category"], ["limits"])


WRONG = [
    ("[distill]\nitterations = 200", ["[distill] itterations = 200 is no parameter (meant: iterations?)", "those of distill are prior, preset, iterations"]),
    ("[distil]\niterations = 200", ["[distil] is no section (meant: distill?)", "asset, rig, skin, splat, distill, track, render", "device, seed, quiet"]),
    ("iterations = 200", ["iterations = 200 is no key on top", "device, seed, quiet"]),
    ("distill = 200", ["distill = 200 is no key on top"]),
    ("[seed]\nx = 1", ["[seed] is no section"]),
    ('[distill]\niterations = "many"', ['[distill] iterations = "many": must be a whole number']),
    ("[distill]\niterations = 1.5", ["must be a whole number"]),
    ("[distill]\niterations = true", ["must be a whole number"]),
    ("[distill]\niterations = 0", ["[distill] iterations = 0: must be at least 1"]),
    ("[track]\nfriction = nan", ["[track] friction = NaN: must be a number"]),
    ("[track]\nfriction = inf", ["must be a number"]),
    ("[rig]\nkeep-joints = 1", ["[rig] keep-joints = 1: must be true or false"]),
    ("[rig]\ncategory = 3", ['must be a text in ""']),
    ('[rig]\nlimits = "none"', ['[rig] limits = "none": not one of anatomy, free']),
    ("[splat]\nkernels = 1", ["kernels = 1: must be auto or a number between 10 and"]),
    ("quiet = 3", ["quiet = 3: must be true or false"]),
    ("seed = -1", ["seed = -1: must be at least 0"]),
    ("[rig\nlimits", ["is not TOML", "line 1", "akd config --template"]),
    ("a = " + "[" * 20000, ["akd.toml"]),
    ("#" * 2**17, ["larger than 64 KB"]),
    ('"\\u001b[2J" = 1', ["\\u001b"]),
    (f'"{"k" * 9999}" = 1', ["kkk...", "is no key on top"]),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=lambda v: v[:24] if isinstance(v, str) else "")
def test_mistakes_are_one_line_with_file_key_value_and_what_is_allowed(akd, ran, text, says):
    write(text)
    result = akd("rig", "tiger")
    assert result.code == 2 and result.out == "" and ran == [] and not Path("runs").exists()
    assert result.err.startswith("akd: akd.toml: ") and len(result.err.splitlines()) == 1 and len(result.err) < 1500 and "\x1b" not in result.err
    assert [words for words in says if words not in result.err] == []
    assert akd("status").code == 2


def test_only_a_plain_file_in_its_folder_is_read(akd, ran):
    Path("akd.toml").mkdir()
    assert "akd.toml: is not a file" in akd("rig", "tiger").err
    Path("akd.toml").rmdir()
    Path("elsewhere").mkdir()
    write("[rig]\nsecret = 1\n", "elsewhere")
    Path("akd.toml").symlink_to("elsewhere/akd.toml")
    said = akd("rig", "tiger").err
    assert "is a link out of its folder" in said and "secret" not in said
    Path("akd.toml").unlink()
    os.mkfifo("akd.toml")
    assert "akd.toml: is not a file" in akd("rig", "tiger").err
    Path("akd.toml").unlink()
    Path("akd.toml").write_bytes(b"\xff\xfe")
    assert "is not TOML" in akd("rig", "tiger").err and ran == []


def test_config_shows_where_values_come_from(akd, ran):
    assert "no akd.toml" in akd("config").out
    write('device = "cpu"\n[splat]\nkernels = 400\n[render]\nsize = "640x360"\n')
    out = akd("config").out
    assert out.startswith("akd.toml") and "[splat]    kernels  400      akd.toml" in out and "gain" not in out
    assert akd("asset", "tiger").code == 0
    write("[splat]\nkernels = 500\n", "runs/tiger")
    found = akd("config", "--json").json
    assert found["files"] == ["akd.toml", "runs/tiger/akd.toml"] and found["workspace"] == "runs/tiger"
    assert found["parameters"]["splat"]["kernels"] == {"value": "500", "from": "runs/tiger/akd.toml"}
    assert found["parameters"]["track"]["device"] == {"value": "cpu", "from": "akd.toml"}
    assert found["parameters"]["render"]["shadow"] == {"value": True, "from": "default"}
    assert "gain" in akd("config", "--all").out and akd("config", "-w", "nowhere").code == 2


def test_the_template_is_valid_with_and_without_its_comments(akd, ran):
    text = akd("config", "--template").out
    assert akd("config", "--template", "--json").code == 2 and "One of anatomy, free." in text
    assert set(tomllib.loads(text)) == set(STAGES)
    write(re.sub(r"^#([a-z-]+ = (?!\.\.\.))", r"\1", text, flags=re.M))
    found = settings.read()
    assert found.quiet is False and len(found.values["track"]) == len(dataclasses.fields(STAGES["track"].params()))
    defaults = {stage: one.params()() for stage, one in STAGES.items()}
    assert {stage: found.settings(stage, params, ()).params for stage, params in defaults.items()} == defaults


def test_every_parameter_can_be_in_the_file():
    """Types that the file's check does not know would be refused."""
    for stage in STAGES.values():
        for field in dataclasses.fields(stage.params()):
            assert {"str", "int", "float", "bool", "None"} >= {part.strip() for part in str(field.type).split("|")}, (stage.name, field.name)
    assert RenderParams().size == "960x540"
