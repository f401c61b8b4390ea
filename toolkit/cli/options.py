"""Options that several commands share, and the completion of target names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Cam",
    "Host",
    "Identity",
    "Images",
    "Json",
    "Out",
    "Port",
    "Seed",
    "TargetName",
    "Threads",
]


def _complete_target(incomplete: str) -> list[str]:
    from targets import all_targets

    names = ["cpu", *(target.id for target in all_targets())]
    return [name for name in names if name.startswith(incomplete)]


Cam = Annotated[
    bool,
    typer.Option("--cam", help="Also output which part of the picture the answer comes from."),
]
Host = Annotated[str, typer.Option(help="USER@HOST of the device: work there over SSH.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="SSH port; 0: as ~/.ssh/config has it.")]
Identity = Annotated[Path | None, typer.Option(help="Private key file for SSH.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Images = Annotated[
    Path, typer.Option(help="Folder of images: one folder per class (synset or label).")
]
Out = Annotated[Path, typer.Option(help="File to write.")]
Seed = Annotated[int, typer.Option(help="Seed: equal seeds give equal results.")]
TargetName = Annotated[
    str,
    typer.Option(
        help="Device to build for; `edgekit targets` lists them, `cpu` is this machine.",
        autocompletion=_complete_target,
    ),
]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 means all cores.")]
