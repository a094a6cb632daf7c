"""The asset stage: reading, checking, welding, orienting and scaling."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import gltf
from schemas.asset import Asset
from schemas.errors import AkdError, InputError, MissingError
from stages.asset import orient, stage
from stages.asset.geometry import vertex_normals, weld
from stages.asset.params import Params
from stages.progress import Progress
from tests.schemas.gltf_files import Maker, quad, skinned

FOLDER = os.environ.get("AKD_TEST_ASSETS", "")
FILES = sorted(p for p in Path(FOLDER).rglob("*") if p.suffix.lower() in (".glb", ".obj")) if FOLDER else []
needs_files = pytest.mark.skipif(not FILES, reason="AKD_TEST_ASSETS names no folder with models")


def box(path: Path, extents=(1.0, 2.0, 3.0), shift=(0.0, 0.0, 0.0)) -> Path:
    mesh = trimesh.creation.box(extents=extents)
    mesh.apply_translation(shift)
    mesh.export(path)
    return path


@pytest.mark.parametrize("kind", ["obj", "ply", "stl", "glb"])
def test_formats(tmp_path, kind):
    asset = stage.run(box(tmp_path / f"My Box.{kind}", shift=(5, 7, 0)))
    assert asset.name == "my-box" and asset.source["kind"] == kind
    assert np.allclose(np.ptp(asset.vertices, axis=0), [1, 2, 3], atol=1e-5)
    assert np.allclose(asset.vertices.min(0)[:2], [-0.5, 0], atol=1e-5)
    assert asset.weld.max() + 1 == 8 and len(asset.faces) == 12
    points, faces = asset.welded()
    assert trimesh.Trimesh(points, faces, process=False).volume == pytest.approx(6, rel=1e-5)
    assert (asset.normals * (asset.vertices - [0, 1, asset.vertices[:, 2].mean()])).sum(1).min() > 0
    assert asset.header.schema == "akd.asset" and not asset.has_skeleton


def test_transform_maps_source_to_asset(tmp_path):
    path = box(tmp_path / "a.obj", shift=(3, -4, 5))
    asset = stage.run(path, Params(up="z", facing="-x", length=2.0))
    source = gltf.read(box(tmp_path / "a.glb", shift=(3, -4, 5))).vertices
    moved = source @ asset.transform[:3, :3].T + asset.transform[:3, 3]
    assert {tuple(p) for p in np.round(moved, 5) + 0.0} == {tuple(p) for p in np.round(asset.vertices.astype(float), 5) + 0.0}
    assert np.allclose(np.ptp(asset.vertices, axis=0), [4 / 3, 2, 2 / 3], atol=1e-5)


@pytest.mark.parametrize(("up", "facing"), [(u, f) for u in ("x", "-x", "y", "-y", "z", "-z") for f in ("x", "-x", "y", "-y", "z", "-z") if u[-1] != f[-1]])
def test_orientations(up, facing):
    turn = orient.rotation(orient.axis(up), orient.axis(facing))
    assert np.linalg.det(turn) == pytest.approx(1)
    assert np.allclose(turn @ orient.axis(up), [0, 1, 0]) and np.allclose(turn @ orient.axis(facing), [0, 0, 1])


def test_facing_along_up_is_refused(tmp_path):
    with pytest.raises(InputError, match="--facing"):
        stage.run(box(tmp_path / "a.obj"), Params(up="z", facing="-z"))


@pytest.mark.parametrize(("size", "result"), [(0.01, 1.5), (0.1, 0.1), (3, 3), (30, 30), (31, 1.5), (150, 1.5)])
def test_scale(tmp_path, size, result):
    asset = stage.run(box(tmp_path / "a.ply", extents=(size / 2, size, size / 3)))
    assert np.ptp(asset.vertices[:, 1]) == pytest.approx(result, rel=1e-4)
    assert any("scaled" in note for note in asset.source["notes"]) == (size != result)
    assert stage.run(tmp_path / "a.ply", Params(scale=0.1 / size)).height == pytest.approx(0.1, rel=1e-4)


def test_notes_reach_progress(tmp_path):
    heard: list[str] = []

    class Ear(Progress):
        def note(self, message: str) -> None:
            heard.append(message)

    asset = stage.run(box(tmp_path / "a.stl", extents=(500, 500, 500)), Params(), Ear())
    assert heard == asset.source["notes"] and any("scaled by 0.003" in note for note in heard)


NAMED = [("pelvis", -1, (0, 1, 0)), ("Head", 0, (0, 1.2, 1)), ("tail_01", 0, (0, 1, -1)), ("Leg.L", 0, (0.3, 0.5, 0)), ("Leg.R", 0, (-0.3, 0.5, 0))]


def facing(joints, angle=0.0):
    turn = orient.rotation(np.array([0, 1.0, 0]), np.array([np.sin(angle), 0, np.cos(angle)])).T
    names, parents, positions = zip(*joints, strict=True)
    return orient.facing_by_names(list(names), np.array(parents), np.array(positions) @ turn.T, np.array([0, 1.0, 0])).direction


@pytest.mark.parametrize("angle", [0, 0.7, np.pi / 2, np.pi, -2])
def test_facing_by_names(angle):
    expected = [np.sin(angle), 0, np.cos(angle)]
    assert np.allclose(facing(NAMED, angle), expected)
    assert np.allclose(facing(NAMED[:3], angle), expected)
    assert np.allclose(facing([NAMED[0], *NAMED[3:]], angle), expected)
    swapped = [*NAMED[:3], ("Leg.R", 0, (0.3, 0.5, 0)), ("Leg.L", 0, (-0.3, 0.5, 0))]
    assert np.allclose(facing(swapped, angle), expected)
    assert np.allclose(facing([("a", -1, (0, 0, 0)), ("b", 0, (0, 0, 0.1)), ("toe", 1, (0, 0, 0.4))], angle), expected)


def test_upright_spines_and_controls_tell_nothing():
    assert facing([("hips", -1, (0, 1, 0)), ("head", 0, (0, 2, 0.05))]) is None
    assert facing([("hips", -1, (0, 1, 0)), ("head_ik_target", 0, (0, 1, 5))]) is None


@pytest.mark.parametrize(
    ("name", "parts"), [("b_LeftUpperArm_09", ["b", "left", "upper", "arm"]), ("IKFrontRight", ["ik", "front", "right"]), ("thigh.l", ["thigh", "l"])]
)
def test_words(name, parts):
    assert orient.words(name) == parts


def quadruped(direction: int, axis: int) -> np.ndarray:
    """Points of a body with a raised head at one end of a horizontal axis."""
    rng = np.random.default_rng(0)
    half = rng.uniform([-1, 0.5, 0], [1, 1, 0.25], (800, 3))
    head = rng.uniform([0.8, 1, 0], [1.2, 1.6, 0.15], (300, 3))
    points = np.concatenate([half, head])
    points = np.concatenate([points, points * [1, 1, -1]]) * [direction, 1, 1]
    return points if axis == 0 else points[:, [2, 1, 0]]


def test_facing_by_shape():
    for sign in (1, -1):
        assert np.allclose(orient.facing_by_shape(quadruped(sign, 0), conventional=True).direction, [sign, 0, 0])
        assert orient.facing_by_shape(quadruped(sign, 2), conventional=True).direction is None
    assert np.allclose(orient.facing_by_shape(quadruped(-1, 2), conventional=False).direction, [0, 0, -1])
    assert orient.facing_by_shape(quadruped(1, 2), conventional=False).direction is None


def test_weld():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 3))
    order = rng.permutation(np.repeat(np.arange(300), 3))
    jittered = points[order] + rng.uniform(-1e-8, 1e-8, (900, 3))
    labels = weld(jittered)
    assert labels.max() + 1 == 300
    first = {number: labels[np.flatnonzero(order == number)] for number in range(300)}
    assert all(len(set(group)) == 1 for group in first.values())
    assert (np.diff(labels[np.sort(np.unique(labels, return_index=True)[1])]) == 1).all()
    assert weld(np.zeros((50_000, 3)) + [1, 2, 3]).max() == 0


def test_vertex_normals_of_a_sphere():
    ball = trimesh.creation.icosphere(subdivisions=3)
    normals = vertex_normals(ball.vertices, ball.faces, np.arange(len(ball.vertices)))
    assert np.abs(normals - ball.vertices).max() < 0.01


def test_obj_with_material_and_texture(tmp_path):
    import PIL.Image

    PIL.Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "a.mtl").write_text("newmtl skin\nKd 1 1 1\nmap_Kd red.png\nnewmtl bone\nKd 0.5 0.5 0.5\n")
    lines = ["mtllib a.mtl", "v 0 0 0", "v 1 0 0", "v 0 1 0", "v 0 0 1", "vt 0 0", "vt 1 0", "vt 0 1"]
    (tmp_path / "a.obj").write_text("\n".join([*lines, "usemtl skin", "f 1/1 3/3 2/2", "f 1/1 2/2 4/3", "usemtl bone", "f 1 4 3", "f 2 3 4"]))
    asset = stage.run(tmp_path / "a.obj")
    assert len(asset.materials["list"]) == 2 and len(asset.materials["images"]) == 1
    names = [material["name"] for material in asset.materials["list"]]
    bone = asset.materials["list"][names.index("bone")]["pbrMetallicRoughness"]
    assert np.allclose(bone["baseColorFactor"][:3], 0.212, atol=0.01)  # 0.5 in sRGB
    assert set(map(tuple, np.round(asset.uvs, 3).tolist())) >= {(0, 1), (1, 1), (0, 0)}
    assert asset.weld.max() + 1 == 4


def test_obj_does_not_read_outside_its_folder(tmp_path):
    import PIL.Image

    folder = tmp_path / "model"
    folder.mkdir()
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (folder / "a.mtl").write_text("newmtl skin\nmap_Kd ../secret.png\n")
    (folder / "a.obj").write_text("mtllib a.mtl\nusemtl skin\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    assert not stage.run(folder / "a.obj").materials["images"]


def test_ply_colours_are_taken_as_srgb(tmp_path):
    mesh = trimesh.creation.box()
    mesh.visual.vertex_colors = np.tile([128, 255, 0, 255], (8, 1)).astype(np.uint8)
    mesh.export(tmp_path / "a.ply")
    assert np.allclose(stage.run(tmp_path / "a.ply").colors, [0.2158, 1, 0, 1], atol=1e-3)


def test_skeleton_is_moved_along(tmp_path):
    nodes = [{"name": "hips", "children": [2]}, {"name": "head", "translation": [200, 0, 0]}]
    binds = [np.eye(4), np.eye(4)]
    binds[1] = binds[1].copy()
    binds[1][0, 3] = 200
    maker = skinned(nodes, [1, 2], binds, np.array([[1, 0, 0, 0.0]] * 4), [[0] * 4, [1] * 4, [0] * 4, [1] * 4])
    maker.json["accessors"][0]["bufferView"] = maker.view((np.array([[0, 0, 0], [200, 0, 0], [0, 50, 0], [200, 50, 0]], "<f4")).tobytes())
    (tmp_path / "a.glb").write_bytes(maker.bytes())
    asset = stage.run(tmp_path / "a.glb")
    assert asset.has_skeleton and np.allclose(np.ptp(asset.vertices, axis=0), [0, 0.375, 1.5], atol=1e-6)
    assert np.allclose(asset.joint_matrices[:, :3, 3], [[0, 0, 0], [0, 0, 1.5]], atol=1e-6)
    assert np.allclose(asset.joint_weights, [[1, 0], [0, 1], [1, 0], [0, 1]])
    assert np.allclose(np.linalg.det(asset.joint_matrices[:, :3, :3]), 1)


@pytest.mark.parametrize("name", ["", "nobody", "a dragon in a hat"])
def test_unknown_names_list_the_library(name):
    with pytest.raises(InputError, match="tiger"):
        stage.run(name)


def test_builtin(tmp_path):
    asset = stage.run("tiger", Params(length=2.0))
    assert asset.source["kind"] == "builtin" and asset.category == "quadruped" and asset.has_skeleton
    assert np.ptp(asset.vertices, axis=0).max() == pytest.approx(2, rel=1e-5) and asset.vertices[:, 1].min() == pytest.approx(0, abs=1e-6)
    assert len(asset.joint_roles) == len(asset.joint_tails) == len(asset.joint_parents)
    again = Asset.load(asset.save(tmp_path / "a.h5"))
    assert again.content_digest() == asset.content_digest() == stage.run("a tiger walking", Params(length=2.0)).content_digest()


BAD = {
    "empty.obj": b"",
    "words.obj": b"hello there\n",
    "points.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\n",
    "nan.obj": b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    "range.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n",
    "line.obj": b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n",
    "dot.obj": b"v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n",
    "head.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 999999999999\nproperty float x\nend_header\n",
    "noise.ply": b"ply\n\xff\xfe",
    "short.stl": b"\0" * 83,
    "count.stl": b"\0" * 80 + b"\xff\xff\xff\xff" + b"\0" * 100,
    "noise.glb": b"not a model at all",
    "text.txt": b"hello",
    "noise": b"\x00\x01\x02",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_give_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(AkdError) as caught:
        stage.run(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_folder_and_locked(tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        stage.run(tmp_path / "a.glb")
    with pytest.raises(InputError, match="not a file"):
        stage.run(tmp_path)


def test_links_are_followed(tmp_path):
    box(tmp_path / "a.obj")
    (tmp_path / "b.obj").symlink_to("a.obj")
    assert stage.run(tmp_path / "b.obj").name == "b"


@pytest.mark.parametrize("kind", ["obj", "ply", "stl"])
def test_damaged_files_never_crash(tmp_path, kind):
    whole = box(tmp_path / f"a.{kind}").read_bytes()

    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def attempt(data):
        broken = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
        for place in data.draw(st.lists(st.integers(0, len(broken) - 1), max_size=4)):
            broken[place] = data.draw(st.integers(0, 255))
        (tmp_path / f"b.{kind}").write_bytes(bytes(broken))
        try:
            stage.run(tmp_path / f"b.{kind}").validate()
        except AkdError as error:
            assert "\n" not in str(error)

    attempt()


def test_broken_texture_is_found_at_once(tmp_path):
    maker: Maker = quad()
    maker.json["meshes"][0]["primitives"][0] |= {"material": 0}
    maker.json["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"] = maker.accessor(np.zeros((4, 2)))
    maker.json |= {"materials": [{"emissiveTexture": {"index": 0}}], "textures": [{"source": 0}]}
    maker.json["images"] = [{"bufferView": maker.view(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)}]
    (tmp_path / "a.glb").write_bytes(maker.bytes())
    with pytest.raises(InputError, match="texture 0"):
        stage.run(tmp_path / "a.glb")


@needs_files
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_files(path):
    asset = stage.run(path)
    asset.validate()
    extent = np.ptp(asset.vertices.astype(float), axis=0)
    assert 0.1 <= extent.max() <= 30.001
    assert asset.vertices[:, 1].min() == pytest.approx(0, abs=1e-4 * float(extent.max()))
    assert asset.vertices[:, 0].min() == pytest.approx(-asset.vertices[:, 0].max(), abs=1e-4 * float(extent.max()))
    assert asset.weld.max() + 1 <= len(asset.vertices)
    if asset.has_skeleton:
        used = asset.joint_weights.sum(0) > 1e-3
        joints = asset.joint_matrices[used][:, :3, 3]
        low, high = asset.vertices.min(0) - 0.2 * extent.max(), asset.vertices.max(0) + 0.2 * extent.max()
        assert ((joints > low) & (joints < high)).all()


@needs_files
@pytest.mark.parametrize(("name", "words"), [("Wolf", "head"), ("KhronosFox", "head"), ("Trex", "head"), ("Stegosaurus", "head"), ("Cow", "head")])
def test_known_characters_face_forward(name, words):
    path = Path(FOLDER) / f"{name}.glb"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    asset = stage.run(path)
    place = {n.lower(): m[:3, 3] for n, m in zip(asset.joint_names, asset.joint_matrices, strict=True)}
    head = np.mean([p for n, p in place.items() if words in n], axis=0)
    tail = np.mean([p for n, p in place.items() if "tail" in n], axis=0)
    assert head[2] > tail[2] + 0.3 * np.ptp(asset.vertices[:, 2]) and abs(head[0]) < 0.1 * np.ptp(asset.vertices[:, 2])
    left = [p[0] for n, p in place.items() if n.endswith(".l") or "left" in n]
    assert not left or np.mean(left) > 0
