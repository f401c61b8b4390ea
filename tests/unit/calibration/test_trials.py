"""A trial's error is that of the whole network with one tensor quantized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.execute import RUN_SIZE, Runner, logits_of
from calibration.graph import Graph, prepare
from calibration.network import Network, rounded_model
from calibration.placement import Pair
from calibration.repair.equalize import domains, equalize
from calibration.rounding import Grid
from calibration.schemes import SCHEMES
from calibration.trials import Trial, _Evaluator, output_errors
from tests.unit.calibration.measured import measured
from tests.unit.calibration.nets import Net

GRID = Grid(np.float32(0.06), 0, np.int8)
COARSE = Grid(np.float32(0.4), 0, np.int8)


def _network(block: str = "chain") -> Network:
    net = Net(size=8)
    x = net.add("Relu", net.conv("input", 6, 3, name="a"), name="act")
    if block == "residual":
        y = net.conv(x, 6, 3, name="b")
        x = net.add("Relu", net.add("Add", x, y, name="add"), name="sum")
    elif block == "depthwise":
        x = net.add("Relu", net.conv(x, 6, 3, name="b", group=6), name="act2")
    elif block == "pooled":  # the tensor and its pooled values share a scale: a group of two
        y = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], name="pool")
        z = net.add(
            "MaxPool", net.conv(x, 6, 3, name="d"), kernel_shape=[2, 2], strides=[2, 2], name="far"
        )
        x = net.add("Relu", net.add("Add", net.conv(y, 6, 3, name="b"), z, name="add"), name="sum")
    x = net.add("Relu", net.conv(x, 8, 3, name="c"), name="last")
    pooled = net.add("Flatten", net.add("GlobalAveragePool", x))
    model = prepare(net.model(net.gemm(pooled, 8, 5)))
    return measured(model, _images(), SCHEMES["tensorrt"])[0]


def _images(count: int = 10) -> NDArray[np.float32]:
    return np.random.default_rng(9).normal(size=(count, 3, 8, 8)).astype(np.float32)


def _by_hand(network: Network, pair: Pair, grid: Grid, images: NDArray[np.float32]) -> float:
    """Return the error with the tensor rounded by NumPy and its layers' weights rounded."""
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    rounded = _rounded_weights(network, pair)
    for tensor in model.graph.initializer:
        if tensor.name in rounded:
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded[tensor.name], tensor.name))
    for node in model.graph.node:
        for use in pair.uses:
            if node.name == use.node:
                node.input[use.index] = "replacement"
    extra = onnx.helper.make_tensor_value_info("replacement", onnx.TensorProto.FLOAT, None)
    model.graph.input.append(extra)
    output, first = network.graph.outputs[0], network.graph.inputs[0]
    inner = Runner(_giving(network.model, pair.tensor))
    values = inner.run({first: images}, [pair.tensor])[pair.tensor]
    runner = Runner(model)
    made = runner.run({first: images, "replacement": grid.round(values)}, [output])[output]
    wanted = logits_of(network.model, images)
    return float(np.square(made - wanted, dtype=np.float64).sum() / np.square(wanted).sum())


def _rounded_weights(network: Network, pair: Pair) -> dict[str, NDArray[np.float32]]:
    """Return weights and biases of the layers that read the pair, rounded."""
    found = {}
    for use in pair.uses:
        node = network.graph.node(use.node)
        if node.op_type in ("Conv", "Gemm"):
            found[node.input[1]], found[node.input[2]] = network.rounded(node, None)
    return found


