"""Test poses, their measure of collapse, and weights carried back from a simplified mesh."""

from __future__ import annotations

import numpy as np
import pytest

from stages.asset.stage import run as make_asset
from stages.rig.stage import run as make_rig
from stages.skin import coarse
from stages.skin.poses import inverted, measure, poses, sheet
from stages.skin.stage import run


@pytest.fixture(scope="module")
def tiger() -> tuple:
    asset = make_asset("tiger")
    rig = make_rig(asset)
    skin = run(asset, rig)
    _, first = np.unique(asset.weld, return_index=True)
    return (*asset.welded(), rig, skin.weights[first], skin)


def test_poses_keep_to_the_limits(tiger: tuple) -> None:
    rig = tiger[2]
    found = poses(rig)
    assert {"rest", "stride", "crouch", "bow", "tail"} <= set(found) and not found["rest"].any()
    for angles in found.values():
        assert (angles >= rig.limits[..., 0] - 1e-6).all() and (angles <= rig.limits[..., 1] + 1e-6).all() and not angles[0].any()


def test_a_good_skin_keeps_its_volume_and_nearest_bones_fold(tiger: tuple) -> None:
    points, faces, rig, weights, skin = tiger
    smooth = measure(points, faces, rig, weights)
    assert smooth.volume > 0.75 and smooth.inverted < 0.03
    assert skin.report["posed_volume_min"] == smooth.volume and skin.report["posed_inverted_max"] == smooth.inverted
    random = np.random.default_rng(0).random(weights.shape)
    broken = measure(points, faces, rig, random / random.sum(1, keepdims=True))
    assert broken.volume < 0.7 * smooth.volume or broken.inverted > 5 * smooth.inverted


def test_a_turned_triangle_is_inverted_and_a_turned_body_is_not() -> None:
    rest = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    faces, weights = np.array([[0, 1, 2]]), np.ones((3, 1))
    half = np.diag([-1.0, 1.0, -1.0])  # half a turn about y
    flipped, area = inverted(rest, rest @ half.T, faces, weights, half[None])
    assert not flipped[0] and area[0] == 0.5
    flipped, _ = inverted(rest, rest * [-1, 1, 1], faces, weights, np.eye(3)[None])
    assert flipped[0]


def test_the_sheet_has_a_picture_of_every_pose(tiger: tuple) -> None:
    points, faces, rig, weights, _ = tiger
    image = sheet(points, faces, rig, weights, size=80)
    assert image.size == (320, 160) and np.asarray(image).std() > 5
    assert sheet(points, faces, rig, weights, size=80, rest_only=True).size == (80, 80)


def test_weights_are_carried_to_a_finer_mesh(tiger: tuple) -> None:
    """Linear within triangles: exact at vertices and, in a mesh split at its edges' middles, the mean of two ends."""
    import trimesh

    points, faces, _, weights, _ = tiger
    fine, _ = trimesh.remesh.subdivide(points, faces)
    found = coarse.carried(fine, points.astype(np.float64), faces.astype(np.int64), weights)
    assert np.abs(found.sum(1, dtype=np.float64) - 1).max() < 1e-6 and found.min() >= 0
    np.testing.assert_allclose(found[: len(points)], weights, atol=1e-4)


def test_large_meshes_are_simplified_and_say_so(tiger: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse, "MOST_VERTICES", 5000)
    monkeypatch.setattr(coarse, "_FACES", 6000)
    asset = make_asset("tiger")
    skin = run(asset, tiger[2])
    assert any("simplified from 6692" in note for note in skin.report["notes"])
    assert np.abs(skin.weights.sum(1, dtype=np.float64) - 1).max() < 1e-6
    _, first = np.unique(asset.weld, return_index=True)
    assert (skin.weights[first].argmax(1) == tiger[3].argmax(1)).mean() > 0.9
