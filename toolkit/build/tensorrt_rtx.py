"""Build TensorRT-RTX engines ahead of time: no GPU, no driver, one engine for several SMs.

Never give it a timing cache: that makes the builder ask for a GPU. Precision lies in the graph
(the network is strongly typed). The builder's layer table says what runs in Int8.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import tensorrt_rtx as trt

from toolkit.build.layer_table import parse_layer_table
from toolkit.build.request import BatchRange, BuildRequest, Built
from toolkit.contract import Contract
from toolkit.errors import BuildError
from toolkit.onnx_file import parse_onnx
from toolkit.progress import Progress, ProgressCallback

__all__ = ["build"]

_TURING = 75
_HARMLESS = {
    "Converting conv activation scales to fp32": "every FP16 scale is exact in FP32",
    "Converting conv weight scales to": "every FP16 scale is exact in FP32",
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
    log, monitor = _Log(), _Monitor(progress)
    with _interrupts_cancel(monitor):
        builder = trt.Builder(log)
        strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(strongly_typed)
        _parse(request, network, log)
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # fills the layer table
        config.progress_monitor = monitor
        _set_sms(config, request.sms)
        batch = _set_batch(request, builder, network, config)
        if request.workspace_mib is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace_mib << 20)
        plan = None if monitor.cancelled else builder.build_serialized_network(network, config)
    if monitor.failure is not None:
        raise monitor.failure
    if plan is None:
        raise _refused(request, log.errors)
    out.write_bytes(plan)
    return _built(request, batch, log)


class _Log(trt.ILogger):  # type: ignore[misc]  # the bindings ship no types
    """Keeps every line: the layer table and the warnings are read from them."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        self.lines.append(message)
        if severity == trt.ILogger.WARNING:
            self.warnings.append(message)
        elif severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
            self.errors.append(message)


class _Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the bindings ship no types
    """Passes the builder's phases on, and tells it to stop after Ctrl-C or an exception.

    Nothing may be raised here: no exception can cross the builder's C++ frames.
    """

    def __init__(self, progress: ProgressCallback) -> None:
        trt.IProgressMonitor.__init__(self)
        self.cancelled = False
        self.failure: BaseException | None = None
        self._progress = progress
        self._steps: dict[str, int] = {}

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        self._steps[phase_name] = num_steps

    def step_complete(self, phase_name: str, step: int) -> bool:
        steps = self._steps.get(phase_name, step + 1)
        try:
            self._progress(Progress("build", step + 1, steps, phase_name))
        except BaseException as failure:  # raised again as soon as the builder has returned
            self.failure = failure
        return not self.cancelled and self.failure is None

    def phase_finish(self, phase_name: str) -> None:
        self._steps.pop(phase_name, None)


@contextmanager
def _interrupts_cancel(monitor: _Monitor) -> Iterator[None]:
    """Turn Ctrl-C into a request to stop, and into KeyboardInterrupt when the builder returns."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals arrive in the main thread only
        return

    def cancel(_signal: int, _frame: FrameType | None) -> None:
        monitor.cancelled = True

    before = signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if monitor.cancelled:
            raise KeyboardInterrupt


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
            next_command=f"edgekit build {request.model.path} --target sm75",
        )
    if _TURING in request.sms and request.model.contract.precision != "fp16":
        raise BuildError(
            f"TensorRT-RTX runs only FP16 graphs on SM 7.5 (Turing); {request.model.path} is "
            f"{request.model.contract.precision}.",
            next_command="edgekit import SOURCE --precision fp16 --out model.fp16.onnx",
        )


def _parse(request: BuildRequest, network: Any, log: _Log) -> None:
    parser = trt.OnnxParser(network, log)
    if not parser.parse(request.model.path.read_bytes()):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        words = [f"node {e.node_name()!r} ({e.node_operator()}): {e.desc()}" for e in errors]
        raise _refused(request, words or log.errors)
    wrong = [
        f"{meaning} ({warning})"
        for warning in log.warnings
        for part, meaning in _WRONG_RESULTS.items()
        if part in warning
    ]
    if wrong:
        raise _refused(request, wrong)


def _set_sms(config: Any, sms: tuple[int, ...]) -> None:
    config.num_compute_capabilities = len(sms)
    for index, sm in enumerate(sms):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)


def _set_batch(request: BuildRequest, builder: Any, network: Any, config: Any) -> BatchRange | None:
    """Add the profile of a dynamic batch (one picture unless asked otherwise)."""
    source = network.get_input(0)
    count, *image = source.shape
    if count > 0:
        if request.batch not in (None, BatchRange(count, count, count)):
            raise BuildError(
                f"{request.model.path} takes batches of {count} only, {request.batch} was asked.",
                next_command="edgekit import SOURCE --out model.onnx",
            )
        return None
    batch = request.batch or BatchRange(1, 1, 1)
    profile = builder.create_optimization_profile()
    shapes = [(size, *image) for size in (batch.minimum, batch.optimum, batch.maximum)]
    profile.set_shape(source.name, *shapes)
    config.add_optimization_profile(profile)
    return batch


def _built(request: BuildRequest, batch: BatchRange | None, log: _Log) -> Built:
    table = parse_layer_table("\n".join(log.lines))
    nodes = parse_onnx(request.model.path).graph.node
    int8, floats = table.count([n.name for n in nodes if n.op_type in ("Conv", "ConvTranspose")])
    contract: Contract = request.model.contract
    notes = []
    if batch is not None:
        count = batch.minimum if batch.minimum == batch.maximum else 0
        contract = contract.with_changes(input_shape=(count, *contract.input_shape[1:]))
        notes.append(f"batch {batch}")
    for warning in dict.fromkeys(log.warnings):
        if not any(part in warning for part in _HARMLESS):
            notes.append(f"builder warning: {' '.join(warning.split())}")
    if not table.rows:
        notes.append("the builder wrote no layer table: what runs in Int8 is unknown")
    elif contract.precision == "int8" and not int8:
        notes.append("no convolution runs in Int8")
    return Built(
        contract=contract,
        built_with=f"tensorrt_rtx {trt.__version__}",
        built_on="no GPU (ahead of time)",
        int8_convs=int8,
        float_convs=floats,
        kernels=table.kernels,
        notes=(*notes, "its answers were not checked against the model's: that takes the GPU"),
    )


def _refused(request: BuildRequest, words: list[str]) -> BuildError:
    said = "; ".join(dict.fromkeys(" ".join(word.split()) for word in words)) or "no reason given"
    return BuildError(
        f"TensorRT-RTX {trt.__version__} refuses {request.model.path}: {said.rstrip('.')}.",
        next_command=f"edgekit inspect {request.model.path}",
    )
