from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from tests.unit.toolkit.onnx_graphs import classifier
from toolkit.errors import ModelError
from toolkit.onnx_model.external_data import load_external_data
from toolkit.onnx_model.file import read_onnx


def model_with_weights_in(location: str, **entries: str) -> onnx.ModelProto:
    model = classifier()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return model


def refusal(folder: Path, location: str, **entries: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "m.onnx"
    path.write_bytes(model_with_weights_in(location, **entries).SerializeToString())
    with pytest.raises(ModelError) as caught:
        read_onnx(path)
    assert caught.value.next_command
    return caught.value.message


def weight_bytes() -> bytes:
    return bytes(classifier().graph.initializer[0].raw_data)


def test_data_above_the_folder_is_refused_without_being_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(weight_bytes())
    assert "'../secret' leads outside" in refusal(tmp_path / "model", "../secret")


def test_a_path_that_leaves_and_comes_back_is_judged_by_where_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w").write_bytes(weight_bytes())
    path = folder / "m.onnx"
    path.write_bytes(model_with_weights_in("../model/w").SerializeToString())
    read_onnx(path)


def test_absolute_locations_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(weight_bytes())
    assert "not a relative file name" in refusal(tmp_path, str(tmp_path / "w"))


@pytest.mark.parametrize("location", ["", "..\\secret", "w\0x"])
def test_locations_that_are_no_file_names_are_refused(tmp_path: Path, location: str) -> None:
    assert "not a relative file name" in refusal(tmp_path, location)


def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(weight_bytes())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w").symlink_to(tmp_path / "secret")
    assert "leads outside" in refusal(tmp_path / "model", "w")


def test_a_linked_folder_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "w").write_bytes(weight_bytes())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "sub").symlink_to(tmp_path / "secrets")
    assert "leads outside" in refusal(tmp_path / "model", "sub/w")


def test_a_device_is_not_a_weight_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert "not a plain file" in refusal(tmp_path, "sub", length="0")


def test_a_missing_weight_file_is_named(tmp_path: Path) -> None:
    assert "keeps weight 'w1' in w.bin, which cannot be read" in refusal(tmp_path, "w.bin")


def test_a_short_weight_file_is_called_truncated(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(weight_bytes()[:100])
    said = refusal(tmp_path, "w.bin", offset="0", length="1728")
    assert "bytes 0 to 1728 of w.bin, which has 100" in said


@pytest.mark.parametrize("entries", [{"offset": "-4"}, {"length": "-1"}])
def test_negative_offsets_and_lengths_are_refused(tmp_path: Path, entries: dict[str, str]) -> None:
    (tmp_path / "w.bin").write_bytes(weight_bytes())
    assert "truncated or another one" in refusal(tmp_path, "w.bin", **entries)


def test_an_offset_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(weight_bytes())
    assert "not a number" in refusal(tmp_path, "w.bin", offset="two")


def test_the_sum_of_all_weights_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(weight_bytes())
    model = model_with_weights_in("w.bin")
    with pytest.raises(ModelError, match="exceed 2 GiB"):
        load_external_data(model, tmp_path / "m.onnx", limit=100)


def test_weights_of_nested_graphs_and_attributes_are_guarded_too(tmp_path: Path) -> None:
    model = classifier()
    attribute = model.graph.node[0].attribute.add(name="extra", type=onnx.AttributeProto.TENSOR)
    attribute.t.name = "hidden"
    attribute.t.data_location = TensorProto.EXTERNAL
    attribute.t.external_data.add(key="location", value="../secret")
    branch = model.graph.node[1].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    branch.g.node.add(op_type="Constant").attribute.append(attribute)
    model.graph.node[0].attribute.pop()
    with pytest.raises(ModelError, match="'hidden'"):
        load_external_data(model, tmp_path / "m.onnx", limit=100)


def test_data_is_taken_from_its_offset(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"skip" + weight_bytes() + b"rest")
    model = model_with_weights_in("w.bin", offset="4", length=str(len(weight_bytes())))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert read_onnx(tmp_path / "m.onnx").graph.initializer[0].raw_data == weight_bytes()
