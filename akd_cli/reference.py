"""Keeps the parameter tables of docs/stages.md: `python -m akd_cli.reference` writes them from the commands' dataclasses."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from schemas.atomic import write_text
from stages.distill.priors.embedded.plan import Plan

from .chain import STAGES
from .flags import flag_name, help_text

PAGE = Path(__file__).resolve().parent.parent / "docs" / "stages.md"


def tables() -> dict[str, type]:
    """The parameters of every command that has a table, by its name."""
    return {stage: STAGES[stage].params() for stage in STAGES} | {"prior train": Plan}


def table(params: type) -> str:
    """Parameters as a Markdown table."""
    rows = ["| flag | default | what it is |", "| --- | --- | --- |"]
    for field in dataclasses.fields(params):
        rule = field.metadata
        default = "" if field.default in (None, "") else str(field.default).lower() if isinstance(field.default, bool) else f"{field.default}"
        unit = f" {rule['unit']}" if rule.get("unit") and default else ""
        choices = f" One of {', '.join(rule['choices'])}." if rule.get("choices") else ""
        cosmetic = "" if rule.get("invalidating", True) else " Does not change the result."
        words = (help_text(rule) + choices + cosmetic).replace("|", "\\|")
        rows.append(f"| `{flag_name(field)}` | {default}{unit} | {words} |")
    return "\n".join(rows)


def refreshed(page: str) -> str:
    """The page with every table between its markers written anew."""
    for name, params in tables().items():
        pattern = rf"(<!-- flags of {name} -->\n).*?(<!-- end -->)"
        if not re.search(pattern, page, re.S):
            raise ValueError(f"docs/stages.md has no place for the flags of {name}")
        page = re.sub(pattern, lambda match, params=params: f"{match[1]}{table(params)}\n{match[2]}", page, flags=re.S)
    return page


if __name__ == "__main__":
    write_text(PAGE, refreshed(PAGE.read_text(encoding="utf-8")))
