"""What a recorded session asks of INT8 that calibration did not see: clipped inputs, confidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.repair.pixels import PIXELS
from calibration.table import CalibrationTable, Range, table_from_json
from toolkit.calibrate.seen_confidence import ConfidenceShift, shift_of_confidence
from toolkit.contract import Contract
from toolkit.errors import InputError, StaleError
from toolkit.frame_input import input_from_bgr
from toolkit.recording import Recording, pictures
from toolkit.shell import quoted

__all__ = ["Drift", "EngineRun", "drift_of", "drift_of_session"]


@dataclass(frozen=True)
class Drift:
    """Clipped values lie outside the range that calibration chose for the network's input.

    `clipped_share` is None when the table has no range of that tensor, `confidence` when there is
    nothing to compare; `confidence_shift` says why, or how far the two lie apart.
    """

    table: str
    frames: int
    input_low: float | None
    input_high: float | None
    clipped_share: float | None
    worst_frame: int | None
    worst_share: float | None
    confidence_shift: str
    confidence: ConfidenceShift | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "confidence": self.confidence and self.confidence.to_dict()}

    def line(self) -> str:
        """Return the note for a person."""
        if self.clipped_share is None:
            clipped = "clipped input: not known, the table has no range of the network's input"
        else:
            clipped = (
                f"{self.clipped_share:.3%} of the input values lie outside the calibrated "
                f"[{self.input_low:.3f}, {self.input_high:.3f}] "
                f"(at worst {self.worst_share:.3%}, frame {self.worst_frame})"
            )
        return f"drift over {self.frames} frames: {clipped}; confidence: {self.confidence_shift}"


@dataclass(frozen=True)
class EngineRun:
    """What an engine made of a session: its confidence in each answer, in the order of the frames.

    Confidences of answers that are smoothed over frames are no use here: leave them out.
    """

    name: str
    contract: Contract
    confidences: Sequence[float]


def drift_of_session(recording: Recording, runs: Sequence[EngineRun], table: Path) -> Drift:
    """Return the drift for the first of the engines that was made from `table`.

    Raises InputError when the file cannot be read, CalibrationError when it is no table, StaleError
    when no engine was made from it.
    """
    read = _read_table(table)
    for run in runs:
        if run.contract.calibration == read.digest:
            return drift_of(pictures(recording), run, read, name=table.name)
    made_from = runs[-1].contract.calibration
    raise StaleError(
        f"{table} is not the calibration table of {runs[-1].name}, which was made from "
        f"{made_from[:12] or 'none: it is a float model'}, not {read.digest[:12]}.",
        next_command=f"edgekit inspect {quoted(runs[-1].name)}",
    )


def _read_table(path: Path) -> CalibrationTable:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}.", next_command=f"ls -l {quoted(path)}"
        ) from error
    return table_from_json(text, where=str(path))


def drift_of(
    frames: Iterable[tuple[int, NDArray[np.uint8]]],
    run: EngineRun,
    table: CalibrationTable,
    *,
    name: str,
) -> Drift:
    """Return the drift over frames, each an index and a BGR picture; `name` is the table's."""
    contract = run.contract
    confidence = shift_of_confidence(table.confidences, run.confidences)
    shift = confidence.line() if confidence else _why_not_known(table)
    chosen = _input_range(table, contract)
    if chosen is None:
        return Drift(name, sum(1 for _ in frames), None, None, None, None, None, shift, confidence)
    # A value in the outermost step still rounds into the range.
    slack = max(chosen.high - chosen.low, 1e-12) / 255 / 2
    low, high = chosen.low - slack, chosen.high + slack
    shares, worst = [], (-math.inf, -1)
    for index, image in frames:
        pixels = input_from_bgr(contract.preprocess, image)
        share = float(np.count_nonzero((pixels < low) | (pixels > high)) / pixels.size)
        shares.append(share)
        worst = max(worst, (share, index))
    mean = math.fsum(shares) / len(shares) if shares else None
    return Drift(
        name,
        len(shares),
        chosen.low,
        chosen.high,
        mean,
        worst[1] if shares else None,
        worst[0] if shares else None,
        shift,
        confidence,
    )


def _input_range(table: CalibrationTable, contract: Contract) -> Range | None:
    """Return the range of the network's input; that of every picture where it is on its levels."""
    if any(span.method == PIXELS for span in table.ranges.values()):
        ends = np.zeros((1, 2, contract.preprocess.channels), np.uint8)
        ends[0, 1] = 255
        values = contract.preprocess.normalise(ends)
        return Range(float(values.min()), float(values.max()), PIXELS)
    return table.ranges.get(contract.input_name)


def _why_not_known(table: CalibrationTable) -> str:
    if table.confidences:
        return "not known, no answers of single frames were kept"
    return "not recorded when the table was made"
