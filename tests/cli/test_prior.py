"""akd prior: a run from the command line, what it says, and its mistakes in one line each."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from akd_cli.workspace import locked
from stages.distill.priors.embedded import bodies, data, sheets, train

TINY = ("--chunks", "1", "--batch", "2", "--width", "48", "--layers", "1", "--channels", "8", "--processes", "1", "--device", "cpu")


@pytest.fixture(scope="module", autouse=True)
def small():
    """Three bodies a chunk, four clips held out, few samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "BODIES_PER_CHUNK", 3)
        patch.setattr(train, "HELD_OUT", 4)
        patch.setattr(sheets, "HELD_OUT_BODIES", sheets.HELD_OUT_BODIES[:1])
        yield


@pytest.fixture
def trained(akd) -> str:
    """A folder of weights."""
    assert akd("prior", "train", "--out", "run", "--steps", "2", *TINY, "--quiet").code == 0
    return "run/weights"


def test_train_show_and_sample(akd, trained):
    result = akd("prior", "train", "--out", "run", "--steps", "3", "--json", "--quiet")  # one step more of the same run
    assert result.code == 0 and result.err == ""
    assert result.json["weights"] == trained and result.json["steps"] == 3 and result.json["clips"] == 12
    assert set(result.json["unexplained_variance"]) == {"0.2", "0.4", "0.6", "0.8", "0.9", "1"}
    assert all(Path(path).is_file() for path in result.json["pictures"])
    shown = akd("prior", "show", trained)
    assert shown.code == 0 and "3 steps of 2 clips" in shown.out and "3 files agree with the card" in shown.out
    assert max(len(line) for line in shown.out.splitlines()) <= 110
    card = akd("prior", "show", trained, "--json").json
    assert card["card"]["model"]["width"] == 48 and card["intact"] and "tiger" in card["bodies"]["four-legged"]
    motion = next(iter(card["words"]))
    sampled = akd("prior", "sample", "-p", f"a tiger {motion}", "--prior", trained, "--bodies", "100000", "--steps", "2", "--out", "sheet.png", "--json")
    assert sampled.code == 0 and sampled.json["clips"] == [f"quadruped 100000: a tiger {motion}, facing {side}" for side in ("left", "right")]
    assert Image.open("sheet.png").size == (1492, 304)


def test_sample_shows_a_workspaces_asset(akd, trained):
    body = bodies.random_body(100001, "quadruped")
    place = Path("runs/beast")
    place.mkdir(parents=True)
    (place / "workspace.json").write_text('{"source": "beast.glb"}')
    body.rig.stamped().save(place / "rig.h5")
    bodies.as_splat(body).stamped().save(place / "splat.h5")
    motion = next(iter(json.loads(Path(trained, "card.json").read_text())["motions"]))
    ask = ("prior", "sample", "-p", f"a tiger {motion}", "--prior", trained, "--steps", "1", "--out", "sheet.png")
    result = akd(*ask, "--workspace", str(place))
    assert result.code == 0 and "2 clips" in result.out
    missing = akd(*ask, "--workspace", "runs/nowhere")
    assert missing.code == 2 and "runs/nowhere: no such workspace" in missing.err


def test_progress_and_notes_go_to_stderr(akd):
    result = akd("prior", "train", "--out", "run", "--steps", "1", *TINY)
    assert result.code == 0
    assert re.search(r"prior: films, 12 clips each\nprior: latents\nprior: training\n", result.err)
    assert result.out.startswith("prior: 1 steps on 12 clips in ") and "run/weights" in result.out


MISTAKES = [
    (["train", "--out", "text.txt"], ["text.txt", "another folder with --out"]),
    (["train", "--out", "run", "--clips", "empty", *TINY], ["empty: has no .glb or .gltf file"]),
    (["train", "--out", "run", "--clips", "models", *TINY], ["--clips", "models: none of its 1 files can be learnt from (broken.glb"]),
    (["train", "--out", "run", "--from", "empty", "--chunks", "1"], ["--from", "empty has no card.json"]),
    (["train", "--out", "run", "--minutes", "0"], ["--minutes 0", "between"]),
    (["train", "--out", "run", "--device", "tpu"], ["--device tpu", "auto, cpu, cuda"]),
    (["train", "--out", "run", "--width", "50"], ["--width 50", "such as 48"]),
    (["show", "empty"], ["card.json: not there"]),
    (["sample", "-p", "an animal walking", "--out", "sheet.jpg"], ["sheet.jpg", ".png"]),
    (["sample", "-p", "an animal walking", "--out", "sheet.png", "--prior", "empty"], ["--prior empty", "akd prior train"]),
    (["sample", "-p", "an animal walking", "--out", "sheet.png", "--steps", "0"], ["--steps 0", "at least 1"]),
    (["sample", "-p", "a sofa walking", "--out", "sheet.png"], ["sofa"]),
    (["paint"], ["paint", "akd prior --help"]),
]


@pytest.mark.parametrize(("arguments", "says"), MISTAKES, ids=lambda v: " ".join(v[:4]) if isinstance(v, list) else "")
def test_mistakes_get_one_line_and_exit_code_2(akd, arguments, says):
    Path("text.txt").write_text("words")
    Path("empty").mkdir()
    Path("models").mkdir()
    Path("models/broken.glb").write_bytes(b"no glb at all")
    result = akd("prior", *arguments)
    assert result.code == 2 and result.out == ""
    lines = [line for line in result.err.strip().splitlines() if line.startswith("akd: ")]
    assert len(lines) == 1 and "Traceback" not in result.err, result.err
    assert [word for word in says if word not in lines[0]] == [], lines


def test_two_runs_in_one_folder_do_not_mix(akd):
    with locked(Path("run"), "a folder for a run", "--out"):
        result = akd("prior", "train", "--out", "run", *TINY)
    assert result.code == 2 and "another akd is writing here" in result.err and "--out" in result.err


def test_seeds_of_bodies_are_numbers(akd, trained):
    motion = next(iter(json.loads(Path(trained, "card.json").read_text())["motions"]))
    result = akd("prior", "sample", "-p", f"a tiger {motion}", "--prior", trained, "--bodies", "one", "--out", "sheet.png")
    assert result.code == 2 and "--bodies one: are seeds separated by commas" in result.err


def test_weights_in_the_package_are_packed():
    import tomllib

    root = Path(__file__).resolve().parents[2]
    globs = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["stages.distill.priors.embedded"]
    kinds = {"card.json", "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"}
    assert all(any(Path("weights", kind).match(glob) for glob in globs) for kind in kinds)
