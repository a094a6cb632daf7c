"""The regularisers of the distillation objective (METHOD 6): smoothness (9) and ground (10)."""

from __future__ import annotations

import torch


def smoothness(motion: torch.Tensor) -> torch.Tensor:
    """L_smooth, equation (9): mean |Theta_{i-1} - 2 Theta_i + Theta_{i+1}| over inner frames and variables.

    Parameters:
        motion: All motion variables, frames first. [rad and m, (F, D)]

    Returns:
        A scalar; 0 for fewer than three frames.
    """
    if len(motion) < 3:
        return motion.new_zeros(())
    return (motion[:-2] - 2 * motion[1:-1] + motion[2:]).abs().mean()


def ground(corners: torch.Tensor) -> torch.Tensor:
    """L_ground, equation (10): mean depth of the cuboid corners below y = 0. [m, (..., 3) -> m]"""
    return (-corners[..., 1]).clamp(min=0).mean()
