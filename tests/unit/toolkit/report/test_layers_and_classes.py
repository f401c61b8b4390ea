from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.toolkit.report.run_examples import (
    HERE,
    accuracy_of,
    build_engine,
    digest_of_text,
    latency_of,
)
from toolkit.accuracy import write_accuracy
from toolkit.kernel_time import KernelTime
from toolkit.latency import write_latency
from toolkit.report.evidence import report_input_from_files
from toolkit.report.page import html_from_report

KERNELS = tuple(
    KernelTime(f"layer<{k}>", "Conv", "int8" if k else "fp32 -> int8", 0.1 * (k + 1), (k + 1) / 78)
    for k in range(12)
)


def test_the_ten_slowest_layers_stand_in_the_report(tmp_path: Path) -> None:
    engine = build_engine(tmp_path, "net.int8.onnx", precision="int8")
    write_latency(tmp_path / "a.latency.json", [replace(latency_of(engine), layers=KERNELS)])
    made = report_input_from_files([tmp_path], here=HERE)
    assert [each.name for each in made.rows[0].slowest_layers] == [
        f"layer<{k}>" for k in range(11, 1, -1)
    ]
    page = html_from_report(made)
    assert "Slowest layers" in page
    assert "layer&lt;11&gt;" in page
    assert "layer&lt;1&gt;" not in page


def test_weak_classes_confusions_and_the_calibration_error_stand_in_the_report(
    tmp_path: Path,
) -> None:
    score = accuracy_of(digest_of_text("net"), [0, 0, 1, 1, 2], model="net.onnx")
    write_accuracy(tmp_path / "a.accuracy.json", score)
    made = report_input_from_files([tmp_path], here=HERE)
    (classes,) = made.classes
    assert classes.weakest == (("tench", 5, 2),)
    assert classes.confusions == (("tench", "eel", 2), ("tench", "newt", 1))
    page = html_from_report(made)
    assert "Calibration error 50.0 %" in page
    assert "tench → eel" in page


def test_a_report_without_either_has_neither_section(tmp_path: Path) -> None:
    engine = build_engine(tmp_path, "net.int8.onnx", precision="int8")
    write_latency(tmp_path / "a.latency.json", [latency_of(engine)])
    page = html_from_report(report_input_from_files([tmp_path], here=HERE))
    assert 'id="layers"' not in page
    assert 'id="classes"' not in page
