"""Flags made from dataclasses, so that a flag, its default and its help exist once (DESIGN.md, contract 1).

A command is a function; every argument of it that is annotated with a dataclass whose fields come from
`schemas.params.param` or `option` turns into that dataclass's flags. A stage's command (it has Options and Params) gets the
values of akd.toml where no flag was given.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

from schemas.params import check, param

from .settings import applied


def option(default: Any, help: str, *, short: str = "", **rules: Any) -> Any:
    """Declare a field of the command line itself (not of a stage): never part of an artifact's parameters.

    Parameters:
        short: Another name of one letter, such as "-q".
        rules: As `schemas.params.param` takes them: choices, low, high, unit, flag.
    """
    declared = param(default, help, **rules).metadata
    return dataclasses.field(default=default, metadata={**declared, "short": short, "panel": "Where and how"})


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Expand the dataclass arguments of `function` into flags; the result is what Typer registers.

    A field without a help text is no flag.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    plain: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints.get(name, str)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            groups[name] = kind
        else:
            plain.append(parameter.replace(annotation=kind))
    flags = [flag for kind in groups.values() for flag in _flags(kind)]

    def call(context: typer.Context, **values: Any) -> Any:
        given = {name for name in values if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"}
        made = {}
        for name, kind in groups.items():
            made[name] = kind(**{field.name: values.pop(field.name) for field in _declared(kind)})
            check(made[name])
        if {"options", "params"} <= set(made):
            made["options"], made["params"] = applied(made["options"], made["params"], given, values.get("source"), values.get("prompt", ""))
        return function(**values, **made)

    arguments = [*plain, *flags, inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    call.__name__, call.__doc__, call.__module__ = function.__name__, function.__doc__, function.__module__
    call.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in arguments}
    return call


def flag_name(field: dataclasses.Field[Any]) -> str:
    """The long flag of a dataclass field, such as "--guidance-scale"."""
    return "--" + (field.metadata.get("flag", "").lstrip("-") or field.name.replace("_", "-"))


def _declared(kind: type) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def _flags(kind: type) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(kind)
    made = []
    for field in _declared(kind):
        rule, name = field.metadata, flag_name(field)
        annotation = hints[field.name]
        names = [name if not _is_switch(annotation) or rule.get("panel") else f"{name}/--no-{name[2:]}"]
        names += [rule["short"]] if rule.get("short") else []
        more = {"autocompletion": _completion(rule["choices"])} if rule.get("choices") else {}
        info = typer.Option(*names, help=help_text(rule), rich_help_panel=rule.get("panel", "Parameters"), metavar=_metavar(rule, annotation), **more)
        made.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[annotation, info]))
    return made


def _completion(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    """What the shell offers for a flag whose values are known."""

    def offered(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return offered


def _is_switch(annotation: Any) -> bool:
    return annotation is bool or set(typing.get_args(annotation)) == {bool, type(None)}


def _metavar(rule: Any, annotation: Any) -> str | None:
    if _is_switch(annotation):
        return None
    if rule.get("choices"):
        return "|".join(rule["choices"])
    return rule.get("unit") or None


def help_text(rule: Any) -> str:
    """The help sentence with its bounds, however the stage wrote it: a capital first, a full stop last."""
    low, high = rule.get("low"), rule.get("high")
    bounds = ""
    if low is not None and high is not None:
        bounds = f" From {low:g} to {high:g}."
    elif low is not None:
        bounds = f" At least {low:g}."
    elif high is not None:
        bounds = f" At most {high:g}."
    words = rule.get("help", "").strip()
    words = words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) else ".")
    return (words + bounds).strip()
