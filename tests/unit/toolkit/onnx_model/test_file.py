from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.artifacts import digest_of_file, manifest_path
from toolkit.build import build
from toolkit.contract import embed_contract
from toolkit.errors import ContractError, ModelError
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx
from toolkit.onnx_model.signature import signature_of


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def test_a_written_model_opens_with_its_contract_and_the_digest_of_its_bytes(
    tmp_path: Path,
) -> None:
    written = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    opened = open_model(tmp_path / "m.onnx")
    assert opened == written
    assert opened.contract == contract()
    assert opened.digest == digest_of_file(written.path)


def test_writing_the_same_model_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_onnx(classifier(), tmp_path / "a.onnx", contract())
    second = write_onnx(read_onnx(first.path), tmp_path / "b.onnx", contract())
    assert first.digest == second.digest


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    old = write_onnx(classifier(), path, contract())
    broken = classifier(seed=1)
    broken.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ModelError, match="not valid ONNX"):
        write_onnx(broken, path, contract())
    assert digest_of_file(path) == old.digest
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_a_quantized_model_is_a_classifier_too(tmp_path: Path) -> None:
    for name in ("int8", "uint8"):
        write_onnx(quantized_classifier(activations=name), tmp_path / name, contract())
        read_onnx(tmp_path / name)


def test_the_signature_names_input_output_and_classes(tmp_path: Path) -> None:
    found = signature_of(classifier(), where=Path("m.onnx"))
    assert (found.input_name, found.input_shape, found.input_type) == (
        "image",
        (0, 3, 16, 16),
        "float32",
    )
    assert (found.output_name, found.classes, found.output_type) == ("logits", 4, "float32")


def test_the_class_count_is_inferred_where_the_file_does_not_say(tmp_path: Path) -> None:
    model = classifier()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert signature_of(model, where=Path("m.onnx")).classes == 4


def test_a_missing_file_is_one_sentence_with_a_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be read: No such file") as caught:
        read_onnx(tmp_path / "gone.onnx")
    assert caught.value.next_command == f"ls -l {tmp_path}"


def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Is a directory"):
        read_onnx(tmp_path)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    with pytest.raises(ModelError, match="is empty"):
        read_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize("kept", [1, 2, 10, 200, 3000, -1])
def test_a_truncated_file_is_refused_wherever_it_was_cut(tmp_path: Path, kept: int) -> None:
    content = classifier().SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content[:kept])
    with pytest.raises(ModelError):
        read_onnx(tmp_path / "m.onnx")


def test_a_file_cut_inside_its_weights_is_called_truncated(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(classifier().SerializeToString()[:3000])
    with pytest.raises(ModelError, match="truncated or damaged: its 3000 bytes"):
        read_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"PK\x03\x04rest", "zip archive"),
        (b"\x80\x02}q\x00.", "Python pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\xff\xd8\xff\xe0 a JPEG", "is not an ONNX file"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=named):
        read_onnx(tmp_path / "m.onnx")


def test_a_file_over_two_gibibytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**31)  # sparse: takes no disk space
    with pytest.raises(ModelError, match=r"2\.0 GiB"):
        read_onnx(path)


def test_two_inputs_are_not_a_classifier(tmp_path: Path) -> None:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(ModelError, match=r"2 inputs \(image, mask\)"):
        read_onnx(save(model, tmp_path / "m.onnx"))


def test_weights_listed_as_inputs_do_not_count_as_inputs(tmp_path: Path) -> None:
    model = classifier()
    model.graph.input.append(
        helper.make_tensor_value_info("b1", TensorProto.FLOAT, [16])  # as IR version 3 wrote it
    )
    read_onnx(save(model, tmp_path / "m.onnx"))


def test_a_feature_map_is_not_a_classification(tmp_path: Path) -> None:
    model = classifier()
    del model.graph.node[4:]
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("r2", TensorProto.FLOAT, ["batch", 16, 16, 16])
    )
    with pytest.raises(ModelError, match=r"output is \(\?, 16, 16, 16\), not \(N, classes\)"):
        read_onnx(save(model, tmp_path / "m.onnx"))


