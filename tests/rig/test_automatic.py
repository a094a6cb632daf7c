"""Automatic skeletons: meshes that are deformed, holed, scaled, in parts, degenerate; what comes out is a rig that fits."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import InputError
from schemas.roles import limb
from stages.asset.stage import run as make_asset
from stages.rig.embed import field
from stages.rig.embed.automatic import CATEGORIES, MOST_FACES, embed
from stages.rig.params import Params
from stages.rig.stage import run
from tests.skin.shapes import as_asset

ASSETS = Path(os.environ.get("AKD_TEST_ASSETS", ""))
STATIC = {"koala_low_resolution.obj": "quadruped", "spot_low_resolution.obj": "quadruped", "penguin.obj": "biped", "fish_low_resolution.obj": "fish"}


@pytest.fixture(scope="module")
def tiger() -> tuple[np.ndarray, np.ndarray]:
    points, faces = make_asset("tiger").welded()
    return points.astype(np.float64), faces.astype(np.int64)


@pytest.fixture(scope="module")
def found(tiger: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    return places(tiger)


def places(mesh: tuple[np.ndarray, np.ndarray], template: str = "") -> dict[str, np.ndarray]:
    """Joint positions by name."""
    return {joint.name: joint.position for joint in embed(*mesh, template).joints}


def close(one: dict[str, np.ndarray], other: dict[str, np.ndarray], tolerance: float) -> None:
    """The same joints within a distance."""
    assert set(one) == set(other)
    worst = max(one, key=lambda name: np.linalg.norm(one[name] - other[name]))
    assert np.linalg.norm(one[worst] - other[worst]) < tolerance, worst


def box(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A closed box of 12 triangles."""
    import trimesh

    mesh = trimesh.creation.box(bounds=[low, high])
    return np.array(mesh.vertices), np.array(mesh.faces)


def joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Several meshes as one, not connected."""
    starts = np.cumsum([0, *(len(points) for points, _ in parts)])
    return np.concatenate([points for points, _ in parts]), np.concatenate([faces + start for (_, faces), start in zip(parts, starts, strict=False)])


def test_a_rig_of_the_usual_schema_with_roles_and_confidence() -> None:
    asset = make_asset("tiger")
    rig = run(asset, Params(template="quadruped"))
    assert rig.category == "quadruped" and rig.source["kind"] == "automatic" and all(rig.roles)
    assert rig.confidence.shape == (rig.joint_count,) and rig.confidence.min() > 0.5 and rig.confidence.max() <= 1
    for side in ("left", "right"):
        for part in ("fore", "hind"):
            assert {f"{side}_{part}_{segment}" for segment in ("upper", "lower", "foot")} <= set(rig.roles)
    assert {"pelvis", "spine", "chest", "neck", "head", "tail"} <= set(rig.roles)
    assert rig.content_digest() == run(asset, Params(template="quadruped")).content_digest()


def test_the_builtin_skeleton_is_found_again(tiger: tuple, found: dict[str, np.ndarray]) -> None:
    """The tiger's own joints, which no share in the templates was set by, within 6 % of its length."""
    rig = run(make_asset("tiger"))
    own = {}
    for role, place in zip(rig.roles, rig.positions, strict=True):
        own.setdefault(role, place)
    extent = np.ptp(tiger[0], axis=0).max()
    shared = [role for role in own if role in found and (limb(role) or role in ("pelvis", "head"))]
    gaps = {role: np.linalg.norm(own[role] - found[role]) / extent for role in shared}
    assert len(shared) >= 13 and np.mean(list(gaps.values())) < 0.04, gaps


def test_left_and_right_are_mirror_images(found: dict[str, np.ndarray], tiger: tuple) -> None:
    middle = 0.5 * (tiger[0].min(0) + tiger[0].max(0))[0]
    for name, place in found.items():
        if name.startswith("left"):
            np.testing.assert_allclose(place * [-1, 1, 1] + [2 * middle, 0, 0], found[name.replace("left", "right")], atol=1e-9)
        elif not name.startswith("right"):
            assert abs(place[0] - middle) < 1e-9, name


def test_joints_lie_inside(tiger: tuple, found: dict[str, np.ndarray]) -> None:
    grid = field.build(*tiger)
    depth = {name: float(grid.sample(place[None])[0]) for name, place in found.items()}
    assert min(depth.values()) > 0, min(depth, key=depth.get)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scale_does_not_matter(tiger: tuple, found: dict[str, np.ndarray], scale: float) -> None:
    close({name: place / scale for name, place in places((tiger[0] * scale, tiger[1])).items()}, found, 1e-6)


def test_holes_and_doubled_faces_hardly_matter(tiger: tuple, found: dict[str, np.ndarray]) -> None:
    points, faces = tiger
    random = np.random.default_rng(1)
    holed = faces[random.random(len(faces)) > 0.03]
    close(places((points, holed)), found, 0.03 * np.ptp(points, axis=0).max())
    doubled = np.concatenate([faces, faces[:200], np.stack([faces[:50, 0]] * 3, 1)])
    close(places((points, doubled)), found, 0.03 * np.ptp(points, axis=0).max())


def test_faces_turned_inward_are_read_the_other_way(tiger: tuple, found: dict[str, np.ndarray]) -> None:
    close(places((tiger[0], tiger[1][:, ::-1])), found, 0.02 * np.ptp(tiger[0], axis=0).max())


