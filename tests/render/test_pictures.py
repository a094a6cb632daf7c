"""Pictures of a motion: what is on them, where the camera stands, and that their colours are told apart by all eyes."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

from akd_cli import app
from schemas.errors import InputError
from stages.render import ink, stage, still, strip, turntable
from stages.render.contact import feet_of, heights
from stages.render.onion import moments, seen_box
from stages.render.params import Params
from stages.render.repeat import repeat
from stages.render.stage import shoot
from stages.render.views import Shot, crop, place
from stages.view.camera import Camera
from tests.schemas import samples

SMALL = Params(size="320x180", sheet_frames=4)


def film(motion=None, **changes):
    return shoot(samples.asset(), samples.rig(), samples.skin(), None, motion or samples.motion(), dataclasses.replace(SMALL, **changes))


def walk(frames=5, speed=3.0, height=0.0):
    """The sample's rest pose, carried forward. [m/s, m above where it stands]"""
    still_ = turntable.at_rest(samples.rig(), frames, 16.0)
    still_.root_positions[:, 2] += speed * np.arange(frames, dtype=np.float32) / 16
    still_.root_positions[:, 1] += height - float(samples.asset().vertices[:, 1].min())
    return still_


def seen(points, camera, frame):
    """Where points are on a picture. [m (N, 3) -> px (N, 2)]"""
    one = Camera(camera.view[frame : frame + 1], camera.intrinsics[frame : frame + 1], camera.width, camera.height)
    view = points @ one.view[0, :3, :3].T + one.view[0, :3, 3]
    at = view @ one.intrinsics[0].T
    return at[:, :2] / at[:, 2:]


@pytest.mark.parametrize(("shade", "darker"), [(0.97, True), (0.05, False)])
def test_the_ground_contrasts_with_the_asset(shade, darker):
    asset = samples.asset()
    asset = dataclasses.replace(asset, colors=np.full((len(asset.vertices), 4), shade, np.float32), materials={})
    ground = shoot(asset, samples.rig(), samples.skin(), None, samples.motion(), SMALL).ground
    body = shade ** (1 / 2.2)
    assert (max(ground.light) < body - 0.3) if darker else (min(ground.dark) > body + 0.3)


@pytest.mark.parametrize("turn", [0.0, 2 * math.pi])
@pytest.mark.parametrize("follow", [True, False])
def test_everything_is_in_the_picture_and_fills_it(follow, turn):
    points = torch.rand(20, 200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.6, 1.0, 2.0])
    points = points + torch.tensor([0.0, 0.0, 0.15]) * torch.arange(20)[:, None, None]
    shot = Shot(0.9, 0.25, follow, turn)
    camera = place(points, shot, 320, 180)
    at = torch.stack([seen(points[frame], camera, frame) for frame in range(20)])
    share = (at / torch.tensor([320.0, 180.0]) - 0.5).abs().amax((0, 1)) * 2
    assert float(share.max()) == pytest.approx(shot.filled, abs=0.01) and float(share.min()) <= shot.filled + 0.01
    if not turn:
        assert (float((camera.position[-1] - camera.position[0]).norm()) > 1) == follow


def test_a_camera_that_stays_stays_and_one_that_goes_round_keeps_its_distance():
    fixed = film(walk(), follow=False)
    assert torch.equal(fixed.camera.view, fixed.camera.view[:1].expand_as(fixed.camera.view))
    assert seen_box(fixed.samples[-1], fixed.camera_at(0))[0] != pytest.approx(seen_box(fixed.samples[0], fixed.camera_at(0))[0], abs=20)
    round_ = film(turntable.at_rest(samples.rig(), 9, 16.0), camera="turntable", turn=360.0)
    middle = round_.samples[0].mean(0)
    away = (round_.camera.position - middle)[:, [0, 2]]
    angles = np.unwrap(np.arctan2(*away.T.numpy()))
    assert float(angles[-1] - angles[0]) == pytest.approx(2 * math.pi, abs=0.02)
    still_ = film(turntable.at_rest(samples.rig(), 9, 16.0), camera="turntable", turn=0.0)
    assert torch.allclose(still_.camera.view, still_.camera.view[:1].expand_as(still_.camera.view))


def test_a_part_of_a_picture_has_the_pixels_of_the_whole():
    whole = film()
    points, camera = whole.points(2), whole.camera_at(2)
    small, left, top = crop(camera, points)
    assert small.width * small.height < 0.8 * camera.width * camera.height
    alone = whole.mesh(camera, points)
    part = whole.mesh(small, points)
    assert torch.allclose(alone[top : top + small.height, left : left + small.width], part, atol=0.02)
    outside = alone[..., 3].clone()
    outside[top : top + small.height, left : left + small.width] = 0
    assert float(outside.max()) == 0
    ahead = camera.view[0, 2, :3]
    assert crop(camera, points + 10 * camera.view[0, 0, :3] * whole.size) is None
    assert crop(camera, points - 1e3 * ahead)[0] is camera  # behind it


