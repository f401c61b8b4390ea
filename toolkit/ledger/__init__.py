"""`edgekit ledger`: timed runs in one file, compared only with their like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.errors import InputError
from toolkit.ledger.difference import Difference, difference_between
from toolkit.ledger.entry import Entry, Settings
from toolkit.ledger.file import append_entries, read_ledger
from toolkit.ledger.sources import entries_from_file
from toolkit.shell import quoted

__all__ = ["Difference", "Entry", "Settings", "add", "diff", "entry_called", "read_ledger"]


def add(ledger: Path, files: Sequence[Path], *, log: Path | None = None) -> tuple[Entry, ...]:
    """Append the runs in `files` and return those that were not in the ledger yet.

    All files are read before anything is written. `log` is the log of trtexec for its times.
    Raises what `entries_from_file` and `append_entries` raise.
    """
    entries = [entry for path in files for entry in entries_from_file(path, log=log)]
    return append_entries(ledger, entries)


def diff(ledger: Path, a: str, b: str, *, allow_unlike: bool = False) -> Difference:
    """Return how many times as long run `b` takes as run `a`, both named by the start of an id.

    Raises InputError for unlike runs, unless told, and says what differs.
    """
    entries = read_ledger(ledger)
    first, second = (entry_called(entries, name, ledger=ledger) for name in (a, b))
    found = difference_between(first, second)
    if found.unlike and not allow_unlike:
        raise InputError(
            f"{first.id} and {second.id} are unlike runs: {'; '.join(found.unlike)}.",
            next_command=f"edgekit ledger diff {first.id} {second.id} --ledger {quoted(ledger)} "
            "--allow-unlike",
        )
    return found


def entry_called(entries: Sequence[Entry], name: str, *, ledger: Path) -> Entry:
    """Return the only entry whose id starts with `name`. Raises InputError for none or several."""
    found = [entry for entry in entries if name and entry.id.startswith(name)]
    if len(found) != 1:
        raise InputError(
            f"{len(found) or 'No'} runs in {ledger} have an id that starts with {name!r}.",
            next_command=f"edgekit ledger list --ledger {quoted(ledger)}",
        )
    return found[0]
