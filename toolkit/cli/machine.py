"""The commands about machines and files: targets, doctor, inspect, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import Json, Seed
from toolkit.cli.outcome import Outcome, verb
from toolkit.cli.progress import drawn

__all__ = ["demo", "doctor", "inspect", "targets"]


@verb
def targets(
    name: Annotated[
        str, typer.Argument(help="A target to explain, or `detect` for this machine.")
    ] = "",
    as_json: Json = False,
) -> Outcome:
    """List the devices to build for, or explain one.

    Example: `edgekit targets jetson-orin-nano-8gb`
    """
    from toolkit.cli.target_lines import all_targets_outcome, one_target_outcome

    return one_target_outcome(name) if name else all_targets_outcome()


@verb
def doctor(as_json: Json = False) -> Outcome:
    """Say what this machine can do, what is missing and how to install it.

    Example: `edgekit doctor`
    """
    from toolkit.doctor import diagnose_machine

    found = diagnose_machine()
    lines = [f"{check.state:8} {check.name}: {check.detail}" for check in found.checks]
    lines += [f"         fix: {check.fix}" for check in found.checks if check.fix]
    return Outcome("\n".join(lines), found.to_dict())


@verb
def inspect(
    file: Annotated[Path, typer.Argument(help="An ONNX model, engine or calibration table.")],
    as_json: Json = False,
) -> Outcome:
    """Say what a file is, where it came from and whether it runs here.

    Example: `edgekit inspect model.int8.onnx`
    """
    from toolkit.inspect_file import inspect as inspect_

    inspection = inspect_(file)
    return Outcome("\n".join(inspection.lines()), inspection.to_dict())


@verb
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    seed: Seed = 0,
    as_json: Json = False,
) -> Outcome:
    """Run the whole chain on generated road signs: about three minutes, no GPU needed.

    Example: `edgekit demo --out demo`
    """
    import sys

    from toolkit.demo import demo as demo_

    def say(line: str) -> None:
        if not as_json:
            print(line, file=sys.stderr)

    with drawn(quiet=as_json) as progress:
        result = demo_(out, seed=seed, say=say, progress=progress)
    return Outcome(
        f"{result.report}  open it in a browser", result.to_dict(), details=result.next_steps
    )
