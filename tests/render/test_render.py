"""Videos decode to what was asked for, sheets show it, shadows obey their formula."""

from __future__ import annotations

import dataclasses
import math

import av
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from schemas.errors import InputError
from stages.render import stage
from stages.render.params import Params
from stages.render.resample import resample
from stages.view.camera import orbit
from stages.view.shadow import Shadow, shade
from tests.schemas import samples

SMALL = Params(size="160x96", look="splat", sheet_frames=4)


def render(tmp_path, params=SMALL, motion=None, **change):
    motion = motion or samples.motion()
    inputs = {"asset": samples.asset(), "rig": samples.rig(), "skin": samples.skin(), "splat": samples.splat()} | change
    return stage.run(*inputs.values(), motion, params, video=tmp_path / "v.mp4", sheet=tmp_path / "s.png")


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return stream, frames


def test_video_has_the_frames_size_rate_and_codec_asked_for(tmp_path):
    result = render(tmp_path)
    stream, frames = decode(result.video)
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert len(frames) == result.frames == 6 and frames[0].shape == (96, 160, 3)
    assert float(stream.average_rate) == pytest.approx(16)


def test_the_asset_is_in_the_picture_and_moves(tmp_path):
    _, frames = decode(render(tmp_path, dataclasses.replace(SMALL, shadow=False)).video)
    empty = samples.splat()
    empty.opacities[:] = 0
    _, bare = decode(render(tmp_path, dataclasses.replace(SMALL, shadow=False), splat=empty).video)
    visible = [(np.abs(a.astype(int) - b).max(-1) > 40).mean() for a, b in zip(frames, bare, strict=True)]
    assert min(visible) > 0.02 and max(visible) < 0.9
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 60


def test_contact_sheet_shows_the_frames(tmp_path):
    result = render(tmp_path)
    sheet = np.asarray(Image.open(result.sheet))
    assert sheet.shape[1] > 1500 and len(np.unique(sheet.reshape(-1, 3), axis=0)) > 500


def test_same_inputs_give_the_same_bytes(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    a, b = render(tmp_path / "a"), render(tmp_path / "b")
    assert a.video.read_bytes() == b.video.read_bytes() and a.sheet.read_bytes() == b.sheet.read_bytes()


def test_mesh_look(tmp_path):
    _, frames = decode(render(tmp_path, dataclasses.replace(SMALL, look="mesh"), splat=None).video)
    # the tetrahedron is orange, nothing else in the picture is
    orange = (frames[0][..., 0].astype(int) - frames[0][..., 2] > 50).mean()
    assert 0.005 < orange < 0.6


@pytest.mark.parametrize("size", ["", "0x0", "161x96", "96", "100000x96", "8x8", "-16x96", "16x96x3"])
def test_sizes_that_cannot_be_encoded_are_refused(size):
    with pytest.raises(InputError, match="--size"):
        stage.parse_size(size)


def test_a_motion_of_another_rig_and_missing_splats_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not fit the rig"):
        render(tmp_path, motion=samples.motion(joints=3))
    with pytest.raises(InputError, match="akd splat"):
        render(tmp_path, splat=None)
    assert not list(tmp_path.iterdir())


def test_resampling_keeps_ends_duration_and_constant_speed():
    motion = samples.motion()
    motion.root_rotations = Rotation.from_rotvec(np.linspace([0, 0, 0], [0, 1, 0], 6)).as_quat().astype(np.float32)
    fine = resample(motion, 64.0)
    assert fine.frame_count == 21 and fine.duration == pytest.approx(motion.duration)
    np.testing.assert_allclose(fine.angles[::4], motion.angles, atol=1e-6)
    np.testing.assert_allclose(Rotation.from_quat(fine.root_rotations).as_rotvec()[:, 1], np.linspace(0, 1, 21), atol=1e-5)
    np.testing.assert_allclose(np.diff(fine.root_positions[:, 2]), 1 / 20, atol=1e-5)
    fine.validate()
    assert resample(motion, None) is motion


def shadow_at(height: float, where=(0.0, 0.0)) -> float:
    """Factor at a ground point under a square plate at `height`."""
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 80), np.linspace(-0.5, 0.5, 80)), -1).reshape(-1, 2)
    points = np.stack([grid[:, 0], np.full(len(grid), height), grid[:, 1]], 1)[None]
    camera = orbit(torch.tensor([[where[0], 0.0, where[1]]]), azimuth=1.0, elevation=0.5, distance=6.0, focal=2.0, width=9, height=9)
    return float(shade(camera, points, Shadow(strength=0.5, falloff=2.0), 1.0)[0, 4, 4, 0])


@pytest.mark.parametrize("height", [0.0, 0.3, 1.0, 4.0])
def test_shadow_follows_the_formula(height):
    """1 - s_max exp(-k h) under the middle of a plate, no darkening beside it."""
    assert shadow_at(height) == pytest.approx(1 - 0.5 * math.exp(-2 * height), abs=0.01)
    assert shadow_at(height, (2.0, 0.0)) == pytest.approx(1, abs=1e-3)


def test_the_sky_is_never_in_shadow():
    camera = orbit(torch.tensor([[0.0, 1.0, 0.0]]), azimuth=1.0, elevation=-0.05, distance=3.0, focal=1.0, width=16, height=16)
    factors = shade(camera, np.random.default_rng(0).uniform(-1, 1, (1, 100, 3)), Shadow(), 1.0)
    assert float(factors[0, 0].min()) == 1.0
