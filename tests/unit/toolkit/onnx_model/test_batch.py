from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from calibration.graph import prepare
from tests.unit.toolkit.onnx_graphs import classifier
from toolkit.errors import InputError, ModelError
from toolkit.import_model import import_model
from toolkit.onnx_model.batch import fix_batch
from toolkit.onnx_model.file import open_model
from toolkit.sample_inputs import sample_inputs


def _run(model: onnx.ModelProto | Path, name: str, inputs: object) -> NDArray[np.float32]:
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {name: inputs})[0], dtype=np.float32)


@pytest.fixture
def dynamic(tmp_path: Path) -> Path:
    path = tmp_path / "a.onnx"
    path.write_bytes(classifier().SerializeToString())
    return path


def test_a_fixed_batch_is_in_the_contract_and_computes_the_same(
    dynamic: Path, tmp_path: Path
) -> None:
    free = import_model(str(dynamic), out=tmp_path / "free.onnx", preprocess="unit")
    fixed = import_model(str(dynamic), out=tmp_path / "m.onnx", preprocess="unit", batch=2)
    contract = open_model(fixed.path).contract
    assert contract.input_shape == (2, *free.contract.input_shape[1:])
    inputs = sample_inputs(contract.preprocess, 2)
    name = contract.input_name
    np.testing.assert_array_equal(_run(fixed.path, name, inputs), _run(free.path, name, inputs))


def test_every_tensor_of_a_fixed_graph_has_a_size() -> None:
    model = fix_batch(prepare(classifier()), 3, where="a.onnx")
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    sizes = [size for value in values for size in value.type.tensor_type.shape.dim]
    assert all(size.HasField("dim_value") for size in sizes)
    assert all(value.type.tensor_type.shape.dim[0].dim_value == 3 for value in model.graph.output)


def test_a_graph_with_another_fixed_batch_is_refused() -> None:
    model = fix_batch(classifier(), 3, where="a.onnx")
    assert fix_batch(model, 3, where="a.onnx").graph.input == model.graph.input
    with pytest.raises(ModelError, match="exactly 3 pictures at a time, not 2"):
        fix_batch(model, 2, where="a.onnx")


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="A batch of 0 pictures"):
        fix_batch(classifier(), 0, where="a.onnx")


def test_fp16_keeps_a_fixed_batch(dynamic: Path, tmp_path: Path) -> None:
    half = import_model(
        str(dynamic), out=tmp_path / "m.onnx", preprocess="unit", batch=2, precision="fp16"
    )
    assert (half.contract.precision, half.contract.input_shape[0]) == ("fp16", 2)
