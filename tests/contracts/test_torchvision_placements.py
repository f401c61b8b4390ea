"""Whole networks, exported from torchvision and placed: which kernels the runtimes make of them.

Weights are random: this is not about accuracy.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from calibration.graph import Graph, prepare
from calibration.insert import insert_qdq
from calibration.placement import Placement, int8_mac_share, place
from calibration.schemes import SCHEMES
from calibration.table import CalibrationTable, Range
from tests.contracts.rtx_table import layers_of

pytestmark = pytest.mark.slow

NETWORKS = [
    "efficientnet_b0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
]


@cache
def _network(name: str) -> onnx.ModelProto:
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision.models")
    from toolkit.preprocess import Preprocess
    from toolkit.torch_export import graph_from_network

    torch.manual_seed(0)
    network = getattr(models, name)(weights=None)
    preprocess = Preprocess(128, 128, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    return prepare(graph_from_network(network, preprocess, opset=17).model)


def _ranges(
    model: onnx.ModelProto, tensors: list[str], batch: NDArray[np.float32]
) -> dict[str, Range]:
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    made = [name for name in tensors if name not in ("input", "logits")]
    probe.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in made)
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    values = session.run(["logits", *made], {"input": batch})
    found = dict(zip(["logits", *made], values, strict=True)) | {"input": batch}
    return {t: Range(float(found[t].min()), float(found[t].max()), "minmax") for t in tensors}


def _quantized(name: str, scheme_name: str) -> tuple[onnx.ModelProto, Placement]:
    model, scheme = _network(name), SCHEMES[scheme_name]
    placement = place(model, scheme)
    batch = np.random.default_rng(0).normal(size=(2, 3, 128, 128)).astype(np.float32)
    ranges = _ranges(model, [pair.tensor for pair in placement.pairs], batch)
    table = CalibrationTable("", "minmax", 2, 0, ranges)
    return insert_qdq(model, placement, table, scheme), placement


@pytest.mark.parametrize("name", NETWORKS)
def test_rtx_runs_every_layer_in_int8_that_placement_calls_int8(name: str) -> None:
    trt: ModuleType = pytest.importorskip("tensorrt_rtx")
    model, placement = _quantized(name, "tensorrt-rtx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    outcome = layers_of(trt, model)
    assert outcome.warnings == ()
    assert outcome.table.int8_nodes == set(placement.int8_nodes)


@pytest.mark.parametrize("scheme", ["tensorrt", "tensorrt-rtx", "onnxruntime-x86"])
@pytest.mark.parametrize("name", NETWORKS)
def test_at_least_95_percent_of_the_convolutions_are_int8(name: str, scheme: str) -> None:
    model = _network(name)
    assert int8_mac_share(Graph(model), place(model, SCHEMES[scheme])) >= 0.95


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_leaves_no_convolution_in_float(name: str, tmp_path: Path) -> None:
    model, placement = _quantized(name, "onnxruntime-x86")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kernels = Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)
    layers = kernels["QLinearConv"] + kernels["QGemm"]
    assert layers == len(placement.int8_nodes)
    assert not {"Conv", "FusedConv", "Gemm", "FusedGemm"} & set(kernels)
