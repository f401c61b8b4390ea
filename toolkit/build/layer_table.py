"""Read the layer table that TensorRT-RTX writes to its VERBOSE log: what runs in which type.

Pure text in, records out. The format is that of `ProfilingVerbosity.DETAILED` in TensorRT-RTX
1.7.1, one line a kernel after a line `Layers:`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["LayerRow", "LayerTable", "parse_layer_table"]

_CONVOLUTIONS = ("correlation", "deconv")
_PRODUCTS = (*_CONVOLUTIONS, "gemm", "runtime_fusion")  # a 1x1 convolution may become any of them
_NOT_KERNELS = ("shape_call",)  # host code that computes shapes of a dynamic batch
_ROW = re.compile(r"^Name: (?P<name>.*?), LayerType: (?P<kind>[^,]+), (?P<rest>.*)$")
_TYPE = re.compile(r"\bDatatype: (\w+)")
_ONNX = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_SECTION = re.compile(r"(Inputs|Constants|Outputs): \[")


@dataclass(frozen=True)
class LayerRow:
    """One kernel, with the types of what it reads and writes.

    `onnx_nodes` starts with the node the kernel is there for; others are fused into it.
    """

    name: str
    kind: str
    """"correlation": a convolution, "gemm" and "runtime_fusion": a matrix product, "kgen":
    generated point-wise code."""
    inputs: tuple[str, ...]
    constants: tuple[str, ...]
    outputs: tuple[str, ...]
    onnx_nodes: tuple[str, ...]

    @property
    def is_convolution(self) -> bool:
        """Return whether it is a convolution kernel, transposed or not."""
        return self.kind in _CONVOLUTIONS

    @property
    def is_int8(self) -> bool:
        """Return whether it multiplies Int8 inputs by Int8 weights."""
        # The weights come first among the constants of a convolution, the bias in a fusion.
        product = self.kind in _PRODUCTS
        return product and self.inputs[:1] == ("Int8",) and "Int8" in self.constants


@dataclass(frozen=True)
class LayerTable:
    """All kernels of an engine, in order."""

    rows: tuple[LayerRow, ...]

    @property
    def kernels(self) -> int:
        """Return how many kernels run on the GPU."""
        return sum(row.kind not in _NOT_KERNELS for row in self.rows)

    @property
    def int8_nodes(self) -> frozenset[str]:
        """Return the ONNX names of the convolutions and matrix products that run in Int8."""
        return frozenset(row.onnx_nodes[0] for row in self.rows if row.is_int8 and row.onnx_nodes)

    def count(self, convolutions: Collection[str]) -> tuple[int, int]:
        """Return how many of these ONNX nodes run in Int8, and how many do not.

        Where names are missing or repeated, convolution kernels are counted instead.
        """
        names = set(convolutions)
        if len(names) == len(convolutions) and "" not in names:
            int8 = len(names & self.int8_nodes)
            return int8, len(names) - int8
        kernels = [row for row in self.rows if row.is_convolution]
        return sum(row.is_int8 for row in kernels), sum(not row.is_int8 for row in kernels)


def parse_layer_table(log: str) -> LayerTable:
    """Return the last layer table in `log`; an empty one when there is none."""
    _, found, table = log.rpartition("Layers:\n")
    rows: list[LayerRow] = []
    for line in table.splitlines() if found else ():
        match = _ROW.match(line)
        if match is None:
            break  # an empty line ends the table; I/O tensors follow, which also have names
        rows.append(_row(match["name"], match["kind"].strip(), match["rest"]))
    return LayerTable(tuple(rows))


def _row(name: str, kind: str, rest: str) -> LayerRow:
    types = {section: tuple(_TYPE.findall(text)) for section, text in _sections(rest)}
    metadata = rest.rpartition("Metadata: ")[2] if "Metadata: " in rest else ""
    return LayerRow(
        name=name,
        kind=kind,
        inputs=types.get("Inputs", ()),
        constants=types.get("Constants", ()),
        outputs=types.get("Outputs", ()),
        onnx_nodes=tuple(_ONNX.findall(metadata)),
    )


def _sections(rest: str) -> list[tuple[str, str]]:
    """Return ("Inputs", its text) and so on; a section ends where the next one begins."""
    starts = list(_SECTION.finditer(rest))
    ends = [match.start() for match in starts[1:]] + [rest.find("TacticName:")]
    return [
        (match[1], rest[match.end() : end if end >= 0 else len(rest)])
        for match, end in zip(starts, ends, strict=True)
    ]
