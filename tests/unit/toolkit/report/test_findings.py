from __future__ import annotations

from dataclasses import replace

from tests.unit.toolkit.report.examples import built_only, measured
from toolkit.report.findings import findings
from toolkit.report.model import UNSTABLE, ReportInput, ReportRow


def _said(*rows: ReportRow) -> str:
    return " ".join(f"{f.subject}: {f.text}" for f in findings(ReportInput("title", rows)))


def _int8(**changes: object) -> ReportRow:
    row = measured("n.int8.onnx", precision="int8", middle_ms=4.0, drop=0.31, interval=(-0.6, 1.2))
    return replace(row, **changes)  # type: ignore[arg-type]  # any field may be changed


def test_a_ratio_is_stated_between_engines_of_one_run() -> None:
    said = _said(measured("n.fp32.onnx"), _int8())
    assert "2.50× as fast as fp32" in said


def test_no_ratio_is_stated_between_engines_that_were_not_measured_together() -> None:
    said = _said(measured("n.fp32.onnx", run="yesterday"), _int8())
    assert "×" not in said
    assert "no float engine was timed beside it" in said


def test_int8_is_compared_with_the_fastest_float_engine() -> None:
    fp16 = measured("n.fp16.onnx", precision="fp16", middle_ms=6.0)
    assert "1.50× as fast as fp16" in _said(measured("n.fp32.onnx"), fp16, _int8())


def test_a_ratio_of_rounds_cancels_what_disturbed_both() -> None:
    def row(middle: float, precision: str) -> ReportRow:
        # Other work makes every second round three times as slow, for both.
        slow = [middle * (3.0 if k // 5 % 2 else 1.0) for k in range(300)]
        engine = f"n.{precision}.onnx"
        return replace(
            measured(engine, precision=precision, drop=0.1, interval=(-1.0, 1.0)),
            latency_samples=tuple(ms * (1.0 + k % 3 / 100.0) for k, ms in enumerate(slow)),
            block=5,
            p50_ms=middle,
            p50_interval=(middle, 3.0 * middle),
        )

    assert "2.00× (2.00 to 2.00) as fast" in _said(row(8.0, "fp32"), row(4.0, "int8"))


def test_an_unstable_timing_is_called_unstable() -> None:
    assert "unstable" in _said(measured("n.fp32.onnx"), _int8(note=UNSTABLE))


def test_slower_int8_is_called_slower() -> None:
    said = _said(measured("n.fp32.onnx", middle_ms=3.0), _int8())
    assert "slower than fp32" in said


def test_latencies_whose_intervals_overlap_are_not_told_apart() -> None:
    float_row = replace(measured("n.fp32.onnx", middle_ms=4.1), p50_interval=(4.0, 4.5))
    said = _said(float_row, _int8(p50_interval=(3.9, 4.4)))
    assert "cannot tell from fp32" in said


def test_a_drop_whose_interval_holds_zero_is_no_difference() -> None:
    assert "no difference that these images can show" in _said(measured("n.fp32.onnx"), _int8())


def test_a_drop_whose_interval_lies_above_zero_is_a_loss() -> None:
    said = _said(measured("n.fp32.onnx"), _int8(drop_interval=(0.1, 0.5)))
    assert "0.31 points below fp32" in said
    assert "a loss" in said


def test_the_fastest_int8_engine_without_a_shown_loss_is_chosen() -> None:
    hasty = _int8(engine="n.int8-fast.onnx", p50_ms=3.0, drop_interval=(0.2, 3.0))
    careful = _int8(engine="n.int8-best.onnx")
    said = _said(measured("n.fp32.onnx"), hasty, careful)
    assert "int8-best answers in" in said


def test_engines_that_never_ran_are_named_without_a_latency() -> None:
    said = _said(measured("n.fp32.onnx"), built_only("n.engine"))
    assert "rtx-4090: 1 engine built, never run: no latency is claimed." in said


def test_an_uncalibrated_engine_raises_an_alarm() -> None:
    row = replace(built_only("n.engine"), uncalibrated=True)
    last = findings(ReportInput("title", (row,)))[-1]
    assert last.alarm
    assert last.subject == "UNCALIBRATED"
