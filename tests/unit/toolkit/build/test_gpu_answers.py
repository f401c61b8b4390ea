"""The check of a new engine's answers, on a GPU that is the CPU (tests/doubles)."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.doubles.cuda_machine import CudaMachine, FakeLibCuda, make_driver
from tests.doubles.tensorrt_runtime import engine_bytes, make_trt
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.build.gpu_answers import check_answers, unsealed_engine
from toolkit.build.request import BuildRequest, Built
from toolkit.errors import BuildError
from toolkit.onnx_file import write_onnx
from toolkit.runtime.cuda.libcuda import LibCuda


def checked(folder: Path, engine: onnx.ModelProto) -> str:
    """Check an engine that computes the graph `engine`, built from `classifier()`."""
    model = write_onnx(classifier(), folder / "m.onnx", contract())
    out = folder / "m.engine"
    out.write_bytes(engine_bytes(engine))
    built = Built(contract(), "tensorrt 10.3.0", "NVIDIA Test GPU", 0, 2, 5)
    machine = CudaMachine()
    request = BuildRequest(model, "sm87", out, sms=(87,))
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
