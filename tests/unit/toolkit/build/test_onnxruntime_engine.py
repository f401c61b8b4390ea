from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from targets import get
from targets.detect import isa
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.artifacts import Engine, OnnxModel, manifest_path, open_engine_file
from toolkit.build import build
from toolkit.contract import read_contract
from toolkit.errors import (
    BuildError,
    ForeignEngineError,
    InputError,
    MachineError,
    SchemeError,
    StaleError,
)
from toolkit.golden import Golden, make_golden, write_golden
from toolkit.onnx_model.file import write_onnx
from toolkit.runtime import open_session
from toolkit.runtime.session import PreparesInput


def int8_model(folder: Path) -> OnnxModel:
    made = contract(precision="int8", scheme="onnxruntime-x86")
    return write_onnx(quantized_classifier(activations="uint8"), folder / "q.onnx", made)


def built(folder: Path) -> Engine:
    return build(int8_model(folder).path, target="cpu", out=folder / "e.onnx")


def altered(engine: Engine, **changes: str) -> Path:
    path = manifest_path(engine.path)
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, **changes}), encoding="utf-8")
    return engine.path


def test_the_manifest_names_instruction_set_and_runtime_version(tmp_path: Path) -> None:
    manifest = built(tmp_path).manifest
    assert manifest.isa == isa()
    assert manifest.built_with == f"onnxruntime {onnxruntime.__version__}"


def test_the_contract_is_in_the_engine_file_too(tmp_path: Path) -> None:
    engine = built(tmp_path)
    assert read_contract(onnx.load(engine.path), where="e") == engine.contract


def test_an_engine_answers_like_its_model(tmp_path: Path) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    engine = build(model.path, target="cpu")
    batch = np.random.default_rng(0).standard_normal((4, 3, 16, 16)).astype(np.float32)
    with open_session(engine.path) as ours, open_session(model.path) as theirs:
        assert ours.backend == "onnxruntime"
        assert ours.infer(batch) == pytest.approx(theirs.infer(batch), abs=1e-4)


def test_the_golden_comparison_is_noted(tmp_path: Path) -> None:
    assert any("dB against its own graph" in note for note in built(tmp_path).manifest.notes)


def test_an_engine_that_answers_wrongly_is_not_written(tmp_path: Path) -> None:
    model = int8_model(tmp_path)
    good = make_golden(model)
    other = Golden(good.model, good.images, own=-good.own, nudged=-good.nudged)
    write_golden(other, model.path)
    with pytest.raises(BuildError, match="does not compute what its graph says"):
        build(model.path, target="cpu", out=tmp_path / "e.onnx")
    assert not (tmp_path / "e.onnx").exists()


def test_a_golden_file_of_another_model_is_not_used(tmp_path: Path) -> None:
    model = int8_model(tmp_path)
    good = make_golden(model)
    write_golden(Golden("0" * 64, good.images, own=-good.own, nudged=-good.nudged), model.path)
    assert build(model.path, target="cpu").path.exists()


def test_another_instruction_set_is_refused_with_the_rebuild_line(tmp_path: Path) -> None:
    path = altered(built(tmp_path), isa="avx-1024")
    with pytest.raises(ForeignEngineError, match="optimised for avx-1024") as caught:
        open_session(path)
    assert caught.value.next_command == (
        f"edgekit build {tmp_path / 'q.onnx'} --target cpu --out {path}"
    )


def test_another_runtime_version_is_refused(tmp_path: Path) -> None:
    path = altered(built(tmp_path), built_with="onnxruntime 0.9.0")
    with pytest.raises(ForeignEngineError, match=r"built with onnxruntime 0\.9\.0"):
        open_session(path)


def test_an_altered_engine_is_refused(tmp_path: Path) -> None:
    engine = built(tmp_path)
    engine.path.write_bytes(engine.path.read_bytes() + b"\0")
    with pytest.raises(StaleError, match="altered or replaced"):
        open_session(engine.path)


def test_an_engine_without_its_manifest_says_what_is_missing(tmp_path: Path) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    engine = build(model.path, target="cpu", out=tmp_path / "e.engine")
    manifest_path(engine.path).unlink()
    with pytest.raises(InputError, match="has no manifest"):
        open_session(engine.path)


def test_the_cpu_of_another_machine_is_refused(tmp_path: Path) -> None:
    other = "cpu-arm64" if get("cpu").id != "cpu-arm64" else "cpu-x86"
    with pytest.raises(SchemeError, match="layout of the machine it is built on"):
        build(int8_model(tmp_path).path, target=other)


@pytest.mark.parametrize("options", [{"batch": "1:1:1"}, {"workspace_mib": 64}])
def test_options_of_gpu_engines_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="are for GPU engines"):
        build(int8_model(tmp_path).path, target="cpu", **options)  # type: ignore[arg-type]


def test_onnxruntimes_own_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cpu engines are ONNX files"):
        build(int8_model(tmp_path).path, target="cpu", out=tmp_path / "e.ort")


def test_a_folder_that_cannot_be_written_is_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot be written"):
        build(int8_model(tmp_path).path, target="cpu", out=tmp_path / "file" / "e.onnx")


def test_an_engine_built_here_opens_again(tmp_path: Path) -> None:
    engine = built(tmp_path)
    assert open_engine_file(engine.path) == engine
    with open_session(engine.path, threads=1, spin=False) as session:
        assert session.infer(np.zeros((1, 3, 16, 16), np.float32)).shape == (1, 4)


def test_an_int8_engine_takes_integers_that_can_be_made_apart(tmp_path: Path) -> None:
    model, engine = int8_model(tmp_path), built(tmp_path)
    batch = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    with open_session(engine.path) as ours, open_session(model.path) as theirs:
        assert isinstance(ours, PreparesInput)
        ready = ours.prepare_input(batch)
        assert ready.dtype == np.uint8
        np.testing.assert_array_equal(ours.infer_prepared(ready), ours.infer(batch))
        np.testing.assert_array_equal(ours.infer(batch), theirs.infer(batch))
        with pytest.raises(InputError, match="takes a batch of float32"):
            ours.prepare_input(batch[:, :1])
    assert any("takes the integers of its first layer" in note for note in engine.manifest.notes)
    with pytest.raises(InputError, match="is closed"):
        ours.prepare_input(batch)


def test_a_float_engine_takes_the_picture_itself(tmp_path: Path) -> None:
    model = write_onnx(classifier(), tmp_path / "m.onnx", contract())
    batch = np.zeros((1, 3, 16, 16), np.float32)
    with open_session(build(model.path, target="cpu").path) as session:
        assert isinstance(session, PreparesInput)
        assert session.prepare_input(batch) is batch
