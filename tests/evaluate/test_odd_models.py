"""`akd evaluate` of models that are not what it hopes for: figures where there are any, else one clear line."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from akd_cli import app
from schemas import gltf
from tests.schemas import samples


def parts(path):
    """The JSON and the binary chunk of a .glb."""
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[20 + size + 8 :]


def write(path, content, binary):
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


@pytest.fixture
def model(tmp_path):
    """A model with one clip, as JSON and binary chunk, and where to write a changed one."""
    path = gltf.write(tmp_path / "a.glb", samples.asset(), samples.rig(), samples.skin().weights, samples.motion(), name="walk")
    return (*parts(path), tmp_path / "b.glb")


def judged(path, capsys, *words):
    capsys.readouterr()
    code = app.run(["evaluate", str(path), "--json", "-q", *words])
    shown = capsys.readouterr()
    return code, json.loads(shown.out)["figures"] if code == 0 else None, shown.err.strip()


def refused(path, capsys, *says):
    code, _, err = judged(path, capsys)
    assert code == 2 and len(err.splitlines()) == 1 and "Traceback" not in err
    assert all(word in err for word in says), err


def test_no_animation(model, capsys):
    content, binary, path = model
    del content["animations"]
    refused(write(path, content, binary), capsys, "b.glb", "no animation", "give an animated model")


def test_morph_targets_only(model, capsys):
    content, binary, path = model
    animation = content["animations"][0]
    mesh = next(index for index, node in enumerate(content["nodes"]) if "mesh" in node)
    animation["channels"] = [{"sampler": 0, "target": {"node": mesh, "path": "weights"}}]
    refused(write(path, content, binary), capsys, "b.glb", "no animation of its skeleton")


def test_no_skeleton(model, capsys):
    content, binary, path = model
    del content["skins"]
    for node in content["nodes"]:
        node.pop("skin", None)
    refused(write(path, content, binary), capsys, "b.glb")


def test_bones_without_names(model, capsys):
    content, binary, path = model
    before = judged(write(path, content, binary), capsys)[1]["walk"]
    for node in content["nodes"]:
        node.pop("name", None)
    code, figures, err = judged(write(path, content, binary), capsys)
    assert code == 0, err
    assert figures["walk"]["distance"] == pytest.approx(before["distance"], abs=1e-6)
    assert figures["walk"]["smoothness"]["acceleration"] == pytest.approx(before["smoothness"]["acceleration"], rel=1e-3, abs=1e-6)


def test_clips_without_names_or_with_the_same_one(model, capsys):
    content, binary, path = model
    content["animations"] = [{**content["animations"][0]} for _ in range(3)]
    content["animations"][0].pop("name")
    code, figures, err = judged(write(path, content, binary), capsys)
    assert code == 0, err
    assert len(figures) == 3


def test_a_clip_that_stands_still(model, tmp_path, capsys):
    motion = samples.motion()
    motion.angles[:] = motion.angles[:1]
    motion.root_positions[:] = motion.root_positions[:1]
    motion.root_rotations[:] = motion.root_rotations[:1]
    path = gltf.write(tmp_path / "still.glb", samples.asset(), samples.rig(), samples.skin().weights, motion, name="pose")
    code, figures, err = judged(path, capsys)
    assert code == 0, err
    (one,) = figures.values()
    assert one["distance"] == pytest.approx(0, abs=1e-6) and one["jerk"] == pytest.approx(0, abs=1e-3) and one["period"] == 0
    assert one["label"] in ("", "standing") and one["loop"]["pose"] in (None, pytest.approx(0, abs=1e-3))


def test_a_clip_of_one_key(model, capsys):
    content, binary, path = model
    for sampler in content["animations"][0]["samplers"]:
        for accessor in (sampler["input"], sampler["output"]):
            content["accessors"][accessor]["count"] = 1
            content["accessors"][accessor].pop("max", None), content["accessors"][accessor].pop("min", None)
    code, figures, err = judged(write(path, content, binary), capsys)
    if code == 0:
        (one,) = figures.values()
        assert one["distance"] == 0 and one["loop"]["pose"] is None
    else:
        assert code == 2 and len(err.splitlines()) == 1 and "b.glb" in err


@pytest.mark.parametrize("name", ["RiggedSimple", "Snake", "Bird", "greenman"])
def test_files_without_legs_with_poses_or_with_clips_of_single_bones(real_assets, name, capsys):
    path = real_assets / f"{name}.glb"
    if not path.exists():
        pytest.skip(f"{path.name} is not in $AKD_TEST_ASSETS")
    code, figures, err = judged(path, capsys)
    assert code == 0, err
    assert figures and all(np.isfinite(one["jerk"]) and one["label"] in ("", "standing", "walking") for one in figures.values())


@pytest.mark.parametrize("command", ["evaluate", "track", "asset"])
def test_a_file_of_another_kind(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.md").write_text("# no motion")
    assert app.run([command, "notes.md"]) == 2
    shown = capsys.readouterr().err
    assert "notes.md: is neither an artifact of akd, nor a 3D file, nor a workspace" in shown and len(shown.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
