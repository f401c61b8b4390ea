"""Build TensorRT-RTX engines ahead of time: no GPU, no driver, one engine for several SMs.

Never give it a timing cache: that makes the builder ask for a GPU. Precision lies in the graph
(the network is strongly typed). The builder's layer table says what runs in Int8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorrt_rtx as trt

from toolkit.build.beside import NOT_TIMED
from toolkit.build.builder_watch import BuildWatch, watch_build
from toolkit.build.layer_table import parse_layer_table
from toolkit.build.request import BatchRange, BuildRequest, Built
from toolkit.build.tensorrt_network import parse_graph, refused, set_batch
from toolkit.contract import Contract
from toolkit.errors import BuildError, EdgekitError
from toolkit.onnx_model.file import parse_onnx
from toolkit.progress import ProgressCallback
from toolkit.shell import quoted

__all__ = ["build"]

_TURING = 75
_HARMLESS = {
    "Converting conv activation scales to fp32": "every FP16 scale is exact in FP32",
    "Converting conv weight scales to fp32": "every FP16 scale is exact in FP32",
}
"""Part of a warning -> why it does not matter. All other warnings end up in the manifest."""
_WRONG_RESULTS = {
    "UINT8 zero_point only on DLA": "uint8 activations would be read as int8 and saturate",
}
"""Part of a warning -> what it means. The engine would load, run and answer wrongly."""


def build(request: BuildRequest, out: Path, progress: ProgressCallback) -> Built:
    """Write a TensorRT-RTX engine for every SM of the request to `out`.

    Raises BuildError with the parser's or builder's own words.
    """
    _check_sms(request)
    watch = watch_build(trt, progress)
    try:
        with watch.listening():
            batch = _write_plan(request, out, watch)
    except EdgekitError as stopped:
        # Whoever keeps the traceback would keep the builder in its frames.
        raise stopped.with_traceback(None) from stopped.__cause__
    return _built(request, batch, watch)


def _write_plan(request: BuildRequest, out: Path, watch: BuildWatch) -> BatchRange | None:
    """Write the engine; return the profile of its batch."""
    builder = trt.Builder(watch.logger)
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parse_graph(trt, request, network, watch)
    _check_warnings(request, watch.warnings)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # fills the layer table
    config.progress_monitor = watch.monitor
    _set_sms(config, request.sms)
    batch = set_batch(request, builder, network, config)
    if request.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace_mib << 20)
    plan = builder.build_serialized_network(network, config) if watch.goes_on else None
    if plan is not None:
        out.write_bytes(plan)
    elif watch.goes_on:
        raise refused(trt, request, watch.errors)
    # What a callback raised holds this frame, and with it the builder, until somebody handles it.
    del config, network, builder
    return batch


def _check_sms(request: BuildRequest) -> None:
    unknown = [sm for sm in request.sms if not hasattr(trt.ComputeCapability, f"SM{sm}")]
    if unknown or not request.sms:
        raise BuildError(
            f"TensorRT-RTX {trt.__version__} does not build for SM {unknown or 'nothing'}.",
            next_command="pip install --upgrade 'edgekit[rtx]'",
        )
    if _TURING in request.sms and len(request.sms) > 1:
        raise BuildError(
            "NVIDIA asks for engines for SM 7.5 (Turing) to be built on their own.",
            next_command=f"edgekit build {quoted(request.model.path)} --target sm75",
        )
    if _TURING in request.sms and request.model.contract.precision != "fp16":
        raise BuildError(
            f"TensorRT-RTX runs only FP16 graphs on SM 7.5 (Turing); {request.model.path} is "
            f"{request.model.contract.precision}.",
            next_command="edgekit import SOURCE --precision fp16 --out model.fp16.onnx",
        )


def _check_warnings(request: BuildRequest, warnings: list[str]) -> None:
    wrong = [
        f"{meaning} ({warning})"
        for warning in warnings
        for part, meaning in _WRONG_RESULTS.items()
        if part in warning
    ]
    if wrong:
        raise refused(trt, request, wrong)


def _set_sms(config: Any, sms: tuple[int, ...]) -> None:
    config.num_compute_capabilities = len(sms)
    for index, sm in enumerate(sms):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)


def _built(request: BuildRequest, batch: BatchRange | None, watch: BuildWatch) -> Built:
    table = parse_layer_table("\n".join(watch.lines))
    nodes = parse_onnx(request.model.path).graph.node
    int8, floats = table.count([n.name for n in nodes if n.op_type in ("Conv", "ConvTranspose")])
    contract: Contract = request.model.contract
    notes = []
    if batch is not None:
        count = batch.minimum if batch.minimum == batch.maximum else 0
        contract = contract.with_changes(input_shape=(count, *contract.input_shape[1:]))
        notes.append(f"batch {batch}")
    for warning in dict.fromkeys(watch.warnings):
        if not any(part in warning for part in _HARMLESS):
            notes.append(f"builder warning: {' '.join(warning.split())}")
    if not table.rows:
        notes.append("the builder wrote no layer table: what runs in Int8 is unknown")
    elif contract.precision == "int8" and not int8:
        notes.append("no convolution runs in Int8")
    notes.append("its answers were not checked against the model's: that takes the GPU")
    if contract.precision == "int8":
        notes.append(f"{NOT_TIMED}: no GPU (ahead of time)")
    return Built(
        contract=contract,
        built_with=f"tensorrt_rtx {trt.__version__}",
        built_on="no GPU (ahead of time)",
        int8_convs=int8,
        float_convs=floats,
        kernels=table.kernels,
        notes=tuple(notes),
    )
