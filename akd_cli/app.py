"""The `akd` program: its commands, and the one place that turns an AkdError into a message and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence

import typer

from schemas.errors import AkdError

from . import asset, config, distill, doctor, evaluate, inspect, prior, render, rig, skin, splat, status, track, view
from .flags import command

STEPS, LOOK, LEARN = "Stages, in order", "Look and check", "Video models"
COMMANDS = (
    (asset, STEPS),
    (rig, STEPS),
    (skin, STEPS),
    (splat, STEPS),
    (distill, STEPS),
    (track, STEPS),
    (render, STEPS),
    (view, LOOK),
    (evaluate, LOOK),
    (inspect, LOOK),
    (status, LOOK),
    (config, LOOK),
    (doctor, LOOK),
)
GROUPS = ((prior, LEARN),)
"""Modules whose `COMMANDS` hang under one name; their `EXAMPLES` are by command."""

app = typer.Typer(
    name="akd",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: akd distill --prompt 'a tiger walking', then akd track and akd render.",
    help="Animate a static 3D asset from a sentence: skeleton, skin, Gaussians, motion, physics, video.",
)


def _epilog(examples: Sequence[str]) -> str:
    return "**Examples**\n\n" + "\n\n".join(f"`{example}`" for example in examples)


for _module, _panel in COMMANDS:
    _name = _module.__name__.rsplit(".", 1)[1]
    app.command(_name, epilog=_epilog(_module.EXAMPLES), rich_help_panel=_panel)(command(getattr(_module, _name)))
for _module, _panel in GROUPS:
    _group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", epilog=_epilog([_e for _few in _module.EXAMPLES.values() for _e in _few]))
    for _function in _module.COMMANDS:
        _group.command(_function.__name__, epilog=_epilog(_module.EXAMPLES[_function.__name__]))(command(_function))
    app.add_typer(_group, name=_module.__name__.rsplit(".", 1)[1], help=_module.HELP, rich_help_panel=_panel)


@app.callback(invoke_without_command=True)
def _start(version: bool = typer.Option(False, "--version", help="Show the version and stop.", is_eager=True)) -> None:
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            print(f"akd {installed('akd')}")
        except PackageNotFoundError:
            print("akd (not installed)")
        raise typer.Exit()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and leave with its exit code: 0, 2 for what the user can mend, 1 for a bug.

    Ctrl-C, a polite kill and a closed terminal end it alike, a checkpoint saved first: 130, 143, 129.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    with _signals() as received:
        try:
            code = app(None if arguments is None else list(arguments), prog_name="akd", standalone_mode=False)
            if code == 130:
                return _interrupted(received)
            return code if isinstance(code, int) else 0
        except AkdError as error:
            return _complain(str(error), error.exit_code)
        except (KeyboardInterrupt, typer.Abort):
            return _interrupted(received)
        except BrokenPipeError:  # the reader of our stdout went away, such as `akd inspect ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except Exception as error:
            if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # usage errors of Typer, whichever click it carries
                context = getattr(error, "ctx", None)
                if type(error).__name__ == "NoArgsIsHelpError":
                    print(error.format_message())
                    return 2
                return _complain(error.format_message(), 2, f"see {context.command_path if context else 'akd'} --help.")
            traceback.print_exc()
            return 1


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Let a polite kill and a closed terminal act as Ctrl-C does; yields the list of those that came.

    A second one while the first is answered changes nothing: whoever is in a hurry kills for good (kill -9), which
    loses what was done since the last checkpoint.
    """
    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        if len(received) == 1:
            raise KeyboardInterrupt

    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {}
    if threading.current_thread() is threading.main_thread():  # only there can handlers be set
        # nohup and services have a signal ignored on purpose
        before = {number: signal.signal(number, stop) for number in wanted if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _complain(message: str, code: int, hint: str = "") -> int:
    print("akd: " + " ".join(f"{message} {hint}".split()), file=sys.stderr)
    return code


def _interrupted(received: Sequence[int]) -> int:
    how = {getattr(signal, "SIGTERM", 0): "terminated", getattr(signal, "SIGHUP", 0): "terminal closed"}.get(received[0], "") if received else ""
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"akd: {how or 'interrupted'}; the old artifact is intact, run again to resume", file=sys.stderr)
    return 128 + received[0] if received else 130
