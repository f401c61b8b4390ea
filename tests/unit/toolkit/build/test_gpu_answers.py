"""The check of a new engine's answers, on a GPU that is the CPU (tests/doubles)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.doubles.cuda_machine import CudaMachine, FakeLibCuda, make_driver
from tests.doubles.tensorrt_runtime import engine_bytes, make_trt
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.build.gpu_answers import check_answers, unsealed_engine
from toolkit.build.request import BuildRequest, Built
from toolkit.errors import BuildError
from toolkit.onnx_model.file import write_onnx
from toolkit.runtime.cuda.libcuda import LibCuda


def checked(folder: Path, engine: onnx.ModelProto, *, cache: Path | None = None) -> str:
    """Check an engine that computes the graph `engine`, built from `classifier()`."""
    model = write_onnx(classifier(), folder / "m.onnx", contract())
    out = folder / "m.engine"
    out.write_bytes(engine_bytes(engine))
    built = Built(contract(), "tensorrt 10.3.0", "NVIDIA Test GPU", 0, 2, 5)
    machine = CudaMachine()
    request = BuildRequest(model, "sm87", out, sms=(87,), calibration_cache=cache)
    trt = make_trt(machine)
    try:
        return check_answers(
            request,
            unsealed_engine(request, out, built, trt=trt),
            trt=trt,
            driver=make_driver(machine),
            libcuda=LibCuda(FakeLibCuda(machine)),
        )
    finally:
        assert machine.retained == 0
        assert not machine.allocations


def test_an_engine_that_computes_its_graph_gets_a_note_with_the_figures(tmp_path: Path) -> None:
    note = checked(tmp_path, classifier())
    assert note.startswith("golden inputs: ")
    assert "dB against its own graph in float (30.0 needed)" in note


def test_an_engine_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"does not compute what its graph says: .* dB against"):
        checked(tmp_path, classifier(seed=1))


def test_int8_from_a_calibration_cache_is_compared_with_fp32_and_not_judged(
    tmp_path: Path,
) -> None:
    note = checked(tmp_path, classifier(seed=1), cache=tmp_path / "m.cache")
    assert "dB against the float model, " in note
    assert "winners; not judged, for with ranges from a calibration cache TensorRT chooses" in note


def test_answers_that_are_no_numbers_are_refused_even_then(tmp_path: Path) -> None:
    broken = classifier()
    weight = next(each for each in broken.graph.initializer if len(each.dims) == 4)
    values = np.full(weight.dims, np.nan, np.float32)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    with pytest.raises(BuildError, match="answers that are no numbers"):
        checked(tmp_path, broken, cache=tmp_path / "m.cache")
