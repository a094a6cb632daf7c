"""Mass, inertia and gains of the body."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.body import Body, own_volumes, subtree_inertias

from .beasts import make_rig, quadruped


def test_mass_of_overlapping_cuboids_is_that_of_their_union() -> None:
    centers = np.array([[0.0, 0, 0], [1.0, 0, 0], [9.0, 0, 0]])
    volumes = own_volumes(centers, np.tile(np.eye(3), (3, 1, 1)), np.ones((3, 3)))
    assert volumes.sum() == pytest.approx(12 + 8)
    assert volumes[0] == pytest.approx(volumes[1])


def test_a_single_box_has_the_textbook_inertia() -> None:
    body = Body.from_rig(make_rig("box", [("box", -1, (0, 1, 0), (0, 0, 0), (0.1, 0.2, 0.3), "other")]), density=1000)
    assert body.mass == pytest.approx(48)
    np.testing.assert_allclose(np.diag(body.inertias[0]), 48 / 3 * np.array([0.13, 0.10, 0.05]), rtol=1e-6)
    assert subtree_inertias(body)[0] == pytest.approx(np.trace(body.inertias[0]) / 3)


def test_gains_follow_froude_similarity() -> None:
    small, large = (Body.from_rig(quadruped(scale)) for scale in (1.0, 3.0))
    assert large.mass / small.mass == pytest.approx(27, rel=1e-3)
    ke, kd = (np.array(body.gains(1.25, 0.17)) for body in (small, large))
    np.testing.assert_allclose(kd[0] / ke[0], 81, rtol=1e-3)
    np.testing.assert_allclose(kd[1] / ke[1], 81 * np.sqrt(3), rtol=1e-3)


def test_tiny_bones_get_a_mass() -> None:
    bones = [("body", -1, (0, 1, 0), (0, 0, 0), (0.3, 0.3, 0.3), "other"), ("whisker", 0, (0, 1, 0.3), (0, 0, 0), (0, 0, 0), "other")]
    body = Body.from_rig(make_rig("cat", bones))
    assert body.masses[1] >= 0.99e-4 * body.mass
    assert np.linalg.eigvalsh(body.inertias[1]).min() > 0
