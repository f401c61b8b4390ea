from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from calibration.errors import CalibrationError
from calibration.table import CalibrationTable, Range
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.artifacts import Manifest, digest_of_file, manifest_path, write_manifest
from toolkit.build import build
from toolkit.contract import UNCALIBRATED
from toolkit.errors import InputError, StaleError
from toolkit.inspect_file import inspect
from toolkit.int8_model import FLOAT_REASONS_KEY
from toolkit.onnx_model.file import write_onnx


def test_a_model_is_described_by_its_graph_and_contract(tmp_path: Path) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    found = inspect(model.path)
    assert (found.kind, found.digest) == ("model", model.digest)
    assert found.model is not None
    assert found.model.contract == contract()
    assert found.model.opset == 20
    assert found.model.input == "image float (N, 3, 16, 16)"
    assert found.model.output == "logits float (N, 4)"
    assert found.model.nodes == 7
    assert found.model.operators["Conv"] == 2
    assert (found.model.int8_convs, found.model.float_convs) == (0, 2)
    assert found.model.int8_mac_share == 0.0
    assert found.model.problems == ()


def test_quantized_convolutions_are_counted_with_their_share_of_the_work(tmp_path: Path) -> None:
    model = quantized_classifier()
    second = next(node for node in model.graph.node if node.name == "conv2")
    second.input[0] = "r1"  # reads a float tensor now
    written = write_onnx(model, tmp_path / "m.onnx", contract(precision="int8", scheme="tensorrt"))
    facts = inspect(written.path).model
    assert facts is not None
    assert (facts.int8_convs, facts.float_convs) == (1, 1)
    assert facts.int8_mac_share == pytest.approx(3 / (3 + 16))


def test_reasons_for_float_are_read_from_the_metadata(tmp_path: Path) -> None:
    model = quantized_classifier()
    reasons = {"fc": "a Gemm at batch 1 gains nothing"}
    model.metadata_props.add(key=FLOAT_REASONS_KEY, value=json.dumps(reasons))
    write_onnx(model, tmp_path / "m.onnx", contract(precision="int8", scheme="tensorrt"))
    found = inspect(tmp_path / "m.onnx")
    assert found.model is not None
    assert found.model.float_reasons == reasons
    assert "  float: fc: a Gemm at batch 1 gains nothing" in found.lines()


def test_a_layer_in_int8_is_not_called_float_for_want_of_a_pair_behind_it(tmp_path: Path) -> None:
    model = quantized_classifier()
    reasons = {"conv2": "cut by relu2", "fc": "a Gemm at batch 1 gains nothing"}
    model.metadata_props.add(key=FLOAT_REASONS_KEY, value=json.dumps(reasons))
    write_onnx(model, tmp_path / "m.onnx", contract(precision="int8", scheme="tensorrt"))
    found = inspect(tmp_path / "m.onnx")
    assert found.model is not None
    assert found.model.float_reasons == {"fc": "a Gemm at batch 1 gains nothing"}
    assert found.model.no_pair_reasons == {"conv2": "cut by relu2"}
    assert "  2 INT8 and 0 float convolutions, 100.0% of the MACs" in found.lines()
    assert "  no pair: conv2: cut by relu2" in found.lines()
    assert not any(line.startswith("  float: conv") for line in found.lines())


@pytest.mark.parametrize("value", ["[1]", "{", '"text"'])
def test_damaged_reasons_are_no_reasons(tmp_path: Path, value: str) -> None:
    model = classifier()
    model.metadata_props.add(key=FLOAT_REASONS_KEY, value=value)
    write_onnx(model, tmp_path / "m.onnx", contract())
    facts = inspect(tmp_path / "m.onnx").model
    assert facts is not None
    assert facts.float_reasons == {}


def test_a_file_that_edgekit_cannot_use_is_described_with_its_problem(tmp_path: Path) -> None:
    model = classifier()
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, [1])
    )
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    found = inspect(tmp_path / "m.onnx")
    assert found.model is not None
    assert found.model.input == "image float (N, 3, 16, 16), mask float (1)"
    assert any("2 inputs (image, mask)" in line for line in found.lines())


def test_random_calibration_is_said_out_loud(tmp_path: Path) -> None:
    made = contract(precision="int8", scheme="tensorrt", calibration=UNCALIBRATED)
    write_onnx(quantized_classifier(), tmp_path / "m.onnx", made)
    assert any("UNCALIBRATED" in line for line in inspect(tmp_path / "m.onnx").lines())


