"""Stage parameters: one frozen dataclass per stage, from which the command line makes its flags (DESIGN.md, contract 1)."""

from __future__ import annotations

import dataclasses
import re
from typing import Any


def param(
    default: Any,
    help: str,
    *,
    unit: str = "",
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    invalidating: bool = True,
    flag: str = "",
) -> Any:
    """Declare a parameter: default, help, unit, allowed values or inclusive bounds (of a str: a number between them, or the default).

    `invalidating` parameters change the result, so that an artifact made with another value is stale; cosmetic ones
    (invalidating=False) do not. `flag` overrides the flag's name (default: the field's name with dashes).
    """
    metadata = {"help": help, "unit": unit, "choices": choices, "low": low, "high": high, "invalidating": invalidating, "flag": flag}
    return dataclasses.field(default=default, metadata=metadata)


def check(params: Any) -> None:
    """Raise InputError if a value is outside its choices or bounds."""
    from .errors import InputError

    for field in dataclasses.fields(params):
        value, rule = getattr(params, field.name), field.metadata
        name = "--" + (rule.get("flag") or field.name.replace("_", "-"))
        if rule.get("choices") and value not in rule["choices"] and not (value is None and field.default is None):
            raise InputError(f"{name} {value}: not one of {', '.join(rule['choices'])}.")
        low, high = rule.get("low"), rule.get("high")
        bounded = isinstance(value, str) and low is not None and value != field.default
        if bounded and not (re.fullmatch(r"\d{1,18}", value) and low <= int(value) <= high):
            raise InputError(f"{name} {value}: must be {field.default} or a number between {low} and {high}.")
        if value is None or isinstance(value, (str, bool)):
            continue
        if value != value or (low is not None and value < low) or (high is not None and value > high):
            unit = f" {rule['unit']}" if rule.get("unit") else ""
            raise InputError(
                f"{name} {value}: must be between {low} and {high}{unit}." if high is not None else f"{name} {value}: must be at least {low}{unit}."
            )


def invalidating(params: Any) -> dict[str, Any]:
    """The parameters that change the result, as a dict of JSON values."""
    return {f.name: getattr(params, f.name) for f in dataclasses.fields(params) if f.metadata.get("invalidating", True)}
