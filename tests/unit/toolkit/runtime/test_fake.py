from __future__ import annotations

import numpy as np

from tests.unit.toolkit.onnx_graphs import contract
from toolkit.runtime.fake import FakeSession


def test_brighter_pictures_get_other_logits() -> None:
    dark, bright = np.zeros((1, 3, 16, 16), np.float32), np.ones((1, 3, 16, 16), np.float32)
    with FakeSession(contract()) as session:
        assert session.infer(dark).tolist() != session.infer(bright).tolist()


def test_an_inference_takes_as_long_as_it_was_told() -> None:
    slept: list[float] = []
    session = FakeSession(contract(), seconds=0.004, sleep=slept.append)
    session.infer(np.zeros((1, 3, 16, 16), np.float32))
    session.infer(np.zeros((1, 3, 16, 16), np.float32))
    assert slept == [0.004, 0.004]
