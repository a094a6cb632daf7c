"""`akd evaluate` on artists' clips, on models that akd wrote, and against each other."""

from __future__ import annotations

import contextlib
import functools
import io
import json

import numpy as np
import pytest

from akd_cli import app
from akd_cli.evaluate import SCHEMA
from schemas import gltf
from stages.evaluate.figures import named, paths
from stages.evaluate.shape import edge_change, edges_of
from tests.schemas import samples

GAITS = {
    "Wolf": {"Walk": "walking", "Gallop": "galloping"},
    "Horse": {"Walk": "walking", "Gallop": "galloping"},
    "KnightCharacter": {"Walking": "walking", "Run": "running"},
    "Trex": {"Walk": "walking", "Run": "running"},
    "KhronosFox": {"Walk": "walking", "Run": "galloping"},
}


@pytest.fixture
def evaluate(capsys):
    """Run the command; gives its exit code, stdout and stderr."""

    def call(*arguments):
        capsys.readouterr()
        code = app.run(["evaluate", *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


@functools.cache
def judged(path):
    """What the command prints of a model with --json."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert app.run(["evaluate", str(path), "--json", "--quiet"]) == 0
    return json.loads(shown.getvalue())


@pytest.mark.parametrize("model", GAITS)
def test_every_clip_of_a_model_has_a_row_and_walks_and_runs_their_names(real_assets, model):
    path = real_assets / f"{model}.glb"
    if not path.exists():
        pytest.skip(f"{path.name} is not in $AKD_TEST_ASSETS")
    found = judged(path)
    figures = found["figures"]
    assert found["schema"] == SCHEMA and found["fps"] == 24 and set(figures) == {clip.name for clip in gltf.read_animations(path)}
    assert [name for one in figures.values() for name, _ in paths(one) if named(name) is None] == []
    for clip, label in GAITS[model].items():
        (one,) = (values for name, values in figures.items() if name.endswith(clip))
        assert one["label"] == label and one["confidence"] > 0.5 and one["treadmill"] > 0
        assert 0 < one["shape"]["mean"] < one["shape"]["p95"] < 0.6
        assert one["loop"]["pose"] < 0.15  # made to loop
    assert all(one["loop"]["pose"] > 0.3 for name, one in figures.items() if name.endswith("Death"))
    assert any(one["label"] == "standing" and one["smoothness"]["acceleration"] < 1 for one in figures.values())


def test_shape_of_a_clip_is_that_of_the_file_itself(real_assets):
    path = real_assets / "KhronosFox.glb"
    scene, figures = gltf.read(path), judged(path)["figures"]
    points = np.c_[scene.vertices, np.ones(len(scene.vertices))]
    for clip in gltf.read_animations(path, fps=24):
        frames = [np.einsum("vj,jab,vb->va", scene.joint_weights, turns, points)[:, :3] for turns in clip.deltas(scene.joint_matrices)]
        assert edge_change(scene.vertices, edges_of(scene.faces), frames) == pytest.approx(tuple(figures[clip.name]["shape"].values()), rel=0.01)


def test_table_for_people_and_comparison_with_an_artists_clip(real_assets, evaluate):
    path = real_assets / "KhronosFox.glb"
    code, out, _ = evaluate(path, "--against", path, "--clip", "Walk")
    rows = [line.split() for line in out.splitlines()]
    assert code == 0 and [row[0] for row in rows if row[:1] and row[0] in ("Survey", "Walk", "Run")][:3] == ["Survey", "Walk", "Run"]
    assert ["Walk", "walking"] in [row[:2] for row in rows] and "deepest cm" in out and "edges %" in out
    compared = [line for line in out.splitlines() if " against " in line]
    assert len(compared) == 3 and "left_hind 1.00" in compared[1] and "period 1.00" in compared[1] and "1.00" not in compared[0]
    figures = json.loads(evaluate(path, "--against", path, "--clip", "run", "--json")[1])["figures"]
    assert [name for one in figures.values() for name, _ in paths(one) if named(name) is None] == []
    assert figures["Run"]["against"] == {"motion": "KhronosFox.glb Run", "limbs": dict.fromkeys(figures["Run"]["limbs"], 1.0), "period": 1.0}
    assert figures["Walk"]["against"]["limbs"]["left_hind"] < 0.8
    code, _, err = evaluate(path, "--against", path, "--clip", "Swim")
    assert code == 2 and "Survey, Walk, Run" in err and len(err.strip().splitlines()) == 1


def test_a_model_that_akd_wrote_reads_as_the_motion_itself(evaluate, tmp_path):
    asset, rig, skin, motion = samples.asset(), samples.rig(), samples.skin(), samples.motion()
    for name, one in (("asset", asset), ("rig", rig), ("skin", skin)):
        one.save(tmp_path / f"{name}.h5")
    (tmp_path / "workspace.json").write_text("{}")
    folder = tmp_path / "motions" / "walk"
    folder.mkdir(parents=True)
    motion.save(folder / "distill.h5")
    gltf.write(folder / "distill.glb", asset, rig, skin.weights, motion, name="walk")
    (one,) = json.loads(evaluate(folder / "distill.h5", "--json")[1])["figures"].values()
    found = json.loads(evaluate(folder / "distill.glb", "--json", "--fps", motion.fps)[1])["figures"]
    assert list(found) == ["walk"]
    # roles and bone tips are guessed anew from a file, so that limbs may differ
    assert found["walk"]["path"] == pytest.approx(one["path"], abs=1e-3)
    assert found["walk"]["distance"] == pytest.approx(one["distance"], abs=1e-3)
    assert found["walk"]["smoothness"]["acceleration"] == pytest.approx(one["smoothness"]["acceleration"], rel=0.01, abs=1e-3)
    assert found["walk"]["shape"] == pytest.approx(one["shape"], abs=1e-4)


def test_what_is_no_motion_gets_one_line(evaluate, tmp_path):
    gltf.write(tmp_path / "still.glb", samples.asset(), samples.rig(), samples.skin().weights)
    for arguments, says in (
        ([tmp_path / "still.glb"], "no animation"),
        ([tmp_path / "none.glb"], "no such file"),
        ([tmp_path / "still.glb", "--against", "walk"], "--against walk"),
    ):
        if "--against" in arguments:
            gltf.write(tmp_path / "still.glb", samples.asset(), samples.rig(), samples.skin().weights, samples.motion(), name="walk")
        code, out, err = evaluate(*arguments)
        assert code == 2 and out == "" and says in err and len(err.strip().splitlines()) <= 2, err
