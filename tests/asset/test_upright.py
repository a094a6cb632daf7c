"""Which axis points up, found from the shape where the format does not say."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import trimesh

from schemas.errors import InputError
from stages.asset import library, stage, upright
from stages.asset.params import Params
from stages.asset.reading import load

FOLDER = Path(os.environ.get("AKD_TEST_ASSETS", "")) / "static"
STATIC = ("fish_low_resolution", "koala_low_resolution", "penguin", "spot_low_resolution")
# rows: where the file's x, y and z come from
Y_UP = {"z": np.eye(3), "-z": np.diag([-1.0, 1, -1]), "x": np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])}
Z_UP = {
    "-y": np.array([[1, 0, 0], [0, 0, -1.0], [0, 1, 0]]),
    "y": np.array([[-1, 0, 0], [0, 0, 1.0], [0, 1, 0]]),
    "x": np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]),
    "-x": np.array([[0, 0, -1.0], [-1, 0, 0], [0, 1, 0]]),
}


def check_both(points: np.ndarray, faces: np.ndarray) -> None:
    for turns, expected in ((Y_UP, "y"), (Z_UP, "z")):
        for facing, turn in turns.items():
            assert (facing, *upright.find(points @ turn.T, faces)[:1]) == (facing, expected)


@pytest.mark.parametrize("name", library.NAMES)
def test_characters_are_found_upright(name):
    model = library.sculpt(name)
    check_both(np.asarray(model.vertices, np.float64), model.faces)


@pytest.mark.parametrize("name", STATIC)
def test_files_are_found_upright(name):
    path = FOLDER / f"{name}.obj"
    if not path.exists():
        pytest.skip("AKD_TEST_ASSETS names no folder with static models")
    scene = load(path)
    check_both(scene.vertices, scene.faces)


SHAPES = {
    "cube": lambda: trimesh.creation.box(),
    "plank": lambda: trimesh.creation.box((3, 2, 1)),
    "sphere": lambda: trimesh.creation.icosphere(),
    "cylinder": lambda: trimesh.creation.cylinder(0.3, 2),
    "capsule": lambda: trimesh.creation.capsule(2, 0.3),
    "torus": lambda: trimesh.creation.torus(1, 0.3),
    "cone": lambda: trimesh.creation.cone(1, 2),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("turn", [Y_UP["z"], Y_UP["x"], Z_UP["-y"]], ids=["z", "x", "lying"])
def test_simple_shapes_stay(name, turn):
    mesh = SHAPES[name]()
    assert upright.find(np.asarray(mesh.vertices) @ turn.T, mesh.faces) == ("y", "")


def table(tmp_path: Path, kind: str) -> Path:
    """A body on four legs along z, exported."""
    parts = [trimesh.creation.box((0.5, 1.2, 0.3))]
    for x in (-0.2, 0.2):
        for y in (-0.5, 0.5):
            leg = trimesh.creation.box((0.08, 0.08, 0.6))
            leg.apply_translation((x, y, -0.4))
            parts.append(leg)
    head = trimesh.creation.box((0.2, 0.3, 0.3))
    head.apply_translation((0, -0.7, 0.25))
    path = tmp_path / f"a.{kind}"
    trimesh.util.concatenate([*parts, head]).export(path)
    return path


def test_flat_sheets_stay():
    for flat in range(3):
        points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1.0, 0]])[:, np.roll([0, 1, 2], flat)]
        assert upright.find(points, np.array([[0, 1, 2], [1, 3, 2]]))[0] == "y"


@pytest.mark.parametrize("degrees", [-15, -8, 8, 15])
@pytest.mark.parametrize("name", ["tiger", "elephant"])
def test_leaning_bodies_are_not_turned(name, degrees):
    model = library.sculpt(name)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    assert upright.find(np.asarray(model.vertices, np.float64) @ turn.T, model.faces)[0] == "y"


@pytest.mark.parametrize("kind", ["obj", "ply", "stl"])
def test_stage_turns_and_says_so(tmp_path, kind):
    asset = stage.run(table(tmp_path, kind))
    assert asset.height == pytest.approx(1.1, abs=1e-4)
    assert np.allclose(asset.transform[:3, :3] @ [0, 0, 1], [0, 1, 0]) and np.allclose(asset.transform[:3, :3] @ [0, -1, 0], [0, 0, 1])
    assert sum("+Z is taken to point up" in note and "--up y" in note for note in asset.source["notes"]) == 1


def test_gltf_and_the_user_are_believed(tmp_path):
    assert stage.run(table(tmp_path, "glb")).height == pytest.approx(1.45, abs=1e-4)
    path = table(tmp_path, "obj")
    for params in (Params(up="y"), Params(facing="z")):
        asset = stage.run(path, params)
        assert asset.height == pytest.approx(1.45, abs=1e-4)
        assert not any("point up" in note for note in asset.source["notes"])
    assert stage.run(path, Params(facing="y")).height == pytest.approx(1.1, abs=1e-4)
    with pytest.raises(InputError, match="--facing"):
        stage.run(path, Params(up="y", facing="y"))


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_size_and_place_do_not_matter(tmp_path, factor):
    scene = load(table(tmp_path, "obj"))
    assert upright.find(scene.vertices * factor + [5 * factor, -3, 1], scene.faces) == upright.find(scene.vertices, scene.faces)


def test_legs_and_margin_of_a_table(tmp_path):
    scene = load(table(tmp_path, "obj"))
    stand = upright.stance(upright.sample(scene.vertices, scene.faces), 2, [0])
    extent = float(np.ptp(scene.vertices, axis=0).max())
    assert stand.legs == pytest.approx(0.55 / extent, abs=2 / upright.CELLS)
    assert 0 < stand.margin < 0.24 / extent
    assert upright.flat_base(scene.vertices, scene.faces, 2) == pytest.approx(4 * 0.08**2 / scene_area(scene), rel=1e-6)


def scene_area(scene) -> float:
    return float(trimesh.Trimesh(scene.vertices, scene.faces, process=False).area)
