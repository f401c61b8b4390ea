"""The commands of `edgekit`, a row each: open the named module to see what a command calls."""

from __future__ import annotations

from typing import Annotated

import typer

from toolkit.cli import (
    dataset_commands,
    deciding,
    diagnosing,
    machine,
    making,
    measuring,
    training,
)

__all__ = ["app"]

app = typer.Typer(
    name="edgekit",
    help="From a trained CNN to a trustworthy INT8 engine on a named NVIDIA device.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    training.train,
    making.import_,
    making.export,
    making.calibrate,
    making.build,
    measuring.live,
    measuring.measure,
    measuring.score,
    measuring.compare,
    measuring.report,
    deciding.gate,
    diagnosing.diagnose,
    diagnosing.tune,
    diagnosing.lint,
    machine.targets,
    machine.doctor,
    machine.inspect,
    machine.demo,
):
    app.command(name=command.__name__.rstrip("_"))(command)
app.add_typer(deciding.ledger)
app.add_typer(dataset_commands.dataset)


def _print_version(wanted: bool) -> None:
    if wanted:
        from toolkit import __version__

        print(f"edgekit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """From a trained CNN to a trustworthy INT8 engine on a named NVIDIA device."""
