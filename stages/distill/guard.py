"""Stops a run that cannot become a motion any more: values that are not finite, exploding gradients, absurd motion."""

from __future__ import annotations

import math
import statistics
from collections import deque
from typing import TYPE_CHECKING, Any

import torch

from schemas.errors import InputError

from .parameterisation import LOCKED, SLACK

if TYPE_CHECKING:
    from pathlib import Path

    from .parameterisation import Frames

WINDOW, LEAST = 50, 20  # norms of gradients that are remembered, and how many there must be to judge by
# The bounds lie far above what healthy runs reach: 17 runs with both built-in priors, 5 bodies, 3 weightings, noise
# levels from 0.02 to 0.98, with and without modes and regularisers. Their largest values are given behind.
EXPLODED = 1e4  # norm of the gradient, relative to the median of those before; 24
FARTHEST = 2.0  # median distance of the root from where the camera looks, in body sizes; 0.2. The picture shows 1.4 sizes
FASTEST = 0.5  # mean turn of the free joint axes from one frame to the next [rad]; 0.12
PINNED = 0.8  # share of the joint angles at their limits, where they have no gradient; 0.02

REMEDY = "lower --learning-rate or --guidance-scale, or choose another --seed"


class Diverged(InputError):
    """The run cannot go on from here.

    Attributes:
        reason: Step, quantity and value, without file or way out.
        remedy: The way out.
    """

    def __init__(self, reason: str, remedy: str = REMEDY) -> None:
        super().__init__(f"distill stopped at {reason};", f"{remedy}.")
        self.reason, self.remedy = reason, remedy

    def saved(self, checkpoint: Path, motion: Path | None) -> Diverged:
        """The same, telling where the run up to here is kept."""
        kept = f"the motion before that is {motion}, its checkpoint {checkpoint}" if motion else "nothing was done before that"
        self.args = (f"distill stopped at {self.reason}; {kept}; {self.remedy}.",)
        return self


class Guard:
    """Watches one run. What it remembers belongs into the checkpoint: a resumed run must judge as if it had not stopped."""

    def __init__(self, start: torch.Tensor, size: float, limits: torch.Tensor) -> None:
        """Know the body.

        Parameters:
            start: Root positions of the start motion, which the camera follows. [m, (F, 3)]
            size: Of the body, see `scene.Framing`. [m]
            limits: Lowest and highest angle of each joint axis. [rad, (J, 3, 2)]
        """
        self.start, self.size = start.detach().clone(), size
        self.free = limits[..., 1] - limits[..., 0] > LOCKED
        self.low, self.high = (-limits[..., 0]).clamp(min=SLACK), limits[..., 1].clamp(min=SLACK)
        self.norms: deque[float] = deque(maxlen=WINDOW)

    def check_score(self, step: int, rms: float, pixels: float) -> None:
        """Raise Diverged unless the prior's answer and its gradient on the pixels are finite.

        Parameters:
            rms: Of latent minus clean estimate.
            pixels: Norm of the gradient on the pixels.
        """
        if not math.isfinite(rms):
            raise Diverged(f"step {step}: the prior's prediction is not finite (rms {rms})")
        if not math.isfinite(pixels):
            raise Diverged(f"step {step}: the gradient through the video encoder is not finite (norm {pixels})")

    def check_gradients(self, step: int, leaves: dict[str, torch.Tensor]) -> float:
        """Raise Diverged unless the gradients of the motion variables are finite and of the usual size; remembers their norm.

        Returns:
            The norm over all variables.
        """
        squares = 0.0
        for name, leaf in leaves.items():
            if leaf.grad is not None:
                check_finite(step, f"the gradient of {name}", leaf.grad)
                squares += float(leaf.grad.double().square().sum())
        norm = math.sqrt(squares)
        check_growth(step, norm, self.norms)
        self.norms.append(norm)
        return norm

    def check_motion(self, step: int, motion: Frames) -> None:
        """Raise Diverged where the motion before this step is none: not finite, the body out of the picture, joints too fast or all at their limits."""
        with torch.no_grad():
            for name, values in (("joint angles", motion.angles), ("root positions", motion.root_positions), ("root rotations", motion.root_vectors)):
                check_finite(step, f"one of the {name}", values)
            away = float((motion.root_positions - self.start).norm(dim=1).median()) / self.size
            angles = motion.angles[:, self.free]
            speed = float(angles.diff(dim=0).abs().mean()) if angles.numel() and len(angles) > 1 else 0.0
            bounds = torch.where(motion.angles < 0, self.low, self.high)[:, self.free]
            pinned = float((angles.abs() > 0.98 * bounds).float().mean()) if angles.numel() else 0.0
        if away > FARTHEST:
            raise Diverged(
                f"step {step}: the body has left the picture, its root is {away:.3g} body sizes from where the camera looks",
                REMEDY.replace("--learning", "--root-learning"),
            )
        if speed > FASTEST:
            raise Diverged(f"step {step}: the joints turn by {speed:.3g} rad from frame to frame in the mean")
        if pinned > PINNED:
            raise Diverged(f"step {step}: {100 * pinned:.0f}% of the joint angles are at their limits")

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"norms": list(self.norms)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.norms = deque((float(norm) for norm in state["norms"]), maxlen=WINDOW)


def check_finite(step: int, what: str, values: torch.Tensor) -> None:
    """Raise Diverged unless all values are finite; tells how many are not."""
    good = torch.isfinite(values)
    if not bool(good.all()):
        bad = values.detach()[~good]
        raise Diverged(f"step {step}: {what} is not finite ({float(bad[0])} in {len(bad)} of {values.numel()} values)")


def check_growth(step: int, norm: float, before: deque[float] | list[float]) -> None:
    """Raise Diverged if the norm of a gradient is beyond `EXPLODED` times the median of those before, once there are `LEAST`."""
    if len(before) < LEAST:
        return
    usual = statistics.median(before)
    if norm > EXPLODED * usual > 0:
        raise Diverged(f"step {step}: the gradient of the motion has exploded, its norm {norm:.3g} is {norm / usual:.3g} times the usual {usual:.3g}")
