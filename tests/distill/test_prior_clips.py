"""Training takes from rigged files: a file is written with a known gait on the spot, and its gait, speed and phase must come back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from schemas import gltf
from schemas.errors import MissingError
from schemas.motion import Motion
from stages.asset import stage as asset_stage
from stages.body import quaternion, skinning
from stages.body.kinematics import Skeleton, forward
from stages.distill import gaits
from stages.distill.priors.embedded import clips, strides, surface
from stages.rig import stage as rig_stage

PERIOD = 16  # frames


def load(path: Path):
    asset = asset_stage.run(path)
    return asset, rig_stage.run(asset)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiger that walks on the spot, and files that cannot be used."""
    place = tmp_path_factory.mktemp("clips")
    asset = asset_stage.run("tiger")
    rig = rig_stage.run(asset)
    clip = gaits.sample(rig, "walking", frames=2 * PERIOD + 1, fps=32.0, rng=np.random.default_rng(3), phase=0.3, period=PERIOD)
    root = clip.root_positions.copy()
    root[:, 2] = rig.positions[0, 2]
    motion = Motion(
        name="tiger",
        prompt="Armature|Tiger_Walk",
        fps=32.0,
        joint_names=rig.joint_names,
        angles=clip.angles,
        root_positions=root,
        root_rotations=clip.root_rotations,
    )
    gltf.write(place / "cat.glb", asset, rig, motion=motion)
    (place / "ahead").mkdir()
    gltf.write(place / "ahead" / "cat.glb", asset, rig, motion=dataclasses.replace(motion, root_positions=clip.root_positions))
    gltf.write(place / "still.glb", asset, rig)
    gltf.write(place / "Dog.glb", asset, rig)
    (place / "speed.txt").write_text(repr(clip.info["speed"]))
    (place / "LICENSES.md").write_text("| file | licence | author |\n|---|---|---|\n| cat, still (.glb) | CC0 1.0 | akd |\n")
    return place


@pytest.fixture(scope="module")
def tiger(folder) -> clips.Character:
    return clips.character(folder / "cat.glb", *load(folder / "cat.glb"))


def posed(body, clip):
    """Posed kernels (F, N, 3) of a clip."""
    skeleton = Skeleton.from_rig(body.rig, dtype=torch.float64)
    angles, root, turns = (torch.from_numpy(np.asarray(v, np.float64)) for v in (clip.angles, clip.root_positions, clip.root_rotations))
    pose = forward(skeleton, angles, root, quaternion.to_matrix(turns))
    return skinning.skin_points(torch.from_numpy(body.means.astype(float)), torch.from_numpy(body.weights.astype(float)), pose).numpy()


def test_a_walk_on_the_spot_comes_back(folder, tiger):
    takes, findings = clips.takes(tiger, copies=1, mirror=False)
    (take,), (finding,) = takes, findings
    assert (finding.file, finding.motion, finding.reason) == ("cat", "walking", "")
    assert finding.period == pytest.approx(1.0, abs=0.02)
    assert finding.slide < 0.25
    wanted = {"left_hind": 0.0, "left_fore": 0.75, "right_hind": 0.5, "right_fore": 0.25}
    assert all(abs((finding.phases[leg] - lead + 0.5) % 1 - 0.5) < 0.08 for leg, lead in wanted.items()), finding.phases
    clip = take.clip
    assert clip.angles.shape == (17, take.body.rig.joint_count, 3) and clip.angles.dtype == np.float32
    assert clip.info["speed"] == pytest.approx(float((folder / "speed.txt").read_text()), rel=0.1)
    assert clip.root_positions[-1, 2] - clip.root_positions[0, 2] == pytest.approx(clip.info["speed"], rel=0.05)
    # the middle frame is the first of the left hind foot on the ground: it was in the air before and stays put after
    column = clip.info["legs"].index("left_hind")
    assert not clip.info["contacts"][6, column] and clip.info["contacts"][9, column]
    assert abs((clip.info["phase"] + 8 / clip.info["period"] + 0.5) % 1 - 0.5) < 1e-6


def test_a_walk_that_goes_ahead_keeps_its_speed(folder):
    """A file that moves its root gives the same takes as one on the spot."""
    moving = clips.character(folder / "ahead" / "cat.glb", *load(folder / "ahead" / "cat.glb"))
    (take,), (finding,) = clips.takes(moving, copies=1, mirror=False)
    assert finding.motion == "walking" and finding.slide < 0.25
    speed = float((folder / "speed.txt").read_text())
    assert take.clip.info["speed"] == pytest.approx(speed, rel=0.1)
    assert take.clip.root_positions[-1, 2] - take.clip.root_positions[0, 2] == pytest.approx(speed, rel=0.1)
    assert np.abs(np.diff(take.clip.root_positions[:, 2], 2)).max() < 1e-3  # steady across the seam of the loop


