from __future__ import annotations

import string

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from toolkit.onnx_model.einsum import spell_einsum

RNG = np.random.default_rng(0)
LEFT = RNG.standard_normal((2, 3, 4)).astype(np.float32)
RIGHT = RNG.standard_normal((2, 5, 4)).astype(np.float32)


def product(equation: str) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Einsum", ["left", "right"], ["out"], equation=equation)],
        "net",
        [
            helper.make_tensor_value_info("left", TensorProto.FLOAT, [2, 3, 4]),
            helper.make_tensor_value_info("right", TensorProto.FLOAT, [2, 5, 4]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def equation_of(model: onnx.ModelProto) -> str:
    return str(model.graph.node[0].attribute[0].s.decode())


def run(model: onnx.ModelProto) -> object:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"left": LEFT, "right": RIGHT})[0]


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        ("B I D , B J D -> B I J", "abc,adc->abd"),
        ("aid,ajd->aij", "aid,ajd->aij"),
        ("aAd,aBd->aAB", "abc,adc->abd"),  # a and A are two letters
    ],
)
def test_letters_become_lowercase_and_the_function_stays(given: str, spelled: str) -> None:
    model, other = product(given), product(given)
    spell_einsum(other.graph)
    assert equation_of(other) == spelled
    np.testing.assert_array_equal(run(other), run(model))


@pytest.mark.parametrize(
    ("given", "spelled"),
    [("BA", "ab->ba"), ("CB,BA", "ab,bc->ca"), ("ba,aC", "ab,bc->ca"), ("...BA", "...ab->...ba")],
)
def test_a_result_that_goes_by_the_alphabet_is_written_out(given: str, spelled: str) -> None:
    left, right = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))
    operands = (left, right)[: given.count(",") + 1]
    model = product(given)
    spell_einsum(model.graph)
    assert equation_of(model) == spelled
    np.testing.assert_allclose(np.einsum(spelled, *operands), np.einsum(given, *operands))


def test_an_ellipsis_stays() -> None:
    model = product("... I D, ... J D -> ... I J")
    spell_einsum(model.graph)
    assert equation_of(model) == "...ab,...cb->...ac"


def test_more_letters_than_lowercase_has_are_left_alone() -> None:
    model = product(f"{string.ascii_letters}->")
    spell_einsum(model.graph)
    assert equation_of(model) == f"{string.ascii_letters}->"
