from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.toolkit.colour_models import make_model
from toolkit.errors import InputError
from toolkit.latency import read_latency, write_latency
from toolkit.measure import measure
from toolkit.runtime.onnxruntime_profile import kernel_times_from_profile


def event(
    name: str, microseconds: int, *, index: int = 0, reads: str = "float", writes: str = "float"
) -> dict[str, Any]:
    """One kernel as ONNX Runtime 1.32 writes it."""
    arguments = {
        "op_name": name.split("_")[-1],
        "node_index": str(index),
        "input_type_shape": [{reads: [1, 3]}, {"float": []}],
        "output_type_shape": [{writes: [1, 3]}],
    }
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": microseconds, "args": arguments}


def test_the_median_of_each_kernel_is_taken_after_the_warm_up() -> None:
    events = [{"cat": "Session", "name": "model_run", "dur": 9}]
    for took in (900, 100, 300, 200):
        events += [event("a_Conv", took), event("b_Relu", 50, index=1)]
    conv, relu = kernel_times_from_profile(events, warmup=1)
    assert (conv.name, conv.operator, conv.median_ms) == ("a_Conv", "Conv", 0.2)
    assert [conv.share, relu.share] == pytest.approx([0.8, 0.2])


def test_the_precision_is_that_of_the_first_tensor_and_of_the_result() -> None:
    events = [
        event("a", 1, reads="uint8", writes="uint8"),
        event("b", 1, index=1, reads="uint8", writes="float"),
        event("c", 1, index=2, reads="float16", writes="float16"),
        event("d", 1, index=3, reads="int64", writes="int64"),
    ]
    found = [each.precision for each in kernel_times_from_profile(events, warmup=0)]
    assert found == ["int8", "int8 -> fp32", "fp16", "int64"]


def test_two_nodes_of_one_name_are_told_apart() -> None:
    events = [event("", 1), event("", 3, index=1)]
    assert [each.median_ms for each in kernel_times_from_profile(events, warmup=0)] == [1e-3, 3e-3]


def test_a_measured_engine_has_every_kernel_and_keeps_it_in_its_record(tmp_path: Path) -> None:
    (run,) = measure([make_model(tmp_path / "a.onnx")], threads=1, samples=20, layers=True)
    assert run.layers[0].operator == "GlobalAveragePool"
    assert sum(each.share for each in run.layers) == pytest.approx(1.0)
    assert {each.precision for each in run.layers} == {"fp32"}
    assert len(run.samples_ms) == 20
    write_latency(tmp_path / "a.latency.json", [run])
    assert read_latency(tmp_path / "a.latency.json") == (run,)
    assert "profiled apart" in run.slowest_lines()[0]


def test_a_session_without_a_profiler_says_so(tmp_path: Path) -> None:
    path = make_model(tmp_path / "a.onnx")
    (run,) = measure([path], samples=10, layers=True, backend="fake")
    assert run.layers == ()
    assert "no layer times" in run.notes[-1]


def test_records_without_layers_are_read_and_damaged_layers_are_not(tmp_path: Path) -> None:
    (run,) = measure([make_model(tmp_path / "a.onnx")], threads=1, samples=10, layers=True)
    path = tmp_path / "a.latency.json"
    write_latency(path, [replace(run, layers=())])
    assert "layers" not in json.loads(path.read_text())["runs"][0]
    assert read_latency(path)[0].layers == ()
    write_latency(path, [run])
    path.write_text(path.read_text().replace('"share": ', '"share": 7'))
    with pytest.raises(InputError, match="a share of 7"):
        read_latency(path)
