"""A graph as PyTorch's old exporter writes it is quantized like the one we export ourselves.

Nothing in it is folded or simplified: shapes are computed, normalization stands apart, constants
are nodes. Were a simplifier needed, this is where it would show.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import pytest

from calibration.graph import Graph, prepare
from calibration.placement import int8_mac_share, place
from calibration.schemes import SCHEMES

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")
models = pytest.importorskip("torchvision.models", reason="needs pip install 'edgekit[train]'")

from toolkit.import_model import import_model  # noqa: E402 - only with torch
from toolkit.preprocess import Preprocess  # noqa: E402 - only with torch
from toolkit.torch_export import graph_from_network  # noqa: E402 - only with torch

pytestmark = pytest.mark.slow


def test_an_unsimplified_export_gets_the_placement_of_our_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = models.shufflenet_v2_x0_5(weights=None, num_classes=10).eval()
    old = tmp_path / "old.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old exporter announces its end, over and over
        torch.onnx.export(
            network,
            (torch.randn(2, 3, 64, 64),),
            str(old),
            dynamo=False,
            opset_version=11,
            do_constant_folding=False,
            dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}},
            input_names=["input"],
            output_names=["logits"],
        )
    raw = onnx.load(old)
    assert {"Shape", "Gather", "BatchNormalization"} <= {node.op_type for node in raw.graph.node}
    imported = import_model(str(old), out=tmp_path / "m.onnx", preprocess="imagenet", opset=17)
    own = graph_from_network(network, Preprocess(64, 64), opset=17).model
    counts = []
    for model in (onnx.load(imported.path), own):
        ready = prepare(model)
        placement = place(ready, SCHEMES["tensorrt-rtx"])
        share = int8_mac_share(Graph(ready), placement)
        counts.append((len(placement.int8_nodes), len(placement.pairs), share))
    assert counts[0] == counts[1]
    assert counts[0][2] == 1.0
