"""The calibration table: one range per tensor, with where it came from; what emissions read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from calibration.errors import CalibrationError

__all__ = ["CalibrationTable", "Range", "table_from_json"]

_VERSION = 3
"""2: with confidences. 3: with explicit shifts. A table is of the oldest version that says it."""


@dataclass(frozen=True)
class Range:
    """INT8 must cover [low, high] of a tensor; `method` says which rule chose it."""

    low: float
    high: float
    method: str

    @property
    def amax(self) -> float:
        """Return the symmetric range: values are covered in [-amax, amax]."""
        return max(abs(self.low), abs(self.high))

    @property
    def scale(self) -> float:
        """Return the symmetric INT8 scale, amax / 127 (zero-point 0)."""
        return self.amax / 127.0


@dataclass(frozen=True)
class CalibrationTable:
    """Ranges of the activations of one float model.

    `model` is the SHA-256 of the float ONNX file, `images` the digests of the calibration images
    (empty with `uncalibrated` set when random data was used), `notes` what a reader should know,
    such as ranges that had not converged. `confidences` are the quantized network's in its
    likeliest class on some of the images, ascending; empty where they were not recorded.
    `explicit_shifts`: whether activations were to be recentred by a Sub each.
    """

    model: str
    method: str
    samples: int
    seed: int
    ranges: dict[str, Range]
    images: tuple[str, ...] = ()
    uncalibrated: bool = False
    effort: str = "balanced"
    scheme: str = ""
    notes: tuple[str, ...] = field(default=())
    confidences: tuple[float, ...] = field(default=())
    explicit_shifts: bool = False

    def to_json(self) -> str:
        """Return the text of `model.calibration.json`; equal tables give equal text."""
        values = {"version": _VERSION, **asdict(self)}
        if not self.explicit_shifts:  # tables of before keep their text, hence their digest
            del values["explicit_shifts"]
            values["version"] = 2 if self.confidences else 1
        if not self.confidences:
            del values["confidences"]
        return json.dumps(values, indent=1, sort_keys=True) + "\n"

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the table's text."""
        return hashlib.sha256(self.to_json().encode("utf-8")).hexdigest()


def table_from_json(text: str, *, where: str) -> CalibrationTable:
    """Return the table in `text`; `where` names the file. Raises CalibrationError when damaged."""
    fix = "edgekit calibrate MODEL.onnx --images DIR"
    try:
        values: dict[str, Any] = json.loads(text)
        version = values.pop("version")
        if version > _VERSION:
            raise CalibrationError(
                f"{where} was written by a newer Edgekit (table version {version}).",
                next_command="pip install --upgrade edgekit",
            )
        values["ranges"] = {name: Range(**entry) for name, entry in values["ranges"].items()}
        values["images"], values["notes"] = tuple(values["images"]), tuple(values["notes"])
        values["confidences"] = tuple(float(each) for each in values.get("confidences", ()))
        if not isinstance(values.get("explicit_shifts", False), bool):
            raise TypeError("explicit_shifts is neither true nor false")
        return CalibrationTable(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"the key {error} is missing" if isinstance(error, KeyError) else error
        raise CalibrationError(
            f"{where} is not a calibration table ({reason}).", next_command=fix
        ) from error
