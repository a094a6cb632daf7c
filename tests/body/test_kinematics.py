"""Forward kinematics and skinning against scipy, float64 loops, finite differences and invariants (METHOD 1 and 2)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stages.body import kinematics, quaternion, skinning
from tests.schemas import samples

SEEDS = st.integers(0, 2**32 - 1)


def random_rig(seed: int, joints: int = 7):
    rng = np.random.default_rng(seed)
    rig = samples.rig(joints)
    rig.parents = np.array([-1] + [int(rng.integers(0, j)) for j in range(1, joints)], np.int32)
    rig.positions = rng.normal(size=(joints, 3)).astype(np.float32)
    rig.axes = Rotation.random(joints, rng=rng).as_matrix().astype(np.float32)
    rig.cuboid_rotations = Rotation.random(joints, rng=rng).as_quat().astype(np.float32)
    rig.cuboid_half_sizes = rng.uniform(0.01, 0.3, (joints, 3)).astype(np.float32)
    return rig


def random_pose(seed: int, frames: int = 3, joints: int = 7):
    rng = np.random.default_rng(seed)
    skeleton = kinematics.Skeleton.from_rig(random_rig(seed, joints), dtype=torch.float64)
    # the artifact keeps float32: make the axes orthonormal to float64, so that the tests can be strict
    skeleton = dataclasses.replace(
        skeleton, axes=torch.linalg.qr(skeleton.axes)[0] * torch.linalg.qr(skeleton.axes)[1].diagonal(dim1=1, dim2=2)[:, None].sign()
    )
    angles = torch.as_tensor(rng.uniform(-1.4, 1.4, (frames, joints, 3)))
    root = torch.as_tensor(rng.normal(size=(frames, 3)))
    turn = torch.as_tensor(Rotation.random(frames, rng=rng).as_matrix())
    return skeleton, angles, root, turn


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_quaternions_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    a, b = Rotation.random(20, rng=rng), Rotation.random(20, rng=rng)
    qa, qb, v = torch.as_tensor(a.as_quat()), torch.as_tensor(b.as_quat()), torch.as_tensor(rng.normal(size=(20, 3)))
    np.testing.assert_allclose(quaternion.to_matrix(quaternion.multiply(qa, qb)), (a * b).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(quaternion.rotate(qa, v), a.apply(v), atol=1e-12)
    np.testing.assert_allclose(quaternion.to_matrix(quaternion.from_matrix(torch.as_tensor(a.as_matrix()))), a.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(quaternion.to_matrix(quaternion.conjugate(qa)), a.inv().as_matrix(), atol=1e-12)
    vector = torch.as_tensor(rng.normal(size=(20, 3)) * 10.0 ** rng.uniform(-9, 0.4, (20, 1)))
    np.testing.assert_allclose(quaternion.to_matrix(quaternion.from_rotation_vector(vector)), Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


@pytest.mark.parametrize("turn", [[180, 0, 0], [0, 180, 0], [0, 0, 180], [0, 0, 0], [90, 0, 180]])
def test_quaternion_of_half_turns(turn):
    matrix = Rotation.from_euler("XYZ", turn, degrees=True).as_matrix()
    np.testing.assert_allclose(quaternion.to_matrix(quaternion.from_matrix(torch.as_tensor(matrix))), matrix, atol=1e-12)


def test_rotation_vector_gradient_is_finite_at_zero():
    vector = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    quaternion.from_rotation_vector(vector).sum().backward()
    np.testing.assert_allclose(vector.grad, np.full((2, 3), 0.5))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_angles_and_matrices_are_inverse(seed):
    skeleton, angles, _, _ = random_pose(seed)
    turns = kinematics.joint_rotations(skeleton, angles)
    np.testing.assert_allclose(kinematics.joint_angles(skeleton, turns), angles, atol=1e-9)
    expected = Rotation.from_euler("XYZ", angles.reshape(-1, 3)).as_matrix().reshape(turns.shape)
    q = skeleton.axes.numpy()
    np.testing.assert_allclose(turns, q @ expected @ q.transpose(0, 2, 1), atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_forward_kinematics_agrees_with_a_recursive_loop(seed):
    skeleton, angles, root, turn = random_pose(seed)
    pose = kinematics.forward(skeleton, angles, root, turn)
    local = kinematics.joint_rotations(skeleton, angles)

    def world(frame, joint):
        matrix = np.eye(4)
        if joint == 0:
            matrix[:3, :3], matrix[:3, 3] = turn[frame], root[frame]
            return matrix
        matrix[:3, :3] = local[frame, joint]
        matrix[:3, 3] = skeleton.positions[joint] - skeleton.positions[skeleton.parents[joint]]
        return world(frame, skeleton.parents[joint]) @ matrix

    for frame in range(3):
        for joint in range(7):
            expected = world(frame, joint)
            np.testing.assert_allclose(pose.rotations[frame, joint], expected[:3, :3], atol=1e-12)
            np.testing.assert_allclose(pose.joints[frame, joint], expected[:3, 3], atol=1e-12)
            moved = pose.rotations[frame, joint] @ skeleton.positions[joint] + pose.translations[frame, joint]
            np.testing.assert_allclose(moved, expected[:3, 3], atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_bone_lengths_and_cuboids_stay_rigid(seed):
    skeleton, angles, root, turn = random_pose(seed)
    pose = kinematics.forward(skeleton, angles, root, turn)
    for joint, parent in enumerate(skeleton.parents[1:], 1):
        rest = (skeleton.positions[joint] - skeleton.positions[parent]).norm()
        np.testing.assert_allclose((pose.joints[:, joint] - pose.joints[:, parent]).norm(dim=-1), rest.expand(3), rtol=1e-9)
    corners = kinematics.cuboid_corners(skeleton, pose)
    np.testing.assert_allclose(torch.cdist(corners, corners), torch.cdist(skeleton.corners, skeleton.corners).expand(3, -1, -1, -1), atol=1e-6)


def test_rest_pose_leaves_everything_in_place():
    rig = random_rig(3)
    skeleton = kinematics.Skeleton.from_rig(rig, dtype=torch.float64)
    pose = kinematics.forward(skeleton, torch.zeros(1, 7, 3, dtype=torch.float64), skeleton.positions[:1], torch.eye(3, dtype=torch.float64)[None])
    points = torch.randn(40, 3, dtype=torch.float64)
    np.testing.assert_allclose(skinning.skin_points(points, torch.as_tensor(samples.weights(40, 7)), pose)[0], points, atol=1e-6)


def test_forward_kinematics_gradient():
    skeleton, angles, root, turn = random_pose(5, frames=2, joints=4)
    angles.requires_grad_(), root.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, r: kinematics.forward(skeleton, a, r, turn).translations, (angles, root))


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_gradient_of_the_deformation_is_what_carries_covariances(seed):
    """Sigma' = J Sigma J^T with J the finite-difference Jacobian of phi, equation (2)."""
    skeleton, angles, root, turn = random_pose(seed)
    pose = kinematics.forward(skeleton, angles, root, turn)
    rng = np.random.default_rng(seed)
    weights, points = torch.as_tensor(samples.weights(5, 7)), torch.as_tensor(rng.normal(size=(5, 3)))
    turns = torch.as_tensor(Rotation.random(5, rng=rng).as_matrix())
    sigma = skinning.covariances(turns, torch.as_tensor(rng.uniform(0.01, 0.2, (5, 3))))
    means, carried = skinning.skin_gaussians(points, sigma, weights, pose)
    step = 1e-5
    columns = [
        (skinning.skin_points(points + step * d, weights, pose) - skinning.skin_points(points - step * d, weights, pose)) / (2 * step)
        for d in torch.eye(3, dtype=torch.float64)
    ]
    jacobian = torch.stack(columns, -1)
    np.testing.assert_allclose(carried, jacobian @ sigma @ jacobian.transpose(-1, -2), atol=1e-8)
    np.testing.assert_allclose(means, skinning.skin_points(points, weights, pose), atol=1e-12)


def test_a_rigid_motion_is_exact_for_any_weights():
    skeleton, _, root, turn = random_pose(9)
    pose = kinematics.forward(skeleton, torch.zeros(3, 7, 3, dtype=torch.float64), root, turn)
    points = torch.randn(30, 3, dtype=torch.float64)
    moved = skinning.skin_points(points, torch.as_tensor(samples.weights(30, 7)), pose)
    expected = (points - skeleton.positions[0]) @ turn.transpose(1, 2) + root[:, None]
    np.testing.assert_allclose(moved, expected, atol=1e-9)


def test_pose_of_a_motion_artifact():
    motion, skeleton = samples.motion(), kinematics.Skeleton.from_rig(samples.rig())
    pose = kinematics.pose_of(motion, skeleton)
    assert pose.rotations.shape == (6, 4, 3, 3)
    np.testing.assert_allclose(pose.joints[:, 0], motion.root_positions, atol=1e-6)
