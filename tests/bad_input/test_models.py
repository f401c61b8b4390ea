"""ONNX files that are missing, broken, foreign or not classifiers."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.bad_input.command import Place
from tests.unit.toolkit.onnx_graphs import classifier

RUN = ("score", "{}", "--images", "val")
READERS = {
    "import": ("import", "{}", "--preprocess", "unit", "--out", "new.onnx"),
    "calibrate": ("calibrate", "{}", "--images", "train"),
    "build": ("build", "{}", "--target", "cpu"),
    "live": ("live", "{}", "--camera", "synthetic://64x48", "--frames", "2"),
    "measure": ("measure", "{}", "--samples", "5"),
    "score": RUN,
    "compare": ("compare", "model.onnx", "{}", "--images", "val"),
    "inspect": ("inspect", "{}"),
    "export": ("export", "{}", "--out", "new.onnx"),
    "report": ("report", "{}", "--out", "new.html"),
}


def _with(name: str, command: tuple[str, ...]) -> list[str]:
    return [part.format(name) for part in command]


@pytest.mark.parametrize("verb", [name for name in READERS if name != "export"])
def test_a_missing_file_is_named_by_every_command(place: Place, verb: str) -> None:
    place.refuses(*_with("gone.onnx", READERS[verb]), says="gone.onnx")


@pytest.mark.parametrize("verb", ["import", "calibrate", "measure", "inspect"])
def test_a_truncated_model_is_called_truncated(place: Place, verb: str) -> None:
    whole = (place.folder / "model.onnx").read_bytes()
    (place.folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    place.refuses(*_with("cut.onnx", READERS[verb]), says="truncated")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"Dear reader, this is no model.", "is not an ONNX file"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
    ids=["empty", "text", "zip", "lfs"],
)
def test_what_is_no_model_is_called_so(place: Place, content: bytes, says: str) -> None:
    (place.folder / "bad.onnx").write_bytes(content)
    place.refuses(*_with("bad.onnx", RUN), says=says)


def test_a_folder_in_place_of_a_model_is_named(place: Place) -> None:
    place.refuses(*_with("train", READERS["measure"]), says="train")


def _external(folder: Path, location: str) -> str:
    model = classifier()
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    (folder / "outside.onnx").write_bytes(model.SerializeToString())
    return "outside.onnx"


@pytest.mark.parametrize("how", ["relative", "absolute", "link", "missing"])
def test_external_data_outside_the_folder_is_never_read(place: Place, how: str) -> None:
    secret = place.folder.parent / "secret.bin"
    secret.write_bytes(classifier().graph.initializer[0].raw_data)
    (place.folder / "link.bin").symlink_to(secret)
    location = {
        "relative": "../secret.bin",
        "absolute": str(secret),
        "link": "link.bin",
        "missing": "gone.bin",
    }[how]
    name = _external(place.folder, location)
    says = "cannot be read" if how == "missing" else "refused"
    place.refuses(*_with(name, READERS["import"]), says=says)
    if how == "relative":
        place.refuses(*_with(name, READERS["build"]), says="other files")


def _spoiled(how: str) -> onnx.ModelProto:
    model = classifier()
    if how == "custom operator":
        model.graph.node[1].domain = "com.acme"
        model.graph.node[1].op_type = "Magic"
        model.opset_import.append(helper.make_opsetid("com.acme", 1))
    elif how == "unknown operator":
        model.graph.node[1].op_type = "Relux"
    elif how == "two inputs":
        mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1])
        model.graph.input.append(mask)
    elif how == "no classifier":
        del model.graph.node[-3:]
        features = helper.make_tensor_value_info("r2", TensorProto.FLOAT, ["batch", 16, 16, 16])
        model.graph.output[0].CopyFrom(features)
    return model


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("custom operator", "com.acme::Magic"),
        ("unknown operator", "Relux"),
        ("two inputs", "2 inputs (image, mask)"),
        ("no classifier", "not (N, classes)"),
    ],
)
@pytest.mark.parametrize("verb", ["import", "build"])
def test_a_graph_that_is_no_classifier_is_refused(
    place: Place, verb: str, how: str, says: str
) -> None:
    (place.folder / "odd.onnx").write_bytes(_spoiled(how).SerializeToString())
    place.refuses(*_with("odd.onnx", READERS[verb]), says=says)


def test_a_model_without_contract_is_told_how_to_get_one(place: Place) -> None:
    (place.folder / "plain.onnx").write_bytes(classifier().SerializeToString())
    assert "edgekit import plain.onnx" in place.refuses(*_with("plain.onnx", RUN), says="contract")


def test_a_quantized_model_is_neither_imported_nor_calibrated_again(place: Place) -> None:
    place.refuses("import", "int8.onnx", "--out", "new.onnx", says="already quantized")
    place.refuses("calibrate", "int8.onnx", "--images", "train", says="quantized already")


def test_a_contract_that_is_damaged_is_no_internal_error(place: Place) -> None:
    model = onnx.load(place.folder / "model.onnx")
    for entry in model.metadata_props:
        entry.value = "[1, 2]"
    (place.folder / "odd.onnx").write_bytes(model.SerializeToString())
    place.refuses(*_with("odd.onnx", RUN), says="contract")
