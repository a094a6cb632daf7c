"""Linear blend skinning of points and Gaussians (METHOD 2)."""

from __future__ import annotations

import torch

from .kinematics import Pose


def blend(weights: torch.Tensor, pose: Pose) -> tuple[torch.Tensor, torch.Tensor]:
    """Blended linear map and translation of each point.

    Parameters:
        weights: Rows sum to 1. [(N, J)]
        pose: Transforms of the bones.

    Returns:
        grad(phi) = sum_b w_b R_b [(F, N, 3, 3)] and sum_b w_b t_b [m, (F, N, 3)].
    """
    frames, joints = pose.rotations.shape[:2]
    affine = torch.cat([pose.rotations.reshape(frames, joints, 9), pose.translations], -1)  # [F, J, 12]
    mixed = weights @ affine  # [F, N, 12]
    return mixed[..., :9].reshape(frames, -1, 3, 3), mixed[..., 9:]


def skin_points(points: torch.Tensor, weights: torch.Tensor, pose: Pose) -> torch.Tensor:
    """phi(x) = sum_b w_b (R_b x + t_b), equation (5). [m, (N, 3) -> (F, N, 3)]"""
    linear, shift = blend(weights, pose)
    return (linear @ points[:, :, None])[..., 0] + shift


def skin_gaussians(means: torch.Tensor, covariances: torch.Tensor, weights: torch.Tensor, pose: Pose) -> tuple[torch.Tensor, torch.Tensor]:
    """x' = phi(x), Sigma' = grad(phi) Sigma grad(phi)^T, equation (2).

    Parameters:
        means: [m, (N, 3)]
        covariances: [m^2, (N, 3, 3)]
        weights: [(N, J)]

    Returns:
        Means [m, (F, N, 3)] and covariances [m^2, (F, N, 3, 3)].
    """
    linear, shift = blend(weights, pose)
    return (linear @ means[:, :, None])[..., 0] + shift, linear @ covariances @ linear.transpose(-1, -2)


def covariances(rotations: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Sigma = R diag(s^2) R^T. [(N, 3, 3), m (N, 3) -> m^2 (N, 3, 3)]"""
    half = rotations * scales[:, None, :]
    return half @ half.transpose(-1, -2)
