"""Class activation maps: worked out by hand in both forms, through INT8, and in old contracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double, write_engine
from toolkit.activation_map import ACTIVATION_MAP, add_activation_map, without_activation_map
from toolkit.build import build
from toolkit.contract import Contract, contract_from_dict
from toolkit.errors import InputError, ModelError
from toolkit.live.frame_steps import frame_steps
from toolkit.map_overlap import correlation, top_overlap
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx
from toolkit.preprocess import Preprocess
from toolkit.runtime import open_session
from toolkit.runtime.session import GivesMaps

PICTURE = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 2, 2)
NAMES = ("dark", "bright")


def network(nodes: list[onnx.NodeProto], **constants: object) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def linear(*between: str) -> onnx.ModelProto:
    """Features are the picture and its double; the classes weigh them (1, -1) and (2, 3)."""
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["features"], "conv"),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
    ]
    last = "flat"
    for kind in between:
        nodes.append(helper.make_node(kind, [last], [kind], f"the_{kind}"))
        last = kind
    nodes.append(helper.make_node("Gemm", [last, "w", "b"], ["logits"], "gemm", transB=1))
    return network(
        nodes, kernel=np.reshape([1, 2], (2, 1, 1, 1)), w=[[1, -1], [2, 3]], b=[0.5, 0.25]
    )


def scores() -> onnx.ModelProto:
    """SqueezeNet's form: the second class's own map is three times the picture."""
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["scores"], "conv"),
        helper.make_node("Relu", ["scores"], ["positive"], "relu"),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["logits"], "flatten"),
    ]
    return network(nodes, kernel=np.reshape([1, 3], (2, 1, 1, 1)))


def contract(activation_map: str = "") -> Contract:
    return Contract(
        input_name="image",
        input_shape=(0, 1, 2, 2),
        preprocess=Preprocess(2, 2, colour="gray", mean=(0.0,), std=(1.0,), scale=1.0),
        labels=NAMES,
        ids=NAMES,
        source="worked by hand",
        activation_map=activation_map,
    )


def outputs(model: onnx.ModelProto, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return [np.asarray(each) for each in session.run(None, {"image": batch})]


def test_the_map_of_pool_and_linear_layer_is_the_winners_weighted_sum() -> None:
    logits, maps = outputs(
        add_activation_map(linear(), where="m"), np.concatenate([PICTURE, -PICTURE])
    )
    # Of the picture p, class 0 sees p - 2p and class 1 sees 2p + 6p; of -p, class 0 wins.
    np.testing.assert_allclose(maps, np.stack([8 * PICTURE[0, 0], PICTURE[0, 0]]), atol=1e-6)
    np.testing.assert_allclose(
        maps.mean(axis=(1, 2)) + np.array([0.25, 0.5]), logits.max(axis=1), atol=1e-6
    )


def test_the_map_of_a_map_a_class_is_the_winners_own() -> None:
    logits, maps = outputs(add_activation_map(scores(), where="m"), PICTURE)
    np.testing.assert_allclose(maps[0], 3 * PICTURE[0, 0])
    assert maps[0].mean() == logits.max()


@pytest.mark.parametrize("between", ["Relu", "HardSwish"])
def test_a_layer_between_pool_and_linear_layer_is_named(between: str) -> None:
    with pytest.raises(ModelError, match=f"{between} 'the_{between}' comes first"):
        add_activation_map(linear(between), where="m")


def test_a_sum_of_two_layers_has_no_map_of_either() -> None:
    model = linear()
    (gemm,) = (node for node in model.graph.node if node.op_type == "Gemm")
    gemm.output[0] = "first"
    second = helper.make_node("Gemm", list(gemm.input), ["second"], "again")
    second.attribute.extend(gemm.attribute)
    model.graph.node.append(second)
    model.graph.node.append(helper.make_node("Add", ["first", "second"], ["logits"], "sum"))
    with pytest.raises(ModelError, match="sum"):
        add_activation_map(model, where="net.onnx")


def test_taking_the_map_off_gives_the_same_bytes() -> None:
    model = linear()
    again = without_activation_map(add_activation_map(model, where="m"))
    assert again.SerializeToString(deterministic=True) == model.SerializeToString(
        deterministic=True
    )


def test_the_row_of_integer_weights_is_scaled() -> None:
    model = linear()
    graph = model.graph
    for name, values in (
        ("q", np.array([[64, -64], [64, 96]], np.int8)),
        ("s", np.array([1 / 64, 1 / 32], np.float32)),
        ("z", np.zeros(2, np.int8)),
    ):
        graph.initializer.append(numpy_helper.from_array(values, name))
    dequantize = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["wq"], "dq", axis=0)
    gemm = graph.node[-1]
    gemm.input[1] = "wq"
    graph.node.insert(0, dequantize)
    _, maps = outputs(add_activation_map(model, where="m"), PICTURE)
    np.testing.assert_allclose(maps[0], 8 * PICTURE[0, 0], atol=1e-5)


def test_a_file_keeps_its_map_and_the_network_is_read_without(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_onnx(
        add_activation_map(linear(), where="m"), path, contract(activation_map=ACTIVATION_MAP)
    )
    assert open_model(path).contract.activation_map == ACTIVATION_MAP
    assert [value.name for value in read_onnx(path).graph.output] == ["logits"]
    with open_session(path, threads=1) as session:
        assert isinstance(session, GivesMaps)
        assert session.infer(PICTURE).shape == (1, 2)
        np.testing.assert_allclose(session.infer_with_map(PICTURE).maps[0], 8 * PICTURE[0, 0])


def test_a_file_without_a_map_is_refused_with_the_line_that_adds_it(tmp_path: Path) -> None:
    write_onnx(linear(), tmp_path / "m.onnx", contract())
    with open_session(tmp_path / "m.onnx", threads=1) as session:
        assert isinstance(session, GivesMaps)
        with pytest.raises(InputError) as caught:
            session.infer_with_map(PICTURE)
    assert "--cam" in caught.value.next_command


def test_only_a_contract_with_a_map_needs_an_edgekit_that_knows_maps() -> None:
    plain, mapped = contract(), contract(activation_map=ACTIVATION_MAP)
    assert plain.to_dict()["version"] == 1
    assert "activation_map" not in plain.to_dict()
    assert mapped.to_dict()["version"] == 2
    for each in (plain, mapped):
        assert contract_from_dict(each.to_dict(), where="m") == each


def test_a_gpu_session_gives_logits_and_maps(tmp_path: Path) -> None:
    model = add_activation_map(linear(), where="m")
    engine = write_engine(model, contract(activation_map=ACTIVATION_MAP), tmp_path)
    with open_double(engine, CudaMachine()) as session:
        found = session.infer_with_map(np.concatenate([PICTURE, 2 * PICTURE]))
    np.testing.assert_allclose(found.maps, [8 * PICTURE[0, 0], 16 * PICTURE[0, 0]])
    np.testing.assert_allclose(found.logits.max(axis=1), [20.25, 40.25])


def test_overlap_is_of_the_highest_fifth() -> None:
    one = np.zeros((2, 5), np.float32)
    other = one.copy()
    one[0, :2] = 2.0
    other[0, 1:3] = 2.0
    assert top_overlap(one, one) == 1.0
    assert top_overlap(one, other) == pytest.approx(1 / 3)
    assert correlation(one, 3 * one + 1) == pytest.approx(1.0)
    assert np.isnan(correlation(one, np.ones_like(one)))


def test_a_live_answer_carries_the_map(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_onnx(
        add_activation_map(scores(), where="m"), path, contract(activation_map=ACTIVATION_MAP)
    )
    with open_session(path, threads=1) as session:
        prepare, answer = frame_steps(session, lambda _frame: PICTURE[0])
        answered = answer(prepare(np.zeros((8, 8, 3), np.uint8)))
    assert answered.activation_map is not None
    np.testing.assert_allclose(answered.activation_map, 3 * PICTURE[0, 0])


@pytest.mark.parametrize("made", [linear, scores])
def test_tensorrt_rtx_builds_both_forms(
    made: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    path = tmp_path / "m.onnx"
    write_onnx(add_activation_map(made(), where="m"), path, contract(activation_map=ACTIVATION_MAP))
    engine = build(path, target="rtx-4090", out=tmp_path / "m.engine")
    assert engine.contract.activation_map == ACTIVATION_MAP
    assert not [note for note in engine.manifest.notes if "warning" in note]