def test_sizes_by_name():
    assert stage.parse_size("1080p") == (1920, 1080) and stage.parse_size("4K") == (3840, 2160) == stage.parse_size("2160p")
    assert all(width % 2 == 0 and height % 2 == 0 for width, height in stage.SIZES.values())
    with pytest.raises(InputError, match="1080p"):
        stage.parse_size("1081p")


def test_without_a_ground_there_is_only_the_sky():
    picture = film(ground=False).frame(0)
    background = picture[:8].reshape(-1, 3)
    assert len(np.unique(background, axis=0)) == 1 and (film().frame(0)[-8:].reshape(-1, 3) != background[0]).any()


def test_repeating_goes_on_where_it_ended():
    motion = samples.motion()
    motion.root_positions[:, 0] = 0.3 + 0.1 * np.arange(6)
    motion.root_positions[:, 2] = -1 + 0.2 * np.arange(6)
    long = repeat(motion, 3)
    assert long.frame_count == 18 and repeat(motion, 1) is motion
    np.testing.assert_allclose(np.diff(long.root_positions[:, [0, 2]], axis=0), np.tile([0.1, 0.2], (17, 1)), atol=1e-5)
    np.testing.assert_array_equal(long.angles[6:12], motion.angles)
    np.testing.assert_array_equal(long.root_positions[6:12, 1], motion.root_positions[:, 1])


def test_repeating_a_curve_goes_on_along_the_circle():
    frames, radius, rate = 9, 2.0, 0.11  # rad a frame
    angle = rate * np.arange(frames)
    motion = turntable.at_rest(samples.rig(), frames, 16.0)
    motion.root_positions[:, 0], motion.root_positions[:, 2] = radius * (1 - np.cos(angle)), radius * np.sin(angle)
    motion.root_rotations = np.stack([0 * angle, np.sin(angle / 2), 0 * angle, np.cos(angle / 2)], 1).astype(np.float32)
    long = repeat(motion, 4)
    steps = np.diff(long.root_positions[:, [0, 2]], axis=0)
    away = np.linalg.norm(long.root_positions[:, [0, 2]] - (radius, 0), axis=1)
    # within a round the way is the circle's; the step between rounds is the last one's, so that it leaves it by a hair
    assert np.abs(away - radius).max() < 0.15 and np.linalg.norm(steps, axis=1) == pytest.approx(2 * radius * math.sin(rate / 2), rel=1e-3)
    turns = 2 * np.unwrap(np.arctan2(long.root_rotations[:, 1], long.root_rotations[:, 3]), period=np.pi)
    assert turns == pytest.approx(rate * np.arange(4 * frames), abs=1e-4)


def test_onion_skin_shows_ghosts_where_the_body_was(tmp_path):
    path = still.draw_onion(tmp_path / "o.png", samples.asset(), samples.rig(), samples.skin(), walk(frames=9, speed=16.0), SMALL)
    picture = np.asarray(Image.open(path)).astype(int)
    one = film(walk(frames=9, speed=16.0), follow=False, azimuth=still.SIDE[0], elevation=still.SIDE[1])
    chosen = moments(one, one.camera_at(0))
    assert chosen[0] == 0 and chosen[-1] == 8 and len(chosen) >= 4 and (np.diff(chosen) > 0).all()
    head = picture.shape[0] - 180 - round(62 * 0.4)
    colors = []
    for index in chosen:
        left, top, right, bottom = seen_box(one.samples[index], one.camera_at(0))
        colors.append(picture[head + round(0.35 * top + 0.65 * bottom), round((left + right) / 2)])
    # the sample is orange: the newest pose is, the ghosts are bluish; time runs to the right
    assert colors[-1][0] - colors[-1][2] > 60 and all(color[2] - color[0] > 15 for color in colors[:-1])
    assert seen_box(one.samples[-1], one.camera_at(0))[0] > seen_box(one.samples[0], one.camera_at(0))[2]


def test_heights_and_marks_of_a_strip():
    asset = samples.asset()
    sunk, floating, standing = (heights(film(walk(height=h))) for h in (-0.2, 0.3, 0.0))
    assert sunk.lowest == pytest.approx(-0.2, abs=1e-5) and floating.lowest == pytest.approx(0.3, abs=1e-5) and standing.lowest == pytest.approx(0, abs=1e-5)
    assert sunk.tolerance == pytest.approx(0.02 * asset.height)
    assert strip.said(-0.2, 0.01) == ("-20.0 cm", "sunk") and strip.said(0.3, 0.01)[1] == "up" and strip.said(-0.0004, 0.01) == ("0.0 cm", "down")
    assert standing.feet and set(feet_of(samples.rig())) >= set(standing.feet)
    for found in (sunk, standing, floating):
        assert all(found.feet[foot][0] >= found.lowest[0] for foot in found.feet)
    assert {floating.state(foot, 0) for foot in floating.feet} == {"up"}
    assert strip.short("left hind") == "LH" and strip.short("right leg3") == "R3"
    assert set(feet_of(samples.rig())) == set(standing.feet) or not standing.feet
    assert strip.ticks(-1.3, 6.1) == [0.0, 2.0, 4.0, 6.0] and 0 in strip.ticks(-0.4, 0.1)


