from __future__ import annotations

import pytest

from targets import TargetError, all_targets, decide, get
from toolkit.errors import InputError
from toolkit.float_model import OPSETS, opset_for


@pytest.mark.parametrize("name", [target.id for target in all_targets()])
def test_a_target_gets_an_opset_that_its_runtime_reads_or_is_refused(name: str) -> None:
    newest = decide(get(name), precision="fp32").opset
    if newest < OPSETS[0]:
        with pytest.raises(InputError, match=f"{name} reads ONNX up to opset {newest}"):
            opset_for(name, opset=20, precision="fp32")
    else:
        assert opset_for(name, opset=20, precision="fp32") == min(newest, OPSETS[-1])


def test_a_target_does_not_raise_the_opset_that_was_asked_for() -> None:
    assert opset_for("rtx-4090", opset=18, precision="fp32") == 18


def test_without_a_target_the_opset_is_the_one_asked_for() -> None:
    assert opset_for("", opset=19, precision="fp32") == 19


def test_an_unknown_target_and_an_impossible_opset_are_refused() -> None:
    with pytest.raises(TargetError, match="rtx-9999"):
        opset_for("rtx-9999", opset=20, precision="fp32")
    with pytest.raises(InputError, match="Opset 13"):
        opset_for("", opset=13, precision="fp32")
