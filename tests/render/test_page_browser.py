"""The page in a real browser: it loads from disk without a word, moves, listens to keys, fits a phone."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from schemas.gltf import top_influences
from stages.body import kinematics, quaternion, skinning
from stages.view.camera import Camera
from stages.view.ground import composite, hide_below
from stages.view.rasterize import render
from tests.browser import chromium, opened, until
from tests.render.pages import HOSTILE, KERNELS, both, page
from tests.schemas import samples


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page(HOSTILE), encoding="utf-8")
    return path.as_uri()


def ready(found) -> None:
    found.wait_for_selector("html[data-ready=yes]", timeout=30_000)
    until(found, "akd.state.frames > 0")


def picture(found, selector: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(found.locator(selector).screenshot())).convert("RGB")).astype(int)


def show(found, time: float) -> None:
    """Go to a time and wait until it is on the canvas."""
    found.evaluate(f"akd.state.frames = 0, akd.seek({time})")
    until(found, "akd.state.frames > 0")


@pytest.fixture(scope="module")
def loaded(browser, address):
    with opened(browser, address) as (found, trouble):
        ready(found)
        yield found, trouble


def test_it_loads_in_silence_shows_the_prompt_and_moves(loaded):
    found, trouble = loaded
    assert found.title().startswith("a tiger </script>") and found.locator("h1").text_content().startswith("a tiger </script><script>alert(1)")
    before = found.evaluate("akd.state.time")
    until(found, f"akd.state.time !== {before}")
    assert found.evaluate("akd.state.playing") and trouble == []


def test_the_model_stands_in_both_halves_and_moves_in_them(loaded):
    found, _ = loaded
    show(found, 0)
    first = picture(found, "#view")
    # the tetrahedron is orange, nothing else in the view is
    orange = first[..., 0] - first[..., 2] > 60
    half = first.shape[1] // 2
    assert orange[:, :half].mean() > 0.02 and orange[:, half:].mean() > 0.02 and orange.mean() < 0.7
    show(found, 0.5)
    assert (np.abs(picture(found, "#view") - first).max(-1) > 30).mean() > 0.005


def test_keys(loaded):
    found, trouble = loaded
    state = lambda name: found.evaluate(f"akd.state.{name}")  # noqa: E731
    found.evaluate("akd.seek(0)")
    found.keyboard.press("ArrowRight")
    assert state("time") == pytest.approx(1 / 16) and not state("playing")
    found.keyboard.press("Shift+ArrowRight")
    assert state("time") == pytest.approx(6 / 16)
    found.keyboard.press("End")
    found.keyboard.press("ArrowLeft")
    assert state("time") == pytest.approx(15 / 16)
    found.keyboard.press("Space")
    assert state("playing")
    found.keyboard.press("Space")
    found.keyboard.press("2")
    assert (state("playing"), state("mode")) == (False, "over")
    found.keyboard.press("ArrowDown")
    found.keyboard.press("s")
    found.keyboard.press("l")
    assert (state("speed"), state("skeleton"), state("loop")) == (0.5, True, False)
    joint = state("joint")
    found.keyboard.press("j")
    assert state("joint") == (joint + 1) % 4 and found.locator("#joint").input_value() == str((joint + 1) % 4)
    found.keyboard.press("?")
    assert found.locator("#keys").is_visible()
    found.keyboard.press("Escape")
    assert not found.locator("#keys").is_visible() and trouble == []
    for key in ("l", "s", "ArrowUp", "1"):
        found.keyboard.press(key)


def test_three_js_poses_the_vertices_as_we_do(loaded):
    """Of the model as the page holds it; a ten-thousandth of the body's size. Frames lie on keys: nothing is interpolated."""
    found, _ = loaded
    motion, asset, weights = both()[0].motion, samples.asset(), samples.skin().weights
    four = np.zeros_like(weights)
    np.put_along_axis(four, *top_influences(weights), 1)
    pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(samples.rig()))
    wanted = skinning.skin_points(torch.from_numpy(asset.vertices), torch.from_numpy(four), pose).numpy()
    for frame in (0, 5, 16):
        posed = np.array(found.evaluate(f"akd.vertices('distill', {frame / motion.fps})")).reshape(-1, 3)
        np.testing.assert_allclose(posed, wanted[frame], atol=1e-4 * np.ptp(asset.vertices))


@pytest.mark.parametrize(("width", "height"), [(760, 520), (390, 740)])
def test_the_camera_has_the_whole_body_in_view_at_all_times(browser, address, width, height):
    """And no nearer than it must: somewhere the body comes close to the edge that bounds it. Following or standing still."""
    with opened(browser, address, width=width, height=height) as (found, _):
        ready(found)
        for _ in range(2):
            reach = []
            for frame in range(17):
                found.evaluate(f"akd.seek({frame / 16})")
                eye, points = found.evaluate("akd.eye()"), np.array(found.evaluate(f"akd.vertices('distill', {frame / 16})")).reshape(-1, 3)
                seen = points @ np.array(eye["view"]).reshape(4, 4).T[:3, :3].T + np.array(eye["view"])[12:15]
                reach.append(eye["focal"] * np.abs(seen[:, :2] / seen[:, 2:]) / [eye["width"] / 2, eye["height"] / 2])
            assert 0.65 < np.max(reach) < 0.9
            found.keyboard.press("f")


