"""The GPUs as nvidia-smi reports them; a field that it does not support is None."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from targets.machine import Runner, number_from_text

__all__ = ["FIELDS", "Gpu", "gpus_from_csv", "query_gpus"]

FIELDS = (
    *("name", "driver_version", "memory.total", "temperature.gpu", "clocks.sm", "power.draw"),
    *("compute_cap", "clocks_event_reasons.active"),
)
# Older drivers refuse the whole query for one unknown field, so the newest names go first.
_QUERIES = (
    FIELDS,
    (*FIELDS[:-1], "clocks_throttle_reasons.active"),  # before driver 535
    FIELDS[:-2],  # before compute_cap, driver 510
)
# Bits of clocks_event_reasons: power cap, hardware slowdown, thermal (software, hardware), brake.
_THROTTLE_BITS = 0x4 | 0x8 | 0x20 | 0x40 | 0x80


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU now."""

    name: str
    driver: str | None
    memory_mib: float | None
    temperature_c: float | None
    sm_mhz: float | None
    power_w: float | None
    sm: int | None
    throttled: bool | None


def query_gpus(run: Runner) -> tuple[Gpu, ...]:
    """Return the GPUs of the machine; none where nvidia-smi is missing or finds none."""
    if run(["nvidia-smi", "-L"]) is None:
        return ()
    for fields in _QUERIES:
        text = run(
            ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        )
        if text is not None and "not a valid field" not in text:
            return gpus_from_csv(text, fields)
    return ()


def gpus_from_csv(text: str, fields: Sequence[str] = FIELDS) -> tuple[Gpu, ...]:
    """Read the lines of `nvidia-smi --query-gpu=FIELDS --format=csv,noheader[,nounits]`."""
    gpus = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) != len(fields):
            continue  # a blank line, or a message between the rows
        cell = {
            name: None if re.match(r"\[.*\]$|N/A$", value.strip()) else value.strip()
            for name, value in zip(fields, row, strict=True)
        }
        gpus.append(
            Gpu(
                name=cell["name"] or "NVIDIA GPU",
                driver=cell.get("driver_version"),
                memory_mib=number_from_text(cell.get("memory.total")),
                temperature_c=number_from_text(cell.get("temperature.gpu")),
                sm_mhz=number_from_text(cell.get("clocks.sm")),
                power_w=number_from_text(cell.get("power.draw")),
                sm=_sm(cell.get("compute_cap")),
                throttled=_throttled(
                    cell.get("clocks_event_reasons.active")
                    or cell.get("clocks_throttle_reasons.active")
                ),
            )
        )
    return tuple(gpus)


def _sm(text: str | None) -> int | None:
    match = re.fullmatch(r"(\d+)\.(\d)", text or "")
    return 10 * int(match[1]) + int(match[2]) if match else None


def _throttled(text: str | None) -> bool | None:
    if text is None or not re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return None
    return bool(int(text, 16) & _THROTTLE_BITS)
