"""The commands that decide over what was measured: gate, ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import Json
from toolkit.cli.outcome import Outcome, verb

__all__ = ["gate", "ledger", "ledger_add", "ledger_diff", "ledger_list"]

_UNDECIDED_OR_NO = 3


@verb
def gate(
    runs: Annotated[list[Path], typer.Argument(help="JSON files of other commands, or folders.")],
    max_drop: Annotated[
        float | None, typer.Option(help="Percentage points of top-1 that may be lost.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of each one-sided bound.")] = 0.95,
    p99_ms: Annotated[float | None, typer.Option(help="Milliseconds, 99th percentile.")] = None,
    max_mj: Annotated[float | None, typer.Option(help="Millijoules per inference.")] = None,
    max_mib: Annotated[float | None, typer.Option(help="MiB of the engine's file.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Accuracy record that the drop is counted from.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Which engine, where the records hold several.")] = "",
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write Markdown.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Hold an engine to its limits: met, not met or undecided; exit 3 unless all are met.

    Example: `edgekit gate runs/ --max-drop 0.5 --confidence 0.95 --p99-ms 12 --junit gate.xml`
    """
    from toolkit.atomic import check_writable
    from toolkit.gate import Limits, write_gate
    from toolkit.gate import gate as gate_

    for out in (junit, markdown):
        if out is not None:
            check_writable(out)
    result = gate_(
        runs,
        Limits(max_drop=max_drop, p99_ms=p99_ms, max_mj=max_mj, max_mib=max_mib),
        confidence=confidence,
        engine=engine or None,
        baseline=baseline,
    )
    write_gate(result, junit=junit, markdown=markdown)
    lines = (*(check.line() for check in result.checks), *result.notes)
    code = 0 if result.passed else _UNDECIDED_OR_NO
    return Outcome(result.line(), result.to_dict(), details=lines, exit_code=code)


ledger = typer.Typer(
    name="ledger",
    help="Keep timed runs in one file, and compare only what is alike.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Ledger = Annotated[Path, typer.Option("--ledger", help="The file: JSON lines.")]
_LEDGER = Path("ledger.jsonl")


@ledger.command(name="add")
@verb
def ledger_add(
    files: Annotated[list[Path], typer.Argument(help="*.latency.json, trtexec logs or times.")],
    log: Annotated[
        Path | None, typer.Option(help="Log of the same run, for trtexec's --exportTimes.")
    ] = None,
    path: Ledger = _LEDGER,
    as_json: Json = False,
) -> Outcome:
    """Append runs; one that is there already is not added again.

    Example: `edgekit ledger add runs/net.latency.json trtexec.log`
    """
    from toolkit.ledger import add

    new = add(path, files, log=log)
    values = {"ledger": str(path), "added": [entry.id for entry in new]}
    return Outcome(
        f"{path}  {len(new)} added", values, details=tuple(entry.line() for entry in new)
    )


@ledger.command(name="list")
@verb
def ledger_list(path: Ledger = _LEDGER, as_json: Json = False) -> Outcome:
    """List every run with its id.

    Example: `edgekit ledger list --ledger ledger.jsonl`
    """
    from toolkit.ledger import read_ledger

    entries = read_ledger(path)
    return Outcome(
        "\n".join(entry.line() for entry in entries) or f"{path}  0 runs",
        {"ledger": str(path), "entries": [entry.summary() for entry in entries]},
    )


@ledger.command(name="diff")
@verb
def ledger_diff(
    a: Annotated[str, typer.Argument(help="Start of an id.")],
    b: Annotated[str, typer.Argument(help="Start of the other id.")],
    allow_unlike: Annotated[
        bool, typer.Option("--allow-unlike", help="Compare although settings differ.")
    ] = False,
    path: Ledger = _LEDGER,
    as_json: Json = False,
) -> Outcome:
    """Say how many times as long B takes as A; unlike runs are refused.

    Example: `edgekit ledger diff 3f2a 91bc`
    """
    from toolkit.ledger import diff

    found = diff(path, a, b, allow_unlike=allow_unlike)
    return Outcome(found.line(), found.to_dict())