def drawn(found, hide: bool) -> np.ndarray:
    data = found.evaluate(f"akd.picture({str(hide).lower()})").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")) / 255


def test_gaussians_are_drawn_as_by_our_renderer(loaded):
    """Ours, over the page's own ground and shadow, from the page's camera; the page keeps their numbers in bytes."""
    found, trouble = loaded
    motion, splat, frame = both()[1].motion, samples.splat(KERNELS), 5
    found.evaluate(f"akd.show('track'), akd.seek({frame / motion.fps})")
    mesh = drawn(found, False)
    found.keyboard.press("g")
    got, ground, eye = drawn(found, False), drawn(found, True), found.evaluate("akd.eye()")
    found.keyboard.press("g")
    np.testing.assert_array_equal(drawn(found, False), mesh)
    found.evaluate("akd.show('side')")

    view = np.diag([1.0, -1, -1, 1]) @ np.array(eye["view"]).reshape(4, 4).T
    width, height = int(eye["width"]), int(eye["height"])
    lens = [[eye["focal"], 0, width / 2], [0, eye["focal"], height / 2], [0, 0, 1]]
    camera = Camera(torch.tensor(view[None], dtype=torch.float32), torch.tensor([lens]), width, height)
    pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(samples.rig()))
    pose = kinematics.Pose(*(part[frame : frame + 1] for part in (pose.rotations, pose.translations, pose.joints)))
    sigma = skinning.covariances(quaternion.to_matrix(torch.from_numpy(splat.rotations)), torch.from_numpy(splat.scales))
    means, carried = skinning.skin_gaussians(torch.from_numpy(splat.means), sigma, torch.from_numpy(splat.weights), pose)
    rgb, alpha = render(means, carried, hide_below(means, torch.from_numpy(splat.opacities)), torch.from_numpy(splat.colors), camera)
    wanted = composite(rgb, alpha, torch.from_numpy(ground[None]).float())[0].numpy()
    there = alpha[0, ..., 0].numpy() > 0.5
    assert there.mean() > 0.02 and np.abs(got - ground)[there].max(-1).mean() > 0.2  # they are seen
    error = np.abs(got - wanted).max(-1)
    assert error.mean() < 0.004 and error[there].mean() < 0.02 and np.quantile(error, 0.999) < 0.1
    np.testing.assert_allclose(got[there].mean(0), wanted[there].mean(0), atol=0.004)
    assert trouble == []


def test_curves_feet_figures_losses_and_downloads(loaded):
    found, trouble = loaded
    assert found.locator("#curves polyline").count() == 6 and found.locator("#losses polyline").count() == 1
    bars = found.locator("#feet rect[fill]")
    assert bars.count() == 2 * (1 + 5)
    assert found.locator("#metrics tbody tr").inner_text().split() == ["speed", "m/s", "1.00", "0.90"]
    assert "distill in a sentence" in found.locator("#summaries").inner_text()
    with found.expect_download() as waiting:
        found.locator("#download-track").click()
    with open(waiting.value.path(), "rb") as file:
        assert file.read() == both(HOSTILE)[1].model
    assert trouble == []


def test_clicking_a_chart_seeks_and_scrubbing_stops(loaded):
    found, _ = loaded
    found.locator("#feet svg").click(position={"x": 200, "y": 10})
    assert 0 < found.evaluate("akd.state.time") < 1 and not found.evaluate("akd.state.playing")
    found.locator("#scrub").fill("0.25")
    assert found.evaluate("akd.state.time") == pytest.approx(0.25)


@pytest.mark.parametrize("width", [320, 390, 820])
def test_it_fits_small_screens(browser, address, width):
    with opened(browser, address, width=width, height=740, is_mobile=True, has_touch=True) as (found, trouble):
        ready(found)
        assert found.evaluate("document.documentElement.scrollWidth") <= width
        small = found.evaluate("[...document.querySelectorAll('main button')].filter(b => b.offsetParent && b.offsetHeight < 34).length")
        assert small == 0 and trouble == []


def test_one_motion_alone_and_a_browser_without_webgl(browser, tmp_path):
    path = tmp_path / "alone.html"
    path.write_text(page("a tetrahedron", both("a tetrahedron")[1:], splats=False), encoding="utf-8")
    with opened(browser, path.as_uri()) as (found, trouble):
        ready(found)
        assert found.locator("#modes button").count() == 1 and not found.locator("#splats").is_visible()
        found.keyboard.press("g")
        assert not found.evaluate("akd.state.splats") and trouble == []
        found.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
        found.reload()
        found.wait_for_selector("html[data-ready=no-view]", timeout=30_000)
        assert found.locator("#failure").is_visible() and found.locator("#curves polyline").count() == 3
