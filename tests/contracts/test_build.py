"""What every row of BUILDERS promises. A new builder is tested by being listed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

import toolkit
from targets import get
from targets.catalog import BACKENDS
from tests.unit.toolkit.onnx_graphs import (
    classifier,
    contract,
    half_classifier,
    quantized_classifier,
)
from toolkit.artifacts import OnnxModel, digest_of_file, manifest_path, open_engine_file
from toolkit.build import BUILDERS, build
from toolkit.errors import BuildError, InputError
from toolkit.onnx_model.file import write_onnx
from toolkit.progress import Progress


@dataclass(frozen=True)
class Case:
    """A target that a builder builds for on this machine, and the INT8 scheme it takes."""

    backend: str
    target: str
    scheme: str
    package: str

    def model(self, precision: str) -> tuple[onnx.ModelProto, dict[str, str]]:
        if precision == "int8":
            kind = "int8" if self.scheme.startswith("tensorrt") else "uint8"
            return quantized_classifier(activations=kind), {"scheme": self.scheme}
        return (half_classifier() if precision == "fp16" else classifier()), {}

    def refused(self) -> tuple[onnx.ModelProto, dict[str, str]]:
        """A valid graph that the builder does not take, with what its contract claims."""
        if self.backend == "tensorrt_rtx":  # zero-points
            return quantized_classifier(activations="uint8"), {
                "scheme": self.scheme,
                "precision": "int8",
            }
        model = classifier()  # ONNX Runtime has no BFLOAT16 kernels for CPUs
        there, back = onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT
        model.graph.node[1].input[0], model.graph.node[1].output[0] = "c1_b", "r1_b"
        model.graph.node.insert(1, onnx.helper.make_node("Cast", ["c1"], ["c1_b"], to=there))
        model.graph.node.insert(3, onnx.helper.make_node("Cast", ["r1_b"], ["r1"], to=back))
        return model, {}


CASES = {
    "tensorrt": Case("tensorrt", "jetson-orin-nano-8gb", "tensorrt", "tensorrt"),  # on the device
    "onnxruntime": Case("onnxruntime", "cpu", "onnxruntime-x86", "onnxruntime"),
    "tensorrt_rtx": Case("tensorrt_rtx", "rtx-4090", "tensorrt-rtx", "tensorrt_rtx"),
}
PRECISIONS = ("fp32", "fp16", "int8")


@pytest.fixture(params=sorted(BUILDERS))
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    found = CASES[request.param]
    if importlib.util.find_spec(found.package) is None:
        pytest.skip(f"{found.package} is not installed")
    yield found


def written(case: Case, folder: Path, precision: str = "fp32") -> OnnxModel:
    model, changes = case.model(precision)
    return write_onnx(model, folder / "m.onnx", contract(precision=precision, **changes))


def test_every_builder_is_a_backend_of_the_targets_and_has_a_case_here() -> None:
    assert set(BUILDERS) <= set(BACKENDS)
    assert set(BUILDERS) == set(CASES)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_engine_has_a_manifest_that_tells_where_it_comes_from(
    case: Case, tmp_path: Path, precision: str
) -> None:
    model = written(case, tmp_path, precision)
    engine = build(model.path, target=case.target, out=tmp_path / "e.engine")
    manifest = engine.manifest
    assert open_engine_file(engine.path) == engine
    assert manifest.onnx_digest == model.digest
    assert manifest.engine_digest == digest_of_file(engine.path)
    assert (manifest.backend, manifest.precision) == (case.backend, precision)
    assert manifest.target == get(case.target).id
    assert manifest.tool_version == toolkit.__version__
    assert manifest.built_with.startswith(f"{case.package} ")
    assert manifest.built_on
    assert manifest.seconds > 0
    assert manifest.kernels > 0


@pytest.mark.parametrize(("precision", "int8"), [("fp32", 0), ("fp16", 0), ("int8", 2)])
def test_every_convolution_is_counted_in_the_type_it_runs_in(
    case: Case, tmp_path: Path, precision: str, int8: int
) -> None:
    model = written(case, tmp_path, precision)
    manifest = build(model.path, target=case.target).manifest
    assert (manifest.int8_convs, manifest.float_convs) == (int8, 2 - int8)


def test_the_contract_travels_with_the_engine(case: Case, tmp_path: Path) -> None:
    model = written(case, tmp_path, "int8")
    engine = build(model.path, target=case.target)
    assert engine.contract.preprocess == model.contract.preprocess
    assert engine.contract.labels == model.contract.labels
    assert engine.contract.scheme == case.scheme


def test_an_engine_is_named_after_model_and_target(case: Case, tmp_path: Path) -> None:
    model = written(case, tmp_path)
    suffix = "onnx" if case.target == "cpu" else "engine"
    engine = build(model.path, target=case.target)
    assert engine.path == tmp_path / f"m.{case.target}.{suffix}"
    assert engine.manifest.target == get(case.target).id


def test_the_same_model_gives_the_same_bytes_or_the_manifest_says_not(
    case: Case, tmp_path: Path
) -> None:
    model = written(case, tmp_path, "int8")
    first = build(model.path, target=case.target, out=tmp_path / "a.engine").manifest
    second = build(model.path, target=case.target, out=tmp_path / "b.engine").manifest
    assert first.reproducible == (first.engine_digest == second.engine_digest)


def test_no_graph_of_ours_makes_the_builder_warn(case: Case, tmp_path: Path) -> None:
    for precision in PRECISIONS:
        model = written(case, tmp_path, precision)
        notes = build(model.path, target=case.target).manifest.notes
        assert not [note for note in notes if "warning" in note]


def test_a_build_reports_progress(case: Case, tmp_path: Path) -> None:
    seen: list[Progress] = []
    build(written(case, tmp_path).path, target=case.target, progress=seen.append)
    assert {report.step for report in seen} == {"build"}
    assert all(0 <= report.done <= report.total for report in seen)


def test_an_exception_in_progress_stops_the_build_and_leaves_nothing(
    case: Case, tmp_path: Path
) -> None:
    def fail(_: Progress) -> None:
        raise RuntimeError("the terminal is gone")

    model = written(case, tmp_path)
    with pytest.raises(RuntimeError, match="the terminal is gone"):
        build(model.path, target=case.target, progress=fail)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_graph_that_the_builder_refuses_leaves_the_old_engine(case: Case, tmp_path: Path) -> None:
    engine = build(written(case, tmp_path).path, target=case.target, out=tmp_path / "e.engine")
    refused, changes = case.refused()
    write_onnx(refused, tmp_path / "r.onnx", contract(**changes))
    with pytest.raises(BuildError, match=r"refuses .*r\.onnx: ") as caught:
        build(tmp_path / "r.onnx", target=case.target, out=engine.path)
    # A failure that is known comes with its fix, any other with a look at the model.
    assert caught.value.next_command in (
        f"edgekit inspect {tmp_path / 'r.onnx'}",
        f"edgekit calibrate FLOAT.onnx --images DIR --target {case.target}",
    )
    assert open_engine_file(engine.path) == engine


def test_an_engine_cannot_replace_its_model(case: Case, tmp_path: Path) -> None:
    model = written(case, tmp_path)
    with pytest.raises(InputError, match="a name of its own"):
        build(model.path, target=case.target, out=model.path)
    assert digest_of_file(model.path) == model.digest


def test_precision_lies_in_the_graph(case: Case, tmp_path: Path) -> None:
    model = written(case, tmp_path)
    build(model.path, target=case.target, precision="fp32")
    with pytest.raises(InputError, match="--precision fp16 cannot change it"):
        build(model.path, target=case.target, precision="fp16")


def test_a_target_without_a_builder_is_refused_with_the_place_that_has_one(
    tmp_path: Path,
) -> None:
    model = written(CASES["onnxruntime"], tmp_path)
    with pytest.raises(BuildError, match="builds on the device") as caught:
        build(model.path, target="jetson-orin-nano-8gb")
    assert caught.value.next_command.endswith("--target jetson-orin-nano-8gb --host USER@BOARD")


def test_the_manifest_is_plain_json(case: Case, tmp_path: Path) -> None:
    engine = build(written(case, tmp_path).path, target=case.target)
    values = json.loads(manifest_path(engine.path).read_text(encoding="utf-8"))
    assert values["contract"]["input_name"] == "image"
