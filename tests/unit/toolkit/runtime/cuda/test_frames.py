"""Frames go in as the camera gave them.

The GPU is the CPU (tests/doubles): control flow, never hardware evidence.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import open_double, write_engine
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.runtime.cuda.cuda_parts import RECIPE, by_onnxruntime, frame, needs_compiler
from toolkit.artifacts import Engine
from toolkit.frame_input import input_from_bgr
from toolkit.preprocess import Preprocess


@needs_compiler
@pytest.mark.parametrize("integrated", [False, True], ids=["discrete", "jetson"])
def test_a_frame_gets_the_logits_of_its_picture(engine: Engine, integrated: bool) -> None:
    machine = CudaMachine(integrated=integrated)
    with open_double(engine, machine) as session:
        for size in ((90, 123), (480, 640), (90, 123), (17, 16)):
            image = frame(*size)
            logits = session.infer_frame(image)
            expected = by_onnxruntime(engine, input_from_bgr(RECIPE, image)[None])
            np.testing.assert_allclose(logits, expected, atol=1e-6)
            assert logits.shape == (1, 4)
        assert session.note == ""


@needs_compiler
def test_a_large_frame_is_copied_in_bands_and_only_its_window(
    engine: Engine, machine: CudaMachine
) -> None:
    image = frame(1080, 1920)
    with open_double(engine, machine) as session:
        session.infer_frame(image)
        machine.calls.clear()
        session.infer_frame(image)
        assert machine.calls.count("cuMemcpyHtoDAsync") == 6  # 2.9 MB of 6.2
        assert machine.calls.count("cuLaunchKernel") == 1


@needs_compiler
def test_a_frame_that_is_a_view_is_taken_as_it_is(engine: Engine, machine: CudaMachine) -> None:
    image = frame(100, 140)
    views = [image[10:80, 20:120], image[::-1], image[:, ::2], np.asfortranarray(image)]
    with open_double(engine, machine) as session:
        for view in views:
            expected = by_onnxruntime(
                engine, input_from_bgr(RECIPE, np.ascontiguousarray(view))[None]
            )
            np.testing.assert_allclose(session.infer_frame(view), expected, atol=1e-6)


@needs_compiler
def test_a_jetson_copies_no_frame_and_no_logits(engine: Engine) -> None:
    machine = CudaMachine(integrated=True)
    with open_double(engine, machine) as session:
        session.infer_frame(frame())
        machine.calls.clear()
        session.infer_frame(frame())
        assert not [call for call in machine.calls if call.startswith("cuMemcpy")]


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (replace(RECIPE, interpolation="nearest"), "nearest has no kernel"),
        (replace(RECIPE, resize="none"), "the crop is larger than a 12 x 10 frame"),
    ],
)
def test_what_the_kernel_cannot_do_is_done_on_the_cpu_and_noted(
    tmp_path: Path, machine: CudaMachine, recipe: Preprocess, reason: str
) -> None:
    engine = write_engine(classifier(), contract(preprocess=recipe), tmp_path)
    image = frame(10, 12)
    with open_double(engine, machine) as session:
        logits = session.infer_frame(image)
        assert session.note == f"frames are prepared on the CPU: {reason}"
    expected = by_onnxruntime(engine, input_from_bgr(recipe, image)[None])
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_a_kernel_that_the_driver_refuses_is_done_without_and_asked_for_once(
    engine: Engine, machine: CudaMachine
) -> None:
    machine.broken["cuModuleLoadDataEx"] = "the provided PTX was compiled with an unsupported tool"
    with open_double(engine, machine) as session:
        for _ in range(3):
            session.infer_frame(frame())
        assert "the kernel does not load (cuModuleLoadDataEx failed: the provided" in session.note
    assert machine.calls.count("cuModuleLoadDataEx") == 1
