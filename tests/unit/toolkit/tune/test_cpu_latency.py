"""What errors say of engines that are built in a temporary folder, which is gone by then."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.emit import Quantized
from calibration.quantize import quantize
from calibration.schemes import SCHEMES
from targets import get
from targets.support import decide
from tests.unit.toolkit.tune.planted import planted_model
from tests.unit.toolkit.tune.timed import timed
from toolkit.artifacts import OnnxModel
from toolkit.errors import BuildError, InputError, MachineError
from toolkit.latency import Latency
from toolkit.onnx_model.file import open_model, read_onnx
from toolkit.progress import silent
from toolkit.tune import cpu_latency
from toolkit.tune.cpu_latency import measured_in_turns, times_on_this_cpu
from toolkit.tune.journal import Journal


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    """A model with the name that the search gives its own float graph."""
    return planted_model(tmp_path_factory.mktemp("my models") / "float.onnx")


@pytest.fixture(scope="module")
def int8(source: OnnxModel) -> Quantized:
    images = np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype(np.float32)
    scheme = SCHEMES[decide(get("cpu"), precision="int8").scheme]
    model = read_onnx(source.path)
    return quantize(model, lambda: [images], scheme=scheme, method="minmax", model_digest="m")


def _times(source: OnnxModel, int8: Quantized, folder: Path) -> None:
    journal = Journal(folder / "j.json", {})
    times_on_this_cpu(source, int8, journal, threads=1, progress=silent)


def _says_nothing_of_our_folder(caught: Any) -> bool:
    text = f"{caught.value.message} {caught.value.next_command}"
    return "edgekit-tune-" not in text


def test_kernels_of_no_layer_are_told_of_the_model_that_was_given(
    source: OnnxModel, int8: Quantized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fused(engines: list[Path], **_: object) -> list[Latency]:
        assert all(path.exists() for path in engines)
        return [timed(2.0, {"fused": 1.0}, engine=str(path)) for path in engines]

    monkeypatch.setattr(cpu_latency, "measure", fused)
    with pytest.raises(InputError, match="None of the 1 and 1 kernels") as caught:
        _times(source, int8, tmp_path)
    assert f"kernels of {source.path} and {source.path} in INT8 can" in caught.value.message
    assert f"edgekit tune '{source.path}' --images DIR" in caught.value.next_command
    assert _says_nothing_of_our_folder(caught)


def test_an_engine_that_cannot_be_opened_is_told_of_the_model_that_was_given(
    source: OnnxModel, int8: Quantized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(engines: list[Path], **_: object) -> list[Latency]:
        for path in engines:
            path.write_bytes(b"")
            open_model(path)
        raise AssertionError("an empty file was opened")

    monkeypatch.setattr(cpu_latency, "measure", refused)
    with pytest.raises(InputError) as caught:
        measured_in_turns(int8, int8=int8, source=source, threads=1, progress=silent)
    assert f"the tuned {source.path}" in caught.value.message
    assert _says_nothing_of_our_folder(caught)


def test_a_graph_that_is_refused_is_told_of_the_model_that_was_given(
    source: OnnxModel, int8: Quantized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, **_: object) -> None:
        raise BuildError(f"no {path}: bad {path.name}", next_command=f"edgekit inspect {path}")

    monkeypatch.setattr(cpu_latency, "build", refused)
    with pytest.raises(BuildError) as caught:
        _times(source, int8, tmp_path)
    assert caught.value.message == f"no {source.path}: bad {source.path}"
    assert caught.value.next_command.startswith(f"edgekit tune '{source.path}'")
    with pytest.raises(BuildError, match="no the tuned "):
        measured_in_turns(int8, int8=int8, source=source, threads=1, progress=silent)


def test_a_full_disk_names_a_folder_that_is_still_there(
    source: OnnxModel, int8: Quantized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, **_: object) -> None:
        raise MachineError(f"{path.parent} is full.", next_command=f"df -h {path.parent}")

    monkeypatch.setattr(cpu_latency, "build", full)
    with pytest.raises(MachineError) as caught:
        _times(source, int8, tmp_path)
    place = caught.value.next_command.removeprefix("df -h ")
    assert shutil.disk_usage(place).total > 0
    assert _says_nothing_of_our_folder(caught)
