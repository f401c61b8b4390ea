from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.unit.toolkit.onnx_graphs import (
    classifier,
    contract,
    half_classifier,
    quantized_classifier,
)
from toolkit.artifacts import digest_of_file
from toolkit.contract import embed_contract
from toolkit.errors import LabelsError, ModelError
from toolkit.import_model import import_model
from toolkit.onnx_model.file import read_onnx


def write(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def logits(path: Path) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    found: NDArray[np.float32] = session.run(None, {"image": image})[0]
    return found


def test_preprocessing_is_never_guessed(tmp_path: Path) -> None:
    source = write(classifier(), tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=r"does not say how its input \(3, 16, 16\)") as caught:
        import_model(str(source), out=tmp_path / "m.onnx")
    assert "--preprocess imagenet" in caught.value.next_command
    assert not (tmp_path / "m.onnx").exists()


def test_preprocessing_by_name_is_stated_in_the_source(tmp_path: Path) -> None:
    source = write(classifier(), tmp_path / "a.onnx")
    model = import_model(str(source), out=tmp_path / "m.onnx", preprocess="symmetric")
    assert model.contract.preprocess.mean == (0.5, 0.5, 0.5)
    assert model.contract.source == (
        "a.onnx, preprocessing symmetric by request, classes without names"
    )
    assert model.contract.parent == digest_of_file(source)


def test_a_contract_in_the_file_is_kept(tmp_path: Path) -> None:
    inner = classifier()
    embed_contract(inner, contract())
    model = import_model(str(write(inner, tmp_path / "a.onnx")), out=tmp_path / "m.onnx")
    assert model.contract.preprocess == contract().preprocess
    assert (model.contract.labels, model.contract.ids) == (contract().labels, contract().ids)


def test_labels_come_from_a_file_of_the_right_length(tmp_path: Path) -> None:
    source = write(classifier(), tmp_path / "a.onnx")
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\n", encoding="utf-8")
    model = import_model(str(source), out=tmp_path / "m.onnx", preprocess="unit", labels=names)
    assert model.contract.labels == ("a", "b", "c", "d")
    names.write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(LabelsError, match="2 classes, the model has 4"):
        import_model(str(source), out=tmp_path / "m.onnx", preprocess="unit", labels=names)


@pytest.mark.parametrize(
    ("opset", "highest", "written"), [(18, 20, 18), (13, 20, 17), (20, 17, 17), (18, 17, 17)]
)
def test_the_opset_stays_between_17_and_the_one_asked_for(
    tmp_path: Path, opset: int, highest: int, written: int
) -> None:
    source = write(classifier(opset=opset), tmp_path / "a.onnx")
    out = tmp_path / "m.onnx"
    import_model(str(source), out=out, preprocess="unit", opset=highest)
    assert [entry.version for entry in read_onnx(out).opset_import] == [written]
    assert np.array_equal(logits(out), logits(source))


def test_an_opset_that_cannot_be_lowered_is_refused(tmp_path: Path) -> None:
    model = classifier(opset=20)
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Gelu"
    source = write(model, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="at opset 20 and cannot be rewritten at opset 17"):
        import_model(str(source), out=tmp_path / "m.onnx", preprocess="unit", opset=17)


def test_a_fixed_batch_is_kept(tmp_path: Path) -> None:
    model = classifier()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    source = write(model, tmp_path / "a.onnx")
    made = import_model(str(source), out=tmp_path / "m.onnx", preprocess="unit")
    assert made.contract.input_shape == (2, 3, 16, 16)


def test_a_half_precision_file_is_recognised(tmp_path: Path) -> None:
    source = write(half_classifier(), tmp_path / "a.onnx")
    made = import_model(str(source), out=tmp_path / "m.onnx", preprocess="unit")
    assert made.contract.precision == "fp16"


def test_a_quantized_file_is_sent_back_to_its_float_model(tmp_path: Path) -> None:
    source = write(quantized_classifier(), tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="already quantized"):
        import_model(str(source), out=tmp_path / "m.onnx", preprocess="unit")


def test_a_file_in_training_mode_is_refused(tmp_path: Path) -> None:
    model = classifier()
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Dropout"
    relu.input.extend(["", "training"])
    model.graph.initializer.append(helper.make_tensor("training", TensorProto.BOOL, [], [True]))
    source = write(model, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="training mode"):
        import_model(str(source), out=tmp_path / "m.onnx", preprocess="unit")


@pytest.mark.parametrize("content", [b"", b"not onnx", b"\x08\x0a\x12\x07pyt"])
def test_a_damaged_file_is_refused_and_nothing_is_written(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.onnx"):
        import_model(str(tmp_path / "a.onnx"), out=tmp_path / "m.onnx", preprocess="unit")
    assert not (tmp_path / "m.onnx").exists()
