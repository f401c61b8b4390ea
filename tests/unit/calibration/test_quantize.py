from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import calibration.repair.recentre as recentre_module
from calibration.emit import Quantized
from calibration.errors import CalibrationError
from calibration.graph import Graph, prepare
from calibration.insert import insert_qdq
from calibration.methods import METHODS
from calibration.placement import place
from calibration.quantize import quantize
from calibration.repair.recentre import recentre
from calibration.repair.shifts import regions
from calibration.rounding import fake_quantize
from calibration.schemes import SCHEMES, Scheme
from calibration.table import CalibrationTable, Range
from tests.unit.calibration.nets import Net, run

TENSORRT = SCHEMES["tensorrt"]


def _network() -> onnx.ModelProto:
    net = Net(size=12)
    x = net.clip(net.conv("input", 8, 3))
    x = net.clip(net.conv(x, 8, 3, group=8))
    x = net.add("Relu", net.conv(x, 12, 3))
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.model(net.gemm(x, 12, 5))


def _images(n: int = 24) -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(n, 3, 12, 12)).astype(np.float32)


def _batches(images: NDArray[np.float32], size: int = 8) -> Iterator[NDArray[np.float32]]:
    return (images[start : start + size] for start in range(0, len(images), size))


def _quantized(model: onnx.ModelProto, **options: object) -> Quantized:
    images = _images()
    chosen = {"scheme": TENSORRT, "model_digest": "m", **options}
    return quantize(model, lambda: _batches(images), **chosen)  # type: ignore[arg-type] # a table


def _sqnr(reference: NDArray[np.float32], value: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.square(reference).sum() / np.square(reference - value).sum()))


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_int8_stays_close_to_float_on_images_not_calibrated_on(scheme: str) -> None:
    model = _network() if SCHEMES[scheme].max_opset >= 20 else _at_opset_17()
    made = _quantized(model, scheme=SCHEMES[scheme])
    fresh = np.random.default_rng(8).normal(size=(16, 3, 12, 12)).astype(np.float32)
    assert _sqnr(run(model, fresh), run(made.model, fresh)) > 20.0
    assert made.table.scheme == scheme
    assert made.int8_mac_share > 0.95


def _at_opset_17() -> onnx.ModelProto:
    model = _network()
    model.opset_import[0].version = 17  # none of these operators changed between 17 and 20
    return model


@pytest.mark.parametrize("method", ["auto", *sorted(METHODS)])
def test_every_method_gives_a_model_that_runs(method: str) -> None:
    made = _quantized(_network(), method=method, effort="fast")
    assert np.isfinite(run(made.model, _images(4))).all()
    assert made.table.method == method


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
def test_equal_seeds_give_equal_bytes(effort: str) -> None:
    first, second = (_quantized(_network(), effort=effort) for _ in range(2))
    assert first.model.SerializeToString() == second.model.SerializeToString()
    assert first.table.digest == second.table.digest


def test_the_cut_into_batches_does_not_matter() -> None:
    images = _images()
    tables = [
        quantize(
            _network(),
            lambda size=size: _batches(images, size),  # type: ignore[misc] # bound per loop
            scheme=TENSORRT,
            effort="fast",
            model_digest="m",
        ).table
        for size in (1, 5, 24)
    ]
    for other in tables[1:]:
        for name, span in tables[0].ranges.items():
            assert other.ranges[name].amax == pytest.approx(span.amax, rel=1e-5)


def test_recentring_does_not_change_the_float_function() -> None:
    model = prepare(_network())
    placement, graph = place(model, TENSORRT), Graph(model)
    assert regions(graph, placement), "this network has activations to recentre"
    for weight in placement.weights:  # rounded weights are their own rounding
        for tensor in model.graph.initializer:
            if tensor.name == weight.initializer:
                exact = onnx.numpy_helper.to_array(tensor)
                rounded = fake_quantize(exact, weight.axis, TENSORRT.weight_bits)
                tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))
    ranges = {pair.tensor: Range(0.0, 6.0, "test") for pair in placement.pairs}
    shifted = recentre(model, placement, ranges, weight_bits=TENSORRT.weight_bits)
    images = _images(8)
    before, after = run(model, images), run(shifted.model, images)
    assert np.abs(before - after).max() <= 1e-4 * np.abs(before).max()
    assert (before.argmax(1) == after.argmax(1)).all()
    assert shifted.shifts


def test_absorbing_the_sum_of_unrounded_weights_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The mistake: c * sum(W) instead of c * sum(Wq). Coarse weights make it plain.
    scheme, images = replace(TENSORRT, weight_bits=4), _images()
    reference = run(_network(), images)
    right = _sqnr(reference, run(_recentred(scheme), images))
    monkeypatch.setattr(recentre_module, "fake_quantize", lambda weight, *_: weight)
    wrong = _sqnr(reference, run(_recentred(scheme), images))
    assert right > wrong + 3.0


def _recentred(scheme: Scheme) -> onnx.ModelProto:
    """Return the network with Q/DQ after recentring alone, ranges by hand."""
    model = prepare(_network())
    placement = place(model, scheme)
    ranges = {pair.tensor: Range(0.0, 6.0, "test") for pair in placement.pairs}
    ranges["input"] = Range(-5.0, 5.0, "test")
    shifted = recentre(model, placement, ranges, weight_bits=scheme.weight_bits)
    table = CalibrationTable("m", "test", 1, 0, shifted.ranges)
    return insert_qdq(shifted.model, shifted.placement, table, scheme)


def test_bias_correction_wins_over_plain_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    import calibration.network as network_module

    scheme, images = replace(TENSORRT, weight_bits=4), _images()
    reference = run(_network(), images)
    corrected = _quantized(_network(), scheme=scheme, effort="fast").model
    mean_error = np.abs((run(corrected, images) - reference).mean(axis=0)).max()
    monkeypatch.setattr(
        network_module, "correction", lambda error, *_: np.zeros(error.shape[0]), raising=True
    )
    plain = _quantized(_network(), scheme=scheme, effort="fast").model
    assert mean_error < 0.7 * np.abs((run(plain, images) - reference).mean(axis=0)).max()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_images_that_are_not_finite_are_refused(bad: float) -> None:
    images = _images(8)
    images[3, 0, 0, 0] = bad
    with pytest.raises(CalibrationError):
        quantize(
            _network(), lambda: _batches(images), scheme=TENSORRT, model_digest="m", effort="fast"
        )


def test_no_image_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no calibration image"):
        quantize(_network(), lambda: iter(()), scheme=TENSORRT, model_digest="m")


def test_a_model_that_is_quantized_already_is_refused() -> None:
    made = _quantized(_network(), effort="fast").model
    with pytest.raises(CalibrationError, match="already"):
        _quantized(made)


@pytest.mark.parametrize("option", ["method", "effort"])
def test_an_unknown_choice_names_the_known_ones(option: str) -> None:
    with pytest.raises(CalibrationError, match=r"minmax|balanced"):
        _quantized(_network(), **{option: "guess"})


def test_one_image_is_enough_and_says_that_ranges_did_not_converge() -> None:
    images = _images(1)
    made = quantize(
        _network(), lambda: _batches(images), scheme=TENSORRT, model_digest="m", effort="fast"
    )
    assert made.table.samples == 1
    assert made.notes
