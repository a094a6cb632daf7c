"""Exports read back by programs that others wrote: bvhio, USD, the Khronos validator, Pillow, FFmpeg."""

from __future__ import annotations

import dataclasses

import av
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from schemas import gltf, ply
from schemas.gltf import top_influences
from stages.body import kinematics, quaternion, skinning
from stages.render import bvh
from stages.render.clips import merge, unique
from stages.render.pictures import write_gif, write_png_sequence, write_webm
from stages.render.resample import in_place
from stages.render.splats import posed, write_ply_sequence
from stages.render.travel import split
from stages.view import harmonics
from tests.schemas import samples
from tests.validator import assert_valid


def lively(frames: int = 9):
    """The sample motion with turns that pass the poles of every Euler order and whole turns of the root."""
    rng = np.random.default_rng(3)
    motion = samples.motion(frames=frames)
    angles = np.cumsum(rng.uniform(-0.5, 0.5, motion.angles.shape), 0)
    angles[:, 0] = 0
    turn = Rotation.from_rotvec(np.linspace([0, 0, 0], [0.3, 7.0, 0.2], frames)).as_quat()
    return dataclasses.replace(motion, angles=angles, root_rotations=turn, root_positions=rng.uniform(-1, 1, (frames, 3)))


def oblique_rig():
    """The sample rig with joint axes and rest orientations that are not the world's."""
    rig = samples.rig()
    turns = Rotation.random(rig.joint_count, random_state=5)
    return dataclasses.replace(rig, axes=turns.as_matrix(), rotations=Rotation.random(rig.joint_count, random_state=6).as_quat())


def joints_of(rig, motion) -> np.ndarray:
    return kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig, dtype=torch.float64)).joints.numpy()


def test_bvh_is_read_back_by_another_reader_within_a_tenth_of_a_millimetre(tmp_path):
    bvhio = pytest.importorskip("bvhio", reason="the BVH reader is not installed: pip install bvhio")
    rig, motion = oblique_rig(), lively()
    path = bvh.write(tmp_path / "a.bvh", rig, motion)
    root, wanted = bvhio.readAsHierarchy(str(path)), joints_of(rig, motion)
    for frame in range(motion.frame_count):
        root.loadPose(frame)
        found = {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}
        for joint, name in enumerate(rig.joint_names):
            np.testing.assert_allclose(found[name], wanted[frame, joint], atol=1e-4)
    container = bvhio.readAsBvh(str(path))
    assert container.FrameCount == motion.frame_count and pytest.approx(1 / motion.fps) == container.FrameTime


def test_bvh_angles_are_those_of_the_turns_and_never_jump():
    rig, motion = oblique_rig(), lively(60)
    motion.angles = np.cumsum(np.full_like(motion.angles, 0.12), 0)
    motion.angles[:, 0] = 0
    turns = bvh.turns(rig, motion)
    for joint in range(1, rig.joint_count):
        wanted = kinematics.joint_rotations(kinematics.Skeleton.from_rig(rig), torch.from_numpy(motion.angles))[:, joint]
        np.testing.assert_allclose(Rotation.from_euler("ZYX", turns[:, joint], degrees=True).as_matrix(), wanted, atol=1e-5)
    root = Rotation.from_euler("YXZ", turns[:, 0], degrees=True).as_matrix()
    np.testing.assert_allclose(root, Rotation.from_quat(motion.root_rotations).as_matrix(), atol=1e-6)
    # it turns by 7 degrees a frame, through 401 in all
    assert np.abs(np.diff(turns[:, 0], axis=0)).max() < 9 and turns[-1, 0, 0] == pytest.approx(np.degrees(7.0), abs=10)


def test_bvh_names_have_no_space_and_stay_apart(tmp_path):
    rig = dataclasses.replace(samples.rig(), joint_names=["the root", "the_root", "a{b}", ""])
    text = bvh.write(tmp_path / "a.bvh", rig, dataclasses.replace(samples.motion(), joint_names=rig.joint_names)).read_text()
    names = [line.split(maxsplit=1)[1] for line in text.splitlines() if line.strip().startswith(("ROOT", "JOINT"))]
    assert sorted(names) == sorted(["the_root", "the_root_2", "a_b_", "joint"])


