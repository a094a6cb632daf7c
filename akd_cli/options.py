"""Flags that all stage commands share."""

from __future__ import annotations

import dataclasses

from .flags import option


@dataclasses.dataclass(frozen=True)
class Options:
    """Where a stage command reads and writes, and what it says."""

    workspace: str | None = option(None, "Folder of the artifacts (default: $AKD_WORKSPACE, else the one used last under runs/).", short="-w")
    output: str | None = option(None, "Also write the result here; the ending says which file.", short="-o")
    force: bool = option(False, "Run even if the result is fresh.", short="-f")
    quiet: bool = option(False, "No progress, no notes.", short="-q")
    json: bool = option(False, "One JSON object on stdout.")
    given: frozenset[str] | None = None
    """Names of the stage's parameters that were given by flags, None: those that differ from their defaults. No flag itself."""


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """What a command that only looks says."""

    quiet: bool = option(False, "No notes.", short="-q")
    json: bool = option(False, "One JSON object on stdout.")
