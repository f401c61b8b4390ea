"""RULES, and the verdict they give together. Add a rule here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.lint.findings import FLOAT, Finding, Layer, LintReport
from toolkit.lint.rules import (
    behind_dequantize,
    branches,
    channels,
    concat_scales,
    dla,
    double_pairs,
    dynamic_shapes,
    float_layers,
    grouped,
    int8_constants,
    int32_bias,
    integer_types,
    mixed_types,
    one_sided,
    onnxruntime_bias,
    onnxruntime_forms,
    onnxruntime_moves,
    onnxruntime_results,
    onnxruntime_shared,
    onnxruntime_weight_bits,
    operators,
    opset,
    pad,
    per_channel_activations,
    residual,
    scales,
    softmax,
    transposed_convolution,
    uint8,
    weight_axis,
    zero_point,
)
from toolkit.lint.runtimes import Runtime
from toolkit.lint.subject import LAYERS, Subject

__all__ = ["RULES", "Rule", "examine"]

_GPU = ("tensorrt", "tensorrt-rtx")
_QDQ = (*_GPU, "onnxruntime")
_ALL = (*_QDQ, "dla")
_ORT = ("onnxruntime",)


@dataclass(frozen=True)
class Rule:
    """`check` yields findings about a subject; `families` are the runtimes it speaks of."""

    check: Callable[[Subject, Runtime], Iterator[Finding]]
    families: tuple[str, ...]
    summary: str


RULES: dict[str, Rule] = {
    "opset": Rule(opset.check, _ALL, "The opset is newer than what the runtime reads."),
    "operator": Rule(operators.check, _ALL, "The runtime does not have the operator."),
    "branches": Rule(branches.check, _ALL, "A node holds graphs that were not examined."),
    "mixed-types": Rule(mixed_types.check, _ALL, "A layer multiplies different types."),
    "dynamic-shape": Rule(dynamic_shapes.check, (*_GPU, "dla"), "An input's size is open."),
    "zero-point": Rule(zero_point.check, _GPU, "A zero-point is not 0."),
    "uint8": Rule(uint8.check, _GPU, "Values are quantized to uint8."),
    "int32-bias": Rule(int32_bias.check, _GPU, "A bias is int32 behind a DequantizeLinear."),
    "integer-type": Rule(integer_types.check, _QDQ, "Q/DQ of another type than int8."),
    "scale": Rule(scales.check, _QDQ, "A scale is zero, negative, infinite or computed."),
    "int8-constant": Rule(int8_constants.check, _GPU, "An int8 initializer in the wrong place."),
    "per-channel-activation": Rule(
        per_channel_activations.check, _QDQ, "An activation has one scale per channel."
    ),
    "weight-axis": Rule(weight_axis.check, _QDQ, "Weight scales not along output channels."),
    "pad-after-dq": Rule(pad.check, _QDQ, "A Pad between a DequantizeLinear and its layer."),
    "op-after-dq": Rule(
        behind_dequantize.check, _QDQ, "An operator between a DequantizeLinear and its layer."
    ),
    "concat-scales": Rule(concat_scales.check, _QDQ, "A Concat of different scales."),
    "missing-dq": Rule(one_sided.check, _QDQ, "One operand of a layer is not quantized."),
    "transposed-conv": Rule(
        transposed_convolution.check, ("tensorrt-rtx", *_ORT), "A ConvTranspose runs in float."
    ),
    "float-layer": Rule(float_layers.check, _QDQ, "A layer has no Q/DQ."),
    "ort-move": Rule(onnxruntime_moves.check, _ORT, "An operator hides integers from a layer."),
    "ort-bias": Rule(onnxruntime_bias.check, _ORT, "A bias keeps its layer in float."),
    "ort-result": Rule(onnxruntime_results.check, _ORT, "A layer's result is not quantized."),
    "ort-shared-int8": Rule(onnxruntime_shared.check, _ORT, "int8 values with several readers."),
    "ort-form": Rule(onnxruntime_forms.check, _ORT, "A form that no integer kernel takes."),
    "ort-weight-bits": Rule(
        onnxruntime_weight_bits.check, _ORT, "Weights that saturate without VNNI."
    ),
    "residual": Rule(residual.check, _GPU, "A residual branch is read in float."),
    "double-qdq": Rule(double_pairs.check, _QDQ, "A pair that rounds once too often."),
    "softmax": Rule(softmax.check, _QDQ, "A softmax reads 8-bit values."),
    "grouped-conv": Rule(grouped.check, _GPU, "A depthwise or grouped convolution in INT8."),
    "channels": Rule(channels.check, _QDQ, "Channel counts that INT8 kernels pad."),
    "dla": Rule(dla.check, ("dla",), "What the DLA cannot take."),
}


def examine(subject: Subject, runtime: Runtime, *, model: Path, target: str) -> LintReport:
    """Return what all rules for this runtime say about `subject`, errors first.

    A layer is in INT8 unless a rule says that it runs in float, or no engine comes out.
    """
    findings = [
        replace(finding, rule=name)
        for name, rule in RULES.items()
        if runtime.family in rule.families
        for finding in rule.check(subject, runtime)
    ]
    order = ("error", "warning", "note")
    findings.sort(key=lambda finding: order.index(finding.severity))
    reasons: dict[str, str] = {}
    for finding in findings:
        if finding.effect == FLOAT:
            reasons.setdefault(finding.node, finding.message)
    layers = tuple(
        Layer(
            node.name,
            node.op_type,
            "float" if node.name in reasons else "int8",
            reasons.get(node.name, ""),
        )
        for node in subject.graph.nodes
        if node.op_type in (*LAYERS, *operators.INTEGER_LAYERS)
    )
    return LintReport(model, runtime.name, target, tuple(findings), layers)
