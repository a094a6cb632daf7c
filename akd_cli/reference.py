"""Keeps what the documentation says about the code: `python -m akd_cli.reference` writes it from the code.

Between `<!-- KIND of NAME -->` and `<!-- end -->` stand: the flags of a command (docs/stages.md), the fields of an artifact
(docs/stages/*.md, all of them in docs/artifacts.md), what a command prints as JSON (docs/json.md).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer.main

from schemas.atomic import write_text
from stages.distill.priors.embedded.plan import Plan

from . import app
from .chain import STAGES
from .options import Options

DOCS = Path(__file__).resolve().parent.parent / "docs"
SHARED = {field.name for field in dataclasses.fields(Options)} | {"help"}
SCHEMAS = Path(__file__).resolve().parent.parent / "schemas" / "json"


def commands() -> dict[str, Any]:
    """Every command of the program by its name, such as "rig" or "prior train", as Typer made it."""
    top = typer.main.get_command(app.app).commands  # type: ignore[attr-defined]
    inner = {f"{name} {one}": command for name, group in top.items() for one, command in getattr(group, "commands", {}).items()}
    return {name: one for name, one in top.items() if not hasattr(one, "commands")} | inner


def table(name: str, command: Any) -> str:
    """Arguments and flags of a command as a Markdown table, without those that all commands share."""
    params = STAGES[name].params() if name in STAGES else Plan
    fields = {field.name: field for field in dataclasses.fields(params)} if name in STAGES or name == "prior train" else {}
    rows = ["| flag | default | what it is |", "| --- | --- | --- |"]
    for one in command.params:
        if one.name not in SHARED:
            field = fields.get(one.name)
            rows.append(_row(one, field.metadata if field else {}))
    return "\n".join(rows) if len(rows) > 2 else "No flags of its own."


def _row(one: Any, rule: Mapping[str, Any]) -> str:
    """A line of the table; `rule` is what a stage declares about its parameter."""
    name = f"`{one.name.upper()}`" if one.param_type_name == "argument" else ", ".join(f"`{flag}`" for flag in one.opts)
    values = one.metavar or ""
    values = values if "|" in values and values == values.lower() else ""  # "FOLDER|shipped" names no values
    silent = one.default in (None, "") or (one.default is False and not rule)
    default = "" if silent else str(one.default).lower() if isinstance(one.default, bool) else str(one.default)
    unit = f" {rule['unit']}" if rule.get("unit") and default else ""
    choices = f" One of {', '.join(values.split('|'))}." if values else ""
    cosmetic = "" if rule.get("invalidating", True) else " Does not change the result."
    words = one.help if one.help.endswith((".", "?", "!")) else f"{one.help}."
    return f"| {name} | {default}{unit} | {(words + choices + cosmetic).replace('|', chr(92) + '|')} |"


def artifacts() -> str:
    """What every stage reads and writes as a Markdown table."""
    rows = ["| stage | reads | artifact | schema | files for other programs |", "| --- | --- | --- | --- | --- |"]
    for stage in STAGES.values():
        kind = stage.artifact_class()
        schema = f"{kind.SCHEMA} {kind.VERSION}" if hasattr(kind, "SCHEMA") else f"akd.{stage.name}"
        views = ", ".join(f"`{name}`" for name in stage.views)
        rows.append(f"| [{stage.name}](stages/{stage.name}.md) | {', '.join(stage.needs) or 'a model file'} | `{stage.artifact}` | {schema} | {views} |")
    return "\n".join(rows)


def fields(artifact: type) -> str:
    """The fields of an artifact as a Markdown table: type, shape and bounds from their declarations, the meaning from the docstring."""
    meaning = attributes(artifact)
    rows = [f"Schema `{artifact.SCHEMA}`, version {artifact.VERSION}.", "", "| field | type | shape | what it is |", "| --- | --- | --- | --- |"]
    for field in dataclasses.fields(artifact):
        rule = field.metadata
        if "kind" not in rule:
            continue
        kind = {"array": str(rule.get("dtype", "")), "json": "JSON", "number": "float64"}.get(rule["kind"], rule["kind"])
        shape = " x ".join(map(str, rule.get("shape", ()))) or "one"
        optional = " It may be missing." if rule.get("optional") else ""
        words = (meaning.get(field.name, "").rstrip(".") + "." + optional).replace("|", "\\|")
        rows.append(f"| `{field.name}` | {kind} | {shape} | {_sentence(words)} |")
    return "\n".join(rows)


def _sentence(words: str) -> str:
    """With a capital first, but for names such as sRGB."""
    return words if re.match(r"[a-z]+[A-Z]", words) else words[:1].upper() + words[1:]


def attributes(artifact: type) -> dict[str, str]:
    """What the docstrings of an artifact and of its bases say of each field, with its unit."""
    found: dict[str, str] = {}
    for kind in reversed(artifact.__mro__):
        names: list[str] = []
        for line in (kind.__doc__ or "").partition("Attributes")[2].splitlines():
            entry = re.match(r" {8}(\w+(?:, \w+)*): (.*)", line)
            if entry:
                names = entry[1].split(", ")
                found.update(dict.fromkeys(names, entry[2]))
            elif names and line.startswith(" " * 12):
                found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return {name: _with_unit(words) for name, words in found.items()}


def _with_unit(words: str) -> str:
    """ "Rest bone tips. [m, (J, 3)]" -> "Rest bone tips, m": the shape has a column of its own."""
    text, bracket, inside = words.rpartition("[") if re.search(r"\[[^\[\]{}]*\]\.?$", words) else (words, "", "")
    units = [part for part in re.sub(r"\([^)]*\)|\b(optional|uint8)\b|\]\.?$", "", inside).split(",") if part.strip()]
    return text.strip().rstrip(".") + (f", {', '.join(part.strip() for part in units)}" if units and text.strip() else ", ".join(units))


def outline(name: str) -> str:
    """A JSON schema of schemas/json as a Markdown table."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    rows = [schema["description"], "", "| key | type | what it is |", "| --- | --- | --- |"]
    return "\n".join([*rows, *_outline(schema, "")])


