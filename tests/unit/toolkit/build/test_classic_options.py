"""How the command line's options reach classic TensorRT's builder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.artifacts import OnnxModel
from toolkit.build.request import BuildRequest, Built, TensorRTOptions
from toolkit.build.tensorrt import ClassicOptions, build_with, classic_options
from toolkit.onnx_model.file import write_onnx
from toolkit.progress import silent

TRT: Any = SimpleNamespace(__name__="tensorrt", __version__="10.3.0")
REQUEST = BuildRequest(
    OnnxModel(Path("m.onnx"), "", contract()), "jetson-agx-orin-64gb", Path("out/m.engine")
)


def test_timings_are_kept_beside_the_engine_for_each_gpu_and_version() -> None:
    options = classic_options(TRT, REQUEST, gpu="NVIDIA Orin (nvgpu)")
    cache = Path("out/nvidia-orin-nvgpu.tensorrt-10.3.0.timing-cache")
    assert options == ClassicOptions(gpu="NVIDIA Orin (nvgpu)", timing_cache=cache)


def test_what_was_asked_reaches_the_builder() -> None:
    asked = TensorRTOptions(1, Path("t.cache"), ("version", "hardware"))
    options = classic_options(TRT, replace(REQUEST, options=asked), gpu="Orin")
    assert options.dla_core == 1
    assert options.timing_cache == Path("t.cache")
    assert options.version_compatible
    assert options.hardware_level == "AMPERE_PLUS"
    same = replace(REQUEST, options=TensorRTOptions(compatible=("same-sm",)))
    assert classic_options(TRT, same, gpu="Orin").hardware_level == "SAME_COMPUTE_CAPABILITY"


def built_for_the_dla(folder: Path, options: ClassicOptions) -> tuple[Built, dict[str, Any], Any]:
    """Build with TensorRT-RTX's bindings; return what it made, what it was told, and the module."""
    trt: Any = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    told: dict[str, Any] = {}

    class Recording:
        """TensorRT-RTX's config, which notes the DLA: its own library knows none."""

        def __init__(self, config: Any) -> None:
            object.__setattr__(self, "config", config)

        def __getattr__(self, name: str) -> Any:
            return told[name] if name in told else getattr(self.config, name)

        def __setattr__(self, name: str, value: Any) -> None:
            if name in ("default_device_type", "DLA_core", "int8_calibrator"):
                told[name] = value
            else:
                setattr(self.config, name, value)

        def set_flag(self, flag: Any) -> None:
            told[str(flag)] = True

    class Calibrator:
        """TensorRT-RTX has none, and no flags for precision."""

        def __init__(self) -> None: ...

    class Flags:
        INT8, FP16 = "INT8", "FP16"

        def __getattr__(self, name: str) -> Any:
            return getattr(trt.BuilderFlag, name)

    class Builder:
        def __init__(self, logger: Any) -> None:
            self.builder = trt.Builder(logger)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.builder, name)

        def create_builder_config(self) -> Any:
            return Recording(self.builder.create_builder_config())

        def build_serialized_network(self, network: Any, config: Any) -> Any:
            return self.builder.build_serialized_network(network, config.config)

    class Module:
        def __getattr__(self, name: str) -> Any:
            own = {
                "Builder": Builder,
                "BuilderFlag": Flags(),
                "IInt8EntropyCalibrator2": Calibrator,
            }
            return own.get(name) or getattr(trt, name)

    model = write_onnx(classifier(), folder / "m.onnx", contract())
    request = BuildRequest(model, "rtx-4090", folder / "m.engine", sms=(89,))
    built = build_with(Module(), request, folder / "m.engine", silent, options=options)
    return built, told, trt


def test_a_dla_core_is_set_with_the_gpu_as_fallback_and_named_in_the_manifest(
    tmp_path: Path,
) -> None:
    built, told, trt = built_for_the_dla(tmp_path, ClassicOptions(dla_core=1))
    assert told["DLA_core"] == 1
    assert told["default_device_type"] == trt.DeviceType.DLA
    assert any("GPU_FALLBACK" in flag for flag in told)
    assert {"GPU_FALLBACK", "DLA_CORE_1"} <= set(built.flags)
    assert built.contract.precision == "fp32"


def test_a_calibration_cache_reaches_the_builder_and_makes_the_engine_int8(tmp_path: Path) -> None:
    cache = tmp_path / "m.cache"
    cache.write_bytes(b"TRT-100300-EntropyCalibration2\nimage: 3c010a14\n")
    request = replace(REQUEST, calibration_cache=cache)
    assert classic_options(TRT, request, gpu="Orin").calibration_cache == cache
    options = ClassicOptions(dla_core=0, calibration_cache=cache)
    built, told, _ = built_for_the_dla(tmp_path, options)
    assert told["int8_calibrator"].read_calibration_cache() == cache.read_bytes()
    assert told["INT8"] and told["FP16"]
    assert {"INT8", "FP16", "GPU_FALLBACK", "DLA_CORE_0"} == set(built.flags)
    assert built.contract.precision == "int8"
