"""Mesh views: right place, right colour, light that follows the surface; textures as glTF defines them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from schemas.asset import Asset
from schemas.errors import InputError
from stages.view.camera import Camera, orbit
from stages.view.mesh import SurfaceShader, render_mesh, surface_colors
from stages.view.texture import linear_to_srgb, srgb_to_linear


def front(width: int = 64, height: int = 64, frames: int = 1) -> Camera:
    return orbit(torch.zeros(frames, 3), azimuth=0.0, elevation=0.0, distance=4.0, focal=1.0, width=width, height=height)


def square(texels: np.ndarray | None = None, sampler: dict | None = None, texture_info: dict | None = None, factor=(1, 1, 1, 1), uvs=None) -> Asset:
    """A unit square facing +Z, uv (0, 0) at its top left as seen from the front."""
    vertices = np.array([[-0.5, 0.5, 0], [-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0]])
    materials: dict = {"list": [{"pbrMetallicRoughness": {"baseColorFactor": list(factor)}}]}
    data = None
    if texels is not None:
        buffer = io.BytesIO()
        Image.fromarray(texels.astype(np.uint8)).save(buffer, "PNG")
        data = np.frombuffer(buffer.getvalue(), np.uint8)
        materials |= {"textures": [{"image": 0, "sampler": sampler or {}}], "images": [{"mime": "image/png", "start": 0, "size": len(data)}]}
        materials["list"][0]["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0, **(texture_info or {})}
    return Asset(
        name="square",
        vertices=vertices,
        faces=[[0, 1, 2], [0, 2, 3]],
        normals=np.tile([0.0, 0, 1], (4, 1)),
        colors=np.ones((4, 4)),
        uvs=np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) if uvs is None else uvs,
        face_materials=[0, 0],
        weld=np.arange(4),
        materials=materials,
        images=data,
        transform=np.eye(4),
    )


def test_silhouette_has_the_area_of_the_sphere_and_supersampling_softens_it():
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    colors = np.tile([0.2, 0.4, 0.6], (len(ball.vertices), 1))
    for supersample in (1, 2):
        image = render_mesh(ball.vertices, ball.faces, colors, front(), supersample=supersample)
        # the outline of a sphere of radius r at distance d is a disc of radius f r / sqrt(d^2 - r^2)
        assert image[..., 3].sum().item() == pytest.approx(np.pi * (64 * 0.5 / np.sqrt(16 - 0.25)) ** 2, rel=0.02)
        torch.testing.assert_close(image[0, 32, 32], torch.tensor([0.2, 0.4, 0.6, 1.0]))
        assert image[0, 0, 0].tolist() == [0, 0, 0, 0]
    partial = image[..., 3][(image[..., 3] > 0) & (image[..., 3] < 1)]
    assert len(partial) > 10
    torch.testing.assert_close(image[..., 2], 0.6 * image[..., 3], atol=1e-6, rtol=0)  # premultiplied


def test_nearest_surface_hides_what_is_behind():
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0], [-1, -1, 0.5], [1, -1, 0.5], [0, 1, 0.5]], float)
    shade = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], 3, 0)
    image = render_mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]]), shade, front())
    assert image[0, 32, 32].tolist() == pytest.approx([0, 1, 0, 1], abs=1e-6)


def test_deformed_vertices_per_frame():
    triangle = np.array([[-0.3, -0.3, 0], [0.3, -0.3, 0], [0, 0.3, 0]])
    moved = np.stack([triangle + [x, 0, 0] for x in (-0.8, 0.8)])
    image = render_mesh(moved, np.array([[0, 1, 2]]), np.ones((3, 3)), front(frames=2))
    columns = torch.arange(64.0)
    middles = [(image[f, ..., 3].sum(0) * columns).sum() / image[f, ..., 3].sum() for f in range(2)]
    assert middles[0] < 25 < 39 < middles[1]
    with pytest.raises(ValueError, match="vertices"):
        render_mesh(moved, np.array([[0, 1, 2]]), np.ones((3, 3)), front(frames=3))


def test_light_comes_from_above_and_is_smooth_across_seams():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.8)
    split, faces = ball.vertices[ball.faces].reshape(-1, 3), np.arange(3 * len(ball.faces)).reshape(-1, 3)
    white, weld = np.full((len(split), 3), 0.8), ball.faces.ravel()
    lit = render_mesh(split, faces, white, front(), shaded=True, weld=weld)[0, ..., 0]
    assert lit[24, 32] > lit[40, 32] + 0.1
    whole = render_mesh(ball.vertices, ball.faces, np.full((len(ball.vertices), 3), 0.8), front(), shaded=True)[0, ..., 0]
    torch.testing.assert_close(lit, whole, atol=1e-5, rtol=0)
    faceted = render_mesh(split, faces, white, front(), shaded=True)[0, ..., 0]
    assert (faceted - whole).abs().max() > 0.01
    # turned inside out it looks the same
    torch.testing.assert_close(
        render_mesh(ball.vertices, ball.faces[:, ::-1], np.full((len(ball.vertices), 3), 0.8), front(), shaded=True)[0, ..., 0], whole, atol=1e-5, rtol=0
    )


def test_texture_is_upright_and_as_displayed():
    texels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [90, 90, 90]]])
    asset = square(texels)
    image = render_mesh(asset.vertices, asset.faces, SurfaceShader(asset), front(), supersample=2)
    # the square spans 16 px about the centre; texel centres lie at a quarter and three quarters
    for (row, column), wanted in {(28, 28): (1, 0, 0), (28, 35): (0, 1, 0), (35, 28): (0, 0, 1), (35, 35): (90 / 255,) * 3}.items():
        np.testing.assert_allclose(image[0, row, column, :3], wanted, atol=0.3)
    at_texel = surface_colors(asset, np.array([1]), np.array([[0.25, 0.25, 0.5]]))  # uv = (0.75, 0.25)
    np.testing.assert_allclose(at_texel, [[0, 1, 0]], atol=1e-6)


def test_factor_and_vertex_colour_multiply_in_linear_light():
    asset = square(factor=(0.5, 1, 0.25, 1))
    asset.colors[:] = (0.5, 0.2, 1, 1)
    wanted = linear_to_srgb(np.array([0.25, 0.2, 0.25]))
    np.testing.assert_allclose(surface_colors(asset, np.array([0]), np.array([[0.2, 0.3, 0.5]]))[0], wanted, atol=1e-6)
    grey = square(np.full((2, 2, 3), 128), factor=(0.5, 0.5, 0.5, 1))
    np.testing.assert_allclose(
        surface_colors(grey, np.array([0]), np.full((1, 3), 1 / 3))[0], linear_to_srgb(0.5 * srgb_to_linear(np.array(128 / 255))), atol=1e-6
    )


@pytest.mark.parametrize(("wrap", "wanted"), [(10497, (1, 0, 0)), (33071, (0, 1, 0)), (33648, (0, 1, 0))])
def test_wrap_modes_outside_the_image(wrap, wanted):
    """u = 1.25 is the red left half when repeated, the green right one when clamped or mirrored."""
    texels = np.array([[[255, 0, 0], [0, 255, 0]]])
    asset = square(texels, {"wrapS": wrap, "wrapT": wrap}, uvs=np.full((4, 2), (1.25, 0.5)))
    np.testing.assert_allclose(surface_colors(asset, np.array([0]), np.full((1, 3), 1 / 3))[0], wanted, atol=1e-6)


def test_texture_transform_shifts_after_it_scales():
    texels = np.array([[[255, 0, 0], [0, 255, 0]]])
    info = {"extensions": {"KHR_texture_transform": {"scale": [0.5, 1], "offset": [0.5, 0]}}}
    asset = square(texels, {"wrapS": 33071}, info, uvs=np.full((4, 2), (0.5, 0.5)))
    np.testing.assert_allclose(surface_colors(asset, np.array([0]), np.full((1, 3), 1 / 3))[0], (0, 1, 0), atol=1e-6)


def test_limited_texture_keeps_the_mean_in_8_bits():
    texels = np.random.default_rng(0).integers(0, 256, (64, 32, 3))
    asset = square(texels)
    small = SurfaceShader(asset, texture_limit=16)(np.zeros(1, int), np.full((1, 3), 1 / 3))
    assert np.abs(small - 0.5).max() < 0.2


def test_damaged_image_names_asset_and_image():
    asset = square(np.zeros((2, 2, 3)))
    asset.images = np.zeros_like(asset.images)
    with pytest.raises(InputError, match="square.*image 0"):
        SurfaceShader(asset)


@pytest.mark.parametrize("shift", [0.0, 0.9, 2.3, 6.0])
def test_pixels_that_are_not_cast_are_empty(shift):
    """A vertex behind the camera that no face uses keeps every ray: the image is the same, at the border and beyond."""
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.6)
    points = mesh.vertices + [shift, 0.4 * shift, 0]
    camera, colors = front(48, 40), np.ones((len(points) + 1, 3))
    some = render_mesh(points, mesh.faces, colors[1:], camera, supersample=2, shaded=True)
    every = render_mesh(np.concatenate([points, [[0.0, 0, 9]]]), mesh.faces, colors, camera, supersample=2, shaded=True)
    assert torch.equal(some, every) and bool(some.any()) == (shift < 6)
    rows, columns = camera.around(points)
    assert (rows.stop - rows.start) * (columns.stop - columns.start) < 48 * 40


def test_image_without_pixels_is_refused():
    camera = front()
    with pytest.raises(InputError, match="0 x 5"):
        render_mesh(np.eye(3), np.array([[0, 1, 2]]), np.ones((3, 3)), Camera(camera.view, camera.intrinsics, 0, 5))


def test_srgb_curve_goes_there_and_back():
    values = np.linspace(0, 1, 256)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-6)


def test_alpha_masks_cut_holes_and_show_what_is_behind():
    texels = np.zeros((2, 2, 4))
    texels[..., 0], texels[:, 0, 3], texels[:, 1, 3] = 255, 255, 100  # red; the left half is there, the right one is not
    asset = square(texels, sampler={"wrapS": 33071, "wrapT": 33071})
    asset.materials["list"][0] |= {"alphaMode": "MASK", "alphaCutoff": 0.7}
    image = render_mesh(asset.vertices, asset.faces, SurfaceShader(asset), front())[0]
    # alpha goes from 1 at u = 1/4 to 0.39 at u = 3/4: it passes 0.7 near the middle
    assert image[32, 26].tolist() == pytest.approx([1, 0, 0, 1], abs=1e-5) and image[32, 38].tolist() == [0, 0, 0, 0]
    # a second square behind, of the same cut: its left half shows left, nothing right; turned round it fills the hole
    behind = asset.vertices * [-1, 1, 1] - [0, 0, 0.2]
    both = square(texels, sampler={"wrapS": 33071, "wrapT": 33071})
    both.materials["list"][0] |= {"alphaMode": "MASK", "alphaCutoff": 0.7}
    both.vertices = np.concatenate([asset.vertices, behind]).astype(np.float32)
    both.faces, both.uvs = np.concatenate([asset.faces, asset.faces + 4]), np.concatenate([asset.uvs, asset.uvs])
    both.colors, both.face_materials = np.concatenate([asset.colors] * 2), np.zeros(4, int)
    image = render_mesh(both.vertices, both.faces, SurfaceShader(both), front())[0]
    assert image[32, 38].tolist() == pytest.approx([1, 0, 0, 1], abs=1e-5)
    asset.materials["list"][0]["alphaMode"] = "BLEND"
    assert render_mesh(asset.vertices, asset.faces, SurfaceShader(asset), front())[0, 32, 38, 3] == 1
