"""What the built-in prior sees of a body: kernels in part colours, unusual parts drawn as in the animals it learnt from.

There a foot begins low on the leg, at the wrist or hock, and no tail hangs before the hind legs. A horse has its "foot"
(cannon bone and hoof) from halfway up and a tail like a fifth leg; seen so, no walk came of it (docs/prior.md). Only the
picture changes: skeleton and motion do not.
"""

from __future__ import annotations

import torch

from schemas.rig import Rig

from .gait_legs import Leg, legs_of
from .scene import role_color, role_colors

_LONG = {"fore": 0.35, "hind": 0.40}  # of the leg: a foot that begins higher is long
_LOW = {"fore": 0.14, "hind": 0.12}  # of the leg: from there down a long foot has a foot's colour
_HANGING = 0.5  # of the hind leg: a tail whose tip is lower hangs,
_BESIDE = 0.5  # and hides the hind legs if its tip is no farther behind them


def part_colors(rig: Rig, means: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Colour of each kernel by the roles of its joints; the upper part of a long foot has the lower leg's.

    Parameters:
        means: At rest. [m, (N, 3)]
        weights: [(N, J)]

    Returns:
        [0..1, (N, 3)]
    """
    colors = role_colors(rig, weights)
    for leg in legs_of(rig):
        kind = leg.name.split("_")[1]
        if kind not in _LONG or leg.joints[2] is None or leg.points[2, 0] - leg.contact[0] < _LONG[kind] * leg.height:
            continue
        feet = [joint for joint in leg.chain if rig.roles[joint] == f"{leg.name}_foot"]
        change = weights.new_tensor(role_color(f"{leg.name}_lower")) - weights.new_tensor(role_color(f"{leg.name}_foot"))
        high = means[:, 1] > float(leg.contact[0]) + _LOW[kind] * leg.height
        colors = colors + (high * weights[:, feet].sum(1))[:, None] * change
    return colors


def shown(rig: Rig, weights: torch.Tensor) -> torch.Tensor:
    """Which kernels are drawn: all but those of a tail that hangs before the hind legs of a four-legged body. [bool, (N,)]"""
    legs = {leg.name: leg for leg in legs_of(rig)}
    tail = [joint for joint, role in enumerate(rig.roles) if role == "tail"]
    behind = [leg for name, leg in legs.items() if name.endswith("hind")]
    if not tail or not behind or not any(name.endswith("fore") for name in legs) or not _before(rig, tail[-1], behind[0]):
        return torch.ones(len(weights), dtype=torch.bool, device=weights.device)
    return weights[:, tail].sum(1) < 0.5


def _before(rig: Rig, tip: int, leg: Leg) -> bool:
    """Whether a tail's last bone ends low and near a leg."""
    low = float(rig.tails[tip, 1]) - float(leg.contact[0]) < _HANGING * leg.height
    return low and float(leg.points[:, 1].min()) - float(rig.tails[tip, 2]) < _BESIDE * leg.height
