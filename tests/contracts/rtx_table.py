"""Build with TensorRT-RTX, with no GPU, and read back what runs in Int8."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import onnx

from toolkit.build.layer_table import LayerTable, parse_layer_table
from toolkit.tensorrt_log import heard_by, process_logger

__all__ = ["Outcome", "layers_of"]


@dataclass(frozen=True)
class Outcome:
    """What the builder said: its layer table and its warnings."""

    table: LayerTable
    warnings: tuple[str, ...]


def layers_of(trt: ModuleType, model: onnx.ModelProto, sms: tuple[str, ...] = ("SM89",)) -> Outcome:
    lines: list[str] = []
    warnings: list[str] = []

    def listen(severity: Any, message: str) -> None:
        lines.append(message)
        if severity <= trt.ILogger.WARNING:
            warnings.append(message)

    with heard_by(trt, listen):
        _build(trt, model, sms, warnings)
    return Outcome(parse_layer_table("\n".join(lines)), tuple(warnings))


def _build(trt: ModuleType, model: onnx.ModelProto, sms: tuple[str, ...], said: list[str]) -> None:
    log = process_logger(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse(model.SerializeToString()), said
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = len(sms)
    for index, sm in enumerate(sms):
        config.set_compute_capability(getattr(trt.ComputeCapability, sm), index)
    assert builder.build_serialized_network(network, config) is not None, said
