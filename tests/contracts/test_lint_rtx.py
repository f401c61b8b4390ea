"""TensorRT-RTX, with no GPU, confirms what lint says: taken or refused, and every INT8 layer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from calibration.precision import fp16_model
from calibration.schemes import SCHEMES, Scheme
from tests.contracts.lint_graphs import GRAPHS, Case, computed_scale
from tests.contracts.rtx_table import Outcome, outcome_of
from tests.contracts.test_rtx_int8 import SYMMETRIC, _quantized
from tests.contracts.test_schemes import PATTERNS
from tests.unit.calibration.nets import Net
from toolkit.lint.engine import examine
from toolkit.lint.findings import LintReport
from toolkit.lint.rules.operators import NOT_IN_TENSORRT
from toolkit.lint.runtimes import RUNTIMES
from toolkit.lint.subject import LAYERS, subject_of
from toolkit.tensorrt_log import process_logger

pytestmark = pytest.mark.slow

ONE_SM = ("SM89",)
NEWER_ONNX = {"BitCast", "CumProd", "SwiGLU"}


def _report(model: onnx.ModelProto) -> LintReport:
    where = Path("graph.onnx")
    subject = subject_of(model, where=where)
    return examine(subject, RUNTIMES["tensorrt-rtx"], model=where, target="")


def _int8_layers(outcome: Outcome, model: onnx.ModelProto) -> set[str]:
    layers = {node.name for node in model.graph.node if node.op_type in LAYERS}
    rows = (row for row in outcome.table.rows if row.is_int8)
    return {name for row in rows for name in row.onnx_nodes} & layers


def _assert_agreement(trt: ModuleType, model: onnx.ModelProto, sms: tuple[str, ...]) -> None:
    report, outcome = _report(model), outcome_of(trt, model, sms)
    assert report.accepted == outcome.built, (report.findings, outcome.warnings)
    if outcome.built:
        assert set(report.int8_layers) == _int8_layers(outcome, model), report.findings


def test_there_are_enough_graphs_and_half_of_them_are_wrong() -> None:
    wrong = sum(not case.right for case in GRAPHS)
    assert len(GRAPHS) >= 40
    assert wrong >= len(GRAPHS) / 2
    assert len({case.name for case in GRAPHS}) == len(GRAPHS)


@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_the_builder_confirms_the_verdict_and_every_layer(trt: ModuleType, case: Case) -> None:
    _assert_agreement(trt, case.model(), ONE_SM)


@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_a_wrong_graph_gets_an_error_or_a_layer_in_float_and_a_right_one_neither(
    case: Case,
) -> None:
    report = _report(case.model())
    in_float = [layer for layer in report.layers if layer.precision == "float"]
    assert bool(report.passed and not in_float) == case.right, report.findings
    assert all(layer.reason for layer in in_float)


@pytest.mark.parametrize("sm", ["SM80", "SM86", "SM120", "SM121"])
@pytest.mark.parametrize(
    "name", ["plain", "depthwise", "grouped", "gemm_rows", "weight_axis_1", "behind_relu"]
)
def test_the_verdict_holds_for_every_gpu_generation(trt: ModuleType, name: str, sm: str) -> None:
    case = next(case for case in GRAPHS if case.name == name)
    _assert_agreement(trt, case.model(), (sm,))


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__.strip("_"))
@pytest.mark.parametrize("scheme", SYMMETRIC, ids=lambda scheme: scheme.name)
def test_what_calibrate_writes_is_judged_as_the_builder_does(
    trt: ModuleType, scheme: Scheme, pattern: Callable[[Net], str]
) -> None:
    model, placement = _quantized(pattern, scheme)
    report = _report(model)
    assert report.passed, report.findings
    assert set(report.int8_layers) == set(placement.int8_nodes)
    _assert_agreement(trt, model, ONE_SM)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__.strip("_"))
def test_its_fp16_form_too(trt: ModuleType, pattern: Callable[[Net], str]) -> None:
    model, _ = _quantized(pattern, SCHEMES["tensorrt-rtx"], opset=20)
    half, _ = fp16_model(model)
    _assert_agreement(trt, half, ONE_SM)


def test_the_missing_operators_are_those_the_parser_names(trt: ModuleType) -> None:
    log = process_logger(trt)
    builder = trt.Builder(log)  # it must outlive its network
    parser = trt.OnnxParser(builder.create_network(0), log)
    known = {s.name for s in onnx.defs.get_all_schemas() if s.domain in ("", "ai.onnx")}
    missing = {name for name in known if not parser.supports_operator(name)}
    assert missing | NEWER_ONNX == NOT_IN_TENSORRT | NEWER_ONNX


_BUILD = """
import tensorrt_rtx as trt
from tests.contracts.lint_graphs import computed_scale
from tests.contracts.rtx_table import outcome_of
raise SystemExit(outcome_of(trt, computed_scale(), ("SM89",)).built)
"""


def test_a_computed_scale_is_refused_for_it_crashes_the_builder(trt: ModuleType) -> None:
    report = _report(computed_scale())
    assert not report.accepted
    assert "computed at run time" in report.findings[0].message
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", _BUILD], capture_output=True, cwd=root, check=False)
    assert run.returncode < 0, "the builder has learned: take the rule back"
