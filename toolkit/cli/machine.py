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
def doctor(
    log: Annotated[
        Path | None, typer.Option(help="Log of a failed build or run to explain; - reads stdin.")
    ] = None,
    preprocess: Annotated[
        Path | None, typer.Option(help="Model whose preparation of pictures to check.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Pictures to check it on.")] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="The folders of --images are the classes.")
    ] = False,
    expected: Annotated[
        Path | None, typer.Option(help="Logits of the training pipeline, .npy or .npz.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Pictures to check it on, at most.")] = 128,
    as_json: Json = False,
) -> Outcome:
    """Say what this machine can do and what is missing, or why a build, run or score failed.

    Example: `edgekit doctor --log build.log`

    Example: `edgekit doctor --preprocess model.onnx --images val --labels`
    """
    if log is not None:
        return _explained(log)
    if preprocess is not None or images is not None or expected is not None:
        from toolkit.cli.diagnosing import preprocess_outcome

        return preprocess_outcome(
            preprocess,
            images=images,
            labels=labels,
            expected=expected,
            samples=samples,
            as_json=as_json,
        )
    from toolkit.doctor import diagnose_machine

    found = diagnose_machine()
    lines = [f"{check.state:8} {check.name}: {check.detail}" for check in found.checks]
    lines += [f"         fix: {check.fix}" for check in found.checks if check.fix]
    return Outcome("\n".join(lines), found.to_dict())


def _explained(log: Path) -> Outcome:
    """Explain a log. That no rule knows it is a verdict (exit 3): the command did its work."""
    from toolkit.explain.log_report import explain_log

    report = explain_log(Path("/dev/stdin") if log == Path("-") else log)
    return Outcome(
        report.summary(),
        report.to_dict(),
        details=report.details(),
        exit_code=0 if report.explained else 3,
    )


@verb
def inspect(
    file: Annotated[
        Path, typer.Argument(help="An ONNX model, engine, bundle, calibration table or cache.")
    ],
    diff: Annotated[
        Path | None,
        typer.Option(help="Also compare its scales with those of this cache, table or Q/DQ model."),
    ] = None,
    as_json: Json = False,
) -> Outcome:
    """Say what a file is, where it came from and whether it runs here.

    Example: `edgekit inspect model.int8.onnx`
    """
    from toolkit.calibrate.cache import diff_files
    from toolkit.inspect_file import inspect as inspect_

    inspection = inspect_(file)
    lines, values = inspection.lines(), inspection.to_dict()
    if diff is not None:
        found = diff_files(file, diff)
        lines += [f"against {diff}: {found.lines()[0]}", *found.lines()[1:]]
        values["diff"] = found.to_dict()
    return Outcome("\n".join(lines), values)


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
