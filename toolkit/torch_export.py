"""PyTorch network in, checked ONNX graph out: BN folded, dynamic batch, compared with PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from toolkit.errors import ModelError
from toolkit.onnx_model.file import MAX_BYTES
from toolkit.onnx_model.tidy import tidy
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.sample_inputs import sample_inputs

__all__ = ["INPUT", "OUTPUT", "ExportedGraph", "graph_from_network"]

INPUT, OUTPUT = "input", "logits"

_TOLERANCE = 1e-4
"""The largest |logit difference| that rounding explains, as a fraction of the largest |logit|."""


@dataclass(frozen=True)
class ExportedGraph:
    """`max_abs_diff` is the largest |logit| difference between PyTorch and ONNX Runtime."""

    model: onnx.ModelProto
    max_abs_diff: float
    classes: int


def graph_from_network(
    network: nn.Module | ExportedProgram,
    preprocess: Preprocess,
    *,
    opset: int = 20,
    batch: int = 0,
    progress: ProgressCallback = silent,
) -> ExportedGraph:
    """Return the ONNX graph of `network`, which computes the same logits (checked, see raises).

    `batch` is the fixed batch size, 0 for a dynamic one. `network` is put in evaluation mode.
    Raises ModelError when PyTorch cannot export it, when it is not a classifier, and when the
    logits differ by more than rounding from PyTorch's.
    """
    step = "export to ONNX"
    if isinstance(network, nn.Module):
        network.eval()
    run = network.module() if isinstance(network, ExportedProgram) else network
    inputs = sample_inputs(preprocess, batch or 3)
    expected = _logits(run, inputs)
    progress(Progress(step, 0, 2, "tracing"))
    model = tidy(_export(network, inputs, opset=opset, dynamic=not batch), opset=opset)
    progress(Progress(step, 1, 2, "comparing with PyTorch"))
    found = _onnx_logits(model, inputs)
    difference = float(np.abs(found - expected).max())
    scale = float(np.abs(expected).max())
    if not difference <= _TOLERANCE * scale:
        raise ModelError(
            f"The exported graph does not compute what PyTorch computes: the logits differ by up "
            f"to {difference:.3g}, where the largest is {scale:.3g}.",
            next_command="edgekit doctor   # and report the model: this should not happen",
        )
    progress(Progress(step, 2, 2, f"max difference {difference:.1e}"))
    return ExportedGraph(model, difference, expected.shape[1])


def _logits(run: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        with torch.no_grad():
            result = run(torch.from_numpy(inputs))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        shape = tuple(inputs.shape)
        raise ModelError(
            f"The network does not take an input of {shape}: {_first_line(error)}.",
            next_command="edgekit import SOURCE --preprocess FILE.json --out model.onnx",
        ) from error
    if not isinstance(result, Tensor) or result.ndim != 2 or result.shape[1] < 2:
        what = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        raise ModelError(
            f"The network is not a classifier: it returns {what}, not logits (N, classes).",
            next_command="edgekit import --help",
        )
    if not bool(torch.isfinite(result).all()):
        raise ModelError(
            "The network returns infinite or undefined logits for ordinary pictures.",
            next_command="edgekit train DATA --out model.pt",
        )
    logits: NDArray[np.float32] = result.numpy().astype(np.float32)
    return logits


def _export(
    network: nn.Module | ExportedProgram,
    inputs: NDArray[np.float32],
    *,
    opset: int,
    dynamic: bool,
) -> onnx.ModelProto:
    shapes = ({0: Dim("batch")},) if dynamic and isinstance(network, nn.Module) else None
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (torch.from_numpy(inputs),),
                dynamo=True,
                opset_version=max(opset, 18),  # 17 is reached from there, see onnx_opset
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=shapes,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever its passes raise
        raise ModelError(
            f"PyTorch cannot export this network to ONNX: {_first_line(error)}.",
            next_command="edgekit import file.onnx --out model.onnx   (exported another way)",
        ) from error
    if program is None:
        raise ModelError(
            "PyTorch's exporter returned nothing.", next_command="pip install --upgrade torch"
        )
    proto: onnx.ModelProto = program.model_proto
    _check_size(proto)
    return proto


def _check_size(model: onnx.ModelProto) -> None:
    """Raise ModelError where one file cannot hold the weights."""
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if size > MAX_BYTES:
        raise ModelError(
            f"The network's weights take {size / 2**30:.1f} GiB, and one ONNX file holds at most "
            "2 GiB; Edgekit keeps no weights in files beside it.",
            next_command="edgekit import SMALLER_SOURCE --out model.onnx",
        )


def _onnx_logits(model: onnx.ModelProto, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: the graph is compared, warnings say nothing more
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    logits: NDArray[np.float32] = session.run(None, {INPUT: inputs})[0]
    return logits


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch's exporter says about itself; what it cannot do, it raises."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Deprecations inside torch and onnxscript, on every export, nothing about the model.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
