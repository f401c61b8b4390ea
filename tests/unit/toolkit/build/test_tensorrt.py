"""The classic builder, run by TensorRT-RTX's bindings: evidence for the code, not for TensorRT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.bindings import fetch_bindings, run_with_bindings, why_no_bindings
from tests.unit.toolkit.onnx_graphs import classifier, contract, quantized_classifier
from toolkit.artifacts import OnnxModel
from toolkit.build.request import BatchRange, BuildRequest
from toolkit.build.tensorrt import ClassicOptions, build_with
from toolkit.errors import BuildError
from toolkit.onnx_model.file import write_onnx
from toolkit.progress import Progress, silent

trt: Any = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")


def request(model: OnnxModel, **changes: Any) -> BuildRequest:
    values: dict[str, Any] = {"target": "rtx-4090", "sms": (89,)}
    return BuildRequest(model, out=model.path.with_suffix(".engine"), **(values | changes))


@pytest.fixture
def model(tmp_path: Path) -> OnnxModel:
    return write_onnx(classifier(), tmp_path / "m.onnx", contract())


def test_an_engine_is_built_and_its_layers_are_counted(model: OnnxModel, tmp_path: Path) -> None:
    out = tmp_path / "m.engine"
    built = build_with(trt, request(model), out, silent)
    assert out.stat().st_size > 1000
    assert (built.int8_convs, built.float_convs) == (0, 2)
    assert built.kernels >= 2
    assert built.flags == ("STRONGLY_TYPED",)
    assert built.built_with == f"tensorrt_rtx {trt.__version__}"
    assert built.notes[0] == "batch 1:1:1"
    assert built.contract.input_shape == (1, 3, 16, 16)
    assert not built.reproducible


def test_int8_convolutions_are_found_in_the_layer_table(tmp_path: Path) -> None:
    made = contract(precision="int8", scheme="tensorrt")
    model = write_onnx(quantized_classifier(), tmp_path / "q.onnx", made)
    built = build_with(trt, request(model), tmp_path / "q.engine", silent)
    assert (built.int8_convs, built.float_convs) == (2, 0)


def test_a_dynamic_batch_gets_the_profile_that_was_asked(model: OnnxModel, tmp_path: Path) -> None:
    asked = request(model, batch=BatchRange(1, 2, 8))
    built = build_with(trt, asked, tmp_path / "m.engine", silent)
    assert built.contract.input_shape == (0, 3, 16, 16)
    assert "batch 1:2:8" in built.notes


def test_a_jetson_gets_a_memory_limit_and_a_version_compatible_engine_its_flag(
    model: OnnxModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    real = trt.IBuilderConfig.set_memory_pool_limit

    def noted(config: Any, pool: Any, size: int) -> None:
        limits.append(size >> 20)
        real(config, pool, size)

    monkeypatch.setattr(trt.IBuilderConfig, "set_memory_pool_limit", noted)
    build_with(trt, request(model), tmp_path / "a.engine", silent)
    build_with(trt, request(model, target="jetson-orin-nano-8gb"), tmp_path / "b.engine", silent)
    build_with(trt, request(model, workspace_mib=64), tmp_path / "c.engine", silent)
    assert limits == [2048, 64]


def test_progress_comes_from_the_builder(model: OnnxModel, tmp_path: Path) -> None:
    told: list[Progress] = []
    build_with(trt, request(model), tmp_path / "m.engine", told.append)
    assert told
    assert all(each.step == "build" and 0 < each.done <= each.total for each in told)


def test_a_builder_without_monitor_is_followed_through_its_log(
    model: OnnxModel, tmp_path: Path
) -> None:
    class Older:
        """TensorRT-RTX's module as TensorRT 8 would look: no progress monitor."""

        def __getattr__(self, name: str) -> Any:
            if name == "IProgressMonitor":
                raise AttributeError(name)
            return getattr(trt, name)

    told: list[Progress] = []
    build_with(Older(), request(model), tmp_path / "m.engine", told.append)
    assert told
    assert told[0].total == 0


def test_a_callback_that_raises_stops_the_build(model: OnnxModel, tmp_path: Path) -> None:
    def full(_: Progress) -> None:
        raise OSError("the pipe is closed")

    with pytest.raises(OSError, match="the pipe is closed"):
        build_with(trt, request(model), tmp_path / "m.engine", full)


def test_a_graph_that_is_refused_is_named_with_its_node(tmp_path: Path) -> None:
    refused = quantized_classifier(activations="uint8")  # its bias is int32 behind a DQ
    model = write_onnx(refused, tmp_path / "q.onnx", contract(precision="int8", scheme="tensorrt"))
    with pytest.raises(BuildError, match=r"tensorrt_rtx .* refuses .*q\.onnx: node ") as caught:
        build_with(trt, request(model), tmp_path / "q.engine", silent)
    assert "symmetric quantization only" in caught.value.message  # what the explainer knows of it
    assert caught.value.next_command == (
        "edgekit calibrate FLOAT.onnx --images DIR --target rtx-4090"
    )


def test_another_batch_than_a_fixed_one_is_refused(tmp_path: Path) -> None:
    fixed = classifier()
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    model = write_onnx(fixed, tmp_path / "m.onnx", contract(input_shape=(2, 3, 16, 16)))
    with pytest.raises(BuildError, match="takes batches of 2 only, 1:2:4 was asked"):
        build_with(trt, request(model, batch=BatchRange(1, 2, 4)), tmp_path / "m.engine", silent)
    built = build_with(trt, request(model), tmp_path / "m.engine", silent)
    assert built.contract.input_shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ClassicOptions(calibration_cache=Path("c.cache")), "does not have calibration caches"),
        (ClassicOptions(timing_cache=Path("t.cache")), "timing caches without a GPU"),
        (ClassicOptions(hardware_level="HOPPER_PLUS"), "hardware level HOPPER_PLUS"),
    ],
)
def test_what_a_runtime_does_not_have_is_refused_not_left_out(
    model: OnnxModel, tmp_path: Path, options: ClassicOptions, words: str
) -> None:
    with pytest.raises(BuildError, match=words):
        build_with(trt, request(model), tmp_path / "m.engine", silent, options=options)


@pytest.mark.slow
def test_the_bindings_of_tensorrt_11_run_the_builder_over_tensorrt_rtx(
    model: OnnxModel, tmp_path: Path
) -> None:
    if reason := why_no_bindings() or (
        fetched if isinstance(fetched := fetch_bindings("11"), str) else ""
    ):
        pytest.skip(reason)
    out = tmp_path / "m.engine"
    code = f"""
import json
from pathlib import Path
import toolkit.build.tensorrt as classic
from toolkit.build.layer_table import LayerTable
from toolkit.build.request import BuildRequest
from toolkit.onnx_model.file import open_model
from toolkit.progress import silent
# The rig has no GPU to load the engine with: everything but the inspector runs.
classic._layers = lambda *_: LayerTable(())
model = open_model(Path({str(model.path)!r}))
request = BuildRequest(model, "rtx-4090", Path({str(out)!r}), sms=(89,))
built = classic.build_with(trt, request, Path({str(out)!r}), silent)
print(json.dumps([built.built_with, list(built.flags)]))
"""
    run = run_with_bindings("11", code, over_rtx=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == ["tensorrt 11", ["STRONGLY_TYPED"]]
    assert out.stat().st_size > 1000
