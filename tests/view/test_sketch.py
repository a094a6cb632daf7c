"""Plain pictures of a mesh: in the right place, the nearest in front, smooth over seams, tinted by face."""

from __future__ import annotations

import numpy as np
import trimesh

from stages.view.sketch import PAPER, Surface, pixels


def ball(subdivisions: int = 3) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=subdivisions, radius=1.0)


def drawn(image) -> np.ndarray:
    return (np.asarray(image) != PAPER).any(-1)


def test_a_ball_is_a_disc_in_the_middle():
    mesh, size = ball(), 200
    covered = drawn(Surface(mesh.vertices, mesh.faces).picture(mesh.vertices, 2.0, size))
    radius = np.sqrt(covered.sum() / np.pi)
    assert abs(radius - 0.44 * size) < 1  # 88% of the picture is the ball's diameter
    rows, columns = np.nonzero(covered)
    np.testing.assert_allclose([rows.mean() + 0.5, columns.mean() + 0.5], size / 2, atol=0.6)
    shifted = drawn(Surface(mesh.vertices, mesh.faces).picture(mesh.vertices + [0.3, 0.2, 0], 2.0, size))
    rows, columns = np.nonzero(shifted)
    assert columns.mean() > size / 2 + 10 and rows.mean() < size / 2 - 5  # right and up
    corner = pixels(np.array([[1.0, 1.0, 0]]), 2.0, size)
    np.testing.assert_allclose(corner, [[size * 0.94, size * 0.06]])


def test_light_does_not_jump_at_seams_and_tint_follows_the_face():
    mesh = ball(2)
    split = mesh.vertices[mesh.faces].reshape(-1, 3)  # every face has vertices of its own
    faces = np.arange(len(split)).reshape(-1, 3)
    whole = Surface(mesh.vertices, mesh.faces).picture(mesh.vertices, 2.0, 120)
    apart = Surface(split, faces).picture(split, 2.0, 120)
    assert np.abs(np.asarray(whole).astype(int) - np.asarray(apart)).max() <= 1
    tint = np.ones((len(faces), 3))
    tint[split[faces].mean(1)[:, 2] > 0] = (1.0, 0.5, 0.5)  # the near half
    red = np.asarray(Surface(split, faces).picture(split, 2.0, 120, tint)).astype(int)
    inside = drawn(apart)
    assert (red[inside, 0] > 1.5 * red[inside, 1]).mean() > 0.95  # the far half is behind it


def test_beside_the_picture_nothing_is_drawn():
    mesh = ball(1)
    assert not drawn(Surface(mesh.vertices, mesh.faces).picture(mesh.vertices + [9.0, 0, 0], 2.0, 50)).any()
