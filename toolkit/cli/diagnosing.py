"""The commands about what INT8 loses, where and why: lint, diagnose, tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import Images, Json, Seed, TargetName, Threads
from toolkit.cli.outcome import Outcome, verb
from toolkit.cli.progress import drawn

__all__ = ["diagnose", "lint", "preprocess_outcome", "tune"]

_VERDICT_IS_NO = 3


@verb
def lint(
    model: Annotated[Path, typer.Argument(help="An ONNX model, from Edgekit or elsewhere.")],
    target: TargetName = "",
    runtime: Annotated[
        str,
        typer.Option(
            help="Instead of a target: tensorrt-8.5, tensorrt-8.6, tensorrt-10, tensorrt-11, "
            "tensorrt-rtx, dla or onnxruntime."
        ),
    ] = "",
    sarif: Annotated[Path | None, typer.Option(help="Also write the findings as SARIF.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Say whether a runtime takes a graph, which layers run in INT8, and why others do not.

    Exit code 3 when the answer is no. Example: `edgekit lint model.int8.onnx --target rtx-4090`
    """
    from toolkit.atomic import check_writable
    from toolkit.lint import lint as lint_
    from toolkit.lint.sarif import write_sarif

    if sarif is not None:
        check_writable(sarif)
    report = lint_(model, runtime=runtime, target=target)
    if sarif is not None:
        write_sarif(sarif, report)
    return Outcome(
        report.line(),
        report.to_dict(),
        details=tuple(finding.line() for finding in report.findings),
        exit_code=0 if report.passed else _VERDICT_IS_NO,
    )


@verb
def diagnose(
    model: Annotated[Path, typer.Argument(help="INT8 ONNX model with Q/DQ, ours or another's.")],
    images: Images,
    reference: Annotated[
        Path | None, typer.Option(help="The float model; without it, the model's own skeleton.")
    ] = None,
    engine: Annotated[
        Path | None, typer.Option(help="An engine built from MODEL, to compare with it.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Images, spread over the classes.")] = 64,
    html: Annotated[Path | None, typer.Option(help="Also write the page: one HTML file.")] = None,
    skeleton: Annotated[
        Path | None, typer.Option(help="Also write MODEL without Q/DQ, to calibrate anew.")
    ] = None,
    as_json: Json = False,
) -> Outcome:
    """Say where an INT8 model loses accuracy, and try the change that would help most.

    Example: `edgekit diagnose model.int8.onnx --reference model.onnx --images val --html why.html`
    """
    from toolkit.atomic import check_writable, write_text
    from toolkit.diagnose import diagnose as diagnose_
    from toolkit.diagnose import html_from_diagnosis, write_skeleton

    for path in (html, skeleton):
        if path is not None:
            check_writable(path)
    with drawn(quiet=as_json) as progress:
        found = diagnose_(
            model,
            images=images,
            reference=reference,
            engine=engine,
            samples=samples,
            progress=progress,
        )
    if html is not None:
        write_text(html, html_from_diagnosis(found))
    if skeleton is not None:
        write_skeleton(model, skeleton, reference=reference)
    return Outcome(found.line(), found.to_dict(), details=found.lines())


def preprocess_outcome(
    model: Path | None,
    *,
    images: Path | None,
    labels: bool,
    expected: Path | None,
    samples: int,
    as_json: bool,
) -> Outcome:
    """Check how a model's pictures are prepared: exit 3 unless its contract is right."""
    from toolkit.errors import InputError
    from toolkit.preprocess_search import check_preprocess

    if model is None or images is None or labels == (expected is not None):
        raise InputError(
            "Checking how pictures are prepared needs a model, pictures, and either --labels "
            "(their folders are the classes) or --expected (logits of the training pipeline).",
            next_command="edgekit doctor --preprocess MODEL --images DIR --labels",
        )
    with drawn(quiet=as_json) as progress:
        found = check_preprocess(
            model, images=images, expected=expected, limit=samples, progress=progress
        )
    return Outcome(
        found.line(),
        found.to_dict(),
        details=found.details(),
        exit_code=0 if found.verdict == "right" else _VERDICT_IS_NO,
    )


@verb
def tune(
    model: Annotated[Path, typer.Argument(help="Float ONNX model with its contract.")],
    images: Images,
    max_drop: Annotated[float, typer.Option(help="Budget: percentage points of top-1.")] = 1.0,
    confidence: Annotated[float, typer.Option(help="Of the one-sided bound on the drop.")] = 0.95,
    max_latency: Annotated[
        float | None, typer.Option(help="Budget: p50 of one inference on the target, in ms.")
    ] = None,
    times: Annotated[
        list[Path] | None,
        typer.Option(
            help="For a GPU: records of `measure --layers`, a float and an INT8 engine's."
        ),
    ] = None,
    calibration_images: Annotated[
        Path | None, typer.Option(help="Training images; without them a quarter of DIR.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Images to calibrate on.")] = 512,
    method: Annotated[str, typer.Option(help="auto, minmax, percentile, entropy or mse.")] = "auto",
    effort: Annotated[str, typer.Option(help="fast, balanced or best.")] = "balanced",
    target: TargetName = "",
    seed: Seed = 0,
    threads: Threads = 0,
    limit: Annotated[int, typer.Option(min=0, help="Use so many images of DIR; 0: all.")] = 0,
    out: Annotated[Path | None, typer.Option(help="INT8 model to write.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Quantize, and keep the fewest layers in float that hold an accuracy budget.

    Exits with 3 when a budget is not met or cannot be decided. Where --max-drop and --max-latency
    cannot both be met, latency wins: the best model within it is written. On a CPU latency is
    measured; for a GPU it is predicted from --times. Stopped, the same command goes on where it
    was.

    Example: `edgekit tune model.onnx --images val --calibration-images train --max-drop 1`
    """
    from toolkit.statistics.budgets import MET
    from toolkit.tune import tune as tune_

    with drawn(quiet=as_json) as progress:
        tuned = tune_(
            model,
            images=images,
            max_drop=max_drop,
            confidence=confidence,
            max_latency=max_latency,
            times=times or (),
            calibration_images=calibration_images,
            target=target,
            samples=samples,
            method=method,
            effort=effort,
            seed=seed,
            limit=limit or None,
            threads=threads,
            out=out,
            progress=progress,
        )
    details = tuple(part for part in (tuned.advice(), *tuned.notes) if part)
    return Outcome(
        tuned.line(),
        tuned.to_dict(),
        details=details,
        exit_code=0 if tuned.verdict == MET else _VERDICT_IS_NO,
    )
