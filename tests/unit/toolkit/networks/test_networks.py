from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.errors import InputError  # noqa: E402 - only with torch
from toolkit.networks import build_network, preprocess_of  # noqa: E402 - only with torch
from toolkit.preprocess import IMAGENET  # noqa: E402 - only with torch


def shapes(network: Any) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for name, p in network.named_parameters() if name.endswith("weight")]


def test_simple_cnn_is_the_network_of_the_tutorial() -> None:
    assert shapes(build_network("simple-cnn", 10)) == [
        *((32, 3, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3)),
        *((128, 128 * 26 * 26), (10, 128)),
    ]


def test_lenet5_has_the_layers_of_the_paper() -> None:
    assert shapes(build_network("lenet5", 10)) == [
        *((6, 1, 5, 5), (16, 6, 5, 5), (120, 16, 5, 5)),
        *((84, 120), (10, 84)),
    ]
    sizes = [p.numel() for p in build_network("lenet5", 10).parameters()]
    # C1 156, S2 12, C3 2416 (of all six maps), S4 32, C5 48,120, F6 10,164, classes 850
    assert sum(sizes) == 61_750


def test_signs_cnn_has_what_quantization_treats_specially() -> None:
    network = build_network("signs-cnn", 10)
    layers = list(network.modules())
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    assert any(c.groups == c.in_channels > 1 for c in convolutions)
    assert any(c.kernel_size == (1, 1) for c in convolutions)
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers)
    assert any(isinstance(layer, torch.nn.ReLU6) for layer in layers)
    assert sum(p.numel() for p in network.parameters()) < 200_000


def test_a_torchvision_network_is_built_for_the_classes_asked_for() -> None:
    assert shapes(build_network("squeezenet1_1", 7))[-1] == (7, 512, 1, 1)


def test_torchvision_networks_keep_the_preprocessing_of_their_weights() -> None:
    assert preprocess_of("mobilenet_v2") == IMAGENET
    inception = preprocess_of("inception_v3")
    assert (inception.height, inception.resize_size) == (299, 342)
    assert preprocess_of("swin_t").interpolation == "bicubic"


@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_networks_from_tensorflow_undo_the_normalisation_themselves(name: str) -> None:
    assert build_network(name, 10).transform_input


@pytest.mark.parametrize("name", ["vit_b_16", "vit_h_14"])
def test_a_vision_transformer_has_the_positions_of_its_pictures(name: str) -> None:
    with torch.device("meta"):  # vit_h_14 would take 2.5 GB
        assert build_network(name, 10).image_size == preprocess_of(name).height


def test_an_unknown_network_gets_a_suggestion() -> None:
    for function in (lambda name: build_network(name, 10), preprocess_of):
        with pytest.raises(InputError, match=r"'mobilenetv2'\. Did you mean 'mobilenet_v2'"):
            function("mobilenetv2")
