"""Build with TensorRT-RTX, with no GPU, and read back what runs in Int8."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import onnx

from toolkit.build.layer_table import LayerTable, parse_layer_table

__all__ = ["Outcome", "layers_of"]


@dataclass(frozen=True)
class Outcome:
    """What the builder said: its layer table and its warnings."""

    table: LayerTable
    warnings: tuple[str, ...]


def layers_of(trt: ModuleType, model: onnx.ModelProto, sms: tuple[str, ...] = ("SM89",)) -> Outcome:
    lines: list[str] = []
    warnings: list[str] = []

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]  # the bindings ship no types
        def log(self, severity: Any, message: str) -> None:
            lines.append(message)
            if severity <= trt.ILogger.WARNING:
                warnings.append(message)

    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse(model.SerializeToString()), warnings
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = len(sms)
    for index, sm in enumerate(sms):
        config.set_compute_capability(getattr(trt.ComputeCapability, sm), index)
    assert builder.build_serialized_network(network, config) is not None, warnings
    return Outcome(parse_layer_table("\n".join(lines)), tuple(warnings))
