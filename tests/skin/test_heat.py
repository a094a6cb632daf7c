"""Bone heat against analysis, symmetry and a dense solve (METHOD 3)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.skin.distance import closest_points, normal_weighted, vertex_normals
from stages.skin.heat import bone_heat, diffuse, solve, surface_laplacian
from stages.skin.visibility import Body, nearest_visible

from .shapes import box, joined, tube

HEADS, TAILS = np.array([[0.0, 0, 0], [0, 1, 0]]), np.array([[0.0, 1, 0], [0, 2, 0]])


def check_rows(weights: np.ndarray) -> None:
    assert np.isfinite(weights).all()
    assert weights.min() >= 0 and weights.max() <= 1 + 1e-12
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)


def test_tube_blends_monotonely_and_half_at_the_joint() -> None:
    points, faces = tube()
    heat = bone_heat(points, faces, HEADS, TAILS)
    check_rows(heat.weights)
    assert (heat.components, heat.forced) == (1, 0)
    rings = heat.weights[: 41 * 24, 1].reshape(41, 24)
    assert (np.diff(rings.mean(1)) > -1e-9).all()
    np.testing.assert_allclose(rings[20].mean(), 0.5, atol=0.01)
    np.testing.assert_allclose(rings.mean(1) + rings.mean(1)[::-1], 1, atol=0.01)
    assert rings[0].max() < 0.02 and rings[-1].min() > 0.98


def test_decay_on_a_strip_follows_the_one_dimensional_solution() -> None:
    # a long thin tube with constant H is -w'' + H w = H p: at distance x from the step, w = 0.5 exp(-sqrt(H) x)
    points, faces = tube(length=4.0, radius=0.1, rings=161, around=12)
    shares = np.stack([points[:, 1] < 2, points[:, 1] > 2], 1).astype(float)
    shares[np.abs(points[:, 1] - 2) < 1e-9] = 0.5
    weights = diffuse(points, faces, shares, np.full(len(points), 9.0))
    for x in (0.1, 0.3, 0.5, 0.8):
        ring = np.abs(points[:, 1] - (2 - x)) < 1e-6
        np.testing.assert_allclose(weights[ring, 1].mean(), 0.5 * np.exp(-3 * x), rtol=0.03)


def test_matches_a_dense_solve() -> None:
    points, faces = tube(rings=9, around=8)
    shares = np.stack([points[:, 1] < 1, points[:, 1] >= 1], 1).astype(float)
    rate = np.linspace(5, 50, len(points))
    laplacian, mass = surface_laplacian(points, faces)
    dense = np.linalg.solve(laplacian.toarray() + np.diag(mass * rate), (mass * rate)[:, None] * shares)
    for solver in ("cholespy", "scipy"):
        np.testing.assert_allclose(diffuse(points, faces, shares, rate, solver=solver), dense / dense.sum(1, keepdims=True), atol=1e-10)


def test_solvers_agree_and_refuse_nothing_symmetric() -> None:
    points, faces = tube(rings=21)
    laplacian, mass = surface_laplacian(points, faces)
    matrix, right = laplacian + sparse.diags(mass), np.random.default_rng(0).normal(size=(len(points), 3))
    np.testing.assert_allclose(solve(matrix, right, "cholespy"), solve(matrix, right, "scipy"), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(matrix @ solve(matrix, right), right, atol=1e-9)


def test_laplacian_keeps_the_maximum_principle_on_slivers() -> None:
    points, faces = tube(rings=5, around=40)  # flat obtuse triangles, whose cotangents are negative
    laplacian, mass = surface_laplacian(points, faces)
    off = laplacian - sparse.diags(laplacian.diagonal())
    assert off.max() < 1e-9
    np.testing.assert_allclose(np.asarray(laplacian.sum(1)).ravel(), 0, atol=1e-9)
    assert (mass > 0).all()


@settings(max_examples=8, deadline=None)
@given(st.floats(-3, 3), st.tuples(*[st.floats(-1, 1)] * 4), st.integers(0, 2**31))
def test_scale_turn_and_order_do_not_matter(power: float, quaternion: tuple[float, ...], seed: int) -> None:
    from scipy.spatial.transform import Rotation

    points, faces = tube(rings=15, around=10)
    heads, tails = HEADS * (1, 0.9, 1) + (0, 0.1, 0), TAILS * (1, 0.9, 1) + (0, 0.1, 0)  # not ending in the surface, where sight is a toss
    reference = bone_heat(points, faces, heads, tails).weights
    rng = np.random.default_rng(seed)
    turn = Rotation.from_quat(np.array(quaternion) + (0, 0, 0, 2.5)).as_matrix().T * 10**power
    shift = rng.normal(size=3) * 10**power
    order = rng.permutation(len(points))
    place = np.argsort(order)
    moved = bone_heat((points @ turn + shift)[order], place[faces][rng.permutation(len(faces))], heads @ turn + shift, tails @ turn + shift).weights
    np.testing.assert_allclose(moved[place], reference, atol=1e-4)


def test_same_input_same_bits() -> None:
    points, faces = tube(rings=15)
    assert bone_heat(points, faces, HEADS, TAILS).weights.tobytes() == bone_heat(points, faces, HEADS, TAILS).weights.tobytes()


def test_far_part_follows_its_nearest_bone_rigidly() -> None:
    # the stray box lies behind a wall's outside: its segments to the bones leave the box at once
    stray, wall = box((3, 1.8, 0), (0.1, 0.1, 0.1)), tube(rings=15)
    points, faces = joined(wall, stray)
    heat = bone_heat(points, faces, HEADS, TAILS)
    check_rows(heat.weights)
    assert heat.components == 2
    np.testing.assert_allclose(heat.weights[len(wall[0]) :, 1], 1, atol=1e-6)


def test_parts_that_see_nothing_are_forced() -> None:
    # a hollow shell around the box: whichever way out, surface is crossed
    points, faces = joined(tube(rings=15), box((3, 0.2, 0), (0.1, 0.1, 0.1)))
    shell_points, shell_faces = box((3, 0.2, 0), (0.06, 0.06, 0.06))
    points, faces = joined((points, faces), (shell_points, shell_faces))
    heat = bone_heat(points, faces, HEADS, TAILS)
    check_rows(heat.weights)
    assert heat.components == 3
    np.testing.assert_allclose(heat.weights[-16:, 0], 1, atol=1e-6)


@pytest.mark.parametrize(
    "spoil",
    ["duplicate faces", "hole", "zero area", "non-manifold fin", "flipped", "loose vertex", "one triangle", "flat"],
)
def test_bad_meshes_still_get_weights(spoil: str) -> None:
    points, faces = tube(rings=11, around=8)
    if spoil == "duplicate faces":
        faces = np.concatenate([faces, faces[:20]])
    elif spoil == "hole":
        faces = faces[30:]
    elif spoil == "zero area":
        faces = np.concatenate([faces, [[0, 8, 16]], [[1, 1, 2]]])
        points[9] = points[1]
    elif spoil == "non-manifold fin":
        points = np.concatenate([points, [[1, 1, 0]]])
        faces = np.concatenate([faces, [[40, 48, len(points) - 1]]])
    elif spoil == "flipped":
        faces = faces[:, ::-1]
    elif spoil == "loose vertex":
        points = np.concatenate([points, [[9.0, 9, 9]]])
    elif spoil == "one triangle":
        points, faces = points[[0, 8, 1]], np.array([[0, 1, 2]])
    elif spoil == "flat":
        points = points * (1, 1, 0)
    check_rows(bone_heat(points, faces, HEADS, TAILS).weights)


def test_bones_of_no_length_and_one_bone() -> None:
    points, faces = tube(rings=11)
    check_rows(bone_heat(points, faces, HEADS, HEADS).weights)
    np.testing.assert_array_equal(bone_heat(points, faces, HEADS[:1], TAILS[:1]).weights, 1)


def test_closest_points_by_hand() -> None:
    place, distance = closest_points(np.array([[1.0, 0.5, 0], [0, 3, 0], [2, -1, 0]]), HEADS[:1], TAILS[:1])
    np.testing.assert_allclose(place[:, 0], [0.5, 1, 0])
    np.testing.assert_allclose(distance[:, 0], [1, 2, np.sqrt(5)])


def test_normals_push_away_bones_that_the_surface_faces() -> None:
    points, faces = tube(rings=11)
    normals = vertex_normals(points, faces)
    side = 5 * 24  # at y = 1, x = radius, normal +x
    np.testing.assert_allclose(normals[side], [1, 0, 0], atol=0.02)
    heads, tails = np.array([[0.0, 0, 0], [0.5, 0, 0]]), np.array([[0.0, 2, 0], [0.5, 2, 0]])
    place, distance = closest_points(points, heads, tails)
    weighted = normal_weighted(points, normals, heads, tails, place, distance)
    np.testing.assert_allclose(distance[side], [0.25, 0.25])
    assert weighted[side, 0] == pytest.approx(0.25, rel=0.01) and weighted[side, 1] > 100


def test_sight_ends_at_the_way_out_only() -> None:
    boxes = box((0, 0, 0), (1, 1, 1)), box((1.5, 0, 0), (1, 1, 1)), box((0.2, 0, 0), (0.2, 0.2, 0.2))
    points, faces = joined(*boxes)
    body = Body(points, faces)
    ends = np.array([
        [0.0, 0, 0],  # within
        [0.2, 0, 0],  # within an inner part
        [0.45, 0.1, 0.1],  # through an inner part: it was entered on the way, so the outer one still holds
        [1.5, 0, 0],  # through the gap to the other box
    ])  # fmt: skip
    np.testing.assert_array_equal(body.inside(np.zeros(4, int), ends), [True, True, True, False])
    corner = np.array([4])  # at (0.5, -0.5, -0.5): it starts outside, nothing may be entered
    np.testing.assert_array_equal(body.inside(corner, np.array([[1.5, 0, 0]])), [False])


def test_equally_near_bones_share() -> None:
    points, faces = box((0, 0, 0), (1, 1, 1))
    heads = np.array([[-0.2, 0.0, 0], [-0.2, 0, 0]])
    place, distance = closest_points(points, heads, heads)
    shares, nearest = nearest_visible(Body(points, faces), points, heads, heads, place, distance)
    np.testing.assert_array_equal(shares, 0.5)
    np.testing.assert_allclose(nearest, distance[:, 0])
