"""Which TensorRT offers what, and how precision reaches its builder: against the real bindings."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.doubles.bindings import BINDINGS, fetch_bindings, run_with_bindings, why_no_bindings
from tests.unit.toolkit.onnx_graphs import contract
from toolkit.artifacts import OnnxModel
from toolkit.build.request import COMPATIBLE, BuildRequest
from toolkit.build.tensorrt_offers import Offers, offers_of, typing_for
from toolkit.errors import BuildError

ROOT = Path(__file__).resolve().parents[4]
PLUS = "AMPERE_PLUS"
SAME = "SAME_COMPUTE_CAPABILITY"
BOTH = ("INT8", "FP16")
#                  batch  typed  flags  monitor cache version levels      dla   no GPU
OFFERS = {
    "8.6.1": Offers(True, False, BOTH, False, True, True, (PLUS,), True, False),
    "10.3": Offers(True, True, BOTH, True, True, True, (PLUS,), True, False),
    "10.16": Offers(True, True, BOTH, True, True, True, (PLUS, SAME), True, False),
    "11": Offers(False, True, (), True, False, True, (PLUS, SAME), True, False),
}

# File -> variable -> the class of the bindings it holds ("" is the module itself).
TOUCHED = {
    "toolkit/build/tensorrt.py": {
        "trt": "",
        "creation": "NetworkDefinitionCreationFlag",
        "builder": "Builder",
        "network": "INetworkDefinition",
        "config": "IBuilderConfig",
        "loaded": "ICudaEngine",
        "inspector": "EngineInspector",
    },
    "toolkit/build/tensorrt_network.py": {
        "trt": "",
        "builder": "Builder",
        "network": "INetworkDefinition",
        "parser": "OnnxParser",
        "error": "ParserError",
        "source": "ITensor",
        "profile": "IOptimizationProfile",
        "config": "IBuilderConfig",
    },
    "toolkit/build/builder_caches.py": {
        "trt": "",
        "config": "IBuilderConfig",
        "cache": "ITimingCache",
    },
    "toolkit/build/tensorrt_offers.py": {"trt": "", "creation": "NetworkDefinitionCreationFlag"},
    "toolkit/build/builder_watch.py": {"trt": "", "_trt": ""},
    "toolkit/tensorrt_log.py": {"trt": ""},
    "toolkit/runtime/cuda/engine.py": {
        "trt": "",
        "runtime": "Runtime",
        "engine": "ICudaEngine",
        "_engine": "ICudaEngine",
        "context": "IExecutionContext",
    },
}
# What the code asks for with hasattr before it touches it, and a version does not have.
GUARDED = {
    "8.6.1": {
        "IProgressMonitor",
        "IBuilderConfig.progress_monitor",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "ParserError.node_name",
        "ParserError.node_operator",
        "HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY",
    },
    "10.3": {"HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY"},
    "10.16": set[str](),
    "11": {
        "BuilderFlag.INT8",
        "BuilderFlag.FP16",
        "NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
        "IInt8EntropyCalibrator2",
        "IBuilderConfig.int8_calibrator",
    },
}
RTX_ONLY = {
    "CudaGraphStrategy",
    "ComputeCapability",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
    "ICudaEngine.create_runtime_config",
}
OUR_OWN = {
    "manifest",
    "path",
    "with_name",
    "strerror",
    "read_bytes",
}  # of records and errors named alike


def touched() -> Iterator[str]:
    """`Class.attribute` of everything the code touches in the bindings."""
    for file, variables in TOUCHED.items():
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            holder = node.value
            name = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
            if isinstance(holder, ast.Attribute) and variables.get(_name(holder.value)) == "":
                if node.attr != "__init__":
                    yield f"{holder.attr}.{node.attr}"  # trt.MemoryPoolType.WORKSPACE
                continue
            if name not in variables or (
                node.attr in OUR_OWN and name in ("engine", "error", "cache")
            ):
                continue
            kind = variables[name]
            yield f"{kind}.{node.attr}" if kind else node.attr


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def named() -> Iterator[str]:
    """`Class.member` of what the code looks up by a name it holds as text."""
    for flag in ("INT8", "FP16", "GPU_FALLBACK", COMPATIBLE["version"]):
        yield f"BuilderFlag.{flag}"
    for word in ("hardware", "same-sm"):
        yield f"HardwareCompatibilityLevel.{COMPATIBLE[word]}"


def bindings(version: str) -> None:
    if reason := why_no_bindings() or (
        fetched if isinstance(fetched := fetch_bindings(version), str) else ""
    ):
        pytest.skip(reason)


@pytest.mark.slow
@pytest.mark.parametrize("version", BINDINGS)
def test_a_version_offers_what_the_real_bindings_say(version: str) -> None:
    bindings(version)
    code = """
