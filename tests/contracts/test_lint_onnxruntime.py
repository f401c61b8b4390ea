"""ONNX Runtime confirms what lint says: what it opens, and every layer of its optimized graph."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from calibration.schemes import SCHEMES
from tests.contracts.lint_graphs import GRAPHS, Case, Quantized
from tests.contracts.test_schemes import PATTERNS
from tests.contracts.test_schemes import _quantized as quantized_pattern
from tests.unit.calibration.nets import Net
from toolkit.lint.engine import examine
from toolkit.lint.findings import WRONG, LintReport
from toolkit.lint.runtimes import RUNTIMES
from toolkit.lint.subject import subject_of
from toolkit.runtime.onnxruntime import ORT_ERRORS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine() not in ("x86_64", "AMD64"), reason="int8 kernels differ on ARM"
    ),
    pytest.mark.skipif(
        tuple(int(n) for n in onnxruntime.__version__.split(".")[:2]) < (1, 30),
        reason=f"checked against ONNX Runtime 1.32, this is {onnxruntime.__version__}",
    ),
]

INTEGER_KERNELS = ("QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat")
REWRITTEN = re.compile(r"(_token_\d+|/MatMulAddFusion)$")
"""What the optimizer appends to the name of the node that it replaces."""


def _report(model: onnx.ModelProto) -> LintReport:
    where = Path("graph.onnx")
    subject = subject_of(model, where=where)
    return examine(subject, RUNTIMES["onnxruntime"], model=where, target="")


def _integer_layers(model: onnx.ModelProto, folder: Path) -> set[str] | None:
    """Return the layers that became integer kernels; None when ONNX Runtime refuses the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    content = model.SerializeToString()
    try:
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS:
        return None
    nodes = onnx.load(options.optimized_model_filepath).graph.node
    return {REWRITTEN.sub("", node.name) for node in nodes if node.op_type in INTEGER_KERNELS}


def _assert_agreement(model: onnx.ModelProto, folder: Path) -> None:
    report, found = _report(model), _integer_layers(model, folder)
    assert report.accepted == (found is not None), report.findings
    if found is not None:
        assert set(report.int8_layers) == found, report.findings


@pytest.mark.parametrize("kind", [None, np.int8, np.uint8], ids=["bare", "int8", "uint8"])
@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_the_optimized_graph_confirms_every_layer(case: Case, kind: type, tmp_path: Path) -> None:
    model = case.model() if kind is None else case.model(result_scale=0.1, kind=kind)
    _assert_agreement(model, tmp_path)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__.strip("_"))
@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_what_calibrate_writes_is_judged_as_it_runs(
    scheme: str, pattern: Callable[[Net], str], tmp_path: Path
) -> None:
    _, model, _ = quantized_pattern(SCHEMES[scheme], pattern)
    _assert_agreement(model, tmp_path)


def _chain(activation: str, net: Quantized, *bounds: float, scale: float, kind: type) -> str:
    ends = [net.constant(value, f"bound{value}") for value in bounds]
    return net.pair(net.add(activation, net.layer(net.pair("input")), *ends), scale, 0, kind)


@pytest.mark.parametrize("kind", [np.int8, np.uint8], ids=["int8", "uint8"])
@pytest.mark.parametrize("scale", [6.0 / 255, 0.05])
@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_an_activation_in_between_merges_only_where_the_range_cuts_as_it_does(
    activation: str, scale: float, kind: type, tmp_path: Path
) -> None:
    net = Quantized()
    bounds = (0.0, 6.0) if activation == "Clip" else ()
    output = _chain(activation, net, *bounds, scale=scale, kind=kind)
    _assert_agreement(net.model(output, opset=17, batch=1), tmp_path)


def _grounds(net: Quantized, form: str) -> str:
    shape = (8, 16)
    bias = net.constant(np.ones(8), "bias")
    if form == "int32":
        integers = net.constant(np.arange(8), "integers", np.int32)
        bias = net.dq(integers, np.full(8, 5e-4), None, axis=0)
    elif form == "int8":
        bias = net.dq(net.constant(np.arange(8), "integers", np.int8), 5e-4)
    inputs = [net.pair("input"), net.weight(*shape), *([] if form == "none" else [bias])]
    return net.add("Gemm", *inputs, transB=1, name="fc")


@pytest.mark.parametrize("scale", [None, 0.1], ids=["bare", "quantized"])
@pytest.mark.parametrize("form", ["none", "float", "int32", "int8"])
def test_the_form_of_a_bias_decides_for_a_matrix_product(
    form: str, scale: float | None, tmp_path: Path
) -> None:
    case = Case("bias", lambda net: _grounds(net, form), True, shape=(1, 16))
    _assert_agreement(case.model(result_scale=scale), tmp_path)


def test_weight_scales_along_axis_1_give_other_numbers_and_lint_says_so(tmp_path: Path) -> None:
    net = Quantized()
    scales = np.linspace(0.001, 0.02, 16)
    integers = net.constant(net.rng.integers(-127, 127, size=(16, 16, 1, 1)), "w", np.int8)
    weight = net.dq(integers, scales, np.zeros(16), axis=1)
    output = net.pair(net.layer(net.pair("input"), kernel=1, weight=weight, bias=""), 0.1)
    model = net.model(output, opset=17, batch=1)
    batch = np.random.default_rng(0).normal(size=(1, 16, 8, 8)).astype(np.float32)
    answers = []
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        answers.append(session.run(None, {"input": batch})[0])
    assert np.abs(answers[0] - answers[1]).max() > 1.0
    report = _report(model)
    assert [(f.rule, f.effect) for f in report.findings if f.effect == WRONG] == [
        ("weight-axis", WRONG)
    ]
