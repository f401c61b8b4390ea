"""What a command ends with: one result line or one JSON object, and the exit code.

0 done, 1 the user can fix it, 2 usage, 3 ran and the verdict is no or undecided, 70 internal error.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ParamSpec

import typer

from toolkit.cli.failure import failure_from_error, print_failure
from toolkit.cli.streams import plain, write_result

__all__ = ["Outcome", "verb"]

P = ParamSpec("P")


@dataclass(frozen=True)
class Outcome:
    """`line` goes to stdout (a path and the number that matters), or `values` with --json.

    `details` are further lines for people, on stderr.
    """

    line: str
    values: dict[str, Any] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    exit_code: int = 0


def verb(function: Callable[P, Outcome]) -> Callable[P, None]:
    """Turn a function that returns an Outcome into a command that prints it and exits."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        try:
            outcome = function(*args, **kwargs)
            _print(outcome, as_json=as_json)
        except typer.Exit:
            raise
        except (KeyboardInterrupt, Exception) as error:
            failure = failure_from_error(error)
            print_failure(failure, as_json=as_json)
            raise typer.Exit(failure.code) from error
        raise typer.Exit(outcome.exit_code)

    return run


def _print(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        write_result(json.dumps(outcome.values) + "\n")
        return
    if outcome.line:
        write_result(plain(outcome.line, keep="\n") + "\n")
    for detail in outcome.details:
        print(plain(detail, keep="\n"), file=sys.stderr)
