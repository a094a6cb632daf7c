"""The regularisers of the distillation objective: smoothness (9) and ground (10) of METHOD 6, and feet that stay put (ours)."""

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


def slide(feet: torch.Tensor, height: float) -> torch.Tensor:
    """How far feet on the ground move from frame to frame (ours), in hip heights, averaged over feet and frames.

    The lowest corner of a foot, about which it turns, has to stay where it is while it is on the ground: counted
    fully at or below y = 0, half at 3% of the hip height. How far a foot is on the ground carries no gradient, else
    feet would be lifted to be free.

    Parameters:
        feet: Corners of the legs' last cuboids. [m, (F, L, 8, 3)]
        height: Of the hips. [m]

    Returns:
        A scalar; 0 without feet or with a single frame.
    """
    if len(feet) < 2 or feet.shape[1] == 0:
        return feet.new_zeros(())
    low = feet[..., 1].detach().argmin(2)[..., None, None].expand(-1, -1, 1, 3)[:-1]
    here, later = feet[:-1].gather(2, low)[..., 0, :], feet[1:].gather(2, low)[..., 0, :]
    lift = torch.maximum(here[..., 1], later[..., 1]).detach().clamp(min=0) / (0.036 * height)
    moved = (later - here)[..., [0, 2]].square().sum(-1).add(1e-12).sqrt() / height
    return (torch.exp(-lift.square()) * moved).mean()