def test_a_body_of_separate_boxes_is_a_quadruped() -> None:
    """Six boxes with gaps between them: trunk, legs and head are bridged."""
    legs = [box((x - 0.08, 0, z - 0.08), (x + 0.08, 0.6, z + 0.08)) for x in (-0.22, 0.22) for z in (-0.6, 0.6)]
    mesh = joined([box((-0.3, 0.62, -0.75), (0.3, 1.1, 0.75)), *legs, box((-0.15, 0.95, 0.8), (0.15, 1.3, 1.3))])
    skeleton = embed(*mesh)
    assert skeleton.category == "quadruped" and skeleton.symmetric
    assert any("6 parts" in note for note in skeleton.notes)
    by_name = {joint.name: joint for joint in skeleton.joints}
    assert by_name["left_fore_foot"].position[2] > 0.4 > -0.4 > by_name["left_hind_foot"].position[2]
    assert by_name["head"].position[2] > 0.7


@pytest.mark.parametrize(
    "mesh",
    [
        (np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]])),
        box((-1, 0, -1), (1, 2, 1)),
        box((-0.01, 0, -2), (0.01, 0.02, 2)),
        (np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0]]), np.array([[0, 1, 2], [0, 1, 3], [0, 0, 1]])),
    ],
    ids=["one triangle", "cube", "stick", "flat faces"],
)
def test_shapes_without_limbs_get_a_chain(mesh: tuple[np.ndarray, np.ndarray]) -> None:
    skeleton = embed(*mesh)
    assert skeleton.category in CATEGORIES and len(skeleton.joints) >= 4
    assert all(np.isfinite(joint.position).all() for joint in skeleton.joints)
    low, high = mesh[0].min(0), mesh[0].max(0)
    reach = 0.05 * (high - low).max()
    assert all((joint.position > low - reach).all() and (joint.position < high + reach).all() for joint in skeleton.joints)


def test_a_template_whose_limbs_are_missing_says_so() -> None:
    with pytest.raises(InputError, match="--template quadruped: the mesh lacks the limbs for it .* choose another"):
        embed(*box((-0.01, 0, -2), (0.01, 0.02, 2)), "quadruped")


def test_large_meshes_are_simplified_and_say_so(tiger: tuple, found: dict[str, np.ndarray]) -> None:
    import trimesh

    points, faces = tiger
    while len(faces) <= MOST_FACES:
        points, faces = trimesh.remesh.subdivide(points, faces)
    skeleton = embed(points, faces)
    assert any(f"simplified from {len(faces)} to" in note for note in skeleton.notes)
    close({joint.name: joint.position for joint in skeleton.joints}, found, 0.03 * np.ptp(points, axis=0).max())


def test_the_stage_carries_on_with_an_automatic_rig(tiger: tuple) -> None:
    """Skin weights, and the rig read back from the glTF that a user would edit."""
    from stages.skin.stage import run as skin

    asset = as_asset(*tiger)
    rig = run(asset)
    weights = skin(asset, rig).weights
    assert rig.source["kind"] == "automatic" and np.abs(weights.sum(1) - 1).max() < 1e-6
    owner = weights.argmax(1)
    assert len(np.unique(owner)) > 0.8 * rig.joint_count


def test_an_edited_rig_is_read_back(tmp_path: Path, tiger: tuple) -> None:
    from schemas import gltf

    asset = as_asset(*tiger)
    rig = run(asset)
    edited = dataclasses.replace(rig, positions=rig.positions.copy())
    elbow = rig.joint_names.index("left_fore_lower")
    edited.positions[elbow] += [0.0, 0.02, 0.05]
    gltf.write(tmp_path / "edited.glb", asset, edited, name="edited")
    back = run(asset, skeleton=tmp_path / "edited.glb")
    assert back.joint_names == rig.joint_names and back.roles == rig.roles
    np.testing.assert_allclose(back.positions, edited.positions, atol=1e-5)


def test_the_picture_shows_sides_in_their_colours(tiger: tuple) -> None:
    from stages.rig.picture import SIDES, draw

    rig = run(as_asset(*tiger))
    image = np.asarray(draw(*tiger, rig, size=160))
    assert image.shape == (160, 480, 3)
    front, side, above = (image[:, 160 * k : 160 * (k + 1)].astype(int) for k in range(3))

    def middle(view: np.ndarray, name: str) -> float:
        """Mean column of the pixels of a colour. [px]"""
        return float(np.nonzero(np.abs(view - SIDES[name]).sum(2) < 60)[1].mean())

    assert middle(front, "left") > 80 > middle(front, "right") and middle(above, "left") > 80 > middle(above, "right")
    assert (np.abs(side - SIDES[""]).sum(2) < 60).sum() > 50  # the spine


@pytest.mark.skipif(not (ASSETS / "static").is_dir(), reason="AKD_TEST_ASSETS names no folder with static models")
@pytest.mark.parametrize("name", sorted(STATIC))
def test_real_static_models(name: str) -> None:
    rig = run(make_asset(ASSETS / "static" / name))
    assert rig.category == STATIC[name] and rig.source["kind"] == "automatic"
    assert (rig.positions[:, 1] > -1e-3).all() and rig.cuboid_half_sizes.min() > 0
