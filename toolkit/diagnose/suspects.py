"""From measured errors to suspects: what may be wrong, and the change that would show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx

from calibration.faults.edits import with_bias, with_layer_in_float, with_range, with_weight
from calibration.faults.expected import ExpectedLayer
from calibration.faults.stored import weight_axis
from calibration.rounding import fake_quantize
from calibration.sqnr import sqnr_db
from toolkit.diagnose.graphs import Graphs, Measured, range_text
from toolkit.diagnose.record import TensorLoss

__all__ = ["Suspect", "suspects"]

_WORSE_DB = 6.0
"""A range or weight is at fault when another choice would lose a quarter of its error power."""
_HARMLESS_DB = 40.0
_OTHER_PICTURES = 4.0
_BIAS_SHARE = 0.5
"""A bias is at fault when it is off by more than this part of itself."""


@dataclass(frozen=True)
class Suspect:
    """`excess` is the error power it adds to its own tensor, relative to the tensor's power.

    `changed` returns the Q/DQ graph with the one change made.
    """

    kind: str
    where: str
    text: str
    change: str
    fault: bool
    excess: float
    changed: Callable[[], onnx.ModelProto]


def suspects(graphs: Graphs, measured: Measured) -> list[Suspect]:
    """Return all suspects, those at fault first, then by their excess."""
    found = [_range(graphs, tensor) for tensor in measured.tensors]
    for layer in graphs.layers:
        found.append(_layer(graphs, measured, layer))
        if graphs.whole_reference:
            found.extend(_weight(graphs, layer))
            found.append(_bias(graphs, measured, layer))
    return sorted(found, key=lambda suspect: (not suspect.fault, -suspect.excess))


def _noise(decibels: float) -> float:
    return float(10.0 ** (-min(max(decibels, -300.0), 300.0) / 10.0))


def _range(graphs: Graphs, tensor: TensorLoss) -> Suspect:
    pair = graphs.pairs[tensor.tensor]
    worse = tensor.best_sqnr_db - tensor.sqnr_db
    image = tensor.tensor == graphs.quantized.graph.input[0].name
    foreign = image and tensor.range.amax > _OTHER_PICTURES * tensor.best.amax
    return Suspect(
        kind="range",
        where=tensor.tensor,
        text=f"the range of {tensor.tensor!r} is {range_text(tensor.range)} "
        f"({tensor.sqnr_db:.1f} dB)"
        + (": it was calibrated on pictures that were prepared otherwise" if foreign else ""),
        change=f"choose {range_text(tensor.best)} ({tensor.best_sqnr_db:.1f} dB)",
        fault=worse > _WORSE_DB and tensor.sqnr_db < _HARMLESS_DB,
        excess=_noise(tensor.sqnr_db) - _noise(tensor.best_sqnr_db),
        changed=partial(with_range, graphs.quantized, pair, tensor.best),
    )


def _weight(graphs: Graphs, layer: ExpectedLayer) -> Iterator[Suspect]:
    stored = weight_axis(graphs.quantized, layer.other)
    if stored is None:
        return
    better = fake_quantize(layer.weight, 0, 8)
    found_db, better_db = (sqnr_db(layer.weight, w) for w in (layer.found_weight, better))
    excess = _noise(found_db) - _noise(better_db)

    def changed() -> onnx.ModelProto:
        made = with_weight(graphs.quantized, layer.other, better)
        return with_bias(made, layer.other, layer.bias_with(better))

    if stored.wrong:
        yield Suspect(
            kind="axis",
            where=layer.other,
            text=f"the weight of {layer.other!r} has its scales along axis {stored.axis}, not "
            f"along its output channels ({found_db:.1f} dB): TensorRT runs it in float",
            change=f"one scale per output channel, axis {stored.wanted} ({better_db:.1f} dB)",
            fault=True,
            excess=max(excess, 0.0) + 1.0,  # a rule is broken, whatever it costs here
            changed=changed,
        )
        return
    yield Suspect(
        kind="weight",
        where=layer.other,
        text=f"the weight of {layer.other!r} is off by more than rounding ({found_db:.1f} dB)"
        if better_db - found_db > _WORSE_DB
        else f"the weight of {layer.other!r} is rounded to {found_db:.1f} dB",
        change=f"quantize the reference's weight per output channel ({better_db:.1f} dB)",
        # One scale for the whole tensor loses some 6 dB and is a choice; a wrong weight loses more.
        fault=better_db - found_db > 2 * _WORSE_DB and found_db < _HARMLESS_DB / 2,
        excess=excess,
        changed=changed,
    )


def _bias(graphs: Graphs, measured: Measured, layer: ExpectedLayer) -> Suspect:
    off = np.square(layer.found_bias - layer.bias, dtype=np.float64).mean()
    own = np.square(layer.bias, dtype=np.float64).mean()
    share = float(np.sqrt(off / own)) if own > 0.0 else (1.0 if off > 0.0 else 0.0)
    excess = float(off / max(measured.local[layer.other].power, 1e-30))
    zero = not layer.found_bias.any() and layer.bias.any()
    return Suspect(
        kind="bias",
        where=layer.other,
        text=f"the bias of {layer.other!r} is "
        + ("zero" if zero else f"off by {100 * share:.2g} % of itself"),
        change="take the reference's bias",
        fault=share > _BIAS_SHARE and excess > _noise(_HARMLESS_DB),
        excess=excess,
        changed=partial(with_bias, graphs.quantized, layer.other, layer.bias),
    )


def _layer(graphs: Graphs, measured: Measured, layer: ExpectedLayer) -> Suspect:
    local = measured.local[layer.other].sqnr_db
    return Suspect(
        kind="layer",
        where=layer.other,
        text=f"{layer.other!r} in INT8 answers with {local:.1f} dB",
        change="keep it in float",
        fault=False,
        excess=_noise(local),
        changed=partial(
            with_layer_in_float,
            graphs.quantized,
            layer.other,
            layer.weight,
            layer.bias_with(layer.weight),
        ),
    )