def _outline(schema: dict[str, Any], prefix: str) -> list[str]:
    rows = []
    needed = set(schema.get("required", ()))
    for key, entry in schema.get("properties", {}).items():
        words = entry.get("description", "") + ("" if key in needed or prefix else " Not always there.")
        words += f" One of {', '.join(map(str, entry['enum']))}." if "enum" in entry else ""
        rows.append(f"| `{prefix}{key}` | {_type(entry)} | {words.strip()} |".replace("  ", " "))
        inner = entry.get("items", entry)
        if isinstance(inner.get("additionalProperties"), dict) and "properties" in inner["additionalProperties"]:
            rows += _outline(inner["additionalProperties"], f"{prefix}{key}.*.")
        rows += _outline(inner, f"{prefix}{key}{'[]' if 'items' in entry else ''}.")
    return rows


def _type(entry: dict[str, Any]) -> str:
    kind = entry.get("type", "any")
    names = " or ".join(kind) if isinstance(kind, list) else kind
    return f"{names} of {_type(entry['items'])}s" if kind == "array" and entry.get("items", {}).get("type") else names


def blocks() -> dict[str, dict[str, Callable[[], str]]]:
    """What is written where: page -> name of the block -> its text."""
    found: dict[str, dict[str, Callable[[], str]]] = {
        "stages.md": {f"flags of {name}": lambda name=name, one=one: table(name, one) for name, one in commands().items()}
    }
    found["artifacts.md"] = {"artifacts of stages": artifacts}
    for stage in STAGES.values():
        if stage.artifact.endswith(".h5"):
            found[f"stages/{stage.name}.md"] = {f"fields of {stage.name}": lambda stage=stage: fields(stage.artifact_class())}
    found["json.md"] = {f"json of {path.stem}": lambda path=path: outline(path.stem) for path in sorted(SCHEMAS.glob("*.json"))}
    return found


def refreshed(page: str, name: str = "stages.md") -> str:
    """A page with every block between its markers written anew.

    Raises:
        ValueError: The page has no place for a block.
    """
    for block, text in blocks()[name].items():
        pattern = rf"(<!-- {block} -->\n).*?(<!-- end -->)"
        if not re.search(pattern, page, re.S):
            raise ValueError(f"docs/{name} has no place for the {block}: <!-- {block} --> and <!-- end -->")
        page = re.sub(pattern, lambda match, text=text: f"{match[1]}{text()}\n{match[2]}", page, flags=re.S)
    return page


if __name__ == "__main__":
    for _name in blocks():
        write_text(DOCS / _name, refreshed((DOCS / _name).read_text(encoding="utf-8"), _name))
