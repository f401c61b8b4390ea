"""Check that the quantization of a model suits the target it is built for."""

from __future__ import annotations

from calibration.schemes import SCHEMES, Scheme
from targets.catalog import Target
from targets.decision import Decision
from toolkit.artifacts import OnnxModel
from toolkit.errors import ContractError, SchemeError

__all__ = ["check_scheme"]


def check_scheme(model: OnnxModel, target: Target, decision: Decision) -> None:
    """Raise SchemeError when `model` carries Q/DQ that `target` would refuse or run wrongly."""
    name = model.contract.scheme
    if model.contract.precision != "int8":
        return  # a float model that names a scheme is one of a pair: its cache holds the ranges
    if name not in SCHEMES:
        raise ContractError(
            f"{model.path} names the quantization scheme {name!r}, which is unknown here.",
            next_command="pip install --upgrade edgekit",
        )
    reason = _misfit(SCHEMES[name], SCHEMES[decision.scheme])
    if reason:
        raise SchemeError(
            f"{model.path} is quantized for {SCHEMES[name].runtime} ({name}); {target.name} needs "
            f"{decision.scheme}: {reason}.",
            next_command=f"edgekit calibrate MODEL.onnx --images DIR --target {target.id}",
        )


def _misfit(given: Scheme, wanted: Scheme) -> str:
    """Return why `given` does not do for `wanted`, or "".

    Narrower weights and the runtime's other placements give right answers, if slower ones.
    """
    if given.activations != wanted.activations:
        return f"its activations are {given.activations}, not {wanted.activations}"
    if given.weight_bits > wanted.weight_bits:
        return (
            f"{given.weight_bits}-bit weights saturate there in 16-bit sums, "
            f"{wanted.weight_bits} bits do not"
        )
    if given.bias_as != wanted.bias_as:
        return f"its bias is {given.bias_as}, not {wanted.bias_as}"
    return ""
