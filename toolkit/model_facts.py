"""What an ONNX graph is made of: counted for `edgekit inspect`, also where it cannot be used."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import shape_inference

from calibration.errors import CalibrationError
from calibration.graph import Graph
from toolkit.contract import UNCALIBRATED, Contract, read_contract
from toolkit.errors import EdgekitError
from toolkit.int8_model import FLOAT_REASONS_KEY
from toolkit.onnx_model.file import open_model

__all__ = ["ModelFacts", "model_facts"]


@dataclass(frozen=True)
class ModelFacts:
    """What an ONNX graph is made of. `problems` say why Edgekit cannot use it, if it cannot."""

    contract: Contract | None
    opset: int
    producer: str
    input: str
    output: str
    nodes: int
    operators: dict[str, int]
    int8_convs: int
    float_convs: int
    int8_mac_share: float | None
    """INT8 share of the multiply-accumulates of all but depthwise convolutions; None: unknown."""
    float_reasons: dict[str, str]
    """Why each Conv, Gemm and MatMul that stays float does."""
    no_pair_reasons: dict[str, str]
    """Why tensors have no Q/DQ: results of layers that do run in INT8, by the layer's name."""
    problems: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return what a person wants to know of the graph."""
        lines = [
            f"  {self.input} -> {self.output}, opset {self.opset}, {self.nodes} nodes, "
            f"made by {self.producer or 'unknown'}"
        ]
        contract = self.contract
        if contract is not None:
            lines.append(
                f"  {contract.precision}{f' ({contract.scheme})' if contract.scheme else ''}, "
                f"{len(contract.labels)} classes, from {contract.source}"
            )
            if contract.calibration == UNCALIBRATED:
                lines.append("  UNCALIBRATED: its ranges come from random data")
            elif contract.calibration:
                lines.append(
                    f"  calibrated on {len(contract.calibration_images)} images "
                    f"(table {contract.calibration[:12]})"
                )
        share = "" if self.int8_mac_share is None else f", {self.int8_mac_share:.1%} of the MACs"
        lines.append(f"  {self.int8_convs} INT8 and {self.float_convs} float convolutions{share}")
        lines += [f"  float: {name}: {reason}" for name, reason in self.float_reasons.items()]
        lines += [f"  no pair: {name}: {reason}" for name, reason in self.no_pair_reasons.items()]
        return lines + [f"  problem: {problem}" for problem in self.problems]


def model_facts(model: onnx.ModelProto, path: Path) -> ModelFacts:
    """Return what `model` is made of; `path` is its file. Nodes without a name get one."""
    problems = []
    contract = None
    try:
        contract = read_contract(model, where=str(path))
        open_model(path)
    except EdgekitError as error:
        problems.append(error.message)  # a file with problems can be inspected all the same
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    graph = Graph(_with_shapes(model))
    convs = [node for node in graph.nodes if node.op_type in ("Conv", "ConvTranspose")]
    int8 = {node.name for node in convs if _reads_int8(graph, node)}
    reasons = _float_reasons(model)
    floats = {node.name for node in graph.nodes if not _reads_int8(graph, node)}
    return ModelFacts(
        contract=contract,
        opset=max(
            (o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0
        ),
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        input=", ".join(_describe(value, graph) for value in model.graph.input),
        output=", ".join(_describe(value, graph) for value in model.graph.output),
        nodes=len(graph.nodes),
        operators=dict(Counter(node.op_type for node in graph.nodes).most_common()),
        int8_convs=len(int8),
        float_convs=len(convs) - len(int8),
        int8_mac_share=_int8_mac_share(graph, int8),
        float_reasons={name: why for name, why in reasons.items() if name in floats},
        no_pair_reasons={name: why for name, why in reasons.items() if name not in floats},
        problems=tuple(problems),
    )


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(model)
    except (shape_inference.InferenceError, ValueError, RuntimeError):
        return model  # the checker has said what is wrong; shapes are a luxury here


def _reads_int8(graph: Graph, node: onnx.NodeProto) -> bool:
    """Return whether both operands come out of a DequantizeLinear."""
    operands = [graph.producer(name) for name in node.input[:2]]
    return len(operands) == 2 and all(
        maker is not None and maker.op_type == "DequantizeLinear" for maker in operands
    )


def _int8_mac_share(graph: Graph, int8: set[str]) -> float | None:
    try:
        convs = [n for n in graph.nodes if n.op_type == "Conv" and not graph.is_depthwise(n)]
        macs = {node.name: graph.macs(node) for node in convs}
    except (CalibrationError, IndexError):  # shapes are not fixed, or the graph is damaged
        return None
    total = sum(macs.values())
    return sum(macs[name] for name in macs if name in int8) / total if total else None


def _float_reasons(model: onnx.ModelProto) -> dict[str, str]:
    for entry in model.metadata_props:
        if entry.key == FLOAT_REASONS_KEY:
            try:
                found = json.loads(entry.value)
            except ValueError:
                return {}
            return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
    return {}


def _describe(value: onnx.ValueInfoProto, graph: Graph) -> str:
    kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    shape = graph.shape(value.name)
    sizes = "?" if shape is None else ", ".join(str(size or "N") for size in shape)
    return f"{value.name} {kind} ({sizes})"
