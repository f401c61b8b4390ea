"""Tries changes on the Q/DQ graph, one at a time: the error of the logits that each leaves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.execute import logits_of
from calibration.faults.edits import with_range
from calibration.sqnr import decibels
from toolkit.diagnose.graphs import Graphs, Measured
from toolkit.diagnose.record import Finding, Trial
from toolkit.diagnose.suspects import Suspect
from toolkit.progress import Progress, ProgressCallback

__all__ = ["Bench", "try_changes", "try_ranges_together"]

_Logits = NDArray[np.float32]
_LEAST, _MOST = 8, 24
"""So many changes are tried: all that are at fault, up to the second figure."""


class Bench:
    """The logits to reach, on the images of the trials, and the error of the model as it is.

    `deployed` are the logits of the model as it runs, with its own preprocessing; `prepared` those
    with the reference's preprocessing, from which every change of the graph starts.
    """

    def __init__(
        self,
        wanted: _Logits,
        deployed: _Logits,
        prepared: _Logits,
        images: NDArray[np.float32],
    ) -> None:
        self._wanted = wanted
        self._images = images
        self._power = float(np.square(wanted, dtype=np.float64).sum())
        self._deployed = self._error(deployed)
        self._prepared = self._error(prepared)

    def try_graph(self, model: onnx.ModelProto) -> Trial:
        """Return what a changed graph does, on inputs prepared as for the reference."""
        return self._trial(self._prepared, self._error(logits_of(model, self._images)))

    def preprocess(self) -> Trial:
        """Return what preparing the pictures as for the reference does."""
        return self._trial(self._deployed, self._prepared)

    def _error(self, logits: _Logits) -> float:
        return float(np.square(np.subtract(logits, self._wanted, dtype=np.float64)).sum())

    def _trial(self, before: float, after: float) -> Trial:
        removed = (before - after) / self._deployed if self._deployed > 0.0 else 0.0
        removed = removed if np.isfinite(removed) else -1.0
        return Trial(decibels(self._power, before), decibels(self._power, after), removed)


def try_changes(
    bench: Bench, found: Sequence[Suspect], *, progress: ProgressCallback
) -> list[Finding]:
    """Return the suspects worth trying with what their change did; faults first, best first."""
    faults = sum(suspect.fault for suspect in found)
    chosen = list(found[: min(max(faults, 0), _MOST)])
    room = max(_LEAST - len(chosen), 0)
    chosen += [suspect for suspect in found[faults:] if suspect.excess > 0.0][:room]
    findings = []
    for done, suspect in enumerate(chosen):
        progress(Progress("try changes", done, len(chosen), suspect.where))
        trial = bench.try_graph(suspect.changed())
        findings.append(
            Finding(suspect.kind, suspect.where, suspect.text, suspect.change, suspect.fault, trial)
        )
    progress(Progress("try changes", len(chosen), len(chosen)))
    return findings


def try_ranges_together(
    bench: Bench, graphs: Graphs, measured: Measured, found: Sequence[Suspect]
) -> Trial | None:
    """Return what choosing anew every range at fault does; None for fewer than two."""
    wrong = {s.where for s in found if s.fault and s.kind == "range"}
    if len(wrong) < 2:
        return None
    changes = [tensor for tensor in measured.tensors if tensor.tensor in wrong]
    model = reduce(
        lambda made, tensor: with_range(made, graphs.pairs[tensor.tensor], tensor.best),
        changes,
        graphs.quantized,
    )
    return bench.try_graph(model)
