"""`edgekit inspect`: what a file is, where it came from and whether it runs here.

Reads any engine's manifest, ONNX file, calibration table, cache and bundle; needs no TensorRT.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import shape_inference

from calibration.errors import CalibrationError
from calibration.graph import Graph
from calibration.table import CalibrationTable, table_from_json
from toolkit.artifacts import Engine, digest_of_file, manifest_path, open_engine_file
from toolkit.bundle_facts import BundleFacts, bundle_facts, is_bundle
from toolkit.calibrate.cache import is_cache
from toolkit.calibrate.cache_facts import CacheFacts, cache_facts
from toolkit.contract import UNCALIBRATED, Contract, read_contract
from toolkit.errors import EdgekitError, InputError
from toolkit.int8_model import FLOAT_REASONS_KEY
from toolkit.onnx_model.file import open_model, parse_onnx
from toolkit.runtime.fit import why_not_here
from toolkit.shell import quoted

__all__ = ["FLOAT_REASONS_KEY", "Inspection", "ModelFacts", "inspect"]

_MAX_TABLE_BYTES = 1 << 28


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
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """A file and one of: a model's facts, an engine with why it does not run here, a table."""

    path: Path
    kind: str
    """"model", "engine", "calibration table", "calibration cache" or "bundle"."""
    bytes: int
    digest: str
    model: ModelFacts | None = None
    engine: Engine | None = None
    why_not_here: str = ""
    table: CalibrationTable | None = None
    cache: CacheFacts | None = None
    bundle: BundleFacts | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; keys that do not apply to this kind of file are left out."""
        values: dict[str, Any] = {
            "path": str(self.path),
            "kind": self.kind,
            "bytes": self.bytes,
            "digest": self.digest,
        }
        if self.model is not None:
            values |= asdict(self.model)
            contract = self.model.contract
            values["contract"] = contract.to_dict() if contract else None
        if self.engine is not None:
            values |= {
                "manifest": asdict(self.engine.manifest),
                "runs_here": not self.why_not_here,
                "why_not_here": self.why_not_here,
            }
        if self.table is not None:
            values |= {
                "method": self.table.method,
                "samples": self.table.samples,
                "seed": self.table.seed,
                "effort": self.table.effort,
                "scheme": self.table.scheme,
                "model": self.table.model,
                "ranges": len(self.table.ranges),
                "images": len(self.table.images),
                "uncalibrated": self.table.uncalibrated,
                "explicit_shifts": self.table.explicit_shifts,
                "notes": list(self.table.notes),
            }
        if self.cache is not None:
            values |= self.cache.to_dict()
        if self.bundle is not None:
            values |= self.bundle.to_dict()
        return values

    def lines(self) -> list[str]:
        """Return what a person wants to know, the file itself first."""
        first = (
            f"{self.path}  {self.kind}, {self.bytes / 2**20:.1f} MiB, SHA-256 {self.digest[:12]}"
        )
        if self.model is not None:
            return [first, *_model_lines(self.model)]
        if self.engine is not None:
            return [first, *_engine_lines(self.engine, self.why_not_here)]
        if self.cache is not None:
            return [first, *self.cache.lines()]
        if self.bundle is not None:
            return [first, *self.bundle.lines()]
        return [first, *_table_lines(self.table)] if self.table is not None else [first]


def inspect(path: Path) -> Inspection:
    """Return what `path` is. Raises InputError when it is nothing of ours, and StaleError."""
    if path.name.endswith(".json") and path.with_name(path.name[:-5]).exists():
        path = path.with_name(path.name[:-5])  # a manifest: inspect what it describes
    if is_bundle(path):
        facts = bundle_facts(path)
        return Inspection(path, "bundle", path.stat().st_size, digest_of_file(path), bundle=facts)
    if is_cache(path):
        found = cache_facts(path)
        digest = digest_of_file(path)
        size = path.stat().st_size
        return Inspection(path, "calibration cache", size, digest, cache=found)
    if manifest_path(path).exists() or path.suffix in (".engine", ".plan"):
        engine = open_engine_file(path)
        return Inspection(
            path,
            "engine",
            path.stat().st_size,
            engine.manifest.engine_digest,
            engine=engine,
            why_not_here=why_not_here(engine),
        )
    digest = digest_of_file(path)
    size = path.stat().st_size
    if path.suffix == ".json":
        return Inspection(path, "calibration table", size, digest, table=_read_table(path, size))
    return Inspection(path, "model", size, digest, model=_model_facts(path))


def _read_table(path: Path, size: int) -> CalibrationTable:
    if size > _MAX_TABLE_BYTES:
        raise InputError(
            f"{path} is {size / 2**20:.0f} MiB: no calibration table is that large.",
            next_command=f"ls -l {quoted(path)}",
        )
    try:
        return table_from_json(path.read_text(encoding="utf-8"), where=str(path))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not text, so it is no calibration table.",
            next_command=f"file {quoted(path)}",
        ) from error


def _model_facts(path: Path) -> ModelFacts:
    model = parse_onnx(path)
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
        float_reasons=_float_reasons(model),
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
    return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in operands)


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


def _model_lines(facts: ModelFacts) -> list[str]:
    lines = [
        f"  {facts.input} -> {facts.output}, opset {facts.opset}, {facts.nodes} nodes, "
        f"made by {facts.producer or 'unknown'}"
    ]
    contract = facts.contract
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
    share = "" if facts.int8_mac_share is None else f", {facts.int8_mac_share:.1%} of the MACs"
    lines.append(f"  {facts.int8_convs} INT8 and {facts.float_convs} float convolutions{share}")
    lines += [f"  float: {name}: {reason}" for name, reason in facts.float_reasons.items()]
    return lines + [f"  problem: {problem}" for problem in facts.problems]


def _engine_lines(engine: Engine, why_not: str) -> list[str]:
    manifest = engine.manifest
    sms = ", ".join(f"{sm // 10}.{sm % 10}" for sm in manifest.sms)
    return [
        f"  {manifest.precision} for {manifest.target}{f' (SM {sms})' if sms else ''}, built with "
        f"{manifest.built_with} ({manifest.built_on}) in {manifest.seconds:.1f} s",
        f"  {manifest.int8_convs} INT8 and {manifest.float_convs} float convolutions, "
        f"{manifest.kernels} kernels, from ONNX {manifest.onnx_digest[:12]}",
        *(f"  note: {note}" for note in manifest.notes),
        f"  does not run here: it {why_not}" if why_not else "  runs here",
    ]


def _table_lines(table: CalibrationTable) -> list[str]:
    lines = [
        f"  {len(table.ranges)} ranges by {table.method} ({table.effort}) from {table.samples} "
        f"samples, seed {table.seed}, of ONNX {table.model[:12]}"
    ]
    if table.uncalibrated:
        lines.append("  UNCALIBRATED: its ranges come from random data")
    return lines + [f"  note: {note}" for note in table.notes]