def _giving(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if name not in {value.name for value in model.graph.input}:
        result.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return result


@pytest.mark.parametrize("block", ["chain", "residual", "depthwise"])
def test_errors_are_those_of_the_network_with_one_tensor_quantized(block: str) -> None:
    network, images = _network(block), _images()
    trials = {pair.group: [Trial(GRID), Trial(COARSE)] for pair in network.placement.pairs}
    found = output_errors(network, trials, images)
    groups = [pair.group for pair in network.placement.pairs]
    for pair in network.placement.pairs:
        if groups.count(pair.group) > 1:
            continue
        for index, grid in enumerate((GRID, COARSE)):
            wanted = _by_hand(network, pair, grid, images)
            assert found[pair.group][index] == pytest.approx(wanted, rel=1e-3, abs=1e-9)


def test_a_coarser_grid_has_more_error() -> None:
    network = _network()
    trials = {pair.group: [Trial(GRID), Trial(COARSE)] for pair in network.placement.pairs}
    for fine, coarse in output_errors(network, trials, _images()).values():
        assert fine < coarse


def test_a_gain_that_the_consumers_undo_costs_only_rounding() -> None:
    network, images = _network("depthwise"), _images()
    domain = next(iter(domains(network.graph, network.placement)))
    group = next(p.group for p in network.placement.pairs if p.tensor in domain.tensors)
    gain = np.linspace(1.0, 3.0, 6).astype(np.float32)
    fine = Grid(np.float32(1e-3), 0, np.uint8)
    wide = replace(fine, scale=np.float32(0.1))
    found = output_errors(network, {group: [Trial(wide), Trial(wide, gain)]}, images)[group]
    lifted = equalize(network.model, {domain: gain})
    np.testing.assert_allclose(
        logits_of(lifted, images), logits_of(network.model, images), atol=1e-4
    )
    assert 0.0 < found[1] < 0.05


def test_memory_limits_do_not_change_the_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = _network("residual"), _images()
    trials = {pair.group: [Trial(GRID)] for pair in network.placement.pairs}
    together = output_errors(network, trials, images)
    monkeypatch.setattr("calibration.trials._CHUNK_BYTES", 1)
    apart = output_errors(network, trials, images)
    for group, errors in together.items():
        assert apart[group] == pytest.approx(errors, rel=1e-5)


def test_a_few_images_are_in_flight_however_many_fit_the_tensors_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, runs, run = _network(), [], Runner.run

    def counted(
        self: Runner, inputs: dict[str, NDArray[np.float32]], outputs: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        runs.append(max(len(value) for value in inputs.values() if value.ndim > 1))
        return run(self, inputs, outputs)

    monkeypatch.setattr(Runner, "run", counted)
    trials = {pair.group: [Trial(GRID)] for pair in network.placement.pairs}
    output_errors(network, trials, _images(64))
    assert max(runs) == RUN_SIZE


@pytest.mark.parametrize("chunk_bytes", [1, 16 << 20])
def test_a_trial_above_its_limit_is_given_up_and_the_others_keep_their_errors(
    chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibration.trials._CHUNK_BYTES", chunk_bytes)
    network, images = _network(), _images()
    groups = [pair.group for pair in network.placement.pairs]
    trials = {group: [Trial(GRID), Trial(COARSE)] for group in groups}
    whole = output_errors(network, trials, images)
    limits = {group: (fine + coarse) / 2 for group, (fine, coarse) in whole.items()}
    limited = output_errors(network, trials, images, limits=limits)
    for group, (fine, _coarse) in whole.items():
        assert limited[group] == [fine, math.inf]


def test_what_lies_beyond_a_trial_that_was_given_up_is_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, images = _network(), _images()
    group = network.placement.pairs[0].group
    fine = output_errors(network, {group: [Trial(GRID)]}, images)[group][0]
    tried: list[Trial] = []
    error = _Evaluator.error

    def counted(self: _Evaluator, trial: Trial, *rest: Any, limit: float) -> float:
        tried.append(trial)
        return error(self, trial, *rest, limit=limit)

    monkeypatch.setattr(_Evaluator, "error", counted)
    trials = [Trial(COARSE), Trial(GRID, beyond=0), Trial(GRID)]
    found = output_errors(network, {group: trials}, images, limits={group: fine})[group]
    assert found == [math.inf, math.inf, fine]
    assert tried == [trials[0], trials[2]]


@pytest.mark.parametrize("chunk_bytes", [1, 16 << 20])
@pytest.mark.parametrize("block", ["chain", "residual", "depthwise", "pooled"])
def test_among_rivals_the_best_is_the_one_of_full_trials(
    block: str, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibration.trials._CHUNK_BYTES", chunk_bytes)
    network, images = _network(block), _images()
    grids = [Grid(np.float32(scale), 0, np.int8) for scale in (0.4, 0.02, 0.06, 0.1, 0.03)]
    groups = [pair.group for pair in network.placement.pairs]
    trials = {group: [Trial(grid) for grid in grids] for group in groups}
    whole = output_errors(network, trials, images)
    rivals = output_errors(network, trials, images, rivals=groups)
    given_up = 0
    for group, errors in whole.items():
        assert min(rivals[group]) == min(errors)
        assert rivals[group].index(min(rivals[group])) == errors.index(min(errors))
        given_up += rivals[group].count(math.inf)
        if groups.count(group) > 1:
            assert rivals[group] == errors
    assert given_up > 0
    assert (block == "pooled") == (len(set(groups)) < len(groups))


def test_groups_without_trials_are_not_run_and_progress_counts_the_others() -> None:
    network = _network()
    groups = [pair.group for pair in network.placement.pairs]
    steps: list[tuple[int, int]] = []
    found = output_errors(
        network,
        {groups[0]: [Trial(GRID)], groups[1]: []},
        _images(4),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert found[groups[1]] == []
    assert steps[-1] == (1, 1)


def test_errors_of_single_tensors_add_up_to_that_of_all() -> None:
    network, images = _network(), _images(32)
    trials = {pair.group: [Trial(COARSE)] for pair in network.placement.pairs}
    parts = sum(errors[0] for errors in output_errors(network, trials, images).values())
    model = rounded_model(network, {})
    for pair in network.placement.pairs:
        step = onnx.numpy_helper.from_array(np.asarray(COARSE.scale), f"{pair.tensor}_s")
        zero = onnx.numpy_helper.from_array(np.asarray(0, np.int8), f"{pair.tensor}_z")
        model.graph.initializer.extend([step, zero])
        ends = [f"{pair.tensor}_s", f"{pair.tensor}_z"]
        names = [f"{pair.tensor}_q", f"{pair.tensor}_dq"]
        quantize = onnx.helper.make_node("QuantizeLinear", [pair.tensor, *ends], [names[0]])
        back = onnx.helper.make_node("DequantizeLinear", [names[0], *ends], [names[1]])
        for node in model.graph.node:
            for use in pair.uses:
                if node.name == use.node:
                    node.input[use.index] = names[1]
        at = 1 + next((i for i, n in enumerate(model.graph.node) if pair.tensor in n.output), -1)
        model.graph.node.insert(at, quantize)
        model.graph.node.insert(at + 1, back)
    wanted = logits_of(network.model, images)
    made = logits_of(model, images)
    together = float(np.square(made - wanted).sum() / np.square(wanted).sum())
    assert parts == pytest.approx(together, rel=0.5)


def test_a_network_of_zeros_has_no_error() -> None:
    network = _network()
    for tensor in network.model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            zeros = np.zeros(tuple(tensor.dims), np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, tensor.name))
    blank = replace(network, graph=Graph(network.model), _rounded={})
    trials = {pair.group: [Trial(GRID)] for pair in blank.placement.pairs}
    assert all(errors == [0.0] for errors in output_errors(blank, trials, _images(2)).values())
