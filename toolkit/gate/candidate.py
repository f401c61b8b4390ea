"""Which engine a gate judges: the one that is named, or the only one that is no float reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import InputError
from toolkit.report.run_files import RunFiles
from toolkit.shell import quoted

__all__ = ["Candidate", "candidate_in"]


@dataclass(frozen=True)
class Candidate:
    """An engine file that the records speak of; `precision` is "" where no record says it."""

    name: str
    digest: str
    precision: str = ""


def candidate_in(found: RunFiles, *, engine: str | None) -> Candidate:
    """Return the engine called `engine` (path, file name or the start of its SHA-256).

    Without a name, the only one that is not fp32. Raises InputError when that leaves none or many.
    """
    known: dict[str, Candidate] = {}
    for each in _mentioned(found):
        if each.digest not in known or not known[each.digest].precision:
            known[each.digest] = each
    if not known:
        raise InputError(
            "The records speak of no engine: there is nothing to judge.",
            next_command="edgekit measure ENGINE --out FILE.latency.json",
        )
    if engine is not None:
        chosen = [each for each in known.values() if _is_called(each, engine)]
    else:
        compared = {paired.before_digest for paired in found.comparisons}
        chosen = [
            each
            for each in known.values()
            if each.precision != "fp32" and each.digest not in compared
        ] or list(known.values())
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(sorted({each.name for each in chosen or known.values()}))
    what = f"no engine called {engine}" if engine and not chosen else f"{len(chosen)} engines"
    first = next(iter(chosen or known.values()))
    raise InputError(
        f"The records hold {what} to judge, of these: {names}.",
        next_command=f"edgekit gate RUNS --engine {quoted(first.name)}",
    )


def _mentioned(found: RunFiles) -> Iterator[Candidate]:
    for run in found.latencies:
        if run.backend != "fake":
            yield Candidate(Path(run.engine).name, run.digest, run.precision)
    for accuracy in found.accuracies:
        yield Candidate(Path(accuracy.model).name, accuracy.digest, accuracy.precision)
    for paired in found.comparisons:
        yield Candidate(Path(paired.before).name, paired.before_digest)
        yield Candidate(Path(paired.after).name, paired.after_digest)


def _is_called(each: Candidate, engine: str) -> bool:
    by_digest = len(engine) >= 8 and each.digest.startswith(engine)
    return each.name == Path(engine).name or by_digest
