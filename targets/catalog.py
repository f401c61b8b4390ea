"""The devices: one row of catalog.csv each, read into Target records. Add a device there."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from targets.errors import TargetError
from targets.versions import Version, VersionRange, ranges_from_text

__all__ = ["BACKENDS", "CATALOG", "Target", "all_targets", "generic_target", "load_catalog"]

CATALOG = Path(__file__).with_name("catalog.csv")
BACKENDS = ("onnxruntime", "tensorrt_rtx", "tensorrt", "trtexec")
PRECISIONS = ("fp32", "fp16", "int8")
COLUMNS = (
    *("id", "name", "family", "compute_capability", "int8_tops_dense", "int8_tops_sparse"),
    *("fp16_tflops_dense", "mem_gb", "mem_bandwidth_gbs", "dla_cores", "power_modes_w"),
    *("jetpack", "tensorrt", "backend", "default_precision", "runs_on_hardware"),
    *("notes", "source", "verified"),
)


@dataclass(frozen=True)
class Target:
    """A device an engine is built for. A figure that nobody published is None, never 0."""

    id: str
    name: str
    family: str
    sm: int | None
    """GPU architecture, 8.7 as 87; None for a CPU."""
    memory_gib: float | None
    memory_bandwidth_gbs: float | None
    int8_tops_dense: float | None
    int8_tops_sparse: float | None
    fp16_tflops_dense: float | None
    dla_cores: int
    power_modes_w: tuple[str, ...]
    jetpack: str
    """The JetPack versions that run on it, as the catalog writes them; "n/a" off Jetson."""
    tensorrt: str
    """The TensorRT versions known for it, as the catalog writes them."""
    backend: str
    """What Edgekit builds for it unless told otherwise, one of BACKENDS."""
    default_precision: str
    runs_on_hardware: Mapping[str, str] = field(hash=False)
    """Backend to "never run", "built only: how, when" or "yes: what, when"."""
    notes: str
    source: str
    verified: str
    """"yes": the figures were read in the source; "no": some are estimates or unchecked."""

    @property
    def is_cpu(self) -> bool:
        """Return whether there is no NVIDIA GPU in it."""
        return self.sm is None

    @property
    def is_jetson(self) -> bool:
        """Return whether it is a Jetson, whose TensorRT comes with JetPack."""
        return self.family.startswith("jetson-")

    @property
    def sm_text(self) -> str:
        """Return "8.7" for SM 87, "" for a CPU."""
        return "" if self.sm is None else f"{self.sm // 10}.{self.sm % 10}"

    @property
    def jetpacks(self) -> tuple[VersionRange, ...]:
        """Return the JetPack versions that run on it; none off Jetson."""
        return ranges_from_text(self.jetpack)

    @property
    def tensorrt_since(self) -> Version:
        """Return the first TensorRT that knows a desktop or server GPU."""
        return _desktop_tensorrt(self.tensorrt)[0]

    @property
    def tensorrt_until(self) -> int:
        """Return the last major TensorRT version known to support a desktop or server GPU."""
        return _desktop_tensorrt(self.tensorrt)[1]


def load_catalog(path: Path = CATALOG) -> tuple[Target, ...]:
    """Read a catalog. Raises TargetError with the line of the first malformed row."""
    targets: list[Target] = []
    seen: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if header is None or tuple(header) != COLUMNS:
                raise _malformed(path, 1, f"the columns must be {','.join(COLUMNS)}")
            for row in reader:
                if not row:
                    continue
                target = _target_from_row(row, path=path, line=reader.line_num)
                if target.id in seen:
                    raise _malformed(
                        path, reader.line_num, f"{target.id} is also on line {seen[target.id]}"
                    )
                seen[target.id] = reader.line_num
                targets.append(target)
    except csv.Error as error:
        raise _malformed(path, reader.line_num, str(error)) from error
    except UnicodeDecodeError as error:
        raise TargetError(
            f"{path} is not UTF-8 text ({error}).", next_command=f"file {path}"
        ) from error
    except OSError as error:
        raise TargetError(
            f"{path} cannot be read: {error.strerror or error}.", next_command=f"ls -l {path}"
        ) from error
    return tuple(targets)


@cache
def all_targets() -> tuple[Target, ...]:
    """Return every device of the catalog, in its order."""
    return load_catalog()


def generic_target(sm: int, *, name: str = "", memory_gib: float | None = None) -> Target:
    """Return a target for a GPU that has no row of its own: its SM decides what runs.

    Figures are unknown. Raises TargetError for an SM that no device of the catalog has.
    """
    same = [row for row in all_targets() if row.sm == sm and not row.is_jetson]
    if not same:
        known = ", ".join(f"sm{n}" for n in sorted({t.sm for t in all_targets() if t.sm}))
        raise TargetError(
            f"No GPU of SM {sm // 10}.{sm % 10} is in the catalog (known: {known}).",
            next_command="edgekit build model.onnx --target cpu",
        )
    row = max(same, key=lambda target: target.tensorrt_since)
    return Target(
        id=f"sm{sm}",
        name=name or f"NVIDIA GPU of SM {sm // 10}.{sm % 10}",
        family="unlisted-gpu",
        sm=sm,
        memory_gib=memory_gib,
        memory_bandwidth_gbs=None,
        int8_tops_dense=None,
        int8_tops_sparse=None,
        fp16_tflops_dense=None,
        dla_cores=0,
        power_modes_w=(),
        jetpack="n/a",
        tensorrt=row.tensorrt,
        backend=row.backend,
        default_precision="int8" if any(t.default_precision == "int8" for t in same) else "fp16",
        runs_on_hardware=row.runs_on_hardware,
        notes="not in the catalog: only what its SM says is known",
        source="this machine" if name else "",
        verified="no",
    )


def _target_from_row(row: list[str], *, path: Path, line: int) -> Target:
    if len(row) != len(COLUMNS):
        raise _malformed(path, line, f"{len(row)} fields instead of {len(COLUMNS)}")
    cell = {name: value.strip() for name, value in zip(COLUMNS, row, strict=True)}
    try:
        target = Target(
            id=_one_word(cell, "id"),
            name=_filled(cell, "name"),
            family=_one_word(cell, "family"),
            sm=_sm(cell["compute_capability"]),
            memory_gib=_number(cell, "mem_gb"),
            memory_bandwidth_gbs=_number(cell, "mem_bandwidth_gbs"),
            int8_tops_dense=_number(cell, "int8_tops_dense"),
            int8_tops_sparse=_number(cell, "int8_tops_sparse"),
            fp16_tflops_dense=_number(cell, "fp16_tflops_dense"),
            dla_cores=int(cell["dla_cores"]),
            power_modes_w=tuple(filter(None, cell["power_modes_w"].split(";"))),
            jetpack=cell["jetpack"],
            tensorrt=cell["tensorrt"],
            backend=_one_of(cell, "backend", BACKENDS),
            default_precision=_one_of(cell, "default_precision", PRECISIONS),
            runs_on_hardware=_statuses(cell["runs_on_hardware"]),
            notes=cell["notes"],
            source=_filled(cell, "source"),
            verified=_one_of(cell, "verified", ("yes", "no")),
        )
        if target.is_jetson and not target.jetpacks:
            raise ValueError(f"jetpack is {target.jetpack!r} on a Jetson")
        if not target.is_jetson and not target.is_cpu:
            _desktop_tensorrt(target.tensorrt)
        if target.backend not in target.runs_on_hardware:
            raise ValueError(f"runs_on_hardware says nothing about {target.backend}")
    except ValueError as error:
        raise _malformed(path, line, str(error)) from error
    return target


def _malformed(path: Path, line: int, reason: str) -> TargetError:
    return TargetError(
        f"{path.name} line {line} is malformed: {reason}.", next_command=f"sed -n {line}p {path}"
    )


def _filled(cell: dict[str, str], column: str) -> str:
    if not cell[column]:
        raise ValueError(f"{column} is empty")
    return cell[column]


def _one_word(cell: dict[str, str], column: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cell[column]):
        raise ValueError(f"{column} is {cell[column]!r}, not words such as jetson-orin-nx-8gb")
    return cell[column]


def _one_of(cell: dict[str, str], column: str, allowed: tuple[str, ...]) -> str:
    if cell[column] not in allowed:
        raise ValueError(f"{column} is {cell[column]!r}, not one of {', '.join(allowed)}")
    return cell[column]


def _number(cell: dict[str, str], column: str) -> float | None:
    if not cell[column]:
        return None
    value = float(cell[column])
    if not 0 < value < float("inf"):
        raise ValueError(f"{column} is {cell[column]!r}, not a positive number")
    return value


def _sm(text: str) -> int | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,2})\.(\d)", text)
    if match is None:
        raise ValueError(f"compute_capability is {text!r}, not a number such as 8.7")
    return 10 * int(match[1]) + int(match[2])


def _statuses(text: str) -> dict[str, str]:
    """Read "tensorrt_rtx=built only: how, when; tensorrt=never run"."""
    statuses: dict[str, str] = {}
    for part in text.split(";"):
        backend, _, status = (piece.strip() for piece in part.partition("="))
        if backend not in BACKENDS:
            raise ValueError(f"runs_on_hardware names the backend {backend!r}")
        if not re.fullmatch(r"never run|built only(: .+)?|yes: .+", status):
            raise ValueError(
                f"runs_on_hardware says {status!r} of {backend}, "
                "not 'never run', 'built only: how, when' or 'yes: what, when'"
            )
        statuses[backend] = status
    return statuses


def _desktop_tensorrt(text: str) -> tuple[Version, int]:
    """Read "8.5+-11.x": since which version, until which major version."""
    match = re.match(r"(\d+)\.(\d+|x)\+?-(\d+)\.x\b", text)
    if match is None:
        raise ValueError(f"tensorrt is {text!r}, not a range such as 8.5+-11.x")
    return (int(match[1]), 0 if match[2] == "x" else int(match[2])), int(match[3])
