"""SiLU and the like: recentred by a Sub where that is asked for and pays."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.choose import grid_for
from calibration.collect import collect
from calibration.errors import CalibrationError
from calibration.graph import Graph, prepare
from calibration.keep_float import keep_float, layer_errors
from calibration.placement import place
from calibration.quantize import quantize
from calibration.repair.one_sided import one_sided
from calibration.repair.recentre import shifted_range, zero_code
from calibration.schemes import SCHEMES, Scheme
from calibration.sqnr import sqnr_db
from calibration.table import Range
from tests.unit.calibration.nets import Net, run

TENSORRT = SCHEMES["tensorrt"]


def _images(count: int = 24) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(count, 3, 8, 8)).astype(np.float32)


def _silu(net: Net, source: str, name: str) -> str:
    gate = net.add("Sigmoid", source, name=f"{name}_gate")
    return net.add("Mul", source, gate, name=name)


def _network() -> onnx.ModelProto:
    """Return conv, SiLU, padded conv, SiLU, strided 1x1 conv, pool and classifier."""
    net = Net()
    first = _silu(net, net.conv(net.input, 16, 3, name="stem"), "silu_a")
    second = _silu(net, net.conv(first, 16, 3, name="middle", stride=2), "silu_b")
    linear = net.conv(second, 16, 1, name="bottleneck")
    pooled = net.add("GlobalAveragePool", net.conv(linear, 16, 1, name="last"))
    return net.model(net.gemm(net.add("Flatten", pooled), 16, 5))


def _quantized(
    *, explicit: bool, scheme: Scheme = TENSORRT, effort: str = "fast"
) -> onnx.ModelProto:
    images = _images()
    return quantize(
        _network(),
        lambda: (images[i : i + 8] for i in range(0, len(images), 8)),
        scheme=scheme,
        effort=effort,
        model_digest="m",
        explicit_shifts=explicit,
    ).model


def test_only_activations_that_go_a_little_below_zero_are_chosen() -> None:
    ready = prepare(_network())
    placement, graph = place(ready, TENSORRT), Graph(ready)
    statistics = collect(
        ready, [_images()], tensors=[p.tensor for p in placement.pairs], keep=4, seed=0
    )
    assert one_sided(graph, placement, statistics) == {"silu_a_out", "silu_b_out"}


def test_a_sub_gives_silu_its_eighth_bit() -> None:
    reference = run(_network(), _images())
    plain, shifted = (
        sqnr_db(reference, run(_quantized(explicit=explicit), _images()))
        for explicit in (False, True)
    )
    assert shifted > plain + 1.5


def test_each_shifted_activation_is_padded_with_the_code_of_zero() -> None:
    graph = Graph(_quantized(explicit=True))
    subs = [node for node in graph.nodes if node.op_type == "Sub"]
    assert [node.input[0] for node in subs] == ["silu_a_out", "silu_b_out"]
    for sub in subs:
        amount = float(np.asarray(graph.constant(sub.input[1])))
        (reader,) = graph.readers(sub.output[0])
        if reader.op_type == "Pad":
            assert float(np.asarray(graph.constant(reader.input[2]))) == -np.float32(amount)
            (reader,) = graph.readers(reader.output[0])
        assert reader.op_type == "QuantizeLinear"
        code = -amount / float(np.asarray(graph.constant(reader.input[1])))
        assert code == pytest.approx(round(code), abs=1e-4)  # zero is on the grid
        assert -128 <= round(code) < 0


@pytest.mark.parametrize("low", [-0.28, -0.375, -1.0, 0.0])
def test_trials_judge_shifted_activations_as_the_engine_will_round_them(low: float) -> None:
    span = Range(low, 6.0, "test")
    values = np.linspace(-2.0, 8.0, 3989, dtype=np.float32)
    step = np.float32(shifted_range(span).scale)
    shift = np.float32((128 - zero_code(span)) * step)
    codes = np.clip(np.rint((values - shift) / step), -128, 127)
    engine = codes * step + shift
    trial = grid_for(span, TENSORRT, recentred=True).round(values)
    apart = np.abs(engine - trial) > 1e-5
    assert apart.mean() < 0.01  # ties that float32 breaks the other way
    assert trial[np.searchsorted(values, 0.0)] == pytest.approx(0.0, abs=float(step) / 2)


def test_more_effort_keeps_the_shifts() -> None:
    graph = Graph(_quantized(explicit=True, effort="balanced"))
    assert sum(node.op_type == "Sub" for node in graph.nodes) == 2


def test_a_layer_kept_in_float_leaves_the_other_shifts() -> None:
    images = _images()
    made = quantize(
        _network(), lambda: [images], scheme=TENSORRT, model_digest="m", explicit_shifts=True
    )
    assert set(layer_errors(made.recipe, images[:8])) == set(
        made.recipe.network.placement.int8_nodes
    )
    graph = Graph(keep_float(made.recipe, ["middle"]).model)
    assert [n.input[0] for n in graph.nodes if n.op_type == "Sub"] == ["silu_b_out"]


@pytest.mark.parametrize("explicit", [False, True])
def test_the_table_tells_whether_shifts_were_asked_for(explicit: bool) -> None:
    made = quantize(
        _network(),
        lambda: [_images(8)],
        scheme=TENSORRT,
        method="minmax",
        model_digest="m",
        explicit_shifts=explicit,
    )
    assert made.table.explicit_shifts is explicit


@pytest.mark.parametrize("name", ["onnxruntime-x86", "onnxruntime-arm64"])
def test_a_runtime_with_zero_points_needs_no_shift(name: str) -> None:
    with pytest.raises(CalibrationError, match="has zero-points"):
        _quantized(explicit=True, scheme=SCHEMES[name])
