"""Wrong batches and frames are refused before CUDA sees them.

The GPU is the CPU (tests/doubles): control flow, never hardware evidence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double, write_engine
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.runtime.cuda.cuda_parts import frame, pictures
from toolkit.artifacts import Engine
from toolkit.errors import InputError


def static(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = count
    return model


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((1, 3, 16, 16), np.float64),
        np.zeros((0, 3, 16, 16), np.float32),
        [[0.0]],
    ],
    ids=str,
)
def test_a_wrong_batch_is_refused_before_cuda_sees_it(
    engine: Engine, machine: CudaMachine, batch: Any
) -> None:
    with open_double(engine, machine) as session:
        machine.calls.clear()
        with pytest.raises(
            InputError, match=r"m\.engine takes a batch of float32 \(N, 3, 16, 16\)"
        ):
            session.infer(batch)
        assert machine.calls == []


def test_a_batch_outside_the_profile_is_refused_with_its_limits(
    engine: Engine, machine: CudaMachine
) -> None:
    with open_double(engine, machine) as session:
        with pytest.raises(InputError, match=r"m\.engine takes batches of 1 to 4, got 5"):
            session.infer(pictures(5))
        assert session.infer(pictures(4)).shape == (4, 4)


def test_a_frame_for_an_engine_of_larger_batches_is_refused(
    tmp_path: Path, machine: CudaMachine
) -> None:
    made = contract(input_shape=(2, 3, 16, 16))
    engine = write_engine(static(classifier(), 2), made, tmp_path)
    with (
        open_double(engine, machine) as session,
        pytest.raises(InputError, match="takes batches of 2, got 1"),
    ):
        session.infer_frame(frame())


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        None,
    ],
    ids=lambda image: str(getattr(image, "shape", image)),
)
def test_a_wrong_frame_is_refused_before_cuda_sees_it(
    engine: Engine, machine: CudaMachine, image: Any
) -> None:
    with open_double(engine, machine) as session:
        machine.calls.clear()
        with pytest.raises(
            InputError, match=r"takes BGR frames of uint8 \(height, width, 3\), got"
        ):
            session.infer_frame(image)
        assert machine.calls == []