def test_an_engine_built_here_runs_here(tmp_path: Path) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    engine = build(model.path, target="cpu")
    found = inspect(engine.path)
    assert (found.kind, found.engine, found.why_not_here) == ("engine", engine, "")
    assert found.lines()[-1] == "  runs here"
    assert found.to_dict()["runs_here"] is True


def test_a_gpu_engine_says_why_it_does_not_run_here(tmp_path: Path) -> None:
    path = tmp_path / "e.engine"
    path.write_bytes(b"opaque")
    manifest = Manifest(
        engine_digest=digest_of_file(path),
        onnx_digest="0" * 64,
        target="rtx-4090",
        backend="tensorrt_rtx",
        precision="int8",
        contract=contract().to_dict(),
        built_with="tensorrt_rtx 1.7.1.116",
        built_on="no GPU (ahead of time)",
        tool_version="0",
        sms=(89,),
        notes=("batch 1:1:1",),
    )
    write_manifest(path, manifest)
    for named in (path, manifest_path(path)):
        found = inspect(named)
        assert found.kind == "engine"
        assert "was built for rtx-4090 (SM 8.9)" in found.why_not_here
        assert "  note: batch 1:1:1" in found.lines()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_cpu_engine_without_its_manifest_is_no_model(tmp_path: Path, precision: str) -> None:
    model = classifier()
    made = contract()
    if precision == "int8":
        model = quantized_classifier(activations="uint8")
        made = contract(precision="int8", scheme="onnxruntime-x86")
    engine = build(write_onnx(model, tmp_path / "m.onnx", made).path, target="cpu").path
    manifest_path(engine).unlink()
    with pytest.raises(InputError, match="has no manifest") as caught:
        inspect(engine)
    assert caught.value.next_command == f"edgekit build MODEL.onnx --target NAME --out {engine}"


def test_a_foreign_file_of_onnx_runtime_is_described_all_the_same(tmp_path: Path) -> None:
    model = classifier()
    model.graph.node[1].domain = "com.microsoft"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert any("com.microsoft::Relu" in line for line in inspect(tmp_path / "m.onnx").lines())


def test_an_altered_engine_is_stale(tmp_path: Path) -> None:
    engine = build(write_onnx(classifier(), tmp_path / "m.onnx", contract()).path, target="cpu")
    engine.path.write_bytes(b"other")
    with pytest.raises(StaleError):
        inspect(engine.path)


def test_a_calibration_table_is_summarised(tmp_path: Path) -> None:
    ranges = {"image": Range(-2.0, 2.5, "minmax"), "r1": Range(0.0, 6.0, "minmax")}
    table = CalibrationTable("ab" * 32, "minmax", 64, 0, ranges, notes=("r1 had not settled",))
    path = tmp_path / "m.calibration.json"
    path.write_text(table.to_json(), encoding="utf-8")
    found = inspect(path)
    assert (found.kind, found.table) == ("calibration table", table)
    assert found.lines()[1].startswith("  2 ranges by minmax (balanced) from 64 samples, seed 0")
    assert "  note: r1 had not settled" in found.lines()
    assert found.to_dict()["ranges"] == 2
    assert not any("shift" in line for line in found.lines())
    path.write_text(replace(table, explicit_shifts=True).to_json(), encoding="utf-8")
    assert "  explicit shifts: activations are recentred by a Sub each" in inspect(path).lines()


def test_json_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(
        CalibrationError, match=r"calibration table \(the key 'version' is missing\)"
    ):
        inspect(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not text"):
        inspect(tmp_path / "x.json")


@pytest.mark.parametrize("name", ["x.pt", "x.jpg", "x.engine"])
def test_anything_else_is_an_input_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xd8 something else")
    with pytest.raises(InputError) as caught:
        inspect(tmp_path / name)
    assert not caught.value.next_command.startswith(("edgekit import", "edgekit inspect"))
    with pytest.raises(InputError):
        inspect(tmp_path / "missing")


def test_every_inspection_is_plain_json(tmp_path: Path) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    engine = build(model.path, target="cpu")
    for path in (model.path, engine.path):
        values = json.loads(json.dumps(inspect(path).to_dict()))
        assert values["path"] == str(path)
        assert values["bytes"] == path.stat().st_size
