"""Build with TensorRT-RTX, with no GPU, and read back what runs in Int8."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import onnx

from toolkit.build.layer_table import LayerTable, parse_layer_table
from toolkit.tensorrt_log import heard_by, process_logger

__all__ = ["Outcome", "layers_of", "outcome_of"]


@dataclass(frozen=True)
class Outcome:
    """What the builder said: its layer table, its warnings, and whether an engine came out."""

    table: LayerTable
    warnings: tuple[str, ...]
    built: bool


def layers_of(trt: ModuleType, model: onnx.ModelProto, sms: tuple[str, ...] = ("SM89",)) -> Outcome:
    """Build what must build."""
    outcome = outcome_of(trt, model, sms)
    assert outcome.built, outcome.warnings
    return outcome


def outcome_of(trt: ModuleType, model: onnx.ModelProto, sms: tuple[str, ...]) -> Outcome:
    """Build, or learn that the parser or the builder refuses."""
    lines: list[str] = []
    warnings: list[str] = []

    def listen(severity: Any, message: str) -> None:
        lines.append(message)
        if severity <= trt.ILogger.WARNING:
            warnings.append(message)

    with heard_by(trt, listen):
        built = _build(trt, model, sms)
    return Outcome(parse_layer_table("\n".join(lines)), tuple(warnings), built)


def _build(trt: ModuleType, model: onnx.ModelProto, sms: tuple[str, ...]) -> bool:
    """Return whether an engine came out."""
    log = process_logger(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model.SerializeToString()):
        return False
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = len(sms)
    for index, sm in enumerate(sms):
        config.set_compute_capability(getattr(trt.ComputeCapability, sm), index)
    source = network.get_input(0)
    if source.shape[0] < 0:  # an open batch
        profile = builder.create_optimization_profile()
        profile.set_shape(source.name, *[(1, *source.shape[1:])] * 3)
        config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config) is not None
