"""A file that tf2onnx made of a Keras network, once for real: `tests/keras/README.md`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from toolkit.errors import ModelError
from toolkit.import_model import import_model
from toolkit.runtime import open_session

FOLDER = Path(__file__).parents[3] / "keras"


def ends_in_softmax(path: Path) -> Path:
    model = onnx.load(FOLDER / "signs.onnx")
    name = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Softmax", [name], ["shares"], axis=-1))
    model.graph.output[0].name = "shares"
    onnx.save(model, path)
    return path


def answers(source: Path, out: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the imported file's answers and Keras' logits, for the eight pictures."""
    import_model(str(source), out=out, preprocess="symmetric")
    known = np.load(FOLDER / "signs.npz")
    with open_session(out, threads=1) as session:
        pictures = session.contract.preprocess.normalise(known["pixels"])
        return np.concatenate([session.infer(each[None]) for each in pictures]), known["logits"]


def test_it_gives_the_logits_that_keras_gave(tmp_path: Path) -> None:
    ours, keras = answers(FOLDER / "signs.onnx", tmp_path / "m.onnx")
    assert np.abs(ours - keras).max() < 1e-5 * np.abs(keras).max()


def test_a_softmax_at_the_end_is_taken_and_gives_probabilities(tmp_path: Path) -> None:
    ours, keras = answers(ends_in_softmax(tmp_path / "s.onnx"), tmp_path / "m.onnx")
    np.testing.assert_allclose(ours.sum(axis=1), 1.0, atol=1e-5)
    assert np.array_equal(ours.argmax(axis=1), keras.argmax(axis=1))


def test_a_network_in_tensorflows_order_is_refused_with_the_flag_that_turns_it(
    tmp_path: Path,
) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["keras_tensor"], ["t"], perm=[0, 3, 1, 2]),
            helper.make_node("GlobalAveragePool", ["t"], ["p"]),
            helper.make_node("Flatten", ["p"], ["y"]),
        ],
        "nhwc",
        [helper.make_tensor_value_info("keras_tensor", TensorProto.FLOAT, ["n", 48, 32, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    )
    path = tmp_path / "nhwc.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    with pytest.raises(ModelError, match=r"as \(N, H, W, C\).*\(\?, 48, 32, 3\)") as caught:
        import_model(str(path), out=tmp_path / "m.onnx", preprocess="unit")
    assert "--inputs-as-nchw keras_tensor" in caught.value.next_command
