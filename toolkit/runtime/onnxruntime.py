"""Run ONNX files and cpu engines with ONNX Runtime, on the CPU.

`InferenceSession.run` may be called from several threads at once, so these sessions may too.
Bound inputs and outputs (IOBinding) were measured and are not used: 22 us a call against 20 us on
a tiny network, no difference on MobileNetV2 (ONNX Runtime 1.32).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from calibration.parallel import available_cpus
from toolkit.artifacts import Engine, OnnxModel, origin_of
from toolkit.contract import Contract
from toolkit.errors import InputError, ModelError
from toolkit.runtime.session import Mapped, check_batch, check_gives_map
from toolkit.shell import quoted

__all__ = [
    "INPUT_HEAD",
    "ORT_ERRORS",
    "VERSION",
    "OrtSession",
    "available_cpus",
    "model_argument",
    "open_float_session",
    "open_session",
    "session_options",
]

VERSION = f"onnxruntime {onnxruntime.__version__}"
ORT_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
)
"""What ONNX Runtime raises; these classes share no base below Exception."""

INPUT_HEAD = "edgekit.input_head"
"""Where an INT8 cpu engine keeps the graph (base64) that makes its integers of a float picture."""

_FLOAT_NOTE = "float evaluation, not speed"


class OrtSession:
    """An ONNX Runtime session with the contract of the file it runs.

    `infer(batch)` is `infer_prepared(prepare_input(batch))`: what prepares a picture need not be
    the thread that runs the engine.
    """

    def __init__(
        self,
        path: Path,
        contract: Contract,
        options: onnxruntime.SessionOptions,
        *,
        backend: str,
        note: str = "",
    ) -> None:
        self.contract = contract
        self.engine_name = path.name
        self.backend = backend
        self.note = note
        self.threads: int = options.intra_op_num_threads
        self._session: onnxruntime.InferenceSession | None = _load(path, options)
        self._head = _head_of(self._session, path)
        self._input = self._session.get_inputs()[0].name
        self._outputs = [self._session.get_outputs()[0].name]
        self._half = self.contract.input_type == "float16"

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, classes) of a batch (N, C, H, W), in a new array."""
        return self.infer_prepared(self.prepare_input(batch))

    def infer_with_map(self, batch: NDArray[np.float32]) -> Mapped:
        """Return logits and class activation maps. Raises InputError for a file without maps."""
        check_gives_map(self.contract, engine_name=self.engine_name)
        return self.infer_prepared_with_map(self.prepare_input(batch))

    def prepare_input(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        """Return the batch (N, C, H, W) as the file itself takes it.

        That is the batch, or its values in float16, or the integers that an INT8 engine reads.
        """
        check_batch(batch, self.contract, engine_name=self.engine_name)
        self._opened()
        head = self._head
        if head is None:
            return batch.astype(np.float16) if self._half else batch
        return np.asarray(self._asked(head, None, {head.get_inputs()[0].name: batch})[0])

    def infer_prepared(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Return the logits (N, classes) of what `prepare_input` returned, in a new array."""
        return self._run(prepared, self._outputs)[0]

    def infer_prepared_with_map(self, prepared: NDArray[Any]) -> Mapped:
        """Return logits and maps of what `prepare_input` returned, as `infer_with_map` does."""
        check_gives_map(self.contract, engine_name=self.engine_name)
        return Mapped(*self._run(prepared, [*self._outputs, self.contract.activation_map]))

    def _run(self, prepared: NDArray[Any], outputs: list[str]) -> list[NDArray[np.float32]]:
        answers = self._asked(self._opened(), outputs, {self._input: prepared})
        return [np.asarray(answer, dtype=np.float32) for answer in answers]

    def _asked(
        self,
        session: onnxruntime.InferenceSession,
        outputs: list[str] | None,
        given: dict[str, NDArray[Any]],
    ) -> Sequence[Any]:
        try:
            answers: Sequence[Any] = session.run(outputs, given)
        except ORT_ERRORS as error:
            raise _refused(self.engine_name, error) from error
        return answers

    def _opened(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            raise InputError(
                f"The session of {self.engine_name} is closed: call infer inside its `with`.",
                next_command=f"edgekit measure {quoted(self.engine_name)}",
            )
        return self._session

    def end_profiling(self) -> Path:
        """Return the file with the times of every kernel; the session was opened for it."""
        return Path(self._opened().end_profiling())

    def __enter__(self) -> OrtSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session = self._head = None  # ONNX Runtime frees them with the last reference


def open_session(
    source: OnnxModel | Engine, *, threads: int, spin: bool, profile: Path | None = None
) -> OrtSession:
    """Return a session that runs `source` as fast as ONNX Runtime can.

    With `profile`, it times every kernel into a file whose name begins like that.
    """
    options = session_options(threads=threads, spin=spin, profile=profile)
    if isinstance(source, Engine):
        # The file is the optimised graph already: loading it took 7 ms, optimising again 13.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return OrtSession(source.path, source.contract, options, backend="onnxruntime")


def open_float_session(
    source: OnnxModel | Engine, *, threads: int, spin: bool, profile: Path | None = None
) -> OrtSession:
    """Return a session that evaluates Q/DQ in float, as TensorRT's arithmetic defines it.

    The logits equal those of the unoptimised graph bit for bit (MobileNetV2, ONNX Runtime 1.32).
    The next level would be 1.5 times faster, but adds products in another order, which flips
    roundings: its logits stray to 17 to 21 dB of these.
    """
    if isinstance(source, Engine):
        raise InputError(
            f"{source.path.name} is an engine whose integer kernels are fixed: only the ONNX file "
            "it was built from can be evaluated in float.",
            next_command=f"edgekit score {quoted(origin_of(source))} --images DIR",
        )
    options = session_options(threads=threads, spin=spin, profile=profile)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    quantized = source.contract.precision == "int8"
    return OrtSession(
        source.path,
        source.contract,
        options,
        backend="onnxruntime-float",
        note=_FLOAT_NOTE if quantized else "",
    )


def session_options(
    *, threads: int, spin: bool, profile: Path | None = None
) -> onnxruntime.SessionOptions:
    """Return options for one inference at a time on `threads` threads (0: every CPU allowed)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # errors arrive as exceptions; twice would be once too often
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def model_argument(path: Path) -> str | bytes:
    """Return the path as ONNX Runtime takes it, or the model's bytes where it takes no such name.

    It opens names in UTF-8 only.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return path.read_bytes()
    return str(path)


def _load(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(
            model_argument(path), options, providers=["CPUExecutionProvider"]
        )
    except ORT_ERRORS as error:
        raise _refused(str(path), error) from error


def _head_of(
    session: onnxruntime.InferenceSession, path: Path
) -> onnxruntime.InferenceSession | None:
    """Return the graph that makes integers of a float picture, of an engine that takes integers."""
    text = session.get_modelmeta().custom_metadata_map.get(INPUT_HEAD)
    if text is None:
        return None
    try:
        return onnxruntime.InferenceSession(
            base64.b64decode(text),
            session_options(threads=1, spin=False),
            providers=["CPUExecutionProvider"],
        )
    except ORT_ERRORS as error:
        raise _refused(str(path), error) from error


def _refused(name: str, error: Exception) -> ModelError:
    said = " ".join(str(error).split()) or type(error).__name__
    return ModelError(
        f"{VERSION} does not run {name}: {said}", next_command=f"edgekit inspect {quoted(name)}"
    )
