"""Noise levels and the weight of the score."""

from __future__ import annotations

import pytest
import torch

from stages.distill.schedule import NoiseSchedule, weight


def test_bounds_move_linearly_over_the_first_part():
    schedule = NoiseSchedule((0.02, 0.98), (0.1, 0.5), 100, anneal=0.5)
    assert schedule.bounds(0) == (0.02, 0.98)
    assert schedule.bounds(25) == pytest.approx((0.06, 0.74))
    assert schedule.bounds(50) == schedule.bounds(99) == pytest.approx((0.1, 0.5))


def test_without_annealing_the_end_holds_from_the_start():
    assert NoiseSchedule((0.0, 1.0), (0.2, 0.4), 10, anneal=0).bounds(0) == (0.2, 0.4)


def test_draws_fill_the_range_evenly_and_repeat_with_the_seed():
    schedule = NoiseSchedule((0.2, 0.8), (0.2, 0.8), 10)
    draws = [schedule.draw(0, g) for g in [torch.Generator().manual_seed(3)] for _ in range(2000)]
    assert 0.2 <= min(draws) < 0.21 and 0.79 < max(draws) <= 0.8
    assert sum(draws) / len(draws) == pytest.approx(0.5, abs=0.02)
    assert draws[0] == schedule.draw(0, torch.Generator().manual_seed(3))


def test_weights():
    alpha, sigma = 0.6, 0.8
    assert weight("one", alpha, sigma) == 1
    assert weight("sigma2", alpha, sigma) == pytest.approx(0.64)
    assert weight("eps", alpha, sigma) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="cubic"):
        weight("cubic", alpha, sigma)
