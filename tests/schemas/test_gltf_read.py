"""Reading glTF: accessors, primitives, looks, skins and animations of files built in code."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import PIL.Image
import pytest

from schemas import gltf
from schemas.errors import AkdError, InputError, MissingError
from tests.schemas.gltf_files import TRIANGLES, Maker, glb, quad, skinned


def read(tmp_path, maker, name="a.glb"):
    path = tmp_path / name
    path.write_bytes(maker.bytes() if isinstance(maker, Maker) else maker)
    return gltf.read(path)


def moved(x=0.0, y=0.0, z=0.0, scale=1.0):
    return np.array([[scale, 0, 0, x], [0, scale, 0, y], [0, 0, scale, z], [0, 0, 0, 1.0]])


def test_quad(tmp_path):
    scene = read(tmp_path, quad())
    assert np.array_equal(scene.vertices, TRIANGLES)
    assert scene.faces.tolist() == [[0, 1, 2], [2, 1, 3]]
    assert scene.joint_names is None and scene.uvs is None
    assert (scene.colors == 1).all() and not scene.normals.any()
    assert scene.materials["list"][0]["name"] == "default"


@pytest.mark.parametrize(("mode", "faces"), [(4, [[0, 1, 2]]), (5, [[0, 1, 2], [2, 1, 3]]), (6, [[1, 2, 0], [2, 3, 0]])])
def test_triangle_modes(tmp_path, mode, faces):
    maker = Maker()
    maker.mesh({"POSITION": maker.accessor(TRIANGLES)}, mode=mode)
    scene = read(tmp_path, maker)
    assert scene.faces.tolist() == faces


def test_points_and_lines_are_refused(tmp_path):
    for mode in (0, 1, 2, 3):
        with pytest.raises(InputError, match="no triangles"):
            read(tmp_path, quad(mode=mode))


def test_points_beside_triangles_are_noted(tmp_path):
    maker = quad()
    primitives = maker.json["meshes"][0]["primitives"]
    primitives.append({**primitives[0], "mode": 0})
    scene = read(tmp_path, maker)
    assert len(scene.faces) == 2
    assert any("points" in note for note in scene.notes)


def test_stride_offset_and_sparse(tmp_path):
    maker = quad()
    block = np.zeros((4, 5), np.float32)
    block[:, 1:4] = TRIANGLES * 2
    view = maker.view(b"\xff" * 8 + block.tobytes(), byteStride=20)
    entry = {"bufferView": view, "byteOffset": 12, "componentType": 5126, "count": 4, "type": "VEC3"}
    entry["sparse"] = {
        "count": 1,
        "indices": {"bufferView": maker.view(np.array([3], "<u2").tobytes()), "componentType": 5123},
        "values": {"bufferView": maker.view(np.array([7, 8, 9], "<f4").tobytes())},
    }
    maker.json["accessors"][0] = entry
    scene = read(tmp_path, maker)
    assert np.array_equal(scene.vertices, np.concatenate([TRIANGLES[:3] * 2, [[7, 8, 9]]]))


@pytest.mark.parametrize(("dtype", "one"), [("u1", 255), ("i1", 127), ("u2", 65535), ("i2", 32767)])
def test_normalised_integers(tmp_path, dtype, one):
    maker = quad()
    values = np.array([[one, 0], [0, one], [one, one], [0, 0]])
    maker.json["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"] = maker.accessor(values, dtype, normalized=True)
    assert np.allclose(read(tmp_path, maker).uvs, values / one)


@pytest.mark.parametrize("width", [3, 4])
def test_vertex_colours(tmp_path, width):
    maker = quad()
    colors = np.linspace(0, 255, 4 * width).reshape(4, width).astype(int)
    maker.json["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"] = maker.accessor(colors, "u1", normalized=True)
    scene = read(tmp_path, maker)
    assert np.allclose(scene.colors[:, :width], colors / 255)
    assert width == 4 or (scene.colors[:, 3] == 1).all()


def picture(color=(200, 10, 30), kind="PNG"):
    data = io.BytesIO()
    PIL.Image.new("RGB", (2, 2), color).save(data, kind)
    return data.getvalue()


def textured(image_entry, **info):
    maker = quad()
    maker.json["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"] = maker.accessor([[0, 0], [1, 0], [0, 1], [1, 1]])
    maker.json["meshes"][0]["primitives"][0]["material"] = 0
    maker.json["materials"] = [{"name": "skin", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0, **info}, "roughnessFactor": 0.5}}]
    maker.json["textures"] = [{"source": 0, "sampler": 0}]
    maker.json["samplers"] = [{"wrapS": 33071, "magFilter": 77}]
    maker.json["images"] = [image_entry(maker)]
    return maker


def test_embedded_image_is_kept_byte_for_byte(tmp_path):
    blob = picture(kind="JPEG")
    scene = read(tmp_path, textured(lambda m: {"bufferView": m.view(blob), "mimeType": "image/png"}))
    assert scene.images.tobytes() == blob
    assert scene.materials["images"] == [{"mime": "image/jpeg", "start": 0, "size": len(blob)}]
    assert scene.materials["textures"] == [{"image": 0, "sampler": {"wrapS": 33071}}]
    assert scene.materials["list"][0]["pbrMetallicRoughness"] == {"baseColorTexture": {"index": 0}, "roughnessFactor": 0.5}


def test_texture_transform_is_baked(tmp_path):
    transform = {"KHR_texture_transform": {"offset": [0.5, 0.25], "scale": [2, 3], "rotation": np.pi / 2}}
    scene = read(tmp_path, textured(lambda m: {"bufferView": m.view(picture())}, extensions=transform))
    assert np.allclose(scene.uvs, [[0.5, 0.25], [0.5, -1.75], [3.5, 0.25], [3.5, -1.75]])
    assert "extensions" not in scene.materials["list"][0]["pbrMetallicRoughness"]["baseColorTexture"]


def test_data_uri_and_files_beside(tmp_path):
    maker = textured(lambda m: {"uri": "data:image/png;base64," + base64.b64encode(picture()).decode()})
    assert read(tmp_path, maker).images.tobytes() == picture()
    (tmp_path / "my skin.png").write_bytes(picture())
    maker = textured(lambda m: {"uri": "my%20skin.png"})
    assert read(tmp_path, maker).images.tobytes() == picture()
    (tmp_path / "body.bin").write_bytes(maker.body)
    document = maker.json | {"buffers": [{"byteLength": len(maker.body), "uri": "body.bin"}]}
    scene = read(tmp_path, json.dumps(document).encode(), "a.gltf")
    assert scene.kind == "gltf" and np.array_equal(scene.vertices, TRIANGLES)
    link = tmp_path / "links" / "b.gltf"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "a.gltf")
    assert len(gltf.read(link).vertices) == 4


@pytest.mark.parametrize(
    "uri",
    ["../secret.png", "/etc/hostname", "file:///etc/hostname", "http://localhost/a.png", "..%2fsecret.png", "a\\..\\b.png", "C:/a.png", "x\0y", "link.png"],
)
def test_files_elsewhere_are_refused(tmp_path, uri):
    (tmp_path / "secret.png").write_bytes(picture())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match="image 0 is at"):
        read(folder, textured(lambda m: {"uri": uri}))


def test_missing_texture_names_the_file(tmp_path):
    with pytest.raises(MissingError, match="lost.png"):
        read(tmp_path, textured(lambda m: {"uri": "lost.png"}))


@pytest.mark.parametrize("extension", ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu", "EXT_texture_webp", "VENDOR_secret"])
def test_required_extensions_are_named(tmp_path, extension):
    maker = quad()
    maker.json |= {"extensionsUsed": [extension], "extensionsRequired": [extension]}
    with pytest.raises(InputError, match=extension):
        read(tmp_path, maker)


def test_nodes_place_meshes_and_mirrors_keep_faces_outward(tmp_path):
    maker = quad()
    maker.json["meshes"][0]["primitives"][0]["attributes"]["NORMAL"] = maker.accessor(np.tile([0, 0, 1.0], (4, 1)))
    maker.json["nodes"] = [{"children": [1], "translation": [0, 5, 0]}, {"mesh": 0, "scale": [-2, 1, 1]}, {"mesh": 0}]
    scene = read(tmp_path, maker)
    assert np.allclose(scene.vertices, TRIANGLES * [-2, 1, 1] + [0, 5, 0])
    a, b, c = scene.vertices[scene.faces[0]]
    assert np.cross(b - a, c - a)[2] > 0 and np.allclose(scene.normals, [0, 0, 1])


def test_only_the_shown_scene_is_read(tmp_path):
    maker = quad()
    maker.json["nodes"].append({"mesh": 0, "translation": [9, 9, 9]})
    assert len(read(tmp_path, maker).vertices) == 4


JOINTS = [{"name": "hips", "translation": [0, 1, 0], "children": [2]}, {"children": [3], "translation": [0, 1, 0]}, {"name": "head", "translation": [0, 1, 0]}]
BINDS = [moved(y=3), moved(y=1)]  # of head, hips: listed in the wrong order, with a node between that is no joint
ONE = np.array([[1, 0, 0, 0.0]] * 4)


def test_skin(tmp_path):
    weights = np.array([[0.25, 0.75, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [2, 2, 0, 0]])
    indices = [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    scene = read(tmp_path, skinned(JOINTS, [3, 1], BINDS, weights, indices, translation=[50, 0, 0]))
    assert np.allclose(scene.vertices, TRIANGLES)  # the mesh node's own transform does not count
    assert scene.joint_names == ["hips", "head"] and scene.joint_parents.tolist() == [-1, 0]
    assert np.allclose(scene.joint_matrices, [moved(y=1), moved(y=3)])
    assert np.allclose(scene.joint_weights, [[0.75, 0.25], [0, 1], [1, 0], [0.5, 0.5]])
    assert any("summed to" in note for note in scene.notes)


def test_scaled_bind_pose_is_brought_to_scene_units(tmp_path):
    nodes = [
        {"scale": [100, 100, 100], "children": [2]},
        JOINTS[0] | {"translation": [0, 0.01, 0], "children": [3]},
        {"name": "head", "translation": [0, 0.02, 0]},
    ]
    scene = read(tmp_path, skinned(nodes, [3, 2], [moved(y=0.03), moved(y=0.01)], ONE, np.zeros((4, 4))))
    assert np.allclose(scene.vertices, TRIANGLES * 100, atol=1e-5)
    assert np.allclose(scene.joint_matrices, [moved(y=1), moved(y=3)])


def test_bind_pose_wins_over_a_posed_skeleton(tmp_path):
    posed = [JOINTS[0], {**JOINTS[1], "rotation": [0, 0, np.sin(0.5), np.cos(0.5)]}, JOINTS[2]]
    indices = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
    scene = read(tmp_path, skinned(posed, [3, 1], BINDS, ONE, indices))
    assert np.allclose(scene.vertices, TRIANGLES)
    assert np.allclose(scene.joint_matrices, [moved(y=1), moved(y=3)])
    assert any("another pose" in note for note in scene.notes)


def test_without_inverse_binds_the_nodes_pose_counts(tmp_path):
    scene = read(tmp_path, skinned(JOINTS, [1, 3], None, ONE, np.zeros((4, 4))))
    assert np.allclose(scene.vertices, TRIANGLES + [0, 1, 0])
    assert np.allclose(scene.joint_matrices, [moved(y=1), moved(y=3)])


def test_broken_weights_are_mended_with_notes(tmp_path):
    weights = ONE.copy()
    weights[0] = [np.nan, 0, 0, 0]
    weights[3] = 0
    indices = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    scene = read(tmp_path, skinned(JOINTS, [3, 1], BINDS, weights, indices))
    assert np.allclose(scene.joint_weights, [[1, 0]] * 4)
    assert any("NaN" in n for n in scene.notes) and any("without weights" in n for n in scene.notes)


def test_doubled_joints_and_names(tmp_path):
    nodes = [{**JOINTS[0], "name": "a"}, {**JOINTS[1]}, {**JOINTS[2], "name": "a"}]
    indices = np.array([[0, 2, 0, 0]] * 4)
    scene = read(tmp_path, skinned(nodes, [3, 1, 3], [BINDS[0], BINDS[1], BINDS[0]], np.array([[0.5, 0.5, 0, 0]] * 4), indices))
    assert scene.joint_names == ["a", "a_2"] and np.allclose(scene.joint_weights, [[0, 1]] * 4)


def test_several_roots_become_one_tree(tmp_path):
    nodes = [{"name": "control"}, {"name": "body", "children": [3]}, {"name": "tail", "translation": [0, 0, -1]}]
    scene = read(tmp_path, skinned(nodes, [1, 2, 3], [np.eye(4), np.eye(4), moved(z=-1)], ONE, np.ones((4, 4))))
    assert scene.joint_names == ["body", "tail", "control"] and scene.joint_parents.tolist() == [-1, 0, 0]


def test_mesh_under_a_joint_follows_it_rigidly(tmp_path):
    posed = [{**JOINTS[0], "rotation": [0, 0, 1, 0]}, *JOINTS[1:], {"name": "hat", "mesh": 0, "translation": [0, 0.5, 0]}]
    posed[2] = {**posed[2], "children": [4]}
    scene = read(tmp_path, skinned(posed, [3, 1], BINDS, ONE, np.ones((4, 4))))
    hat = scene.joint_weights[:, scene.joint_names.index("head")] == 1
    assert hat.sum() == 4
    # all weight is on the hips, whose map mesh -> scene is taken: turned by half a turn about z
    turned = TRIANGLES * [-1, -1, 1] + [0, 2, 0]
    assert np.allclose(scene.vertices[~hat], turned) or np.allclose(scene.vertices[~hat], TRIANGLES)


def test_two_skins_share_joints(tmp_path):
    maker = skinned(JOINTS, [3, 1], BINDS, ONE, np.zeros((4, 4)))
    maker.json["skins"].append({"joints": [1], "inverseBindMatrices": maker.matrices(np.linalg.inv([moved(y=1)]))})
    maker.json["nodes"].append({"mesh": 0, "skin": 1})
    maker.json["scenes"][0]["nodes"].append(4)
    scene = read(tmp_path, maker)
    assert scene.joint_names == ["hips", "head"] and len(scene.vertices) == 8
    assert np.allclose(scene.joint_weights, [[0, 1]] * 4 + [[1, 0]] * 4)


def test_animation_modes(tmp_path):
    maker = skinned(JOINTS, [3, 1], BINDS, ONE, np.zeros((4, 4)))
    half = np.sqrt(0.5)
    times = maker.accessor([0, 1.0])
    turn = maker.accessor([[0, 0, 0, 1.0], [0, 0, -half, -half]])
    cubic = maker.accessor([[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]])
    samplers = [{"input": times, "output": turn}, {"input": times, "output": cubic, "interpolation": "CUBICSPLINE"}]
    channels = [{"sampler": 0, "target": {"node": 3, "path": "rotation"}}, {"sampler": 1, "target": {"node": 1, "path": "translation"}}]
    maker.json["animations"] = [{"name": "nod", "samplers": samplers, "channels": channels}]
    path = tmp_path / "a.glb"
    path.write_bytes(maker.bytes())
    (nod,) = gltf.read_animations(path, fps=2)
    assert nod.name == "nod" and nod.frame_count == 3 and nod.joint_names == ["hips", "head"]
    head = nod.matrices[:, 1]
    assert np.allclose(np.degrees(np.arctan2(head[:, 1, 0], head[:, 0, 0])), [0, 45, 90], atol=1e-4)
    assert np.allclose(nod.matrices[:, 0, :3, 3], [[0, 1, 0], [0.5, 1, 0], [1, 1, 0]])  # tangents 1 at both ends: a straight line
    assert np.allclose(nod.deltas(gltf.read(path).joint_matrices)[0], np.eye(4), atol=1e-6)


def test_hostile_counts_and_graphs(tmp_path):
    def broken(change):
        maker = quad()
        change(maker.json)
        with pytest.raises(AkdError) as caught:
            read(tmp_path, maker)
        assert "a.glb" in str(caught.value) and "\n" not in str(caught.value)

    def accessor(**more):
        return lambda j: j["accessors"][0].update(more)

    broken(accessor(count=10**9))
    broken(accessor(count=10**30))
    broken(accessor(count=5))
    broken(accessor(count=0))
    broken(accessor(byteOffset=1))
    broken(accessor(byteOffset=-4))
    broken(accessor(bufferView=99))
    broken(accessor(componentType=5130))
    broken(accessor(type="MAT9"))
    broken(lambda j: j["accessors"].__setitem__(0, {"componentType": 5126, "count": 2**40, "type": "VEC3"}))
    broken(lambda j: j["bufferViews"][0].update(byteLength=10**12))
    broken(lambda j: j["bufferViews"][0].update(byteStride=1))
    broken(lambda j: j["nodes"].append({"children": [1]}))
    broken(lambda j: j["nodes"].extend([{"children": [2]}, {"children": [1]}]))
    broken(lambda j: j.update(nodes=[{"mesh": 0} for _ in range(200_000)]))
    broken(lambda j: j["nodes"][0].update(mesh=-1))
    broken(lambda j: j["nodes"][0].update(scale=[1e300, 1e300, 1e300], children=[]))
    broken(lambda j: j.update(meshes="x"))
    broken(lambda j: j["meshes"][0]["primitives"][0].update(indices=0))
    broken(lambda j: j["meshes"][0]["primitives"][0].update(mode=9))
    broken(lambda j: j["asset"].update(version="1.0"))


def test_instances_cannot_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("schemas.gltf_mesh.MAX_VERTICES", 1000)
    maker = quad()
    maker.json["nodes"] = [{"mesh": 0}] * 300
    maker.json["scenes"] = [{"nodes": list(range(300))}]
    with pytest.raises(InputError, match="more than 1000 vertices"):
        read(tmp_path, maker)


@pytest.mark.parametrize("data", [b"", b"glTF", b"{", b"[]", b"\xff\xfe", b"{}", b"null", b"[" * 100_000, b"solid cube", glb(b"{}")])
def test_not_gltf(tmp_path, data):
    with pytest.raises(InputError, match="a.glb"):
        read(tmp_path, data)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(MissingError):
        gltf.read(tmp_path / "nothing.glb")
    with pytest.raises(InputError):
        gltf.read(tmp_path)
