"""What every row of SOURCES promises. A new source is tested by being listed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.unit.toolkit.onnx_graphs import classifier
from toolkit.artifacts import digest_of_file
from toolkit.import_model import import_model
from toolkit.lazy import load
from toolkit.onnx_model.file import open_model
from toolkit.progress import Progress
from toolkit.sample_inputs import sample_inputs
from toolkit.sources import SOURCES, SUFFIXES

NEEDS = {"timm": "timm", "onnx": "onnx"}
"""The package a source needs; torch where it is not listed."""


def _source(kind: str, folder: Path) -> tuple[str, dict[str, str], Path | None]:
    """Return a SOURCE of this kind, the options it takes, and the file its weights come from."""
    if kind == "onnx":
        path = folder / "a.onnx"
        path.write_bytes(classifier().SerializeToString())
        return str(path), {"preprocess": "unit"}, path
    import torch

    from toolkit.networks import build_network

    torch.manual_seed(0)
    if kind == "timm":
        return "timm:resnet10t@random", {}, None
    if kind == "torchvision":
        path = folder / "w.pth"
        torch.save(build_network("squeezenet1_1", 4).state_dict(), path)
        return f"torchvision:squeezenet1_1@{path}", {}, path
    network = build_network("lenet5", 4).eval()
    if kind == "checkpoint":
        path = folder / "w.pth"
        torch.save(network.state_dict(), path)
        return str(path), {"arch": "lenet5"}, path
    path = folder / "w.pt2"
    torch.export.save(torch.export.export(network, (torch.randn(1, 1, 32, 32),)), path)
    return str(path), {"preprocess": "symmetric"}, path


def test_every_suffix_names_a_source() -> None:
    assert set(SUFFIXES.values()) <= set(SOURCES)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_gives_a_model_with_all_that_its_contract_needs(kind: str, tmp_path: Path) -> None:
    package = NEEDS.get(kind, "torch")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the source {kind} needs {package}")
    assert callable(load(SOURCES[kind], what=kind, install="pip install edgekit"))
    source, options, path = _source(kind, tmp_path)
    steps: list[Progress] = []
    model = import_model(source, out=tmp_path / "m.onnx", progress=steps.append, **options)  # type: ignore[arg-type]  # options of one kind
    contract = open_model(model.path).contract
    assert contract == model.contract
    assert contract.parent == (digest_of_file(path) if path else "")
    assert "preprocessing" in contract.source
    assert len(set(contract.ids)) == len(contract.labels)
    assert steps, "a source says what it is doing"
    inputs = sample_inputs(contract.preprocess, contract.input_shape[0] or 2)
    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    logits = session.run(None, {contract.input_name: inputs})[0]
    assert logits.shape == (len(inputs), len(contract.labels))
    assert np.isfinite(logits).all()
