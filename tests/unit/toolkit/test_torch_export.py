from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit import torch_export  # noqa: E402 - only with torch
from toolkit.errors import ModelError  # noqa: E402 - only with torch
from toolkit.preprocess import Preprocess  # noqa: E402 - only with torch
from toolkit.torch_export import graph_from_network  # noqa: E402 - only with torch

SMALL = Preprocess(16, 16)


def classifier() -> torch.nn.Module:  # type: ignore[name-defined]  # torch comes from importorskip
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(784, 3)
    )


def test_a_fixed_batch_is_written_as_a_number() -> None:
    graph = graph_from_network(classifier(), SMALL, batch=2)
    assert graph.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    assert graph.classes == 3


def test_a_network_that_is_no_classifier_is_refused() -> None:
    with pytest.raises(ModelError, match=r"not a classifier: it returns \(3, 4, 14, 14\)"):
        graph_from_network(torch.nn.Conv2d(3, 4, 3), SMALL)


def test_a_network_for_another_input_is_refused_with_the_shape() -> None:
    with pytest.raises(ModelError, match=r"does not take an input of \(3, 3, 20, 20\)"):
        graph_from_network(classifier(), Preprocess(20, 20))


def test_undefined_logits_are_refused() -> None:
    network = classifier()
    torch.nn.init.constant_(network[3].bias, float("nan"))
    with pytest.raises(ModelError, match="infinite or undefined logits"):
        graph_from_network(network, SMALL)


def test_a_graph_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch_export._onnx_logits
    monkeypatch.setattr(torch_export, "_onnx_logits", lambda *args: real(*args) * np.float32(1.01))
    with pytest.raises(ModelError, match="does not compute what PyTorch computes"):
        graph_from_network(classifier(), SMALL)


def test_what_pytorch_cannot_export_is_refused_with_its_reason() -> None:
    class Branching(torch.nn.Module):  # type: ignore[name-defined,misc]  # from importorskip
        def __init__(self) -> None:
            super().__init__()
            self.network = classifier()

        def forward(self, images: object) -> object:
            logits = self.network(images)
            return logits if logits.sum() > 0 else -logits

    with pytest.raises(ModelError, match="PyTorch cannot export this network"):
        graph_from_network(Branching(), SMALL)


def test_a_network_that_asserts_another_size_is_refused_with_its_words() -> None:
    class Asserting(torch.nn.Module):  # type: ignore[misc, name-defined]  # as a transformer does
        def forward(self, images: object) -> object:
            torch._assert(False, "Wrong image height! Expected 224 but got 16!")
            return images

    with pytest.raises(ModelError, match=r"does not take.*Expected 224 but got 16!"):
        graph_from_network(Asserting(), SMALL)


def test_weights_that_one_file_cannot_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_export, "MAX_BYTES", 1000)  # they are 10 kB
    with pytest.raises(ModelError, match="one ONNX file holds at most 2 GiB"):
        graph_from_network(classifier(), SMALL)
