"""`edgekit dataset fetch`: data sets from where they are published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import Json
from toolkit.cli.outcome import Outcome, verb
from toolkit.cli.progress import drawn

__all__ = ["dataset"]

dataset = typer.Typer(
    name="dataset", help="Data sets from where they are published.", no_args_is_help=True
)


@dataset.callback()
def _group() -> None:
    """Fetch data sets from where they are published."""


@dataset.command(name="fetch")
@verb
def fetch(
    name: Annotated[str, typer.Argument(help="imagenette or imagewoof (10 ImageNet classes).")],
    out: Annotated[Path, typer.Option(help="Folder to make, with train/ and val/ in it.")],
    as_json: Json = False,
) -> Outcome:
    """Fetch a data set, resumed where it broke off and checked against its published checksum.

    Example: `edgekit dataset fetch imagenette --out imagenette`
    """
    from toolkit.datasets.fetch import fetch_dataset

    with drawn(quiet=as_json) as progress:
        found = fetch_dataset(name, out=out, progress=progress)
    return Outcome(
        f"{found.root}  {found.files} files of {found.name}, {found.checksum}",
        {
            "folder": str(found.root),
            "name": found.name,
            "files": found.files,
            "checksum": found.checksum,
        },
    )