def test_a_strip_paints_what_has_sunk_and_leaves_the_rest(tmp_path):
    def red(height):
        path = still.draw_strip(tmp_path / "s.png", samples.asset(), samples.rig(), samples.skin(), walk(height=0.0), walk(height=height), SMALL)
        picture = np.asarray(Image.open(path)).astype(int)
        half = picture[picture.shape[0] // 2 - 60 : -200]
        return int((np.abs(half - ink.VERMILION).max(-1) < 40).sum())

    assert red(-0.5 * samples.asset().height) > 400 + red(0.0)
    short = walk(frames=1)
    with pytest.raises(InputError, match="two frames"):
        still.draw_strip(tmp_path / "x.png", samples.asset(), samples.rig(), samples.skin(), short, short, SMALL)


def test_turntable_goes_round_once_and_starts_again_without_a_jump(tmp_path):
    params = dataclasses.replace(SMALL, fps=3.0, size="96x64")
    count, *_ = turntable.turntable(samples.asset(), samples.rig(), samples.skin(), None, params, video=tmp_path / "t.mp4", sheet=tmp_path / "t.png")
    assert count == 12 and (tmp_path / "t.png").exists()
    one = shoot(samples.asset(), samples.rig(), samples.skin(), None, turntable.at_rest(samples.rig(), 12, 3.0),
                dataclasses.replace(params, camera="turntable", turn=330.0, fps=None))  # fmt: skip
    away = one.camera.position - one.samples[0].mean(0)
    angles = np.unwrap(np.arctan2(away[:, 0], away[:, 2]))
    assert np.diff(angles) == pytest.approx(2 * np.pi / 12, abs=0.03)


MACHADO = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""What dichromats see, on linear RGB: Machado, Oliveira and Fernandes 2009, severity 1."""


def lab(color):
    """CIE L*a*b* of an sRGB colour (D65)."""
    from skimage.color import rgb2lab

    return rgb2lab(np.clip(np.asarray(color, float), 0, 1)[None, None])[0, 0]


def as_seen(color, matrix):
    value = np.asarray(color) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(matrix) @ linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("eyes", ["all", *MACHADO])
def test_colours_that_mean_something_are_told_apart(eyes):
    matrix = MACHADO.get(eyes, np.eye(3))
    for pairs in ((ink.DISTILLED, ink.TRACKED), (ink.GREEN, ink.VERMILION, ink.PAPER)):
        for one, other in itertools.combinations(pairs, 2):
            # 10 is seen at a glance; forms differ as well
            assert np.linalg.norm(lab(as_seen(one, matrix)) - lab(as_seen(other, matrix))) > 15, (one, other)


def test_the_command_says_what_is_wrong(capsys, tmp_path):
    for words, says in (
        (["--picture", "oil"], "sheet, onion, strip, turntable"),
        (["--picture", "onion", "--html"], "--picture"),
        (["--picture", "onion", "--export", "bvh"], "--picture"),
        (["--picture", "onion", "-o", str(tmp_path / "a.mp4")], ".png"),
        (["--picture", "turntable", "-o", str(tmp_path / "a.png")], ".mp4"),
        (["--picture", "onion", "--picture", "strip", "-o", str(tmp_path / "a.png")], "one picture at a time"),
    ):
        assert app.run(["render", *words]) == 2
        err = capsys.readouterr().err
        assert says in err and len(err.strip().splitlines()) == 1, err


def test_the_command_draws_all_pictures(capsys, tmp_path):
    for name, one in (("asset", samples.asset()), ("rig", samples.rig()), ("skin", samples.skin())):
        one.save(tmp_path / f"{name}.h5")
    (tmp_path / "workspace.json").write_text("{}")
    folder = tmp_path / "motions" / "walk"
    folder.mkdir(parents=True)
    samples.motion().save(folder / "distill.h5")
    code = app.run(["render", str(folder / "distill.h5"), "--picture", "strip", "-q"])
    assert code == 2 and "akd track" in capsys.readouterr().err
    samples.track().save(folder / "track.h5")
    words = [str(folder / "distill.h5"), "--size", "160x96", "--fps", "4", "-q"]
    assert app.run(["render", *words, *(f"--picture={kind}" for kind in ("sheet", "onion", "strip", "turntable"))]) == 0
    written = sorted(path.name for path in [*folder.iterdir(), *tmp_path.iterdir()] if path.suffix in (".png", ".mp4"))
    assert written == ["distill.onion.png", "distill.sheet.png", "distill.strip.png", "turntable.mp4", "turntable.png"]
    assert all(len(np.unique(np.asarray(Image.open(folder / name)).reshape(-1, 3), axis=0)) > 50 for name in written if name.startswith("distill"))
