"""Which rule speaks about which graph, and what it says."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from calibration.schemes import SCHEMES
from tests.contracts.lint_graphs import GRAPHS, Quantized
from tests.contracts.test_schemes import PATTERNS
from tests.contracts.test_schemes import _quantized as quantized_pattern
from tests.unit.calibration.nets import Net
from tests.unit.toolkit.lint.verdicts import case, effects, report_on
from toolkit.lint.engine import RULES
from toolkit.lint.findings import FLOAT, NO_EFFECT, REFUSED, WRONG
from toolkit.lint.runtimes import RUNTIMES

EXPECTED = [
    ("zero_point_3", "tensorrt-rtx", "zero-point", REFUSED),
    ("weight_zero_point", "tensorrt-8.6", "zero-point", REFUSED),
    ("one_zero_point_for_16_scales", "tensorrt-rtx", "zero-point", REFUSED),
    ("no_zero_point", "tensorrt-rtx", "uint8", NO_EFFECT),
    ("uint8", "tensorrt-rtx", "uint8", WRONG),
    ("uint8", "tensorrt-8.5", "uint8", WRONG),
    ("no_zero_point", "tensorrt-8.5", "uint8", REFUSED),
    ("uint8_weights", "tensorrt-10", "uint8", REFUSED),
    ("int32_bias", "tensorrt-11", "int32-bias", REFUSED),
    ("int16", "tensorrt-rtx", "integer-type", REFUSED),
    ("quantized_twice", "onnxruntime", "integer-type", REFUSED),
    ("scale_0", "tensorrt-rtx", "scale", REFUSED),
    ("scale_0", "onnxruntime", "scale", WRONG),
    ("scale_infinite", "tensorrt-rtx", "scale", WRONG),
    ("too_few_scales", "tensorrt-rtx", "scale", REFUSED),
    ("scale_per_channel", "tensorrt-rtx", "per-channel-activation", FLOAT),
    ("scale_per_channel", "tensorrt-10", "per-channel-activation", REFUSED),
    ("weight_axis_1", "tensorrt-rtx", "weight-axis", FLOAT),
    ("pad_with_ones", "tensorrt-rtx", "pad-after-dq", FLOAT),
    ("pad_read_twice", "tensorrt-10", "pad-after-dq", FLOAT),
    ("padded_integers", "tensorrt-rtx", "int8-constant", REFUSED),
    ("plain", "tensorrt-8.5", "int8-constant", REFUSED),
    ("behind_relu", "tensorrt-rtx", "op-after-dq", FLOAT),
    ("concat_of_two_scales", "tensorrt-rtx", "concat-scales", FLOAT),
    ("weight_in_float", "tensorrt-rtx", "missing-dq", FLOAT),
    ("product_of_activations", "tensorrt-rtx", "missing-dq", FLOAT),
    ("transposed_convolution", "tensorrt-rtx", "transposed-conv", FLOAT),
    ("mixed_types", "tensorrt-rtx", "mixed-types", REFUSED),
    ("foreign_operator", "tensorrt-10", "operator", REFUSED),
    ("dilated_pooling", "tensorrt-rtx", "operator", REFUSED),
    ("residual_skip_in_float", "tensorrt-10", "residual", NO_EFFECT),
    ("two_pairs_in_a_row", "tensorrt-rtx", "double-qdq", NO_EFFECT),
    ("pair_inside_the_chain", "tensorrt-rtx", "double-qdq", NO_EFFECT),
    ("pair_before_softmax", "onnxruntime", "softmax", NO_EFFECT),
    ("depthwise", "tensorrt-rtx", "grouped-conv", NO_EFFECT),
    ("grouped", "tensorrt-10", "grouped-conv", NO_EFFECT),
    ("three_channels", "tensorrt-rtx", "channels", NO_EFFECT),
    ("open_batch", "tensorrt-rtx", "dynamic-shape", NO_EFFECT),
    ("open_batch", "dla", "dynamic-shape", REFUSED),
    ("opset_23", "tensorrt-8.5", "opset", REFUSED),
    ("opset_23", "tensorrt-10", "opset", NO_EFFECT),
    ("plain", "dla", "dla", REFUSED),
    ("plain", "onnxruntime", "ort-result", FLOAT),
    ("shared_pair", "onnxruntime", "ort-shared-int8", FLOAT),
    ("weight_axis_1", "onnxruntime", "ort-bias", FLOAT),
    ("behind_shuffle", "onnxruntime", "ort-weight-bits", NO_EFFECT),
]


@pytest.mark.parametrize(("name", "runtime", "rule", "effect"), EXPECTED)
def test_a_rule_speaks_about_its_graph(name: str, runtime: str, rule: str, effect: str) -> None:
    assert (rule, effect) in effects(report_on(case(name).model(), runtime))


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
def test_no_rule_fails_on_any_graph_and_every_finding_is_a_sentence(runtime: str) -> None:
    for entry in GRAPHS:
        for finding in report_on(entry.model(), runtime).findings:
            assert finding.rule in RULES
            assert finding.severity in ("error", "warning", "note")
            assert (finding.severity == "error") == (finding.effect in (REFUSED, WRONG))
            assert finding.message.endswith(".")
            assert finding.fix.endswith(".")
            assert not re.search(r"\bNone\b", finding.message), finding.message


def test_every_rule_is_documented_with_its_source() -> None:
    for rule in RULES.values():
        module = __import__(rule.check.__module__, fromlist=["check"])
        assert "Source: " in (module.__doc__ or ""), rule
        assert rule.summary.endswith(".")


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_what_calibrate_writes_for_a_runtime_passes_there(scheme: str) -> None:
    runtime = {
        "tensorrt": "tensorrt-10",
        "tensorrt-8": "tensorrt-8.5",
        "tensorrt-rtx": "tensorrt-rtx",
    }.get(scheme, "onnxruntime")
    for pattern in PATTERNS:
        _, model, placement = quantized_pattern(SCHEMES[scheme], pattern)
        report = report_on(model, runtime)
        assert report.passed, report.findings
        assert "residual" not in {finding.rule for finding in report.findings}
        if runtime != "onnxruntime":  # whose ranges here do not cut as their Relu does
            assert set(report.int8_layers) == set(placement.int8_nodes)


def test_a_float_layer_is_explained_as_calibrate_would() -> None:
    net = Quantized()
    quantized = net.layer(net.pair("input"))
    model = net.model(net.conv(quantized, 16, 3, group=16, name="deep"), opset=17, batch=1)
    report = report_on(model, "tensorrt-rtx")
    deep = next(layer for layer in report.layers if layer.node == "deep")
    assert deep.precision == "float"
    assert "depthwise: TensorRT-RTX widens it with zeros" in deep.reason
    assert "it runs in FP32, for the network is strongly typed" in deep.reason
    assert "strongly typed" not in report_on(model, "tensorrt-10").layers[-1].reason


def test_a_float_model_passes_everywhere_with_notes_only() -> None:
    net = Net()
    model = net.model(net.add("Relu", net.conv("input", 8, 3)), opset=17, batch=1)
    for runtime in RUNTIMES:
        report = report_on(model, runtime)
        assert report.passed
        assert report.count("warning") == 0, report.findings
    assert report_on(model, "tensorrt-rtx").int8_layers == ()
    assert report_on(model, "dla").int8_layers == ("conv0",)


def test_the_dla_leaves_what_it_has_not_to_the_gpu() -> None:
    net = Net()
    wide = net.conv("input", 8, 3, name="far", stride=9)
    model = net.model(net.add("HardSwish", wide, name="swish"), opset=17, batch=1)
    report = report_on(model, "dla")
    assert report.accepted
    assert report.layers[0].reason == "it falls back to the GPU: strides 9 is outside 1 to 8."
    assert any(finding.node == "swish" for finding in report.findings)


def test_an_operator_format_graph_runs_in_int8_on_onnx_runtime_and_is_refused_by_tensorrt() -> None:
    net = Net()
    grid = [net.constant(0.1, "scale"), net.constant(0, "zero", np.uint8)]
    weight = net.constant(np.ones((8, 3, 3, 3)), "weight", np.uint8)
    integers = net.add("QuantizeLinear", "input", *grid)
    net.add("QLinearConv", integers, *grid, weight, *grid, *grid, name="conv")
    model = net.model(net.add("DequantizeLinear", "conv_out", *grid), opset=17, batch=1)
    assert report_on(model, "onnxruntime").int8_layers == ("conv",)
    assert ("operator", REFUSED) in effects(report_on(model, "tensorrt-10"))


def test_a_half_precision_quantizer_needs_opset_19_on_onnx_runtime() -> None:
    net = Net()
    ends = [net.constant(0.1, "scale", np.float16), net.constant(0, "zero", np.int8)]
    pair = net.add("DequantizeLinear", net.add("QuantizeLinear", "input", *ends), *ends)
    model = net.model(net.add("Relu", pair), opset=17, batch=1)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert ("ort-form", REFUSED) in effects(report_on(model, "onnxruntime"))


def test_a_release_lacks_what_its_table_of_operators_says() -> None:
    net = Net()
    model = net.model(net.add("Hardmax", net.conv("input", 8, 3)), opset=17, batch=1)
    refusing = {name for name in RUNTIMES if not report_on(model, name).accepted}
    assert refusing == {"tensorrt-8.5", "tensorrt-8.6"}


def test_control_flow_and_custom_operators_are_named() -> None:
    net = Net()
    inner = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["inside"])],
        "inner",
        [],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)],
    )
    choice = net.constant(True, "choice", np.bool_)
    picked = net.add("If", choice, name="if", then_branch=inner, else_branch=inner)
    net.nodes.append(helper.make_node("Special", [picked], ["end"], "special", domain="acme"))
    model = net.model("end", opset=17, batch=1)
    model.opset_import.append(helper.make_opsetid("acme", 1))
    found = report_on(model, "tensorrt-10")
    assert {("branches", NO_EFFECT), ("operator", REFUSED)} <= effects(found)
    assert any("acme::Special" in finding.message for finding in found.findings)


def test_two_scales_of_a_concat_are_named() -> None:
    report = report_on(case("concat_of_two_scales").model(), "tensorrt-rtx")
    message = next(f.message for f in report.findings if f.rule == "concat-scales")
    assert "joins inputs with scales 0.05, 0.1." in message


def test_the_model_that_is_examined_stays_as_it_is() -> None:
    model = case("plain").model()
    model.graph.node[0].name = ""
    before = model.SerializeToString(deterministic=True)
    report_on(model, "tensorrt-rtx")
    assert model.SerializeToString(deterministic=True) == before


def test_names_and_outputs_may_be_missing() -> None:
    model = case("plain").model()
    for node in model.graph.node:
        node.name = ""
    del model.graph.value_info[:]
    report = report_on(model, "tensorrt-rtx")
    assert len(report.int8_layers) == 1
    assert report.int8_layers[0].startswith("Conv_")


def test_constants_may_be_nodes() -> None:
    model = case("plain").model()
    tensor = next(t for t in model.graph.initializer if t.data_type == TensorProto.INT8 and t.dims)
    weight = onnx.TensorProto()
    weight.CopyFrom(tensor)
    model.graph.initializer.remove(tensor)
    node = helper.make_node("Constant", [], [weight.name], value=weight)
    model.graph.node.insert(0, node)
    assert len(report_on(model, "tensorrt-rtx").int8_layers) == 1
