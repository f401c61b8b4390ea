from __future__ import annotations

import re

from tests.unit.toolkit.report.examples import built_only, measured, with_energy
from toolkit.report.pareto import COSTS, dominated, pareto_plot, plottable
from toolkit.report.words import short_names


def test_an_engine_that_is_slower_and_less_accurate_is_beaten() -> None:
    rows = [
        measured("good.onnx", middle_ms=5.0, top1=0.9),
        measured("bad.onnx", middle_ms=9.0, top1=0.8),
        measured("other.onnx", middle_ms=12.0, top1=0.95),
    ]
    assert dominated(rows, COSTS["p50"]) == {"bad.onnx"}


def test_engines_of_different_targets_do_not_beat_each_other() -> None:
    rows = [
        measured("here.onnx", middle_ms=5.0, top1=0.9),
        measured("there.onnx", middle_ms=9.0, top1=0.8, target="jetson-orin-nano-8gb"),
    ]
    assert dominated(rows, COSTS["p50"]) == frozenset()


def test_equal_engines_do_not_beat_each_other() -> None:
    rows = [measured("a.onnx", middle_ms=5.0), measured("b.onnx", middle_ms=5.0)]
    assert rows[0].latency_samples == rows[1].latency_samples
    assert dominated(rows, COSTS["p50"]) == frozenset()


def test_engines_without_latency_are_not_plotted_even_against_size() -> None:
    rows = [with_energy(measured("a.onnx"), mj=9.0), built_only("b.engine")]
    for cost in COSTS.values():
        assert [row.engine for row in plottable(rows, cost)] == ["a.onnx"]


def test_a_single_engine_can_be_plotted() -> None:
    rows = [measured("a.onnx")]
    drawn = pareto_plot(rows, short_names(rows), COSTS["p50"], width=760, height=400)
    assert "NaN" not in drawn
    assert drawn.count('class="mark fp32"') == 1


def test_labels_stay_on_the_paper() -> None:
    rows = [
        measured(f"a-rather-long-name-{k}.onnx", middle_ms=5.0 + 0.1 * k, top1=0.9 + 0.001 * k)
        for k in range(8)
    ]
    for width in (350.0, 760.0):
        drawn = pareto_plot(rows, short_names(rows), COSTS["p50"], width=width, height=340.0)
        labels = re.findall(r'<text x="([\d.-]+)" y="([\d.-]+)" class="name[^"]*"', drawn)
        assert len(labels) == 8
        assert all(0 <= float(x) <= width and 0 <= float(y) <= 340.0 for x, y in labels)


def test_labels_of_close_points_do_not_stand_on_each_other() -> None:
    rows = [
        measured("net-one.onnx", middle_ms=5.0, top1=0.900),
        measured("net-two.onnx", middle_ms=5.05, top1=0.901),
        measured("net-far.onnx", middle_ms=9.0, top1=0.91),
    ]
    drawn = pareto_plot(rows, short_names(rows), COSTS["p50"], width=760, height=400)
    places = re.findall(r'<text x="([\d.-]+)" y="([\d.-]+)" class="name', drawn)
    assert len(set(places)) == 3


def test_energy_is_an_axis_of_its_own_only_where_it_was_measured() -> None:
    rows = [with_energy(measured("a.onnx"), mj=9.0), measured("b.onnx")]
    assert [row.engine for row in plottable(rows, COSTS["energy"])] == ["a.onnx"]
    cheap = with_energy(measured("c.onnx", top1=0.95), mj=4.0)
    assert dominated([*rows, cheap], COSTS["energy"]) == {"a.onnx"}
