"""Parameters know their bounds, and roles their words."""

from __future__ import annotations

import dataclasses

import pytest

from schemas.errors import InputError
from schemas.params import check, invalidating, param
from schemas.roles import is_leg, is_role, limb


@dataclasses.dataclass(frozen=True)
class Sample:
    rate: float | None = param(0.5, "Learning rate.", low=0, high=1)
    count: int = param(10, "How many.", low=1)
    weight_of: str = param("one", "Which.", choices=("one", "two"))
    device: str = param("cpu", "Where.", invalidating=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 2.0}, "--rate 2.0: must be between 0 and 1"),
        ({"rate": float("nan")}, "--rate nan"),
        ({"count": 0}, "--count 0: must be at least 1"),
        ({"weight_of": "three"}, "--weight-of three: not one of one, two"),
    ],
)
def test_values_outside_are_refused_by_name(change, message):
    with pytest.raises(InputError) as error:
        check(Sample(**change))
    assert message in str(error.value)


def test_values_inside_and_unset_are_accepted():
    check(Sample())
    check(Sample(rate=None))
    assert invalidating(Sample()) == {"rate": 0.5, "count": 10, "weight_of": "one"}


def test_roles():
    assert limb("left_fore_upper") == ("left", "fore", "upper")
    assert limb("spine") is None and not is_role("wheel") and is_role("right_leg3_foot")
    assert is_leg("left_hind_foot") and is_leg("right_leg8_upper") and not is_leg("left_arm_upper") and not is_leg("tail")
