"""`lint` on files: which runtime it takes, what damaged files give, and how long it needs."""

from __future__ import annotations

import random
import time
from pathlib import Path

import onnx
import pytest

from targets import TargetError, all_targets
from tests.contracts.lint_graphs import GRAPHS, Quantized
from tests.unit.toolkit.lint.verdicts import case
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.errors import EdgekitError, InputError, ModelError
from toolkit.lint import RUNTIMES, lint
from toolkit.lint.runtimes import runtime_of_target
from toolkit.onnx_model.file import write_onnx


def _write(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_our_own_files_and_foreign_ones_are_judged_alike(tmp_path: Path) -> None:
    model = quantized_classifier(channels=4)
    foreign = _write(tmp_path, model)
    ours = write_onnx(
        model, tmp_path / "ours.onnx", contract(precision="int8", scheme="tensorrt-rtx")
    )
    first, second = (lint(p, runtime="tensorrt-rtx") for p in (foreign, ours.path))
    assert first.passed
    assert first.int8_layers == second.int8_layers == ("conv1", "conv2")
    assert first.findings == second.findings


def test_a_target_names_its_runtime(tmp_path: Path) -> None:
    path = _write(tmp_path, case("plain").model())
    assert lint(path, target="rtx-4090").runtime == "tensorrt-rtx"
    assert lint(path, target="jetson-orin-nano-8gb").runtime == "tensorrt-10"
    assert lint(str(path), target="cpu-x86").runtime == "onnxruntime"


@pytest.mark.parametrize("target", [target.id for target in all_targets()])
@pytest.mark.parametrize("quantized", [True, False])
def test_every_target_has_a_runtime_or_a_reason(target: str, quantized: bool) -> None:
    try:
        runtime = runtime_of_target(target, quantized=quantized)
    except TargetError as error:
        assert "INT8" in error.message or "FP32" in error.message or "older" in error.message
        return
    assert runtime.name in RUNTIMES
    assert runtime.is_tensorrt == (not target.startswith("cpu"))


@pytest.mark.parametrize("choice", [{}, {"runtime": "dla", "target": "rtx-4090"}])
def test_exactly_one_of_target_and_runtime_is_asked_for(choice: dict[str, str]) -> None:
    with pytest.raises(InputError, match="one of a target and a runtime"):
        lint("model.onnx", **choice)


def test_an_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"Unknown runtime 'tpu'; known are tensorrt-8\.5"):
        lint("model.onnx", runtime="tpu")


def test_a_device_without_int8_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path, case("plain").model())
    with pytest.raises(TargetError, match="INT8"):
        lint(path, target="jetson-nano-4gb")


HOSTILE = {
    "empty": b"",
    "a web page": b"<!DOCTYPE html><html></html>",
    "a zip archive": b"PK\x03\x04" + bytes(100),
    "noise": bytes(range(256)) * 40,
    "a header alone": b"\x08\x08",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_is_no_model_gives_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        lint(path, runtime="tensorrt-rtx")
    assert "\n" not in caught.value.message
    assert caught.value.next_command


def test_a_missing_file_and_a_huge_one_give_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        lint(tmp_path / "none.onnx", runtime="tensorrt-rtx")
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(1 << 32)  # a sparse file
    with pytest.raises(ModelError, match=r"is 4\.0 GiB"):
        lint(huge, runtime="tensorrt-rtx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_gives_one_sentence(share: float, tmp_path: Path) -> None:
    path = _write(tmp_path, quantized_classifier())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"truncated|complete|valid"):
        lint(path, runtime="onnxruntime")


def test_weights_shorter_than_their_shape_give_one_sentence(tmp_path: Path) -> None:
    model = case("plain").model()
    tensor = max(model.graph.initializer, key=lambda entry: len(entry.raw_data))
    tensor.raw_data = tensor.raw_data[:7]
    with pytest.raises(ModelError, match="is not valid ONNX"):
        lint(_write(tmp_path, model), runtime="tensorrt-rtx")


def test_scales_of_text_give_one_sentence(tmp_path: Path) -> None:
    model = case("plain").model()
    name = next(n for n in model.graph.node if n.op_type == "QuantizeLinear").input[1]
    scale = next(t for t in model.graph.initializer if t.name == name)
    scale.ClearField("raw_data")
    scale.data_type = onnx.TensorProto.STRING
    scale.string_data.append(b"0.05")
    with pytest.raises(ModelError, match="scale of type string"):
        lint(_write(tmp_path, model), runtime="tensorrt-rtx")


def test_a_node_that_reads_itself_gives_one_sentence(tmp_path: Path) -> None:
    model = classifier(channels=4)
    model.graph.node[0].input[0] = model.graph.node[0].output[0]
    with pytest.raises(ModelError, match="is not valid ONNX"):
        lint(_write(tmp_path, model), runtime="tensorrt-rtx")


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_give_a_verdict_or_one_sentence(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for entry in chance.sample(GRAPHS, 20):
        content = bytearray(entry.model().SerializeToString())
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(min(len(content), 3000))] = chance.randrange(256)
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        for runtime in RUNTIMES:
            try:
                lint(path, runtime=runtime).to_dict()
            except EdgekitError as error:
                assert "\n" not in error.message.rstrip()


def test_five_hundred_nodes_take_less_than_two_seconds(tmp_path: Path) -> None:
    net = Quantized(channels=64)
    tensor = "input"
    while len(net.nodes) < 500:
        inner = net.layer(net.pair(tensor), 64)
        tensor = net.add("Relu", net.add("Add", inner, net.pair(tensor)))
    path = _write(tmp_path, net.model(tensor, opset=17, batch=1))
    started = time.process_time()
    report = lint(path, runtime="tensorrt-rtx")
    assert time.process_time() - started < 2.0
    assert len(report.int8_layers) > 50


def test_a_damaged_graph_under_another_name_is_not_written_over(tmp_path: Path) -> None:
    model = classifier()
    model.graph.node[0].input[0] = "nowhere"
    path = tmp_path / "m.bin"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not valid ONNX") as caught:
        lint(path, runtime="tensorrt-rtx")
    assert caught.value.next_command == f"edgekit inspect {path}"