def test_an_input_of_unknown_size_is_refused(tmp_path: Path) -> None:
    model = classifier()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ModelError, match=r"input is \(\?, 3, \?, 16\)"):
        read_onnx(save(model, tmp_path / "m.onnx"))


def test_token_inputs_are_refused(tmp_path: Path) -> None:
    model = classifier()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(ModelError, match="INT64"):
        read_onnx(save(model, tmp_path / "m.onnx"))


def test_custom_operators_are_named(tmp_path: Path) -> None:
    model = classifier()
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(ModelError, match=r"com\.example::Relu"):
        read_onnx(save(model, tmp_path / "m.onnx"))


def test_an_unknown_operator_of_the_standard_domain_is_named(tmp_path: Path) -> None:
    model = classifier()
    model.graph.node[1].op_type = "Swishh"
    with pytest.raises(ModelError, match="Swishh"):
        read_onnx(save(model, tmp_path / "m.onnx"))


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    model = classifier()
    model.functions.append(
        helper.make_function(
            "local",
            "Act",
            ["x"],
            ["y"],
            [helper.make_node("Relu", ["x"], ["y"])],
            [helper.make_opsetid("", 20)],
        )
    )
    model.graph.node[1].op_type, model.graph.node[1].domain = "Act", "local"
    model.opset_import.append(helper.make_opsetid("local", 1))
    read = read_onnx(save(model, tmp_path / "m.onnx"))
    assert [node.op_type for node in read.graph.node][:2] == ["Conv", "Relu"]
    assert not read.functions


def test_a_model_without_contract_names_the_import_command(tmp_path: Path) -> None:
    path = save(classifier(), tmp_path / "m.onnx")
    with pytest.raises(ContractError, match="no deployment contract") as caught:
        open_model(path)
    assert caught.value.next_command.startswith(f"edgekit import {path} --preprocess")


def test_a_contract_of_another_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="describes input"):
        write_onnx(classifier(), tmp_path / "m.onnx", contract(input_name="pixels"))
    with pytest.raises(ContractError, match="2 classes, the graph"):
        write_onnx(classifier(), tmp_path / "m.onnx", contract(labels=("a", "b"), ids=("a", "b")))
    assert not any(tmp_path.iterdir())


def test_an_altered_contract_is_found_when_opening(tmp_path: Path) -> None:
    model = classifier()
    embed_contract(model, contract(input_shape=(1, 3, 16, 16)))
    with pytest.raises(ContractError, match="describes input"):
        open_model(save(model, tmp_path / "m.onnx"))


def test_a_model_with_weights_elsewhere_is_read_but_not_opened(tmp_path: Path) -> None:
    model = classifier()
    embed_contract(model, contract())
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0)
    read = read_onnx(tmp_path / "m.onnx")
    found = {t.name: numpy_helper.to_array(t).tolist() for t in read.graph.initializer}
    assert found == {
        t.name: numpy_helper.to_array(t).tolist() for t in classifier().graph.initializer
    }
    with pytest.raises(ModelError, match="digest would not cover"):
        open_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04 arrays", b"\x08\x0a"])
def test_no_command_writes_over_a_file_that_is_something_else(
    tmp_path: Path, content: bytes
) -> None:
    for name, says in {
        "m.onnx": "edgekit import SOURCE --out {}",
        "m.calibration.json": "edgekit inspect {}",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError) as caught:
            open_model(tmp_path / name)
        assert caught.value.next_command == says.format(tmp_path / name)


def test_an_engine_without_its_manifest_is_built_again(tmp_path: Path) -> None:
    path = build(write_onnx(classifier(), tmp_path / "m.onnx", contract()).path, target="cpu").path
    manifest_path(path).unlink()
    with pytest.raises(ModelError, match=r"needs its \.json beside it") as caught:
        open_model(path)
    assert caught.value.next_command == f"edgekit build MODEL.onnx --target NAME --out {path}"
