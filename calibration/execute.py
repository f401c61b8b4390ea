"""Runs a float ONNX graph on the CPU for calibration: named values in, named values out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from calibration.errors import CalibrationError
from calibration.graph import Graph
from calibration.parallel import available_cpus, in_order
from calibration.rewrites import remove_dead

__all__ = ["RUN_SIZE", "Runner", "batch_limit", "in_turn", "logits_in_runs", "logits_of", "up_to"]

RUN_SIZE = 1
"""Images in one run, of which two are at work. The activations of more leave the cache and fill
memory: MobileNetV2 as Q/DQ took 6.9 ms an image on two cores, in runs of two 7.1; one run after the
other, 22 ms of CPU time in runs of two and 31 in runs of four."""

_AT_ONCE = 2

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def in_turn(
    action: Callable[[_Item], _Made], items: Iterable[_Item]
) -> Generator[_Made, None, None]:
    """Yield `action` of each item, in order; two are at work at once, in threads of their own.

    For runs of a `Runner`: between its layers, and while its values are counted, a single run
    leaves cores idle. Two at once, each with all cores but one, took 0.8 of the time of one run
    after the other (MobileNetV2, two cores). Whoever stops early has paid for up to two items
    more. An error of `items` is raised at once, before what is still at work.
    """
    return in_order(action, items, threads=_AT_ONCE, ahead=_AT_ONCE, name="run")


class Runner:
    """An ONNX Runtime session on the CPU that keeps Q/DQ in float, as TensorRT rounds them.

    It leaves a core to the other run of `in_turn`; any thread may call `run`.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.intra_op_num_threads = max(1, available_cpus() - _AT_ONCE + 1)
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False  # it reserves the peak of every run at once
        # Spinning threads take the time of whoever decodes the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: onnxruntime.InferenceSession | None = None
        if not model.graph.node:  # only graph inputs are wanted; ONNX Runtime takes no empty graph
            return
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except RuntimeError as error:
            raise CalibrationError(
                f"ONNX Runtime does not run this model: {str(error).splitlines()[0]}.",
                next_command="edgekit inspect MODEL.onnx",
            ) from error

    def run(
        self, inputs: dict[str, NDArray[np.float32]], outputs: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the values of `outputs`; a graph input asked for is returned as it is."""
        computed = [name for name in outputs if name not in inputs]
        values = self._session.run(computed, inputs) if self._session and computed else []
        return {**dict(zip(computed, values, strict=True)), **inputs}

    def run_each(
        self, source: str, batches: Iterable[NDArray[np.float32]], outputs: Sequence[str]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the values of `outputs` for each batch given to `source`, `in_turn`."""
        return in_turn(lambda batch: self.run({source: batch}, outputs), batches)


def logits_of(model: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first output of `model` for `images` (n, C, H, W), a few at a time."""
    return np.concatenate(list(logits_in_runs(model, images)))


def logits_in_runs(
    model: onnx.ModelProto, images: NDArray[np.float32]
) -> Iterator[NDArray[np.float32]]:
    """Yield the first output of `model` for a few of `images` (n, C, H, W) after the other."""
    graph, runner = Graph(model), Runner(model)
    name, output, size = graph.inputs[0], graph.outputs[0], batch_limit(graph, RUN_SIZE)
    batches = (images[start : start + size] for start in range(0, len(images), size))
    return (values[output] for values in runner.run_each(name, batches, [output]))


def batch_limit(graph: Graph, wanted: int) -> int:
    """Return how many images one run takes. Raises CalibrationError for a fixed batch above 1."""
    shape = graph.shape(graph.inputs[0])
    fixed = shape[0] if shape else None
    if fixed is None:
        return wanted
    if fixed != 1:
        raise CalibrationError(
            f"The model has a fixed batch of {fixed}; calibration needs a batch of 1 or a free "
            "one.",
            next_command="edgekit export model.pt --out model.onnx",
        )
    return 1


def up_to(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Return the part of `model` that computes `names`, and gives them out."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    inputs = {value.name for value in result.graph.input}
    del result.graph.output[:]
    made = [helper.make_empty_tensor_value_info(name) for name in names if name not in inputs]
    result.graph.output.extend(made)
    remove_dead(result.graph)
    return result
