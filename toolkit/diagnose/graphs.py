"""The graphs of one diagnosis, aligned, and all that is measured before a change is tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.collect import collect
from calibration.faults.align import Alignment, align
from calibration.faults.edits import grid_for
from calibration.faults.expected import ExpectedLayer, expected_layers
from calibration.faults.measured import (
    Agreement,
    accumulated_errors,
    local_errors,
    tensor_sqnr_db,
)
from calibration.faults.stored import (
    StoredPair,
    named,
    read_through,
    stored_pairs,
    with_rounded_weights,
)
from calibration.graph import Graph, prepare
from calibration.methods import METHODS
from calibration.skeleton import float_skeleton
from calibration.sqnr import sqnr_db
from calibration.table import Range
from toolkit.diagnose.record import LayerLoss, TensorLoss
from toolkit.progress import Progress, ProgressCallback

__all__ = [
    "Graphs",
    "Measured",
    "layer_errors",
    "measure",
    "not_compared",
    "open_graphs",
    "range_text",
]

_METHOD = "mse"
"""The range with the least error of the tensor itself, which a tensor is judged by here."""
_BATCH = 8


@dataclass(frozen=True)
class Graphs:
    """`quantized` is the file's graph, `skeleton` that graph in float; both float graphs prepared.

    `whole_reference` says whether the reference has weights of its own: the skeleton's are those
    of the file, so that neither weights nor biases can be judged by it.
    """

    quantized: onnx.ModelProto
    skeleton: onnx.ModelProto
    reference: onnx.ModelProto
    whole_reference: bool
    pairs: dict[str, StoredPair]
    reads: dict[str, str]
    alignment: Alignment
    layers: tuple[ExpectedLayer, ...]


@dataclass(frozen=True)
class Measured:
    """Errors by layer (its name in the file) and by tensor."""

    local: dict[str, Agreement]
    accumulated: dict[str, Agreement]
    tensors: tuple[TensorLoss, ...]
    without_values: tuple[str, ...]
    """Tensors with a pair that the float skeleton does not compute, or in no fixed shape."""


def open_graphs(model: onnx.ModelProto, reference: onnx.ModelProto | None) -> Graphs:
    """Return the graphs of a Q/DQ model, aligned with `reference` or with its own skeleton.

    Raises CalibrationError where a graph is no Q/DQ graph or cannot be prepared.
    """
    quantized = named(model)
    skeleton = prepare(float_skeleton(with_rounded_weights(quantized)))
    whole = prepare(reference) if reference is not None else skeleton
    first, second = Graph(whole), Graph(skeleton)
    alignment = align(first, second)
    in_file = {node.name for node in quantized.graph.node}
    layers = expected_layers(first, second, alignment)
    return Graphs(
        quantized=quantized,
        skeleton=skeleton,
        reference=whole,
        whole_reference=reference is not None,
        pairs=stored_pairs(quantized),
        reads=read_through(quantized),
        alignment=alignment,
        layers=tuple(layer for layer in layers if layer.other in in_file),
    )


def measure(graphs: Graphs, images: NDArray[np.float32], *, progress: ProgressCallback) -> Measured:
    """Return the errors of all layers and tensors on `images` (n, C, H, W)."""

    def tick(step: str, done: int) -> None:
        progress(Progress(step, done, len(images)))

    tensors, missing = _tensor_errors(graphs, images, tick=lambda n: tick("read tensors", n))
    grids = {
        layer: graphs.pairs[tensor].grid
        for layer, tensor in graphs.reads.items()
        if tensor in graphs.pairs
    }
    local = local_errors(
        graphs.skeleton,
        graphs.layers,
        grids,
        images,
        tick=lambda n: tick("layers one by one", n),
    )
    accumulated = accumulated_errors(
        graphs.reference,
        graphs.quantized,
        graphs.layers,
        images,
        tick=lambda n: tick("layers in a row", n),
    )
    return Measured(local, accumulated, tensors, missing)


def layer_errors(graphs: Graphs, measured: Measured) -> tuple[LayerLoss, ...]:
    """Return one record per aligned layer, in topological order."""
    return tuple(
        LayerLoss(
            layer=layer.other,
            reference=layer.reference,
            weight_sqnr_db=sqnr_db(layer.weight, layer.found_weight),
            local_sqnr_db=measured.local[layer.other].sqnr_db,
            local_cosine=measured.local[layer.other].cosine,
            accumulated_sqnr_db=measured.accumulated[layer.other].sqnr_db,
            accumulated_cosine=measured.accumulated[layer.other].cosine,
        )
        for layer in graphs.layers
    )


def _tensor_errors(
    graphs: Graphs, images: NDArray[np.float32], *, tick: Callable[[int], None]
) -> tuple[tuple[TensorLoss, ...], tuple[str, ...]]:
    view = Graph(graphs.skeleton)
    made = (*view.inputs, *(name for node in view.nodes for name in node.output))
    computed = {name for name in made if None not in (view.shape(name) or (None, None))[1:]}
    read_at = {}
    for tensor in graphs.pairs:
        # Where the quantizer stood for a Relu, the skeleton has it again, behind the tensor.
        name = next((n for n in (f"{tensor}_cut", tensor) if n in computed), None)
        if name is not None:
            read_at[tensor] = name
    names = list(dict.fromkeys(read_at.values()))
    batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
    statistics = collect(graphs.skeleton, batches, tensors=names, progress=tick)
    found = []
    for tensor, name in read_at.items():
        pair, histogram = graphs.pairs[tensor], statistics.tensors[name].histogram
        best = METHODS[_METHOD](histogram, 127 if pair.symmetric else 255)
        grids = pair.grid, grid_for(pair, best)
        sqnr, best_sqnr = (tensor_sqnr_db(histogram, grid) for grid in grids)
        found.append(TensorLoss(tensor, pair.span, best, sqnr, best_sqnr, histogram))
    return tuple(found), tuple(tensor for tensor in graphs.pairs if tensor not in read_at)


def not_compared(graphs: Graphs, measured: Measured) -> tuple[str, ...]:
    """Return which parts have no counterpart, as sentences; empty where everything has."""
    alignment = graphs.alignment
    said = [
        _some("of the reference are not in the INT8 model", alignment.only_reference),
        _some("of the INT8 model are not in the reference", alignment.only_other),
    ]
    if measured.without_values:
        what = "have a pair but no float value of a known shape"
        said.append(_some(what, measured.without_values, "tensors"))
    return tuple(sentence for sentence in said if sentence)


def _some(what: str, names: Sequence[str], kind: str = "layers") -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"not compared: {len(names)} {kind} {what}: {', '.join(names[:3])}{more}"


def range_text(span: Range) -> str:
    """Return a range as people read it."""
    if span.low == -span.high:
        return f"±{span.high:.3g}"
    return f"{span.low:.3g} to {span.high:.3g}"
