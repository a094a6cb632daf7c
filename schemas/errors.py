"""Errors a user can act on. Each names the file, the value and the way out (DESIGN.md, contract 5)."""

from __future__ import annotations


class AkdError(Exception):
    """Bad input or environment: one clear line for the user, exit code 2. Anything else is a bug.

    Parameters:
        message: What is wrong, naming the file and the value.
        hint: The way out, appended after a semicolon-free pause.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip() if hint else message)
        self.message = message
        self.hint = hint


class InputError(AkdError):
    """A file, value or flag given by the user cannot be used."""


class SchemaError(AkdError):
    """A file is not the artifact it should be: wrong schema, version, shape, or damaged."""


class MissingError(AkdError):
    """Something that must be there (an artifact, a model, an optional package, a device) is not."""


class StorageError(AkdError):
    """The result could not be written: no space, no permission, read-only medium."""
