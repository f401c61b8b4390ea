"""Searching within a latency budget: what a measurement corrects, and which options go together."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from calibration.emit import Quantized
from targets import TargetError, get
from tests.unit.toolkit.tune.timed import timed
from toolkit.errors import BuildError, InputError
from toolkit.latency import Latency
from toolkit.statistics.budgets import MET, NOT_MET, UNDECIDED
from toolkit.tune.candidate_search import Found
from toolkit.tune.latency_budget import check_latency_options, search_within
from toolkit.tune.latency_plan import LatencyPlan
from toolkit.tune.layer_times import LayerTimes
from toolkit.tune.tuned_latency import TunedLatency

TIMES = LayerTimes(20.0, 10.0, {"a": 1.0, "b": 1.0, "c": 1.0}, 0.9, 0.9, "here")
ERRORS = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.5}


def _all_of(plan: LatencyPlan) -> Found:
    """The search takes every layer that the plan allows; its model stands for their names."""
    return Found(plan.order, True, cast(Quantized, plan.order), ())


def _costing(each_ms: float) -> Any:
    def measured(made: Quantized) -> tuple[Latency, Latency]:
        kept = len(cast("tuple[str, ...]", made))
        return timed(10.0 + each_ms * kept, {}), timed(10.0, {})

    return measured


def test_without_a_measurement_the_prediction_stands_and_says_so() -> None:
    found, latency = search_within(12.5, TIMES, ERRORS, search=_all_of)
    assert found.kept == ("a", "b")
    assert (latency.verdict, latency.basis, latency.predicted_ms) == (MET, "predicted", 12.0)
    assert latency.line() == "latency met: p50 12.000 ms predicted, not measured, budget 12.5 ms"
    assert latency.to_dict()["measured_p50_ms"] is None
    assert latency.holds_back


def test_a_measurement_within_the_budget_ends_the_search() -> None:
    found, latency = search_within(12.5, TIMES, ERRORS, search=_all_of, measured=_costing(1.1))
    assert found.kept == ("a", "b")
    assert (latency.verdict, latency.basis) == (MET, "measured")
    assert latency.ratio is not None
    assert latency.ratio.value == pytest.approx(1.22)


def test_a_measurement_above_the_prediction_keeps_fewer_layers() -> None:
    found, latency = search_within(12.5, TIMES, ERRORS, search=_all_of, measured=_costing(2.0))
    assert found.kept == ("a",)
    assert latency.verdict == MET
    assert latency.line().startswith("latency met: p50 12.000 ms measured (12.000 to 12.000)")


def test_an_impossible_budget_gives_the_fastest_choice_and_says_so() -> None:
    found, latency = search_within(5.0, TIMES, ERRORS, search=_all_of, measured=_costing(1.0))
    assert found.kept == ()
    assert latency.verdict == NOT_MET
    assert "no choice of layers comes within 5 ms: this is the fastest" in latency.advice()


def test_an_engine_that_cannot_be_built_leaves_the_latency_undecided() -> None:
    def refused(made: Quantized) -> tuple[Latency, Latency]:
        raise BuildError("It answers otherwise than its graph.", next_command="again")

    found, latency = search_within(12.5, TIMES, ERRORS, search=_all_of, measured=refused)
    assert found.kept == ("a", "b")
    assert latency.verdict == UNDECIDED
    assert latency.advice().endswith("not measured: It answers otherwise than its graph")


def test_a_p50_whose_interval_holds_the_budget_is_undecided() -> None:
    run = timed(10.0, {})
    spread = replace(run, samples_ms=tuple(9.0 if i % 2 else 11.0 for i in range(100)))
    plan = LatencyPlan((), (10.0,), 0, True, 0)
    latency = TunedLatency(10.0, 10.0, plan, TIMES, tuple(ERRORS), measured=spread)
    assert latency.verdict == UNDECIDED
    assert "quieter machine" in latency.advice()


@pytest.mark.parametrize(
    ("options", "what", "command"),
    [
        ({"max_latency": 0.0, "target": "cpu"}, "budget of 0 ms is none", "--max-latency 10"),
        ({"max_latency": math.nan, "target": "cpu"}, "budget of nan ms", "--target cpu"),
        ({"max_latency": math.inf, "target": "cpu"}, "budget of inf ms", "--target cpu"),
        ({"max_latency": 5.0}, "no target is named", "--target cpu --max-latency 5"),
        ({"times": [Path("t.json")]}, "there is none", "--max-latency MS --times t.json"),
        (
            {"max_latency": 5.0, "target": "rtx-4090"},
            "tells no times of its layers",
            "--target rtx-4090 --max-drop 1",
        ),
        (
            {"max_latency": 5.0, "target": "jetson-orin-nano-8gb"},
            "cannot be predicted: no layer times",
            "edgekit measure FLOAT.engine INT8.engine --layers --host USER@HOST",
        ),
        (
            {"max_latency": 5.0, "target": "cpu", "times": [Path("t.json")]},
            "measured by this command itself",
            "--target cpu --max-latency 5",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, Any], what: str, command: str
) -> None:
    chosen = {"max_latency": None, "times": (), "target": "", **options}
    with pytest.raises(InputError, match=what) as caught:
        check_latency_options(Path("m.onnx"), **chosen)
    assert command in caught.value.next_command


def test_another_cpu_cannot_be_timed_here() -> None:
    other = "cpu-arm64" if get("cpu").id != "cpu-arm64" else "cpu-x86"
    with pytest.raises(InputError, match=f"says nothing about {other}"):
        check_latency_options(Path("m.onnx"), max_latency=5.0, times=(), target=other)


def test_an_unknown_target_is_unknown_here_too() -> None:
    with pytest.raises(TargetError):
        check_latency_options(Path("m.onnx"), max_latency=5.0, times=(), target="nothing")