def test_standing_feet_stand(tiger):
    take = clips.takes(tiger, copies=1, mirror=False)[0][0]
    sole = strides._feet(take.body)["left_hind"][1]
    path = posed(take.body, take.clip)[:, sole].mean(1)
    assert np.abs(np.diff(path[9:13, 2])).max() < 0.25 * take.clip.info["speed"] / 16


def test_the_mirror_image_moves_as_the_image_in_a_mirror(tiger):
    motion = next(iter(tiger.motions.values()))
    motion = dataclasses.replace(motion, angles=motion.angles[:5], root_positions=motion.root_positions[:5] + 0.1, root_rotations=motion.root_rotations[:5])
    body, moved = clips.mirrored(tiger.body, motion)
    body.rig.validate("mirrored")
    np.testing.assert_allclose(posed(body, moved), posed(tiger.body, motion) * (-1, 1, 1), atol=1e-6)
    assert body.rig.roles[tiger.body.rig.roles.index("left_fore_upper")] == "right_fore_upper"
    again, back = clips.mirrored(body, moved)
    np.testing.assert_array_equal(again.means, tiger.body.means)
    np.testing.assert_array_equal(back.angles, motion.angles)


def test_takes_are_deterministic_and_vary(tiger):
    first, second, other = (clips.takes(tiger, seed=seed)[0] for seed in (0, 0, 1))
    assert len(first) == 4
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.clip.angles, b.clip.angles)
        np.testing.assert_array_equal(a.body.means, b.body.means)
    assert not np.array_equal(first[1].clip.angles, other[1].clip.angles)
    assert first[0].clip.info["period"] != first[1].clip.info["period"]
    # mirrored or not, the foot that is left now comes down in the middle
    assert all(abs((t.clip.info["phase"] + 8 / t.clip.info["period"] + 0.5) % 1 - 0.5) < 1e-6 for t in first)


def test_kernels_cover_the_body(folder):
    asset, rig = load(folder / "cat.glb")
    body, same = surface.body_of(asset, rig), surface.body_of(asset, rig)
    np.testing.assert_array_equal(body.means, same.means)
    assert 300 <= len(body.means) <= 700
    np.testing.assert_allclose(body.weights.sum(1), 1, atol=1e-5)
    assert np.linalg.eigvalsh(body.covariances.astype(float)).min() > 0
    # every vertex is near a kernel in its own metric
    gaps = asset.vertices[::20, None].astype(float) - body.means
    distance = np.sqrt(np.einsum("vni,nij,vnj->vn", gaps, np.linalg.inv(body.covariances.astype(float)), gaps).min(1))
    assert np.quantile(distance, 0.95) < 2


def test_a_folder_gives_characters_and_says_why_not(folder):
    found = list(clips.characters(folder, load))
    assert [type(c).__name__ for c in found] == ["Character", "Finding"]
    assert found[1].file == "still" and "no animation" in found[1].reason
    assert [p.stem for p in clips.files(folder)] == ["cat", "still"]
    assert clips.licences(folder, ["cat", "other"]) == {"cat": "CC0 1.0, akd", "other": "unknown"}
    with pytest.raises(MissingError, match="no .glb"):
        clips.files(folder / "nowhere")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("AnimalArmature|Walk", "walking"), ("Gallop_Jump", "jumping"), ("Idle_2_HeadLow", "standing"), ("Rat_Run", "running"), ("run_root.001", "running"),
        ("Armature|mixamo.com|Trot", "running"), ("fight_punch_root.001", "punching"), ("Eating", "eating"), ("Dance", "dancing"),
        ("Death", ""), ("Attack_Headbutt", ""), ("Idle_HitReact_Left", ""), ("Jump_toIdle", ""), ("fight_idle", ""), ("Run_swordAttack", ""), ("Take 001", ""),
    ],
)  # fmt: skip
def test_names_of_clips(name, word):
    assert clips.word_of(name) == word


def test_real_files(real_assets: Path):
    if not (real_assets / "Horse.glb").exists():
        pytest.skip("Horse.glb is not among the test models")
    takes, findings = clips.takes(clips.character(real_assets / "Horse.glb", *load(real_assets / "Horse.glb")), copies=1)
    used = {finding.clip.split("|")[-1]: finding for finding in findings if finding.motion}
    assert used["Walk"].motion == "walking" and used["Gallop"].motion == "galloping" and used["Eating"].motion == "eating"
    assert abs(used["Walk"].phases["left_fore"] - 0.75) < 0.1 and abs(used["Walk"].phases["right_hind"] - 0.5) < 0.1
    assert 0.6 < used["Walk"].speed < 2 < used["Gallop"].speed < 8
    # the gallop leads with one side: its mirror image is not the one that is learnt
    assert len(takes) == 2 * len(used) - 1 and {"Attack_Kick", "Death"} <= {f.clip.split("|")[-1] for f in findings if f.reason}
    assert not {path.stem for path in clips.files(real_assets)} & set(clips.VALIDATION)
