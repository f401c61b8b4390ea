"""Taking the pairs out of a quantized graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.errors import CalibrationError
from calibration.graph import prepare
from calibration.insert import insert_qdq
from calibration.placement import place
from calibration.repair.recentre import recentre
from calibration.schemes import SCHEMES
from calibration.skeleton import float_skeleton, qdq_ranges
from calibration.table import CalibrationTable, Range
from tests.unit.calibration.nets import Net, run


def _float_model(high: float = 6.0) -> onnx.ModelProto:
    net = Net()
    first = net.clip(net.conv("input", 8, 3, name="a"), 0.0, high, name="clip_a")
    second = net.clip(net.conv(first, 8, 3, name="b"), 0.0, high, name="clip_b")
    pool = net.add("GlobalAveragePool", second, name="pool")
    return prepare(net.model(net.gemm(net.add("Flatten", pool), 8, 5)))


def _quantized(model: onnx.ModelProto, name: str, high: float = 6.0) -> onnx.ModelProto:
    scheme = SCHEMES[name]
    placement = place(model, scheme)
    spans = {
        p.tensor: Range(-4.0 if p.tensor.startswith(("input", "conv")) else 0.0, high, "t")
        for p in placement.pairs
    }
    spans["input"] = Range(-4.0, 4.0, "t")
    return insert_qdq(model, placement, CalibrationTable("", "t", 1, 0, spans), scheme)


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_without_its_pairs_a_graph_computes_nearly_what_the_float_model_does(name: str) -> None:
    net = Net()
    model = prepare(net.model(net.conv(net.add("Relu", net.conv("input", 8, 3)), 8), opset=17))
    skeleton = prepare(float_skeleton(_quantized(model, name)))
    assert not [n for n in skeleton.graph.node if "Quantize" in n.op_type]
    batch = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    exact = run(model, batch)
    np.testing.assert_allclose(run(skeleton, batch), exact, atol=0.03 * np.abs(exact).max())


def test_float_weights_come_back_as_they_were() -> None:
    net = Net()
    model = prepare(net.model(net.conv("input", 8, 3), opset=17))
    skeleton = float_skeleton(_quantized(model, "tensorrt-8"))
    batch = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(run(skeleton, batch), run(model, batch))


def test_a_recentred_graph_with_pads_gives_its_float_function_back() -> None:
    model, scheme = _float_model(), SCHEMES["tensorrt"]
    placement = place(model, scheme)
    spans = {pair.tensor: Range(-4.0, 4.0, "t") for pair in placement.pairs}
    spans |= {name: Range(0.0, 6.0, "t") for name in spans if name.startswith("clip")}
    shifted = recentre(model, placement, spans, weight_bits=8)
    table = CalibrationTable("", "t", 1, 0, shifted.ranges)
    quantized = insert_qdq(shifted.model, shifted.placement, table, scheme)
    assert [node for node in quantized.graph.node if node.op_type == "Pad"]
    batch = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    exact = run(model, batch)
    found = run(float_skeleton(quantized), batch)
    np.testing.assert_allclose(found, exact, atol=0.03 * np.abs(exact).max())


def _without_clips(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop every Clip behind a pair, as ONNX Runtime's quantizer writes its files."""
    kept = []
    for node in model.graph.node:
        if node.op_type == "Clip":
            for other in model.graph.node:
                other.input[:] = [
                    node.input[0] if name == node.output[0] else name for name in other.input
                ]
        else:
            kept.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return model


@pytest.mark.parametrize(("high", "op_type"), [(6.0, "Clip"), (4.0, "Relu")])
def test_activations_that_the_ranges_took_over_come_back(high: float, op_type: str) -> None:
    model = _float_model(high)
    quantized = _without_clips(_quantized(model, "onnxruntime-x86", high))
    skeleton = prepare(float_skeleton(quantized))
    kinds = [node.op_type for node in skeleton.graph.node]
    assert kinds.count(op_type) == 2
    batch = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    if op_type == "Clip":
        exact = run(model, batch)
        np.testing.assert_allclose(run(skeleton, batch), exact, atol=0.03 * np.abs(exact).max())


def test_ranges_are_read_back_from_the_pairs() -> None:
    symmetric = qdq_ranges(_quantized(_float_model(), "tensorrt"))
    assert symmetric["input"].amax == pytest.approx(4.0)
    assert symmetric["clip_a_out"].amax == pytest.approx(6.0)
    asymmetric = qdq_ranges(_quantized(_float_model(), "onnxruntime-x86"))
    assert asymmetric["clip_a_out"].low == 0.0
    assert asymmetric["clip_a_out"].high == pytest.approx(6.0)


def test_a_graph_that_computes_on_integers_is_an_error() -> None:
    net = Net()
    model = _quantized(prepare(net.model(net.conv("input", 8, 3))), "tensorrt")
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            node.op_type = "Cast"
            node.attribute.append(onnx.helper.make_attribute("to", onnx.TensorProto.INT8))
            del node.input[1:]
    with pytest.raises(CalibrationError, match="computes on integers"):
        float_skeleton(model)


def test_a_scale_that_is_not_a_constant_is_an_error() -> None:
    net = Net()
    model = _quantized(prepare(net.model(net.conv("input", 8, 3))), "tensorrt")
    scale = next(t for t in model.graph.initializer if t.name == "input_scale")
    scale.CopyFrom(numpy_helper.from_array(np.ones(3, np.float32), "input_scale"))
    with pytest.raises(CalibrationError, match="no single constant scale"):
        qdq_ranges(model)
