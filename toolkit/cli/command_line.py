"""Parse the command line, run the command and return its exit code."""

from __future__ import annotations

import re
from collections.abc import Sequence

import typer

from toolkit.cli import streams
from toolkit.cli.app import app
from toolkit.cli.failure import Failure, failure_from_error, print_failure
from toolkit.shell import quoted

__all__ = ["run"]

_UNREADABLE = re.compile(r"path '(.*)' is not readable\.$")


def run(arguments: Sequence[str]) -> int:
    """Run `edgekit ARGUMENTS...` and return the exit code."""
    streams.prepare()
    try:
        code = app(list(arguments), standalone_mode=False, prog_name="edgekit")
    except typer.Exit as stop:
        code = stop.exit_code
    except Exception as error:
        failure = _failure(error)
        if failure.message:  # empty after the help that `edgekit` alone prints
            print_failure(failure, as_json="--json" in arguments)
        code = failure.code
    return code if isinstance(code, int) else 0


def _failure(error: Exception) -> Failure:
    if not isinstance(error, typer.TyperException):
        return failure_from_error(error)
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "edgekit"
    message = " ".join(error.format_message().split())
    unreadable = _UNREADABLE.search(message)
    if unreadable:  # Typer takes it for wrong usage, but the file is what needs fixing
        name = unreadable[1]
        return Failure(f"{name} cannot be read: permission denied.", f"ls -ld {quoted(name)}", 1)
    if message and not message.endswith((".", "?", "!")):
        message += "."
    return Failure(message, f"{command} --help", error.exit_code)
