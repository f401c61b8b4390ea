"""Every device and every option of classic TensorRT: taken, or refused with reason and command."""

from __future__ import annotations

from pathlib import Path

import pytest

from targets import TargetError, all_targets
from targets.catalog import PRECISIONS, Target
from targets.decision import ANYWHERE, Decision
from targets.support import decide
from tests.unit.toolkit.onnx_graphs import contract
from toolkit.artifacts import OnnxModel
from toolkit.build.options_fit import check_options
from toolkit.build.request import COMPATIBLE, TensorRTOptions
from toolkit.errors import InputError

OPTIONS = {
    "dla core 0": TensorRTOptions(dla_core=0),
    "timing cache": TensorRTOptions(timing_cache=Path("t.cache")),
    **{word: TensorRTOptions(compatible=(word,)) for word in COMPATIBLE},
}


def _taken(row: Target, precision: str, options: TensorRTOptions) -> Decision | None:
    """Return the decision, or None where the device refuses; every refusal says what to run."""
    model = OnnxModel(Path("m.onnx"), "", contract(precision=precision))
    try:
        decision = decide(row, precision=precision, dla=options.dla_core is not None)
        check_options(model, row, decision, options)
    except (TargetError, InputError) as refused:
        assert refused.message.endswith(".")
        assert refused.next_command.startswith("edgekit ")
        return None
    return decision


@pytest.mark.parametrize("row", all_targets(), ids=lambda row: row.id)
def test_an_option_is_taken_by_a_builder_that_has_it_or_refused(row: Target) -> None:
    for precision in PRECISIONS:
        for name, options in OPTIONS.items():
            decision = _taken(row, precision, options)
            if decision is None:
                continue
            assert decision.where != ANYWHERE, f"{name} would be dropped silently"
            if name == "dla core 0":
                assert decision.dla
                assert row.dla_cores
            if name in ("hardware", "same-sm"):
                assert not row.is_jetson


def test_some_device_takes_each_option() -> None:
    for name, options in OPTIONS.items():
        takers = [row.id for row in all_targets() if _taken(row, "fp16", options)]
        assert takers, name
