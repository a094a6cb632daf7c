"""The built-in library: sound meshes, skeletons inside them, names found in prompts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import trimesh

from schemas import roles
from schemas.errors import InputError
from stages.asset import library
from stages.asset.library import sdf

HEIGHTS = {"tiger": (0.9, 1.3), "horse": (2.0, 2.4), "elephant": (2.8, 3.5), "dog": (0.6, 0.9), "ostrich": (2.1, 2.7), "human": (1.6, 1.9), "t-rex": (4, 6)}


@pytest.fixture(scope="module", params=library.NAMES)
def sculpture(request):
    return library.sculpt(request.param)


def solid(sculpture) -> trimesh.Trimesh:
    return trimesh.Trimesh(sculpture.vertices, sculpture.faces, process=False)


def test_mesh_is_one_closed_surface_seen_from_outside(sculpture):
    mesh = solid(sculpture)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.body_count == 1
    assert mesh.euler_number == 2  # no handles: no legs, fingers or jaws grown together
    assert mesh.volume > 0
    assert 5_000 <= len(sculpture.faces) <= 15_000
    assert mesh.area_faces.min() > 0


def test_mesh_stands_centred_at_its_real_size(sculpture):
    vertices = sculpture.vertices
    assert np.isfinite(vertices).all() and vertices.dtype == np.float32 and sculpture.faces.dtype == np.int32
    low, high = HEIGHTS[sculpture.name]
    assert low < np.ptp(vertices[:, 1]) < high
    assert abs(vertices[:, 1].min()) < 1e-6
    assert abs(vertices[:, 0].min() + vertices[:, 0].max()) < 1e-6


def test_both_sides_are_exact_mirror_images(sculpture):
    rows = np.concatenate([sculpture.vertices, sculpture.colors], 1)
    twins = rows * np.array([-1, 1, 1, 1, 1, 1, 1], np.float32) + 0  # + 0: no negative zeros
    assert np.array_equal(np.unique(rows + 0, axis=0), np.unique(twins, axis=0))


def test_every_foot_reaches_the_ground(sculpture):
    tolerance = 0.01 * max(1.0, np.ptp(sculpture.vertices[:, 1]) / 2)
    feet = [j for j, role in enumerate(sculpture.roles) if roles.is_leg(role) and role.endswith("foot")]
    assert len(feet) >= 2
    for joint in feet:
        near = np.linalg.norm(sculpture.vertices[:, [0, 2]] - sculpture.tails[joint][[0, 2]], axis=1) < 0.1 * np.ptp(sculpture.vertices[:, 1])
        assert sculpture.vertices[near, 1].min() < tolerance


def test_colours_are_linear_and_varied(sculpture):
    colors = sculpture.colors
    assert colors.shape == (len(sculpture.vertices), 4) and colors.dtype == np.float32
    assert colors.min() >= 0 and colors.max() <= 1 and (colors[:, 3] == 1).all()
    shares = np.unique((colors[:, :3] * 7).round(), axis=0, return_counts=True)[1] / len(colors)
    assert (shares > 0.005).sum() >= 3


def test_skeleton_is_a_named_tree_with_roles(sculpture):
    count = len(sculpture.joint_names)
    assert 18 <= count <= 30 and len(set(sculpture.joint_names)) == count
    assert sculpture.joint_names[0] == "pelvis" and sculpture.parents[0] == -1
    assert all(0 <= parent < joint for joint, parent in enumerate(sculpture.parents) if joint)
    assert all(roles.is_role(role) for role in sculpture.roles)
    assert {"pelvis", "spine", "chest", "neck", "head"} <= set(sculpture.roles)
    assert sculpture.positions.shape == sculpture.tails.shape == (count, 3)
    assert np.linalg.norm(sculpture.tails - sculpture.positions, axis=1).min() > 0.01


def test_left_joints_have_right_twins(sculpture):
    for joint, name in enumerate(sculpture.joint_names):
        twin = sculpture.joint_names.index(name.replace("left_", "right_", 1))
        assert np.array_equal(sculpture.positions[joint] * np.float32([-1, 1, 1]) + 0, sculpture.positions[twin] + 0) or joint == twin
        assert sculpture.positions[joint, 0] > 0 if name.startswith("left_") else sculpture.positions[joint, 0] <= 0


def test_bones_lie_inside_the_mesh(sculpture):
    # No tolerance for the joints and the points at 1/4, 1/2 and 3/4 of each bone; the tips may touch the surface.
    shares = np.array([0, 0.25, 0.5, 0.75])[:, None, None]
    points = sculpture.positions + shares * (sculpture.tails - sculpture.positions)
    inside = solid(sculpture).contains(points.reshape(-1, 3)).reshape(points.shape[:2])
    outside = [sculpture.joint_names[joint] for joint in np.flatnonzero(~inside.all(0))]
    assert not outside


def offset_in_z(sculpture, role: str) -> float:
    """How far the first joint of `role` lies before (+) or behind (-) the straight line from its parent to its child."""
    joint = sculpture.roles.index(role)
    above, here, below = sculpture.positions[sculpture.parents[joint]], sculpture.positions[joint], sculpture.tails[joint]
    share = (above[1] - here[1]) / (above[1] - below[1])
    return float(here[2] - (above + share * (below - above))[2])


def test_limbs_are_bent_the_way_they_fold(sculpture):
    legs = {"quadruped": (1, -1), "bird": (1, -1), "dinosaur": (1, -1), "biped": (1, -1)}[sculpture.category]
    assert legs[0] * offset_in_z(sculpture, "left_hind_lower") > 0  # knees point forward
    assert legs[1] * offset_in_z(sculpture, "left_hind_foot") > 0  # hocks and heels backward
    if sculpture.category == "quadruped":
        assert offset_in_z(sculpture, "left_fore_upper") > 0  # shoulders forward
        assert offset_in_z(sculpture, "left_fore_lower") < 0  # elbows backward


def test_sculpting_twice_gives_the_same():
    first, second = library.sculpt("dog"), library.sculpt("dog")
    for name in ("vertices", "faces", "colors", "positions", "tails"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_resolution_sets_the_number_of_faces():
    assert len(library.sculpt("dog", resolution=0.024).faces) < 0.6 * 14_000


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((name, name) for name in library.NAMES),
        ("a tiger walking", "tiger"),
        ("Two HORSES galloping.", "horse"),
        ("a dog chasing a tiger", "dog"),
        ("trex", "t-rex"),
        ("T rex roaring", "t-rex"),
        ("a T-Rex's walk", "t-rex"),
        ("a tyrannosaurus rex running", "t-rex"),
        ("ostriches", "ostrich"),
        ("the person_walking", "human"),
        ("a woman dancing", "human"),
        ("a hotdog on a table", None),
        ("a manatee swims", None),
        ("a spider", None),
        ("", None),
    ],
)
def test_find(text, name):
    assert library.find(text) == name


def test_unknown_name_is_an_input_error_that_lists_the_names():
    with pytest.raises(InputError, match="unicorn.*tiger"):
        library.sculpt("unicorn")


def test_importing_the_library_is_light():
    code = "import sys, stages.asset.library; print([m for m in ('numpy', 'scipy', 'skimage', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_distances_of_simple_shapes():
    points = np.array([[0.0, 0, 0], [2, 0, 0], [0, 3, 0], [0.5, 1, 0]])
    np.testing.assert_allclose(sdf.ball((0, 0, 0), 1).distance(points), [-1, 1, 2, np.hypot(0.5, 1) - 1], atol=1e-9)
    np.testing.assert_allclose(sdf.cone((0, 0, 0), (0, 2, 0), 0.5, 0.5).distance(points), [-0.5, 1.5, 0.5, 0], atol=1e-9)
    plate = sdf.Disc((0, 0, 0), (1, 1), 0.1)
    np.testing.assert_allclose(plate.distance(points[1:3]), [1.9, 2.0], atol=1e-6)


def test_smooth_union_is_below_both_and_local():
    a, b = np.array([0.3, 1.0, -0.2]), np.array([0.3, 0.1, 0.0])
    union = sdf.smooth_min(a, b, 0.4)
    assert (union <= np.minimum(a, b)).all()
    assert union[0] == pytest.approx(0.3 - 0.1) and union[1] == 0.1


def test_mesh_of_a_ball_has_its_volume_under_a_lens():
    parts = [sdf.Part(sdf.ball((0, 2, 0), 1.0))]
    vertices, faces, twins = sdf.mesh(parts, 0.16, [sdf.Lens((0.5, 2.5, 0.5), 1.0, 2.0, 0.3)])
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight and mesh.euler_number == 2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.02)
    np.testing.assert_array_equal(vertices[twins], vertices * (-1, 1, 1))
