"""akd.toml: values for flags that are not given, in the current folder and in the workspace (docs/config.md).

    device = "cpu"            # on top: of every stage that has such a parameter, and quiet
    [distill]
    iterations = 200

Flags win over the workspace's file, that over the current folder's, that over the defaults.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import re
import stat
import typing
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.errors import AkdError, InputError
from schemas.params import check

NAME = "akd.toml"
MAX_BYTES = 2**16  # every parameter with a comment takes a fifth of it
COMMON = ("device", "seed")
"""Keys on top that go to every stage with a parameter of that name."""
QUIET = "quiet"


@dataclasses.dataclass(frozen=True)
class Value:
    """A value from a file."""

    value: Any
    file: Path


@dataclasses.dataclass(frozen=True)
class Settings:
    """Parameters of a stage, and the names of those that were given by flags and of those that come from akd.toml."""

    params: Any
    given: frozenset[str] = frozenset()
    configured: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Config:
    """What the files say.

    Attributes:
        files: Those that were read, the ones that win last.
        values: By stage and parameter.
        quiet: None where no file says so.
    """

    files: tuple[Path, ...] = ()
    values: Mapping[str, Mapping[str, Value]] = dataclasses.field(default_factory=dict)
    quiet: bool | None = None

    def of(self, stage: str) -> Mapping[str, Value]:
        """The values for a stage."""
        return self.values.get(stage, {})

    def settings(self, stage: str, params: Any, given: Collection[str] | None = None) -> Settings:
        """Fill what was not given by hand from the files.

        Parameters:
            given: Names of what was given by hand, None: of what differs from its default. One that is given at its
                default counts only where a file says something about it.
        """
        changed = {field.name for field in dataclasses.fields(params) if getattr(params, field.name) != field.default}
        values, given = self.of(stage), changed if given is None else set(given)
        configured = set(values) - given
        params = dataclasses.replace(params, **{name: values[name].value for name in configured})
        return Settings(params, frozenset(changed - configured | given & set(values)), frozenset(configured))


def read(workspace: Path | None = None) -> Config:
    """Read akd.toml of the current folder, and over it that of a workspace.

    Raises:
        InputError: A file cannot be read, or says what does not exist; names file, key, value and what is allowed.
    """
    found: dict[str, dict[str, Value]] = {}
    quiet, files = None, []
    for path in _places(workspace):
        content = _content(path)
        files.append(path)
        said = content.pop(QUIET, None)
        if said is not None and not isinstance(said, bool):
            raise InputError(f"{path}: {QUIET} = {_text(said)}: must be true or false.")
        quiet = quiet if said is None else said
        for stage, name, value in _entries(path, content):
            found.setdefault(stage, {})[name] = Value(value, path)
    return Config(tuple(files), found, quiet)


def applied(options: Any, params: Any, given: Collection[str], source: str | None, prompt: str) -> tuple[Any, Any]:
    """Options and Params of a stage command with the values of akd.toml where no flag was `given`.

    Parameters:
        source, prompt: What else tells the workspace.
    """
    from .workspace import resolve

    if options.workspace:
        workspace: Path | None = Path(options.workspace)
    else:
        try:
            workspace = resolve(None, source, prompt, write=True)[0].root
        except AkdError:  # the command itself says what is wrong with it
            workspace = None
    found = read(workspace)
    names = {field.name for field in dataclasses.fields(params)}
    settings = found.settings(type(params).__module__.split(".")[1], params, names & set(given))
    quiet = options.quiet if QUIET in given or found.quiet is None else found.quiet
    return dataclasses.replace(options, quiet=quiet, given=names & frozenset(given)), settings.params


def sections() -> dict[str, type]:
    """The Params class of every stage that has a section."""
    from .chain import STAGES

    return {name: stage.params() for name, stage in STAGES.items()}


def key_of(field: dataclasses.Field[Any]) -> str:
    """How a parameter is called in the file: as its flag."""
    from .flags import flag_name

    return flag_name(field).removeprefix("--")


def template() -> str:
    """An akd.toml with every key as a comment, at its default."""
    from .flags import help_text

    kinds = sections()
    lines = ["# akd.toml: values for flags that are not given; docs/config.md", "", '#device = "auto"', "#seed = 0", "#quiet = false"]
    for stage, kind in kinds.items():
        lines += ["", f"[{stage}]"]
        for field in dataclasses.fields(kind):
            default = "..." if field.default is None else _text(field.default)
            choices = f" One of {', '.join(field.metadata['choices'])}." if field.metadata.get("choices") else ""
            lines += [f"# {help_text(field.metadata)}{choices}", f"#{key_of(field)} = {default}"]
    return "\n".join(lines) + "\n"


def _places(workspace: Path | None) -> Iterator[Path]:
    seen = set()
    for folder in (Path(), workspace):
        if folder is not None and folder.resolve() not in seen and os.path.lexists(folder / NAME):
            seen.add(folder.resolve())
            yield folder / NAME


def _content(path: Path) -> dict[str, Any]:
    """The tables of a file: a regular one, in its folder, of bounded size."""
    import tomllib

    try:
        if path.resolve().parent != path.parent.resolve():
            raise InputError(f"{path}: is a link out of its folder;", "put a copy there instead.")
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is not a file;", "move it away.")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{path}: is larger than {MAX_BYTES // 1024} KB;", "akd config --template shows what belongs there.")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror});", "mend it or delete it.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not TOML ({str(error)[:200]});", "akd config --template shows what belongs there.") from error


def _entries(path: Path, content: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(stage, parameter, value) of all keys; those on top come first, so that sections win."""
    kinds = sections()
    for key, value in sorted(content.items(), key=lambda entry: isinstance(entry[1], dict)):
        if key in kinds and isinstance(value, dict):
            for name, one in value.items():
                yield key, *_checked(path, key, kinds[key], name, one)
        elif key in COMMON and not isinstance(value, dict):
            for stage, kind in kinds.items():
                if key in {field.name for field in dataclasses.fields(kind)}:
                    yield stage, *_checked(path, "", kind, key, value)
        else:
            what = f"[{_name(key)}] is no section" if isinstance(value, dict) else f"{_name(key)} = {_text(value)} is no key on top"
            allowed = f"sections are {', '.join(kinds)}; keys on top are {', '.join((*COMMON, QUIET))}."
            raise InputError(f"{path}: {what}{_meant(key, [*kinds, *COMMON, QUIET])};", allowed)


