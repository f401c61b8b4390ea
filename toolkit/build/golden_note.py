"""What a manifest says of an engine's answers to the golden inputs, or why there is no manifest.

An engine must answer what its own graph does. Where INT8 comes from a calibration cache there is no
such graph: the model is float, and TensorRT itself decides which layers run in INT8. Its answers
are then compared with the float model's and the figure is reported. How far rounding may lead from
there depends on the network, so no bound is drawn: only answers that are no numbers are refused.
"""

from __future__ import annotations

from toolkit.errors import BuildError
from toolkit.golden import GoldenReport
from toolkit.shell import quoted

__all__ = ["golden_note"]


def golden_note(
    report: GoldenReport, *, model: str, implicit: bool, what: str = "golden inputs"
) -> str:
    """Return the note for the engine of `model`. Raises BuildError when it answers wrongly.

    `implicit`: its INT8 comes from a calibration cache. `what` was run, and where.
    """
    winners = "equal" if report.top1_equal else "other"
    if implicit and report.finite:
        return (
            f"{what}: {report.sqnr_db:.1f} dB against the float model, {winners} winners; not "
            "judged, for with ranges from a calibration cache TensorRT chooses which layers run in "
            "INT8, and no graph says what they must answer"
        )
    if not report.passed:
        raise BuildError(
            f"The engine of {model} does not compute what its graph says: "
            + (f"{report.sqnr_db:.1f} dB" if report.finite else "answers that are no numbers")
            + f" against the float evaluation ({report.required_db:.1f} dB needed), "
            f"{winners} winners.",
            next_command=f"edgekit inspect {quoted(model)}",
        )
    against = report.against_fp32_sqnr_db
    return (
        f"{what}: {report.sqnr_db:.1f} dB against its own graph in float "
        f"({report.required_db:.1f} needed)"
        + ("" if against is None else f", {against:.1f} dB against FP32")
    )
