"""TensorRT-RTX, with no GPU, runs a tuned graph's kept layers in float and all others in Int8."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.contracts.rtx_table import layers_of
from tests.unit.toolkit.tune.planted import HARD, pictures, planted_model
from toolkit.build import build
from toolkit.tune import tune

pytestmark = pytest.mark.slow

HARMLESS = ("Converting conv activation scales to fp32", "Converting conv weight scales to")


def test_exactly_the_kept_layers_are_float_in_the_builders_layer_table(tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    model = planted_model(tmp_path / "m.onnx")
    tuned = tune(
        model.path,
        images=pictures(tmp_path / "val", model, count=240, seed=1),
        calibration_images=pictures(tmp_path / "train", model, count=48, seed=2),
        max_drop=5.0,
        method="minmax",
        target="rtx-4090",
        threads=1,
    )
    assert tuned.kept == (HARD,)
    assert build(tuned.model.path, target="rtx-4090").manifest.int8_convs == 1
    graph = onnx.load(tuned.model.path)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1  # no profile is set here
    outcome = layers_of(trt, graph)
    assert [w for w in outcome.warnings if not any(part in w for part in HARMLESS)] == []
    assert outcome.table.int8_nodes == {name for name, _ in tuned.ranking} - set(tuned.kept)
    assert outcome.table.count([n.name for n in graph.graph.node if n.op_type == "Conv"]) == (1, 1)
