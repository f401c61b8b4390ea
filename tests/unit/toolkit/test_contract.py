from __future__ import annotations

import json
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from toolkit.contract import (
    CONTRACT_KEY,
    Contract,
    contract_from_dict,
    embed_contract,
    read_contract,
)
from toolkit.errors import ContractError
from toolkit.preprocess import IMAGENET


def _contract() -> Contract:
    return Contract(
        input_name="input",
        input_shape=(0, 3, 224, 224),
        preprocess=IMAGENET,
        labels=("cat", "dog"),
        ids=("n1", "n2"),
        source="test",
    )


def _model() -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    return helper.make_model(helper.make_graph([], "g", [value], [value]))


def test_a_contract_survives_the_trip_through_an_onnx_file() -> None:
    model = _model()
    embed_contract(model, _contract())
    restored = onnx.load_from_string(model.SerializeToString())
    assert read_contract(restored, where="m.onnx") == _contract()


def test_embedding_again_replaces_the_old_contract_and_keeps_other_metadata() -> None:
    model = _model()
    model.metadata_props.add(key="author", value="someone")
    embed_contract(model, _contract())
    embed_contract(model, _contract().with_changes(precision="int8"))
    keys = [entry.key for entry in model.metadata_props]
    assert sorted(keys) == ["author", CONTRACT_KEY]
    restored = read_contract(model, where="m.onnx")
    assert restored is not None
    assert restored.precision == "int8"


def test_a_foreign_onnx_file_has_no_contract() -> None:
    assert read_contract(_model(), where="m.onnx") is None


def test_a_contract_from_a_newer_edgekit_says_to_upgrade() -> None:
    with pytest.raises(ContractError, match="newer") as caught:
        contract_from_dict({**_contract().to_dict(), "version": 99}, where="m.onnx")
    assert "upgrade" in caught.value.next_command


@pytest.mark.parametrize(
    "damage",
    [
        {"version": None},
        {"labels": ["only one"]},
        {"input_shape": [1, 2]},
        {"preprocess": {}},
        {"surprise": 1},
    ],
)
def test_a_damaged_contract_is_one_sentence(damage: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match=r"m\.onnx|preprocessing"):
        contract_from_dict({**_contract().to_dict(), **damage}, where="m.onnx")


def test_a_contract_that_is_not_json_is_refused() -> None:
    model = _model()
    model.metadata_props.add(key=CONTRACT_KEY, value="{half")
    with pytest.raises(ContractError, match="not JSON"):
        read_contract(model, where="m.onnx")


def test_the_dictionary_is_plain_json() -> None:
    values = json.loads(json.dumps(_contract().to_dict()))
    assert contract_from_dict(values, where="m.onnx") == _contract()
