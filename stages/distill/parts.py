"""Parts of a body by name, role or pattern: which joints are frozen, and how strongly others are held at their start."""

from __future__ import annotations

import fnmatch
import math

import torch

from schemas.errors import InputError
from schemas.rig import Rig

_SHOWN = 12  # names that an error lists


def joints_like(rig: Rig, pattern: str, flag: str) -> list[int]:
    """The joints whose name or role is, or matches, a pattern with * and ?, whatever the case.

    Raises:
        InputError: There is none.
    """
    wanted = pattern.strip().lower()
    named = [(name.lower(), role.lower()) for name, role in zip(rig.joint_names, rig.roles, strict=True)]
    found = [j for j, both in enumerate(named) if wanted and any(wanted == one or fnmatch.fnmatchcase(one, wanted) for one in both if one)]
    if not found:
        known = sorted({role for role in rig.roles if role} or set(rig.joint_names))
        listed = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
        raise InputError(f"{flag} '{pattern.strip()}': no joint of rig '{rig.name}' has this name or role;", f"it has {listed}.")
    return found


def frozen(rig: Rig, text: str) -> torch.Tensor:
    """Which joints "tail*,head" names. [bool, (J,)]

    Raises:
        InputError: A pattern matches no joint.
    """
    mask = torch.zeros(rig.joint_count, dtype=torch.bool)
    for pattern in _entries(text):
        mask[joints_like(rig, pattern, "--freeze")] = True
    return mask


def held(rig: Rig, text: str) -> torch.Tensor:
    """Weight of each joint by "tail*=2,neck=0.5"; a later entry replaces an earlier one. [(J,)]

    Raises:
        InputError: A pattern matches no joint, or a weight is no number of at least 0.
    """
    weights = torch.zeros(rig.joint_count)
    for entry in _entries(text):
        pattern, equals, value = entry.rpartition("=")
        try:
            weight = float(value) if equals else math.nan
        except ValueError:
            weight = math.nan
        if not 0 <= weight <= 1e6:
            raise InputError(f"--hold '{entry}': is not of the form PATTERN=WEIGHT with a weight from 0 to 1000000, such as 'tail*=2'.")
        weights[joints_like(rig, pattern, "--hold")] = weight
    return weights


def hold(away: torch.Tensor, turned: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean square over time of the angles from the start, summed over joints. [rad^2]

    Parameters:
        away: Joint angles less those of the start; the root's row is zero. [rad, (F, J, 3)]
        turned: The same of the root's rotation vector. [rad, (F, 3)]
        weights: [(J,)]
    """
    return (weights * away.square().mean((0, 2))).sum() + weights[0] * turned.square().mean()


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]
