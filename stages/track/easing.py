"""The optimisation begins in an easier world: softer ground for large bodies, and upright help that fades where it is not needed."""

from __future__ import annotations

from .params import Params

RAMP = 0.6
"""After this share of the iterations the world stays as it is; the best iterate is looked for only there."""
_CALM = 0.035
"""A body whose corners are so near to the target holds itself, and its help fades. [standing heights, rms]"""
_WORSE = 1.25
"""While the corners are farther from the target than so many times the best so far, help does not fade."""
_FADING = 0.6
"""Share of the ramp in which the help of a body that is always calm fades to its least."""


def hardness(iteration: int, iterations: int) -> float:
    """How far the world is on its way from the easier to the real one. [0..1]"""
    return min(1.0, iteration / (RAMP * iterations)) if iterations > 0 else 1.0


def settles(iteration: int, iterations: int) -> bool:
    """Whether the world is the real one at an iteration and was not before: losses from here on compare with each other."""
    return hardness(iteration, iterations) == 1 and iteration > 0 and hardness(iteration - 1, iterations) < 1


def faded(left: float, away: float, least: float, iteration: int, params: Params) -> float:
    """The share of the upright help that is left after an iteration.

    It shrinks geometrically towards `params.fade` while the body holds itself, waits while that costs accuracy, grows twice
    as fast while the body is far off, and stays once the world is the real one.

    Parameters:
        left: Share so far. [0..1]
        away: Root mean squared distance of the corners from the target. [standing heights]
        least: The least of it so far. [standing heights]
    """
    if hardness(iteration, params.iterations) == 1 or params.fade >= 1:
        return left
    floor = max(params.fade, 1e-3)
    rate = floor ** (1 / (_FADING * RAMP * params.iterations))
    if away >= _CALM:
        left /= rate**2
    elif away <= _WORSE * least:
        left *= rate
    return min(max(left, floor), 1.0)
