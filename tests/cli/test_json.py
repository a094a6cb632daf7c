"""What --json prints is what schemas/json and docs/json.md say."""

from __future__ import annotations

import json
import socketserver
from pathlib import Path

import pytest

from akd_cli.reference import SCHEMAS
from stages.distill.priors.embedded import fit
from tests.cli.test_commands import COMMANDS
from tests.schemas import samples

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema compares JSON with its schemas; pip install jsonschema")

OF = {
    **dict.fromkeys(("asset", "rig", "skin", "splat", "track"), {"stage"}),
    "distill": {"stage", "plan"}, "render": {"stage", "export"}, "evaluate": {"evaluate", "ablation", "suite"}, "inspect": {"inspect"},
    "status": {"status"}, "config": {"config"}, "doctor": {"doctor"}, "view": {"view"},
    "prior train": {"prior-train"}, "prior show": {"prior-show"}, "prior sample": {"prior-sample"},
}  # fmt: skip
"""Schemas by command."""
WALK = "runs/tiger/motions/a-tiger-walking"


def schema(name: str) -> dict:
    return json.loads((SCHEMAS / f"{name}.json").read_text())


def agrees(found: dict, name: str) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(found)


def test_every_command_has_a_schema_and_every_schema_a_command():
    assert set(OF) == set(COMMANDS), "say in OF and in schemas/json what the command prints"
    assert set().union(*OF.values()) == {path.stem for path in SCHEMAS.glob("*.json")}


@pytest.mark.parametrize("name", sorted(path.stem for path in SCHEMAS.glob("*.json")))
def test_schemas_are_valid_and_explain_every_key(name):
    content = schema(name)
    jsonschema.Draft202012Validator.check_schema(content)
    assert content["description"].endswith(".") and set(content["required"]) <= set(content["properties"])
    assert [key for key, entry in content["properties"].items() if not entry.get("description", "").endswith((".", ";"))] == []


def test_a_wrong_object_is_told_apart():
    good = {"workspace": "runs/tiger", "source": "tiger", "fresh": True, "artifacts": []}
    agrees(good, "status")
    for wrong in ({**good, "fresh": "yes"}, {**good, "more": 1}, {key: good[key] for key in ("workspace", "source", "fresh")}):
        with pytest.raises(jsonschema.ValidationError):
            agrees(wrong, "status")


def test_stages_print_what_they_did(akd, ran):
    first = akd("distill", "-p", "a tiger walking", "--json").json
    assert first["action"] == "made" and first["motion"] == "a-tiger-walking" and len(first["earlier"]) == 4
    agrees(first, "stage")
    agrees(again := akd("distill", "-p", "a tiger walking", "--json").json, "stage")
    assert again["action"] == "fresh"
    Path("runs/tiger/skin.glb").unlink()
    agrees(completed := akd("skin", "--json", "-o", "mine.glb").json, "stage")
    assert completed["action"] == "completed" and completed["outputs"][-1] == "mine.glb" and "motion" not in completed
    for command in (["asset"], ["rig"], ["splat"], ["track"]):
        agrees(akd(*command, "--json").json, "stage")
    agrees(akd("render", "--size", "64x48", "--sheet-frames", "2", "--html", "--json").json, "stage")
    agrees(akd("render", "--export", "bvh", "--json").json, "export")
    agrees(akd("render", "--export", "glb", "--json").json, "export")
    agrees(akd("render", f"{WALK}/distill.h5", "--size", "64x48", "--sheet-frames", "2", "--json").json, "export")


def test_pictures_and_a_suite(akd, ran):
    assert akd("distill", "-p", "a tiger walking").code == 0
    agrees(drawn := akd("render", "--picture", "onion", "--size", "64x48", "--json").json, "export")
    assert drawn["pictures"] == ["onion"]
    flags = ("--assets", "tiger", "--prompts", "walking", "--seeds", "1", "--out", "suite")
    agrees(done := akd("evaluate", "--suite", *flags, "--json").json, "suite")
    assert len(done["results"]) == 1


def test_commands_that_look(akd, ran):
    assert akd("distill", "-p", "a tiger walking").code == 0
    agrees(akd("status", "--json").json, "status")
    agrees(akd("config", "--json").json, "config")
    agrees(akd("evaluate", "--json").json, "evaluate")
    agrees(akd("doctor", "--json").json, "doctor")
    for path in ("runs/tiger/rig.h5", "runs/tiger/splat.ply", "runs/tiger/skin.glb", f"{WALK}/distill.h5"):
        agrees(akd("inspect", path, "--json").json, "inspect")
    samples.asset().stamped().save("optional.h5")  # with fields that are missing
    agrees(akd("inspect", "optional.h5", "--json").json, "inspect")
    Path("akd.toml").write_text('[splat]\nkernels = "auto"\n')
    agrees(akd("config", "--json").json, "config")


def test_a_plan(akd):
    agrees(akd("distill", "-p", "a tiger walking", "--dry-run", "--json").json, "plan")


def test_the_address_of_a_view(akd, ran, monkeypatch):
    assert akd("asset", "tiger").code == 0
    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", lambda self, **_: None)
    agrees(akd("view", "--port", "0", "--json").json, "view")


def test_commands_of_the_built_in_model(akd, monkeypatch):
    agrees(akd("prior", "show", "--json").json, "prior-show")
    done = fit.Outcome(weights=Path("weights"), steps=3, seconds=1.0, clips=8, unexplained={0.2: 0.5}, pictures=[Path("sheet.png")])
    monkeypatch.setattr(fit, "run", lambda *arguments, **more: done)
    agrees(akd("prior", "train", "--out", "run", "--steps", "3", "--json").json, "prior-train")
    agrees(akd("prior", "sample", "-p", "an animal walking", "--out", "a.png", "--bodies", "100000", "--steps", "1", "--json").json, "prior-sample")


def test_a_failure_prints_nothing_on_stdout(akd):
    result = akd("rig", "nowhere.glb", "--json")
    assert result.code == 2 and result.out == "" and result.err.startswith("akd: ")
