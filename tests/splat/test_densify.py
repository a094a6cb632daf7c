"""Kernels are added where the error is, on the surface, and faded ones go."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stages.progress import SILENT
from stages.splat import stage
from stages.splat.densify import Densifier, traced_errors
from stages.splat.kernels import FILTER
from stages.splat.start import sample
from stages.splat.views import photograph, pixel_size
from stages.view.texture import SurfaceShader
from tests.splat.test_splat import QUICK, ball, skin_of

SIZE = 48


@pytest.fixture(scope="module")
def scene():
    """The ball, points on it, kernels of which those to the left have a wrong colour, and views."""
    asset = ball()
    start, shader = sample(asset, 500, np.random.default_rng(0)), SurfaceShader(asset)
    kernels = stage.initial(asset, start, False, pixel_size(asset, SIZE), shader)
    wrong = torch.from_numpy(start.means[:, 0] > 0.1)
    kernels.colors[wrong] = torch.tensor([0.0, 0.0, 1.0])
    return asset, start, kernels, photograph(asset, 8, SIZE, False, np.random.default_rng(0), SILENT), wrong


def test_errors_are_traced_to_the_kernels_that_make_them(scene):
    _, _, kernels, views, wrong = scene
    error = traced_errors(kernels, views)
    assert error[wrong].sum() > 0.85 * error.sum()
    # what all kernels get is each pixel's error times how opaque they made it
    with torch.no_grad():
        drawn = kernels.images(views.camera)
    difference = drawn - views.images
    wanted = ((difference[..., :3] - difference[..., 3:]).square().sum(-1) * drawn[..., 3]).sum()
    torch.testing.assert_close(error.sum(), wanted, rtol=1e-4, atol=0)


def test_new_kernels_lie_on_the_surface_near_the_errors(scene):
    asset, start, kernels, views, wrong = scene
    kernels = dataclasses.replace(kernels, opacities=kernels.opacities.clone())
    kernels.opacities[:7] = -4.0  # faded

    def begin(points):
        return stage.initial(asset, points, False, pixel_size(asset, SIZE), SurfaceShader(asset))

    densifier = Densifier(asset, start, 650, begin, SurfaceShader(asset), np.random.default_rng(1))
    keep, added = densifier(2, kernels, views)  # the last round: all that are still wanted
    assert not keep[:7].any() and keep[7:].all()
    count = len(added.means)
    assert count > 0.4 * (650 - int(keep.sum())) and len(densifier.start.means) == int(keep.sum()) + count
    new = densifier.start.means[-count:]
    np.testing.assert_allclose(
        np.einsum("nk,nkc->nc", densifier.start.barycentric, asset.vertices[asset.faces[densifier.start.faces]]), densifier.start.means, atol=1e-6
    )
    assert (new[:, 0] > 0).mean() > 0.9
    distance = np.linalg.norm(new[:, None] - densifier.start.means[None], axis=-1)
    distance[np.arange(count), len(densifier.start.means) - count + np.arange(count)] = np.inf
    assert distance.min() > 0.2 * np.median(start.spacing)  # not on top of one another


def test_a_fit_ends_with_the_wanted_number_and_remembers_its_points(monkeypatch):
    asset = ball()
    splat = stage.run(asset, skin_of(asset), dataclasses.replace(QUICK, kernels="600", iterations=60))
    assert 560 < len(splat.means) <= 630
    place = asset.vertices[asset.faces[splat.faces]].mean(1)  # faces of the icosphere are small
    assert np.linalg.norm(splat.means - place, axis=1).max() < 0.12
    assert splat.report["kernels"] == len(splat.means)
    assert {"psnr_foreground", "psnr_foreground_classic_1x", "psnr_foreground_classic_4x"} <= set(splat.report)
    assert splat.filter == FILTER and dataclasses.replace(splat, report={}).filter == {}
