"""Named sets of values: how the same prior is used by whoever has a night, an hour or a laptop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .priors.base import PriorSpec

# The paper: 10000 iterations, half of them annealing, one value per frame and variable, plain SDS.
PAPER: dict[str, Any] = {
    "iterations": 10000, "anneal": 0.5, "modes": 0, "unfold": 0.0, "estimator": "sds", "refresh": 1, "t_min": 0.02, "t_max": 0.98, "t_min_end": 0.02,
    "t_max_end": 0.5, "lambda_slide": 0.0, "trunk_rate": 1.0, "lateral_rate": 1.0, "blur": 0.0,
}  # fmt: skip

# An hour on one large GPU: low-frequency variables take larger steps, so a sixth of the iterations; stops when converged.
FAST: dict[str, Any] = {
    "iterations": 1500, "anneal": 0.7, "modes": 16, "unfold": 0.3, "learning_rate": 0.015, "root_learning_rate": 0.0075, "trunk_rate": 0.5,
    "lateral_rate": 0.5, "tolerance": 0.001, "refresh": 2,
}  # fmt: skip

# What the built-in prior does, and a large one on a small clip.
LAPTOP: dict[str, Any] = {
    "iterations": 300, "anneal": 0.7, "modes": 8, "unfold": 0.0, "learning_rate": 0.03, "root_learning_rate": 0.01, "trunk_rate": 0.25, "lateral_rate": 0.25,
}  # fmt: skip
SMALL_CLIP: dict[str, Any] = {"frames": 17, "height": 256, "width": 384}


def choose(name: str, spec: PriorSpec) -> str:
    """The preset that "auto" stands for: laptop for priors of one small clip size, else the paper's."""
    return name if name != "auto" else "laptop" if spec.size_multiple == 0 else "paper"


def values(name: str, spec: PriorSpec) -> dict[str, Any]:
    """What a preset sets for a prior, where the user gave nothing. The built-in prior's own values are its laptop preset."""
    name = choose(name, spec)
    if name == "paper":
        return PAPER
    if spec.size_multiple == 0:
        return {} if name == "laptop" else {"tolerance": FAST["tolerance"]}
    return FAST if name == "fast" else LAPTOP | SMALL_CLIP