def test_several_clips_in_one_model(tmp_path):
    rig, motions = oblique_rig(), [lively(9), samples.motion(frames=5)]
    files = [gltf.write(tmp_path / f"{i}.glb", samples.asset(), rig, samples.skin().weights, motion) for i, motion in enumerate(motions)]
    merged = tmp_path / "clips.glb"
    merged.write_bytes(merge([path.read_bytes() for path in files], ["walk", "walk"]))
    both = gltf.read_animations(merged)
    assert [clip.name for clip in both] == ["walk", "walk 2"]
    for clip, path in zip(both, files, strict=True):
        (alone,) = gltf.read_animations(path)
        for field in dataclasses.fields(alone):
            if field.name != "name":
                np.testing.assert_equal(getattr(clip, field.name), getattr(alone, field.name))
    assert merged.stat().st_size < sum(path.stat().st_size for path in files)
    assert_valid(merged)


def test_unique_names():
    assert unique(["walk", "run", "walk", "walk"]) == ["walk", "run", "walk 2", "walk 3"]


def test_on_the_spot_it_ends_where_it_began_and_keeps_its_sway():
    motion = samples.motion(frames=17)
    time = np.linspace(0, 1, 17)
    motion.root_positions = np.stack([0.1 * np.sin(2 * np.pi * time), 1 + 0.05 * time, 3 * time], 1).astype(np.float32)
    still = in_place(motion)
    np.testing.assert_allclose(still.root_positions[:, 2], 0, atol=1e-6)
    np.testing.assert_allclose(still.root_positions[:, :2], motion.root_positions[:, :2], atol=1e-6)


def pictures(count: int = 8):
    for index in range(count):
        frame = np.full((48, 64, 3), 200, np.uint8)
        frame[10:30, 4 + 4 * index : 24 + 4 * index] = [213, 94, 0]
        yield frame


@pytest.mark.parametrize("fps", [16.0, 24.0, 30.0, 60.0])
def test_gif_takes_as_long_as_the_motion(tmp_path, fps):
    with Image.open(write_gif(tmp_path / "a.gif", pictures(), fps)) as image:
        lengths = []
        for index in range(image.n_frames):
            image.seek(index)
            lengths.append(image.info["duration"])
        assert min(lengths) >= 20 and sum(lengths) / 1000 == pytest.approx(8 / fps, abs=0.011) and image.info["loop"] == 0
        image.seek(0)
        first = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(first - next(pictures())).mean() < 4


def test_webm_and_pngs_hold_the_frames(tmp_path):
    with av.open(str(write_webm(tmp_path / "a.webm", pictures(), 16.0, 18))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].codec_context.name == "vp9"
    assert len(frames) == 8 and np.abs(frames[7].astype(int) - list(pictures())[7]).mean() < 6
    folder = tmp_path / "a-png"
    write_png_sequence(folder, pictures(8))
    (folder / "mine.png").write_bytes(b"")
    write_png_sequence(folder, pictures(3))
    assert sorted(path.name for path in folder.iterdir()) == ["frame_0000.png", "frame_0001.png", "frame_0002.png", "mine.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "frame_0002.png")), list(pictures(3))[2])


def test_posed_gaussians_have_the_covariances_of_equation_2(tmp_path):
    rig, motion, splat = oblique_rig(), lively(3), samples.splat()
    write_ply_sequence(tmp_path / "s", rig, splat, motion)
    assert len(list((tmp_path / "s").iterdir())) == 3
    pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig))
    sigma = skinning.covariances(quaternion.to_matrix(torch.from_numpy(splat.rotations)), torch.from_numpy(splat.scales))
    means, carried = skinning.skin_gaussians(torch.from_numpy(splat.means), sigma, torch.from_numpy(splat.weights), pose)
    for frame in range(3):
        read = ply.read(tmp_path / "s" / f"frame_{frame:04d}.ply")
        np.testing.assert_allclose(read["means"], means[frame], atol=1e-5)
        turn = Rotation.from_quat(read["rotations"]).as_matrix()
        found = np.einsum("nij,nj,nkj->nik", turn, read["scales"] ** 2, turn)
        np.testing.assert_allclose(found, carried[frame], atol=1e-5 * float(carried[frame].abs().max()))
    posed(splat, kinematics.Pose(*(part[:1] for part in (pose.rotations, pose.translations, pose.joints)))).validate()