import dataclasses, json
from toolkit.build.tensorrt_offers import offers_of
print(json.dumps(dataclasses.asdict(offers_of(trt))))
"""
    run = run_with_bindings(version, code)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    for name in ("precision_flags", "hardware_levels"):
        found[name] = tuple(found[name])
    assert Offers(**found) == OFFERS[version]


@pytest.mark.slow
@pytest.mark.parametrize("version", BINDINGS)
def test_every_attribute_that_the_code_touches_exists_in_the_real_bindings(version: str) -> None:
    bindings(version)
    names = sorted({*touched(), *named()} - {"__name__", "__version__"})
    assert {"Builder.build_serialized_network", "IExecutionContext.execute_async_v3"} <= {*names}
    assert {"MemoryPoolType.WORKSPACE", "DeviceType.DLA", "BuilderFlag.GPU_FALLBACK"} <= {*names}
    code = f"""
def has(path):
    holder = trt
    for part in path.split("."):
        if not hasattr(holder, part):
            return False
        holder = getattr(holder, part)
    return True
print(*[name for name in {names!r} if not has(name)])
"""
    run = run_with_bindings(version, code)
    assert run.returncode == 0, run.stderr
    missing = set(run.stdout.split()) - RTX_ONLY
    assert missing == GUARDED[version]


def test_every_attribute_that_the_code_touches_exists_in_tensorrt_rtx() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    missing = set()
    for name in touched():
        holder = trt
        for part in name.split("."):
            holder = getattr(holder, part, None)
        if holder is None:
            missing.add(name)
    assert missing - {"CudaGraphStrategy"} == {
        "NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
        "IInt8EntropyCalibrator2",
        "IBuilderConfig.int8_calibrator",
    }


def test_tensorrt_rtx_offers_building_without_a_gpu() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    offers = offers_of(trt)
    assert offers.needs_no_gpu
    assert offers.strongly_typed
    assert offers.precision_flags == ()


def request(precision: str, flags: tuple[str, ...] = ()) -> BuildRequest:
    model = OnnxModel(Path("m.onnx"), "", contract(precision=precision))
    return BuildRequest(model, "sm87", Path("m.engine"), sms=(87,), flags=flags)


@pytest.mark.parametrize(
    ("version", "precision", "flags", "expected"),
    [
        ("8.6.1", "fp32", (), (False, ())),
        ("8.6.1", "fp16", (), (False, ("FP16",))),
        ("8.6.1", "int8", (), (False, ("INT8", "FP16"))),
        ("10.3", "int8", ("INT8", "FP16"), (False, ("INT8", "FP16"))),  # as its decision asks
        ("10.3", "int8", (), (True, ())),
        ("10.16", "fp16", (), (True, ())),
        ("11", "int8", ("INT8", "FP16"), (True, ())),  # flags of a decision for an older one
        ("11", "fp32", (), (True, ())),
    ],
)
def test_precision_reaches_the_builder_in_its_own_way(
    version: str, precision: str, flags: tuple[str, ...], expected: tuple[bool, tuple[str, ...]]
) -> None:
    typing = typing_for(request(precision, flags), OFFERS[version])
    assert (typing.strongly_typed, typing.flags) == expected


def test_a_calibration_cache_needs_flags_even_where_strong_typing_exists() -> None:
    typing = typing_for(request("fp32"), OFFERS["10.3"], implicit=True)
    assert (typing.strongly_typed, typing.flags) == (False, ("INT8", "FP16"))


def test_a_precision_that_cannot_reach_the_builder_is_refused() -> None:
    with pytest.raises(BuildError, match="needs the builder flag INT8 and FP16"):
        typing_for(request("fp32"), OFFERS["11"], implicit=True)


def test_nothing_is_asked_of_a_module_that_has_nothing() -> None:
    bare: Any = SimpleNamespace(
        NetworkDefinitionCreationFlag=object,
        BuilderFlag=object,
        DeviceType=object,
        IBuilderConfig=object,
    )
    assert offers_of(bare) == Offers(False, False, (), False, False, False, (), False, False)
