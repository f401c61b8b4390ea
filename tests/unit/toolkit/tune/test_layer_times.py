"""What a layer costs in float, and in which order layers go to float under a latency budget."""

from __future__ import annotations

import json

import pytest

from calibration.graph import Graph
from tests.unit.calibration.nets import Net
from tests.unit.toolkit.tune.timed import timed
from toolkit.errors import InputError
from toolkit.latency import Latency
from toolkit.tune.latency_plan import plan_within
from toolkit.tune.layer_times import LayerTimes, layer_times, layer_times_from_dict

LAYERS = ("a", "b", "c")


def _times(in_float: Latency, in_int8: Latency) -> LayerTimes:
    net = Net()
    out = net.conv(net.conv(net.conv("input", 8, 3, name="a"), 8, 3, name="b"), 8, 3, name="c")
    graph = Graph(net.model(out))
    return layer_times(in_float, in_int8, graph, LAYERS, source="here", measure_again="again")


def test_a_layer_costs_what_its_kernels_take_longer_in_float() -> None:
    found = _times(
        timed(10.0, {"a + relu": 3.0, "b": 4.0, "copy": 1.0}),
        timed(6.0, {"w + a": 1.0, "b": 2.5, "reformat": 0.5}),
    )
    assert found.added_ms == pytest.approx({"a": 2.0, "b": 1.5})
    assert (found.float_ms, found.int8_ms) == (10.0, 6.0)
    assert found.float_share == pytest.approx(7 / 8)
    assert found.int8_share == pytest.approx(3.5 / 4)
    said = " ".join(found.remarks(LAYERS))
    assert "88% of the float kernels' time" in said
    assert "1 of 3 layers have no time of their own in both engines and stay INT8: c" in said


def test_kernels_that_take_longer_than_the_inference_are_scaled_to_it() -> None:
    slow = timed(5.0, {"a": 6.0, "b": 4.0})  # the profiler doubled everything
    found = _times(slow, timed(2.0, {"a": 1.0, "b": 1.0}))
    assert found.added_ms == pytest.approx({"a": 2.0, "b": 1.0})


def test_engines_whose_kernels_name_no_layer_are_refused() -> None:
    with pytest.raises(InputError, match="None of the 1 and 1 kernels") as caught:
        _times(timed(5.0, {"{ForeignNode[a...c]}": 5.0}), timed(2.0, {"a": 1.0}))
    assert caught.value.next_command == "again"


def test_times_survive_the_journal() -> None:
    found = _times(timed(5.0, {"a": 2.0}), timed(2.0, {"a": 1.0}))
    assert layer_times_from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(ValueError, match="times that are none"):
        layer_times_from_dict(found.to_dict() | {"added_ms": {}})


def _known(int8_ms: float = 10.0, **added_ms: float) -> LayerTimes:
    return LayerTimes(20.0, int8_ms, added_ms, 0.9, 0.9, "here")


ERRORS = {"a": 4.0, "b": 3.0, "c": 1.0, "d": 0.5}


def test_the_order_is_error_removed_per_millisecond() -> None:
    plan = plan_within(100.0, _known(a=4.0, b=1.0, c=0.5, d=1.0), ERRORS)
    assert plan.order == ("b", "c", "a")  # one of four must stay INT8
    assert plan.predicted_ms == pytest.approx((10.0, 11.0, 11.5, 15.5))
    assert (plan.fewest, plan.reached, plan.left_out) == (0, True, 0)


def test_what_no_longer_fits_is_passed_over_for_what_does() -> None:
    plan = plan_within(11.6, _known(a=1.5, b=1.0, c=0.5, d=0.6), ERRORS)
    assert plan.order == ("b", "c")
    assert plan.predicted_ms[-1] <= 11.6
    assert plan.left_out == 1  # d, with the least error, stays INT8 in any case


def test_a_layer_without_times_stays_int8() -> None:
    plan = plan_within(100.0, _known(b=1.0, d=0.1), ERRORS)
    assert plan.order == ("b",)  # and the last one must stay INT8
    assert plan.left_out == 0


def test_equal_costs_leave_the_order_to_the_error() -> None:
    plan = plan_within(100.0, _known(a=0.003, b=-0.01, c=0.001, d=-1e-6), ERRORS)
    assert plan.order == ("a", "b", "c")


def test_where_int8_is_too_slow_layers_faster_in_float_come_first() -> None:
    plan = plan_within(9.0, _known(a=0.4, b=-0.7, c=-0.8, d=0.1), ERRORS)
    assert plan.order[:2] == ("b", "c")
    assert (plan.fewest, plan.reached) == (2, True)
    assert plan.predicted_ms[2] == pytest.approx(8.5)
    assert all(ms <= 9.0 for ms in plan.predicted_ms[2:])


def test_an_impossible_budget_leaves_the_fastest_choice_alone() -> None:
    plan = plan_within(1.0, _known(a=0.4, b=-0.7, c=2.0), ERRORS)
    assert plan.order == ("b",)
    assert (plan.fewest, plan.reached) == (1, False)
