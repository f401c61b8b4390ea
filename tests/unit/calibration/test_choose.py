"""`auto` picks by the error of the logits: what it keeps is never worse than where it began."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.choose import (
    Choice,
    _offered,
    choose,
    grid_for,
    group_histograms,
    levels_for,
)
from calibration.collect import Statistics
from calibration.efforts import EFFORTS
from calibration.graph import prepare
from calibration.histogram import Histogram
from calibration.methods import METHODS
from calibration.network import Network
from calibration.placement import place
from calibration.schemes import SCHEMES, Scheme
from calibration.table import Range
from calibration.trials import Trial, output_errors
from tests.unit.calibration.measured import measured
from tests.unit.calibration.nets import Net

SCHEME = SCHEMES["tensorrt"]
FIRST = "percentile-99.99"


def _model(outlier: float = 1.0) -> onnx.ModelProto:
    """Return a network in which one channel of an activation is `outlier` times as wide.

    Producer rows carry the factor and consumer columns its inverse: the function is the same.
    """
    net = Net(size=8)
    x = net.add("Relu", net.conv("input", 8, 3, name="a"), name="act")
    x = net.add("Relu", net.conv(x, 8, 3, name="b"), name="act2")
    pooled = net.add("Flatten", net.add("GlobalAveragePool", x))
    model = prepare(net.model(net.gemm(pooled, 8, 5)))
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor).copy()
        if tensor.name in ("a_weight", "a_bias"):
            values[0] *= outlier
        elif tensor.name == "b_weight":
            values[:, 0] /= outlier
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return model


def _images(count: int = 48) -> NDArray[np.float32]:
    return np.random.default_rng(10).normal(size=(count, 3, 8, 8)).astype(np.float32)


def _prepared(model: onnx.ModelProto) -> tuple[Network, Statistics]:
    return measured(model, _images(), SCHEME, keep=32)


def _chosen(model: onnx.ModelProto, effort: str) -> tuple[Choice, dict[str, float]]:
    """Return the choice and the error of the first method per group."""
    network, statistics = _prepared(model)
    choice = choose(network, SCHEME, statistics, EFFORTS[effort], frozenset())
    histograms = {name: found.histogram for name, found in statistics.tensors.items()}
    trials = {
        group: [Trial(grid_for(METHODS[FIRST](found, 127), SCHEME, recentred=False))]
        for group, found in group_histograms(network.placement, histograms).items()
    }
    images = statistics.images[: EFFORTS[effort].images]
    first = {g: e[0] for g, e in output_errors(network, trials, images).items()}
    return choice, first


@pytest.mark.parametrize("effort", ["balanced", "best"])
@pytest.mark.parametrize("outlier", [1.0, 30.0])
def test_no_more_error_than_the_first_method(effort: str, outlier: float) -> None:
    choice, first = _chosen(_model(outlier), effort)
    # A gain may move error from one group of its domain to another: the sum counts.
    assert sum(choice.errors.values()) <= sum(first.values()) * (1 + 1e-9)
    assert choice.errors.keys() == first.keys()


def test_a_planted_outlier_channel_is_equalized_and_the_error_falls() -> None:
    choice, first = _chosen(_model(30.0), "best")
    planted = [gain for domain, gain in choice.gains.items() if "act_out" in domain.tensors]
    assert planted, "the channel is thirty times as wide as the others"
    assert planted[0][0] == 1.0
    assert planted[0][1:].min() > 1.5
    assert choice.errors["act_out"] < 0.5 * first["act_out"]


def test_every_pair_has_a_range_and_says_how_it_was_found() -> None:
    model = _model()
    choice, _ = _chosen(model, "best")
    pairs = place(model, SCHEME).pairs
    assert choice.ranges.keys() == {pair.tensor for pair in pairs}
    known = (*METHODS, *(f"{m} x {f:g}" for m in METHODS for f in EFFORTS["best"].factors))
    assert all(span.method in known for span in choice.ranges.values())
    assert all(span.high > span.low for span in choice.ranges.values())


def test_equal_inputs_give_equal_choices() -> None:
    first, second = (_chosen(_model(5.0), "balanced")[0] for _ in range(2))
    assert first.ranges == second.ranges
    assert first.errors == second.errors


def test_only_what_cuts_off_more_than_a_loser_is_left_out() -> None:
    now = Range(0.0, 4.0, "now")
    spans = [Range(0.0, high, f"{high:g}") for high in (1.0, 6.0, 3.0, 4.0, 9.0, 6.0, 2.0)]
    found = [(span.high, nearer) for span, nearer in _offered(now, spans)]
    assert found == [(9.0, None), (6.0, None), (3.0, None), (2.0, 2), (1.0, 3)]
    assert _offered(now, [now]) == []


def test_a_range_that_is_narrower_only_in_width_is_tried() -> None:
    now, other, third = Range(-1.0, 4.0, ""), Range(-0.5, 4.1, ""), Range(-0.5, 3.0, "")
    assert [nearer for _, nearer in _offered(now, [other, third])] == [None, None]


@pytest.mark.parametrize("scheme", list(SCHEMES.values()), ids=list(SCHEMES))
@given(high=st.floats(2.0**-10, 2.0**13, width=32))
def test_one_sided_ranges_use_all_codes_where_the_engine_does(scheme: Scheme, high: float) -> None:
    span = Range(0.0, high, "test")
    grid = grid_for(span, scheme, recentred=True)
    assert float(grid.scale) == pytest.approx(high / 255, rel=1e-5)
    assert grid.zero_point == 0
    top = grid.round(np.array([high, 2 * high, -high], np.float32))
    np.testing.assert_allclose(top, [high, high, 0.0], rtol=1e-4)
    plain = grid_for(span, scheme, recentred=False)
    codes = 255 if scheme.activations == "uint8" else 127
    assert levels_for(scheme, recentred=False) == codes
    assert float(plain.scale) == pytest.approx(high / codes, rel=1e-5)


def test_a_group_counts_the_values_of_all_its_tensors() -> None:
    net = Net()
    relu = net.add("Relu", net.conv("input", 4), name="relu")
    pool = net.add("MaxPool", relu, kernel_shape=[2, 2], strides=[2, 2], name="pool")
    branch = net.conv(relu, 4, stride=2, name="branch")
    model = prepare(net.model(net.add("Add", net.conv(pool, 4), branch)))
    placement = place(model, SCHEME)
    histograms = {}
    for index, pair in enumerate(placement.pairs):
        histograms[pair.tensor] = Histogram()
        histograms[pair.tensor].add(np.full(3, float(index + 1), np.float32))
    grouped = group_histograms(placement, histograms)
    members = [pair.group for pair in placement.pairs]
    for group, histogram in grouped.items():
        assert histogram.total == 3 * members.count(group)
    assert max(members.count(group) for group in members) == 2, "both sides of a MaxPool share one"
