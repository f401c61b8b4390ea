from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.doubles.engines import write_engine_of
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.artifacts import Engine
from toolkit.build.guard import DOES_NOT_BEAT
from toolkit.cli.build_lines import build_outcome


def engine(folder: Path, name: str, precision: str, **changes: Any) -> Engine:
    return write_engine_of(
        classifier(), contract(precision=precision), folder, name=name, precision=precision,
        content=b"x" * 2**20, **changes,
    )  # fmt: skip


def test_an_int8_engine_is_told_beside_the_fp16_engine_of_its_model(tmp_path: Path) -> None:
    int8 = engine(tmp_path, "m.int8.engine", "int8", int8_convs=52, float_convs=1, kernels=107)
    alone = build_outcome(int8)
    assert alone.line == (
        f"{int8.path}  int8, 52 INT8 and 1 float convolutions, 107 kernels, 1.0 MiB"
    )
    assert alone.values["fp16"] is None
    fp16 = engine(tmp_path, "m.fp16.engine", "fp16", float_convs=53, kernels=54)
    both = build_outcome(int8)
    assert both.line == (
        f"{alone.line}; FP16 beside it: 0 INT8 and 53 float convolutions, 54 kernels, 1.0 MiB"
    )
    values = json.loads(json.dumps(both.values))
    assert (values["int8_convs"], values["float_convs"], values["kernels"]) == (52, 1, 107)
    assert values["fp16"] == {
        "engine": str(fp16.path),
        "int8_convs": 0,
        "float_convs": 53,
        "kernels": 54,
        "bytes": 2**20,
    }


def test_int8_that_does_not_beat_fp16_is_said_on_the_result_line(tmp_path: Path) -> None:
    verdict = f"{DOES_NOT_BEAT}: 0.93 times as fast (0.92 to 0.94)"
    slow = engine(tmp_path, "m.int8.engine", "int8", notes=("batch 1:1:1", verdict))
    assert build_outcome(slow).line.endswith(f"; {verdict}")
    fast = engine(tmp_path, "m.int8.engine", "int8", notes=("INT8 beats m.fp16.engine: 1.8",))
    assert "beats" not in build_outcome(fast).line
    assert build_outcome(fast).details == ("INT8 beats m.fp16.engine: 1.8",)
