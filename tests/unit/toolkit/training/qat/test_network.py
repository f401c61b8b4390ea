"""The network that learns computes, rounds and ends as the Q/DQ graph that will run."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from calibration.emit import Quantized, emit
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from calibration.sqnr import sqnr_db
from tests.contracts.rtx_table import layers_of
from tests.unit.calibration.nets import Net, run

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.training.qat.learn import (  # noqa: E402 - only with torch
    network_from_recipe,
    recipe_from_network,
)
from toolkit.training.qat.network import unit_of  # noqa: E402 - only with torch

_CLOSE_DB = 40.0
"""A value on the edge of two steps may fall to either side; a wrong pair costs far more."""


def _model() -> onnx.ModelProto:
    """Return a network with all that placement treats apart: residual Add, Concat, Clip, pads."""
    net = Net(size=12)
    x = net.add("Relu", net.conv(net.input, 16, 3))
    y = net.add("Relu", net.add("Add", net.conv(net.clip(net.conv(x, 16, 3)), 16, 3), x))
    gate = net.add("HardSigmoid", net.conv(net.add("GlobalAveragePool", y), 16, 1))
    y = net.add("HardSwish", net.conv(net.add("Mul", y, gate), 16, 3, group=16))
    y = net.add("MaxPool", net.conv(y, 8, 1), kernel_shape=[2, 2], strides=[2, 2])
    branches = [net.add("Relu", net.conv(y, 8, k)) for k in (1, 3)]
    net.channels("joined_out", 16)
    y = net.conv(net.add("Concat", *branches, name="joined", axis=1, channels=16), 16, 3)
    return net.model(
        net.gemm(net.add("Flatten", net.add("GlobalAveragePool", y)), 16, 10), opset=17
    )


def _silu_model() -> onnx.ModelProto:
    """Return two convolutions with SiLU, the first read with padding, and a classifier."""
    net = Net(size=12)
    x = net.input
    for name in ("first", "second"):
        x = net.conv(x, 16, 3, name=name)
        x = net.add("Mul", x, net.add("Sigmoid", x), name=f"{name}_silu")
    pooled = net.add("GlobalAveragePool", net.conv(x, 16, 1))
    return net.model(net.gemm(net.add("Flatten", pooled), 16, 10), opset=17)


def _images(n: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(n, 3, 12, 12)).astype(np.float32)


def _calibrated(scheme: str, method: str = "minmax") -> Quantized:
    return quantize(
        _model(), lambda: [_images(16, 1)], scheme=SCHEMES[scheme], method=method, model_digest="m"
    )


def _logits(network: Any, images: Any) -> Any:
    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize("method", ["minmax", "auto"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_before_training_the_network_answers_as_the_calibrated_graph(
    scheme: str, method: str
) -> None:
    made, images = _calibrated(scheme, method), _images(32, 2)
    found = _logits(network_from_recipe(made.recipe), images)
    assert sqnr_db(run(made.model, images), found) > _CLOSE_DB


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_rounds_a_pair_and_a_weight_wherever_placement_has_one(scheme: str) -> None:
    recipe = _calibrated(scheme).recipe
    network = network_from_recipe(recipe)
    groups = {pair.group for pair in recipe.network.placement.pairs}
    assert len(network.exponents) == len(groups)
    network(torch.from_numpy(_images(4, 3))).square().sum().backward()
    assert all(step.grad is not None for step in network.exponents.values())


def test_gradients_flow_straight_through_the_rounding_to_every_weight() -> None:
    network = network_from_recipe(_calibrated("tensorrt").recipe)
    network(torch.from_numpy(_images(8, 3))).square().sum().backward()
    learned = list(network.learned.values())
    assert len(learned) == 2 * 10  # nine convolutions and a Gemm, a weight and a bias each
    assert all(float(each.grad.abs().sum()) > 0.0 for each in learned)


def _learn(network: Any, model: onnx.ModelProto) -> None:
    """Take a few steps towards the answers of `model`."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    wanted = torch.from_numpy(run(model, _images(16, 1)))
    for _ in range(8):
        optimizer.zero_grad()
        error = (network(torch.from_numpy(_images(16, 1))) - wanted).square().mean()
        error.backward()
        optimizer.step()


def _after_steps(scheme: str) -> tuple[Any, Quantized]:
    recipe = _calibrated(scheme).recipe
    network = network_from_recipe(recipe)
    _learn(network, _model())
    return network, emit(recipe_from_network(network, recipe, notes=("fine-tuned",)))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_was_learned_is_what_the_written_graph_computes(scheme: str) -> None:
    network, made = _after_steps(scheme)
    images = _images(32, 4)
    learned = _logits(network, images)
    assert sqnr_db(learned, run(_calibrated(scheme).model, images)) < _CLOSE_DB  # it did move
    assert sqnr_db(learned, run(made.model, images)) > _CLOSE_DB
    assert made.table.method == "qat"
    assert made.notes[0] == "fine-tuned"


@pytest.mark.parametrize("scheme", ["tensorrt", "tensorrt-rtx"])
def test_shifts_by_a_sub_are_rounded_in_training_as_in_the_graph(scheme: str) -> None:
    images, unseen = _images(16, 1), _images(32, 4)
    start = quantize(
        _silu_model(),
        lambda: [images],
        scheme=SCHEMES[scheme],
        method="minmax",
        model_digest="m",
        explicit_shifts=True,
    )
    network = network_from_recipe(start.recipe)
    assert sqnr_db(run(start.model, unseen), _logits(network, unseen)) > _CLOSE_DB
    _learn(network, _silu_model())
    made = emit(recipe_from_network(network, start.recipe, notes=()))
    subs = [node.input[0] for node in made.model.graph.node if node.op_type == "Sub"]
    assert subs == [node.input[0] for node in start.model.graph.node if node.op_type == "Sub"]
    assert len(subs) == 2
    assert made.table.explicit_shifts
    learned = _logits(network, unseen)
    assert sqnr_db(learned, run(start.model, unseen)) < _CLOSE_DB  # it did move
    assert sqnr_db(learned, run(made.model, unseen)) > _CLOSE_DB


def test_rtx_runs_every_layer_in_int8_that_placement_calls_int8_after_training() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs pip install 'edgekit[rtx]'")
    _, made = _after_steps("tensorrt-rtx")
    made.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    outcome = layers_of(trt, made.model)
    assert outcome.warnings == ()
    assert outcome.table.int8_nodes == set(made.recipe.network.placement.int8_nodes)


def test_a_factor_moved_between_layers_moves_the_units_with_it() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(6, 4, 3, 3)), rng.normal(size=(5, 6, 1, 1))
    gain = np.array([1, 1, 1, 128, 1, 1], np.float64)
    lifted = unit_of(first * gain.reshape(-1, 1, 1, 1)) / unit_of(first)
    lowered = unit_of(second / gain.reshape(1, -1, 1, 1)) / unit_of(second)
    assert np.allclose(lifted[3] / lifted[0], 128.0, rtol=1e-5)
    assert np.allclose(lowered[:, 0] / lowered[:, 3], 128.0, rtol=1e-5)