def test_posed_gaussians_turn_their_view_dependent_colours():
    """Looked at in the pose, a kernel has the colour that the film finds for it."""
    rng = np.random.default_rng(4)
    splat = dataclasses.replace(samples.splat(), harmonics=rng.normal(size=(50, 15, 3)).astype(np.float32) * 0.1)
    motion = samples.motion()
    pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(samples.rig()))
    one = kinematics.Pose(*(part[3:4] for part in (pose.rotations, pose.translations, pose.joints)))
    made = posed(splat, one)
    linear, _ = skinning.blend(torch.from_numpy(splat.weights), one)
    eye = torch.tensor([[0.3, 1.0, 4.0]])

    def seen(one, gradient):
        coefficients = harmonics.whole(torch.from_numpy(one.colors), torch.from_numpy(one.harmonics))
        return harmonics.colors(coefficients, torch.from_numpy(made.means)[None], eye, gradient)

    np.testing.assert_allclose(seen(made, None), seen(splat, linear), atol=1e-5)
    assert (seen(made, None) - seen(splat, None)).abs().max() > 0.01


@pytest.mark.parametrize("rooted", [False, True])
def test_usd_poses_joints_and_mesh_as_we_do_and_passes_the_checker(tmp_path, rooted):
    pxr = pytest.importorskip("pxr", reason="USD is not installed: pip install usd-core")
    from pxr import Usd, UsdGeom, UsdSkel, UsdValidation, Vt

    from stages.render import usd

    assert pxr
    asset, rig, motion, weights = samples.asset(), oblique_rig(), lively(), samples.skin().weights
    way, left = split(rig, motion) if rooted else (None, motion)
    path = usd.write(tmp_path / "a.usd", asset, rig, weights, left, way)
    stage = Usd.Stage.Open(str(path))
    assert (UsdGeom.GetStageUpAxis(stage), UsdGeom.GetStageMetersPerUnit(stage), stage.GetEndTimeCode()) == ("Y", 1.0, motion.frame_count - 1)
    cache, skeleton = UsdSkel.Cache(), UsdSkel.Skeleton.Get(stage, "/character/skeleton")
    cache.Populate(UsdSkel.Root.Get(stage, "/character"), Usd.TraverseInstanceProxies())
    pose, query = cache.GetSkelQuery(skeleton), cache.GetSkinningQuery(stage.GetPrimAtPath("/character/mesh"))
    joints, four = joints_of(rig, motion), np.zeros_like(weights)
    index, values = top_influences(weights)
    np.put_along_axis(four, index, values, 1)
    wanted = skinning.skin_points(torch.from_numpy(asset.vertices), torch.from_numpy(four), kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig)))
    for frame in range(motion.frame_count):
        found = np.array([m.ExtractTranslation() for m in pose.ComputeJointSkelTransforms(frame)])
        np.testing.assert_allclose(found[int(rooted) :], joints[frame], atol=1e-4)
        points = Vt.Vec3fArray.FromNumpy(asset.vertices)
        assert query.ComputeSkinnedPoints(pose.ComputeSkinningTransforms(frame), points, frame)
        np.testing.assert_allclose(np.array(points), wanted[frame], atol=1e-4)
    checks = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    assert [f"{error.GetName()}: {error.GetMessage()}" for error in checks.Validate(stage)] == []
