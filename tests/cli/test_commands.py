"""Every command explains itself, the documentation names what exists, and mistakes get one clear line."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from akd_cli import app, reference
from akd_cli.chain import STAGES
from akd_cli.flags import flag_name
from akd_cli.video import Video
from schemas import gltf
from stages.distill.params import Params as DistillParams
from stages.render.params import Params as RenderParams
from tests.schemas import samples

ROOT = Path(__file__).resolve().parents[2]
TOP = typer.main.get_command(app.app).commands
COMMANDS = {f"{name} {inner}".strip(): one for name, group in TOP.items() for inner, one in (getattr(group, "commands", None) or {"": group}).items()}
"""By full name: "rig", "prior train"."""
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def flags(name: str) -> set[str]:
    """Every flag of a command."""
    return {"--help", "-h"} | {flag for one in COMMANDS[name].params for flag in (*one.opts, *one.secondary_opts)}


def named(words: list[str]) -> tuple[str, list[str]]:
    """The command that a line calls, and its arguments."""
    inner = 1 + (len(words) > 1 and " ".join(words[:2]) in COMMANDS)
    return " ".join(words[:inner]), words[inner:]


def examples(name: str) -> tuple[str, ...]:
    """Those in the help of a command."""
    found = importlib.import_module(f"akd_cli.{name.split()[0]}").EXAMPLES
    return found[name.split()[1]] if " " in name else found


def invocations(text: str) -> list[list[str]]:
    """The akd command lines in a text: code blocks, inline code and make recipes; those shown for what they say are run elsewhere."""
    found = []
    text = re.sub(r"```console\n.*?```", "", text, flags=re.S)
    for line in re.findall(r"(?:^|`|\$ |/)akd ((?:[a-z]+)\b[^`\n]*)", text, re.M):
        try:
            words = shlex.split(re.split(r" #| > | \| ", line)[0], comments=False)
        except ValueError:
            words = line.split()
        found.append(words)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_sentence_examples_and_every_flag_explained(akd, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    result = akd(*name.split(), "--help")
    assert result.code == 0 and f"akd {name}" in result.out.split("Examples")[1]
    assert COMMANDS[name].help.split("\n")[0].endswith(".")
    assert all(getattr(one, "help", "") for one in COMMANDS[name].params if one.name != "help")
    missing = [flag for flag in flags(name) if flag not in result.out]
    assert not missing


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_the_help_parse(name):
    for example in examples(name):
        words = shlex.split(example)
        assert words[0] == "akd" and named(words[1:])[0] == name
        COMMANDS[name].make_context(name, named(words[1:])[1])


def test_a_group_of_commands_lists_them_with_examples(akd):
    result = akd("prior", "--help")
    assert result.code == 0 and akd("prior").out == result.out
    assert all(word in result.out for word in ("train", "show", "sample", "akd prior train --out", "akd prior show"))


@pytest.mark.parametrize("stage", STAGES)
def test_flags_come_from_the_parameters(stage):
    for field in dataclasses.fields(STAGES[stage].params()):
        assert flag_name(field) in flags(stage), field.name
        assert field.metadata["help"]


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_documentation_names_commands_and_flags_that_exist(path):
    for words in invocations(path.read_text()):
        name, rest = named(words)
        assert name in COMMANDS or name in TOP, f"{path.name}: akd {' '.join(words)}"
        for word in rest:
            if re.match(r"--?[a-z]", word):
                assert word.split("=")[0] in flags(name), f"{path.name}: akd {' '.join(words)}"


def test_documentation_names_only_flags_of_some_command():
    known = set().union(*(flags(name) for name in COMMANDS)) | {"--version", "--install-completion"}
    for path in (ROOT / "README.md", ROOT / "docs/stages.md", ROOT / "docs/artifacts.md"):
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
        mentioned = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", text))
        assert mentioned <= known, f"{path.name}: {sorted(mentioned - known)}"


def test_documentation_names_every_command_and_artifact():
    readme, stages = (ROOT / "README.md").read_text(), (ROOT / "docs/stages.md").read_text()
    assert [name for name in COMMANDS if f"akd {name}" not in readme or f"akd {name}" not in stages] == []
    artifacts = (ROOT / "docs/artifacts.md").read_text()
    assert [name for stage in STAGES.values() for name in stage.outputs if name not in artifacts] == []


@pytest.mark.parametrize("name", reference.blocks())
def test_generated_pages_are_those_of_today(name):
    page = (reference.DOCS / name).read_text()
    assert page == reference.refreshed(page, name), "run: python -m akd_cli.reference"


def test_every_command_and_flag_is_on_the_page_of_stages():
    page = (reference.DOCS / "stages.md").read_text()
    assert set(reference.commands()) == set(COMMANDS)
    for name in COMMANDS:
        block = page.split(f"<!-- flags of {name} -->")[1].split("<!-- end -->")[0]
        shared = {"--help", "-h", "--workspace", "-w", "--output", "-o", "--force", "-f", "--quiet", "-q", "--json"}
        assert [flag for flag in flags(name) - shared if flag.startswith("-") and f"`{flag}`" not in block and not flag.startswith("--no-")] == [], name


def test_every_field_of_an_artifact_is_explained():
    for stage in STAGES.values():
        if stage.artifact.endswith(".h5"):
            words = reference.attributes(stage.artifact_class())
            assert [f.name for f in dataclasses.fields(stage.artifact_class()) if f.metadata.get("kind") and not words.get(f.name)] == [], stage.name


@pytest.mark.parametrize(
    ("docstring", "words"),
    [
        ("tips: Rest bone tips. [m, (J, 3)]", "Rest bone tips, m"),
        ("uvs: Coordinates, origin\n            top left. [(V, 2), optional]", "Coordinates, origin top left"),
        ('source: {"kind": "a|b", "notes": [...]}.', '{"kind": "a|b", "notes": [...]}'),
        ("images: Bytes. [uint8, (I,)]", "Bytes"),
    ],
)
def test_docstrings_become_words_with_units(docstring, words):
    kind = type("Kind", (), {"__doc__": f"Title.\n\n    Attributes:\n        {docstring}\n    "})
    assert list(reference.attributes(kind).values())[0].rstrip(".") == words


def test_the_makefile_uses_flags_that_exist():
    for stage, rest in re.findall(r"\$\(call RUN,(\w+)\)(.*)", (ROOT / "Makefile").read_text()):
        assert set(re.findall(r" (--[a-z-]+)", rest)) | {"--workspace"} <= flags(stage)


WRONG = [
    (["rig", "nowhere.glb"], ["nowhere.glb", "no such file"]),
    (["rig", "tiger", "--limits", "none"], ["--limits none", "anatomy, free"]),
    (["splat", "tiger", "--kernels", "1"], ["--kernels 1", "between 10 and"]),
    (["splat", "tiger", "--kernels", "many"], ["--kernels many", "auto or a number"]),
    (["splat", "tiger", "--seed", "-1"], ["--seed -1", "at least 0"]),
    (["distill"], ["--prompt"]),
    (["distill", "--prompt", "  "], ["--prompt", "empty"]),
    (["distill", "--prompt", "a lion walking"], ["akd asset tiger"]),
    (["track"], ["no workspace here"]),
    (["fly"], ["fly", "akd --help"]),
    (["rig", "--florish"], ["--florish", "akd rig --help"]),
    (["inspect", "nothing.h5"], ["nothing.h5", "no such file"]),
    (["inspect", "text.txt"], ["text.txt", ".h5"]),
    (["inspect", "broken.glb"], ["broken.glb", "not a glTF file"]),
    (["inspect", "truncated.glb"], ["truncated.glb", "damaged"]),
    (["inspect", "broken.json"], ["broken.json"]),
    (["inspect", "broken.ply"], ["broken.ply"]),
    (["inspect", "text.h5"], ["text.h5", "not an HDF5 file"]),
    (["render", "rig.h5"], ["rig.h5", "akd.rig", "a motion is needed"]),
    (["evaluate", "distill.h5"], ["lies in no workspace"]),
    (["status", "."], ["workspace.json"]),
    (["rig", "-w", "text.txt"], ["text.txt"]),
    (["render", "--size", "1x1", "motion.h5"], ["no such file"]),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=lambda v: " ".join(v[:3]) if isinstance(v, list) else "")
def test_mistakes_get_one_line_and_exit_code_2(akd, arguments, says):
    Path("text.txt").write_text("words")
    Path("text.h5").write_text("words")
    Path("broken.glb").write_bytes(b"no glb at all")
    Path("truncated.glb").write_bytes(b"glTF\x02\x00\x00\x00\xff\xff\x00\x00\xff\xff\x00\x00JSON{}")
    Path("broken.json").write_text('{"header": {}}')
    Path("broken.ply").write_bytes(b"\x00\x01")
    samples.rig().save("rig.h5")
    samples.motion().save("distill.h5")
    result = akd(*arguments)
    assert result.code == 2 and result.out == ""
    assert len(result.err.strip().splitlines()) == 1 and result.err.startswith("akd: "), result.err
    assert [word for word in says if word not in result.err] == []
    assert not Path("runs").exists() or not list(Path("runs").rglob("*.h5"))


@pytest.mark.parametrize("kind", samples.ALL)
def test_inspect_shows_any_artifact(akd, kind):
    made = samples.ALL[kind]().stamped(params={"seed": 4, "given": ["seed"]}, seed=4, inputs={"asset": {"path": "asset.h5", "sha256": "ab" * 32}})
    made.save(f"{kind}.h5")
    shown = akd("inspect", f"{kind}.h5").out
    assert f"akd.{kind}" in shown and "abababababab" in shown and "4  (given)" in shown and "fields" in shown
    found = akd("inspect", f"{kind}.h5", "--json").json
    assert found["intact"] and found["header"]["seed"] == 4 and found["figures"]
    assert all(field["kind"] for field in found["fields"].values())


def test_inspect_notices_content_changed_by_hand(akd):
    import h5py

    samples.skin().stamped().save("skin.h5")
    with h5py.File("skin.h5", "a") as file:
        file["weights"][0] = file["weights"][1]
    assert akd("inspect", "skin.h5", "--json").json["intact"] is False
    assert "was changed" in akd("inspect", "skin.h5").out


def test_inspect_shows_models_and_videos(akd):
    gltf.write(Path("walk.glb"), samples.asset(), samples.rig(), samples.skin().weights, samples.motion(), name="walk")
    figures = akd("inspect", "walk.glb", "--json").json["figures"]
    assert (figures["triangles"], figures["joints"], figures["animations"]) == (4, [4], 1)
    assert "walk (0.3" in figures["animated"][0] and figures["morph_targets"] == 0
    Path("render.mp4").write_bytes(b"video")
    Video({"frames": 9}, {"render.mp4": "12"}).save(Path("render.json"))
    assert akd("inspect", "render.json", "--json").json["figures"] == {"frames": 9}


def test_json_is_one_object_and_quiet_is_quiet(akd, ran):
    result = akd("distill", "-p", "a tiger walking", "--json", "--quiet")
    assert result.err == "" and result.json["action"] == "made" and result.json["figures"]["prompt"] == "a tiger walking"
    assert all(Path(path).exists() for path in result.json["outputs"])
    assert akd("status", "--json").json["source"] == "tiger"
    assert {p["name"] for p in akd("doctor", "--json").json["priors"]} >= {"embedded", "ideal"}


def test_evaluate_writes_metrics(akd, ran):
    assert akd("distill", "-p", "a tiger walking").code == 0 and akd("track").code == 0
    result = akd("evaluate", "--json")
    metrics = json.loads(Path("runs/tiger/motions/a-tiger-walking/metrics.json").read_text())
    assert result.code == 0 and set(metrics) == {"distill", "track"} == set(result.json["figures"])
    assert metrics["track"]["distance"] == pytest.approx(1.0, abs=0.01)
    alone = akd("evaluate", "runs/tiger/motions/a-tiger-walking/distill.h5")
    assert alone.code == 0 and alone.out.startswith("distill:")


def test_render_writes_a_video_with_a_record(akd, ran):
    assert akd("distill", "-p", "a tiger walking").code == 0
    size = ("--size", "64x48", "--sheet-frames", "2")
    result = akd("render", *size, "--json")
    folder = Path("runs/tiger/motions/a-tiger-walking")
    assert result.code == 0 and "track: runs first" in result.err and result.json["figures"]["frames"] == 6
    assert {p.name for p in folder.iterdir()} >= {"render.mp4", "render.png", "render.json"}
    assert "fresh" in akd("render", *size).out
    (folder / "render.mp4").write_bytes(b"another")
    assert "not the one on record" in akd("status").out
    single = akd("render", str(folder / "distill.h5"), *size, "-o", "mine.mp4")
    assert single.code == 0 and Path("mine.png").exists() and Path("mine.mp4").stat().st_size > 500


def test_render_writes_a_page_of_both_motions_or_of_one(akd, ran):
    assert akd("distill", "-p", "a tiger walking").code == 0
    size, folder = ("--size", "64x48", "--sheet-frames", "2", "--html"), Path("runs/tiger/motions/a-tiger-walking")
    assert str(folder / "index.html") in akd("render", *size, "--json").json["outputs"]
    page = (folder / "index.html").read_text()
    assert 'id="model-distill"' in page and 'id="model-track"' in page and "render.mp4" in page
    (folder / "index.html").unlink()
    assert "fresh" in akd("render", *size).out and (folder / "index.html").exists()
    assert akd("render", str(folder / "distill.h5"), *size).code == 0
    assert 'id="model-track"' not in (folder / "distill.html").read_text()


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("bvh", "track.bvh"), ("gif", "track.gif"), ("webm", "track.webm"), ("glb", "clips.glb"),
        ("png-sequence", "track-png/frame_0005.png"), ("ply-sequence", "track-ply/frame_0005.ply"),
    ],
)  # fmt: skip
def test_exports_of_the_tracked_motion_without_filming_it(akd, ran, form, written):
    assert akd("distill", "-p", "a tiger walking").code == 0
    result = akd("render", "--export", form, "--size", "64x48", "--json")
    path = Path("runs/tiger/motions/a-tiger-walking") / written
    assert result.code == 0 and result.json["export"] == form and str(path).startswith(result.json["outputs"][0])
    assert path.stat().st_size > 100 and not path.with_name("render.mp4").exists() and ran[-1] == "track"


def test_exports_of_a_file_of_several_motions_and_on_the_spot(akd, ran):
    from schemas.gltf import read_animations

    for word in ("walking", "running"):
        assert akd("distill", "-p", f"a tiger {word}").code == 0
    folder = "runs/tiger/motions/a-tiger-walking"
    assert akd("render", f"{folder}/distill.h5", "--export", "bvh", "-o", "mine.bvh").code == 0 and Path("mine.bvh").exists()
    flags = ("--motion", "a tiger walking", "--clip", "a tiger running", "--in-place", "--fps", "32", "-o", "both.glb")
    assert "2 clips" in akd("render", "--export", "glb", *flags).out
    walking, running = read_animations(Path("both.glb"))
    assert walking.name != running.name


def test_clips_by_name_on_a_root_bone_over_the_ground(akd, ran):
    import numpy as np

    from schemas.gltf import read_animations

    for word in ("walking", "running"):
        assert akd("distill", "-p", f"a tiger {word}").code == 0
    flags = ("--motion", "a tiger walking", "--name", "walk", "--clip", "a tiger running=run", "--root-motion", "--bake-ground", "-o", "both.glb")
    assert akd("render", "--export", "glb", *flags, "--json").json["clips"] == ["walk", "run"]
    clips = read_animations(Path("both.glb"))
    assert [clip.name for clip in clips] == ["walk", "run"]
    for clip in clips:  # the sample goes one metre ahead
        root = clip.matrices[:, clip.joint_names.index("root"), :3, 3]
        np.testing.assert_allclose(root[-1] - root[0], [0, 0, 1], atol=1e-5)
    assert b'"name":"ground"' in Path("both.glb").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--export", "fbx"], ["--export fbx", "bvh, glb"]),
        (["--export", "gif", "--clip", "a tiger running"], ["--clip", "--export glb"]),
        (["--export", "bvh", "-o", "a.gif"], ["--output a.gif", ".bvh"]),
        (["--export", "usd", "--bake-ground"], ["--bake-ground", "--export glb"]),
        (["--export", "gif", "--root-motion"], ["--root-motion", "glb, bvh or usd"]),
        (["--export", "glb", "--root-motion", "--in-place"], ["--root-motion", "--in-place"]),
        (["--root-motion"], ["--root-motion", "--export"]),
        (["--in-place"], ["--in-place", "--export"]),
        (["--html", "--export", "bvh"], ["--html", "--export"]),
    ],
)
def test_exports_that_cannot_be(akd, ran, arguments, words):
    assert akd("distill", "-p", "a tiger walking").code == 0
    result = akd("render", *arguments)
    assert result.code == 2 and all(word in result.err for word in words)


def test_params_that_a_command_passes_are_those_of_its_flags(akd, ran, monkeypatch):
    seen = []
    module = importlib.import_module("akd_cli.distill")
    made = module.make
    monkeypatch.setattr(module, "make", lambda job: seen.append(job.params) or made(job))
    assert akd("distill", "-p", "a tiger walking", "--iterations", "7", "--guidance-scale", "3.5", "--prior", "ideal").code == 0
    assert seen == [DistillParams(iterations=7, guidance_scale=3.5, prior="ideal")]
    assert RenderParams().shadow and "--no-shadow" in flags("render")


HEAVY = """
import sys
from akd_cli import app
app.run(["--help"])
print(sorted(set(sys.modules) & {"numpy", "torch", "h5py", "scipy", "numba", "diffusers"}), file=sys.stderr)
"""


def test_help_needs_no_heavy_libraries():
    result = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stderr.strip() == "[]" and "distill" in result.stdout


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--prompt", "a tiger juggling"], "juggling"),
        (["--prompt", "a tiger walking", "--prior", "nosuch"], "nosuch"),
        (["--prompt", "a tiger juggling", "--prior", "ideal"], "juggling"),
    ],
)
def test_what_the_prior_cannot_do_is_refused_before_anything_is_computed(akd, tmp_path, flags, named):
    result = akd("distill", "tiger", *flags)
    assert result.code == 2 and named in result.err and len(result.err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
