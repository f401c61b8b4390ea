"""A float model and its calibration cache: written together, converted both ways, read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.errors import CalibrationError
from calibration.float_tensors import float_tensors
from calibration.graph import Graph, prepare
from calibration.skeleton import qdq_ranges
from calibration.tensorrt_cache import cache_from_bytes
from targets import TargetError
from tests.unit.calibration.nets import run
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from tests.unit.toolkit.picture_folders import write_classes
from toolkit.artifacts import digest_of_file
from toolkit.calibrate import Calibration, calibrate
from toolkit.calibrate.cache import cache_manifest_path, diff_files, open_cache
from toolkit.calibrate.pair import CACHE_KEY
from toolkit.errors import InputError, StaleError
from toolkit.inspect_file import inspect
from toolkit.onnx_model.file import open_model, write_onnx
from toolkit.report.evidence import report_input_from_files

DLA = {"target": "jetson-orin-nx-16gb", "jetpack": "6", "dla": True}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "train", dict.fromkeys(contract().ids, 6))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_onnx(classifier(), tmp_path / "m.onnx", contract()).path


@pytest.fixture
def pair(model: Path, images: Path) -> Calibration:
    return calibrate(model, images=images, effort="fast", **DLA)  # type: ignore[arg-type] # a table


def _cache(pair: Calibration) -> Path:
    assert pair.cache is not None
    return pair.cache


def test_a_dla_before_tensorrt_11_gets_a_float_model_and_a_cache(pair: Calibration) -> None:
    assert pair.model.path.name == "m.dla.onnx"
    assert _cache(pair).name == "m.dla.cache"
    graph = onnx.load(pair.model.path)
    assert not [node for node in graph.graph.node if "Quantize" in node.op_type]
    cache = open_cache(_cache(pair))
    assert cache.tensorrt == "10.3.0"
    assert tuple(cache.scales) == float_tensors(Graph(prepare(graph)))
    assert {"image", "logits"} < set(cache.scales)
    assert all(0.0 < scale < np.inf for scale in cache.scales.values())


def test_a_report_calibrates_for_the_dla_again(pair: Calibration) -> None:
    def command() -> str:
        return report_input_from_files([pair.table]).commands[0]

    assert command().endswith(" --target jetson-orin-nx-16gb --dla --out m.dla.onnx")
    cache_manifest_path(_cache(pair)).write_text("{", encoding="utf-8")  # another one's trouble
    assert command().endswith(" --seed 0 --out m.dla.int8.onnx")


def test_a_quantized_model_is_refused_by_its_name(images: Path, tmp_path: Path) -> None:
    made = contract(precision="int8", scheme="tensorrt")
    path = write_onnx(quantized_classifier(), tmp_path / "q.onnx", made).path
    with pytest.raises(InputError, match=r"q\.onnx is quantized already") as caught:
        calibrate(path, images=images)
    assert caught.value.next_command == f"edgekit inspect {path}"


def test_the_digests_of_model_cache_and_table_name_each_other(pair: Calibration) -> None:
    manifest = json.loads(cache_manifest_path(_cache(pair)).read_text())
    assert manifest["cache_digest"] == digest_of_file(_cache(pair))
    assert manifest["model_digest"] == digest_of_file(pair.model.path)
    metadata = {p.key: p.value for p in onnx.load(pair.model.path).metadata_props}
    assert metadata[CACHE_KEY] == manifest["cache_digest"]
    assert open_model(pair.model.path).contract.calibration == manifest["table_digest"]
    assert len(pair.model.contract.calibration_images) == 24


def test_the_weights_lie_on_the_int8_grid_and_nothing_is_recentred(
    pair: Calibration, model: Path
) -> None:
    graph = onnx.load(pair.model.path).graph
    assert all(node.op_type != "Pad" for node in graph.node)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            weight = weights[node.input[1]].reshape(16, -1).astype(np.float64)
            steps = weight / (np.abs(weight).max(axis=1, keepdims=True) / 127.0)
            np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    batch = np.random.default_rng(0).normal(size=(4, 3, 16, 16)).astype(np.float32)
    exact = run(onnx.load(model), batch)
    np.testing.assert_allclose(
        run(onnx.load(pair.model.path), batch), exact, atol=0.03 * np.abs(exact).max()
    )


def test_what_a_relu_alone_reads_shares_its_range(pair: Calibration) -> None:
    scales = open_cache(_cache(pair)).scales
    assert scales["c1"] == scales["r1"]


def test_a_cache_becomes_qdq_with_the_same_scales(pair: Calibration, tmp_path: Path) -> None:
    made = calibrate(
        pair.model.path,
        images=None,
        from_cache=_cache(pair),
        target="rtx-4090",
        out=tmp_path / "back.int8.onnx",
    )
    scales = open_cache(_cache(pair)).scales
    found = {name: span.scale for name, span in qdq_ranges(onnx.load(made.model.path)).items()}
    assert found
    assert {name: np.float32(scale) for name, scale in found.items()} == {
        name: np.float32(scales[name]) for name in found
    }
    assert made.model.contract.calibration_images == pair.model.contract.calibration_images


def test_qdq_becomes_a_cache_that_keeps_its_ranges(
    pair: Calibration, images: Path, tmp_path: Path
) -> None:
    back = calibrate(
        pair.model.path,
        images=None,
        from_cache=_cache(pair),
        target="rtx-4090",
        out=tmp_path / "back.int8.onnx",
    )
    again = calibrate(
        back.model.path,
        images=images,
        samples=8,
        out=tmp_path / "again.dla.onnx",
        **DLA,  # type: ignore[arg-type] # a table
    )
    found = diff_files(back.model.path, _cache(again))
    assert (found.only_a, found.ratios) == ((), ())
    assert diff_files(_cache(pair), _cache(again)).only_a == ()


def test_recentred_qdq_cannot_become_a_cache(model: Path, images: Path, tmp_path: Path) -> None:
    made = calibrate(model, images=images, effort="fast", target="rtx-4090")
    with pytest.raises(InputError, match="are recentred around zero"):
        calibrate(
            made.model.path,
            images=images,
            out=tmp_path / "x.dla.onnx",
            **DLA,  # type: ignore[arg-type] # a table
        )


def test_a_cache_of_another_model_is_refused(pair: Calibration, model: Path) -> None:
    with pytest.raises(InputError, match=r"was written with m\.dla\.onnx") as caught:
        calibrate(model, images=None, from_cache=_cache(pair), target="rtx-4090")
    assert "--from-cache" in caught.value.next_command


def test_a_foreign_cache_without_a_tensor_is_an_error_that_names_it(
    model: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.cache"
    foreign.write_bytes(b"TRT-8401-EntropyCalibration2\r\nimage: 3caa54fc\r\nother: 3caa54fc\r\n")
    with pytest.raises(CalibrationError, match=r"no range for 1 of the 2 .*'r1' is the first"):
        calibrate(model, images=None, from_cache=foreign, target="rtx-4090")


def test_a_foreign_cache_says_that_its_images_are_not_known(model: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.cache"
    foreign.write_bytes(b"TRT-8401-EntropyCalibration2\r\nimage: 3caa54fc\r\nr1: 3caa54fc\r\n")
    made = calibrate(model, images=None, from_cache=foreign, target="rtx-4090")
    assert "not known" in made.notes[0]
    assert made.model.contract.calibration_images == ()


def test_an_altered_cache_no_longer_belongs_to_its_model(pair: Calibration) -> None:
    cache = _cache(pair)
    cache.write_bytes(cache.read_bytes().replace(b"image: ", b"image_: "))
    with pytest.raises(StaleError, match="no longer belong together"):
        inspect(cache)


def test_inspect_tells_what_a_cache_holds_and_belongs_to(pair: Calibration, tmp_path: Path) -> None:
    found = inspect(_cache(pair))
    assert found.kind == "calibration cache"
    assert "  belongs to m.dla.onnx, for jetson-orin-nx-16gb" in found.lines()
    assert inspect(cache_manifest_path(_cache(pair))).kind == "calibration cache"
    plain = tmp_path / "plain.txt"
    plain.write_bytes(b"TRT-8502-EntropyCalibration2\na: 7f800000\nb: 0\n")
    values = inspect(plain).to_dict()
    assert (values["infinite"], values["zero"], values["tensorrt"]) == (["a"], ["b"], "8.5.2")


def test_scales_of_caches_tables_and_models_are_compared(
    pair: Calibration, model: Path, tmp_path: Path
) -> None:
    assert diff_files(_cache(pair), pair.table).same
    other = tmp_path / "other.cache"
    content = cache_from_bytes(_cache(pair).read_bytes(), where="x").to_text()
    other.write_text(content.replace("image: ", "picture: "))
    assert diff_files(_cache(pair), other).renamed == (("image", "picture"),)
    with pytest.raises(InputError, match="holds no QuantizeLinear"):
        diff_files(_cache(pair), model)


def test_a_dla_needs_a_target_that_has_one(model: Path, images: Path) -> None:
    with pytest.raises(InputError, match="no target was given"):
        calibrate(model, images=images, dla=True)
    with pytest.raises(TargetError, match="has no DLA"):
        calibrate(model, images=images, target="rtx-4090", dla=True)