def _checked(path: Path, section: str, kind: type, key: str, value: Any) -> tuple[str, Any]:
    """Name and value of a parameter, of the type and within the bounds of its declaration."""
    fields = {key_of(field): field for field in dataclasses.fields(kind)}
    field = fields.get(key.replace("_", "-"))
    shown = f"{path}: {f'[{section}] ' if section else ''}{_name(key)} = {_text(value)}"
    if field is None:
        raise InputError(f"{shown} is no parameter{_meant(key.replace('_', '-'), list(fields))};", f"those of {section} are {', '.join(fields)}.")
    wanted = typing.get_type_hints(kind)[field.name]
    value, words = _typed(value, wanted, field.metadata)
    if words:
        raise InputError(f"{shown}: must be {words}.")
    try:
        check(kind(**{field.name: value}))
    except AkdError as error:
        raise InputError(f"{shown}: {str(error).partition(': ')[2]}") from None
    return field.name, value


def _typed(value: Any, annotation: Any, rule: Mapping[str, Any]) -> tuple[Any, str]:
    """The value as its parameter's type, or what it must be instead."""
    kinds = [kind for kind in typing.get_args(annotation) or (annotation,) if kind is not type(None)]
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if bool in kinds:
        return value, "" if isinstance(value, bool) else "true or false"
    if float in kinds:
        return float(value) if number else value, "" if number else "a number"
    if int in kinds:
        return value, "" if number and isinstance(value, int) else "a whole number"
    if number and isinstance(value, int) and rule.get("low") is not None:  # "auto" or a number
        return str(value), ""
    return value, "" if isinstance(value, str) else 'a text in ""'


def _meant(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f" (meant: {close[0]}?)" if close else ""


def _name(key: str) -> str:
    """A key as the file has it; quoted, and cut short, where it is odd."""
    return key if re.fullmatch(r"[\w-]{1,60}", key, re.ASCII) else _text(key)


def _text(value: Any) -> str:
    """A value as TOML writes it, in printable characters, cut short."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
