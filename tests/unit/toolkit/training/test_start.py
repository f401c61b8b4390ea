from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.errors import CheckpointError  # noqa: E402 - only with torch
from toolkit.networks import build_network, learning_rate_of  # noqa: E402 - only with torch
from toolkit.networks.torchvision_networks import (  # noqa: E402 - only with torch
    preprocess_of_weights,
    weights_of,
)
from toolkit.training.start import load_start, preprocess_of_start  # noqa: E402 - only with torch


def weights_file(path: Path, *, classes: int) -> Path:
    torch.save(build_network("squeezenet1_1", classes).state_dict(), path)
    return path


def test_all_but_the_last_layer_comes_from_weights_for_other_classes(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "w.pth", classes=7)
    network = build_network("squeezenet1_1", 3)
    own = {name: value.clone() for name, value in network.state_dict().items()}
    load_start(network, "squeezenet1_1", str(path), classes=3)
    given = torch.load(path, weights_only=True)
    for name, value in network.state_dict().items():
        wanted = own if name.startswith("classifier.1.") else given
        assert torch.equal(value, wanted[name]), name


def test_equal_classes_take_the_last_layer_too(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "w.pth", classes=3)
    network = build_network("squeezenet1_1", 3)
    load_start(network, "squeezenet1_1", str(path), classes=3)
    given = torch.load(path, weights_only=True)
    assert all(torch.equal(value, given[name]) for name, value in network.state_dict().items())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "w.pth", classes=3)
    with pytest.raises(CheckpointError, match="are not those of lenet5"):
        load_start(build_network("lenet5", 3), "lenet5", str(path), classes=3)


def test_published_weights_bring_their_own_preprocessing() -> None:
    newest = weights_of("resnet50")["IMAGENET1K_V2"]
    assert preprocess_of_start("resnet50", "default") == preprocess_of_weights(newest)
    assert preprocess_of_start("resnet50", "file.pth") is None
    assert preprocess_of_start("lenet5", "default") is None


def test_the_learning_rate_is_lower_from_weights_and_where_nothing_steadies() -> None:
    assert learning_rate_of("resnet18", pretrained=True) < learning_rate_of("resnet18")
    assert learning_rate_of("vgg16") < learning_rate_of("vgg16_bn")
