"""Build cpu engines: the graph as ONNX Runtime optimised it for this machine's instructions.

Measured with ONNX Runtime 1.32 on AVX-512 (MobileNetV2, one thread): a file optimised at the
`extended` level and opened as it is runs FP32 in 15.7 ms, at level `all` in 7.6, because only
`all` stores the blocked NCHWc layout. That layout fits one instruction set, so the manifest names
it. INT8: 4.8 and 3.7 ms. Opened without optimising again, a file loads in 7 ms instead of 21.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime

from targets import get
from targets.cpu import read_cpu
from targets.machine import Machine
from toolkit.build.input_head import cut_input_head
from toolkit.build.request import BuildRequest, Built
from toolkit.contract import embed_contract
from toolkit.errors import BuildError, InputError, MachineError, SchemeError
from toolkit.golden import GoldenReport, golden_for, verify
from toolkit.progress import Progress, ProgressCallback
from toolkit.runtime.onnxruntime import (
    ORT_ERRORS,
    VERSION,
    OrtSession,
    model_argument,
    session_options,
)
from toolkit.shell import quoted

__all__ = ["build"]

_INT8_CONVOLUTIONS = ("QLinearConv", "ConvInteger")
_INTEGERS = (
    "takes the integers of its first layer, which Edgekit makes of the picture: a program of your "
    "own loads the .int8.onnx"
)
_FLOAT_CONVOLUTIONS = ("Conv", "FusedConv", "ConvTranspose", "NhwcFusedConv")


def build(request: BuildRequest, out: Path, progress: ProgressCallback) -> Built:
    """Write the optimised graph to `out`, with the contract in it, and check its answers.

    Raises BuildError when ONNX Runtime refuses the graph or its kernels do not give the answers of
    the graph evaluated in float, InputError for options a cpu engine does not have.
    """
    _check_options(request)
    progress(Progress("build", 0, 2, "optimising"))
    _optimise(request, out)
    contract = request.model.contract
    model = onnx.load(str(out))
    takes_integers = cut_input_head(model)
    embed_contract(model, contract)
    out.write_bytes(model.SerializeToString(deterministic=True))
    progress(Progress("build", 1, 2, "comparing with the model"))
    report = _verify(request, out)
    progress(Progress("build", 2, 2))
    counts = Counter(node.op_type for node in model.graph.node)
    cpu = read_cpu(Machine())
    return Built(
        contract=contract,
        built_with=VERSION,
        built_on=cpu.model or cpu.arch,
        int8_convs=sum(counts[name] for name in _INT8_CONVOLUTIONS),
        float_convs=sum(counts[name] for name in _FLOAT_CONVOLUTIONS),
        kernels=sum(counts.values()),
        isa=cpu.isa,
        notes=(
            *_notes(report, counts, precision=contract.precision),
            *((_INTEGERS,) if takes_integers else ()),
        ),
    )


def _check_options(request: BuildRequest) -> None:
    plain = f"edgekit build {quoted(request.model.path)} --target cpu"
    here = get("cpu").id
    if request.target != here:
        raise SchemeError(
            f"A cpu engine holds the layout of the machine it is built on: this one is {here}, "
            f"not {request.target}.",
            next_command=plain,
        )
    if request.batch is not None or request.workspace_mib is not None:
        raise InputError(
            "--batch and --workspace-mib are for GPU engines: ONNX Runtime takes any batch that "
            "the model does and sizes its memory itself.",
            next_command=plain,
        )
    if not _is_utf8(request.out):
        raise InputError(
            f"ONNX Runtime cannot write to {request.out}: the name is not UTF-8.",
            next_command=f"{plain} --out ANOTHER_NAME.onnx",
        )
    if request.out.suffix == ".ort":
        raise InputError(
            f"{request.out.name}: cpu engines are ONNX files, not ONNX Runtime's own format.",
            next_command=f"{plain} --out {quoted(request.out.with_suffix('.onnx'))}",
        )


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _optimise(request: BuildRequest, out: Path) -> None:
    options = session_options(threads=1, spin=False)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(out)
    try:
        onnxruntime.InferenceSession(
            model_argument(request.model.path), options, providers=["CPUExecutionProvider"]
        )
    except ORT_ERRORS as error:
        if "serialization failed" in str(error):  # the graph was taken; writing it was not
            raise MachineError(
                f"ONNX Runtime could not write the optimised graph into {out.parent}: the disk is "
                "full or a limit was reached.",
                next_command=f"df -h {quoted(out.parent)}",
            ) from error
        said = " ".join(str(error).split())
        raise BuildError(
            f"{VERSION} refuses {request.model.path}: {said}",
            next_command=f"edgekit inspect {quoted(request.model.path)}",
        ) from error


def _verify(request: BuildRequest, engine: Path) -> GoldenReport:
    options = session_options(threads=1, spin=False)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = OrtSession(engine, request.model.contract, options, backend="onnxruntime")
    with session:
        report = verify(session, golden_for(request.model))
    if not report.passed:
        raise BuildError(
            f"The cpu engine of {request.model.path} does not compute what its graph says: "
            f"{report.sqnr_db:.1f} dB against the float evaluation ({report.required_db:.1f} "
            f"needed), {'equal' if report.top1_equal else 'other'} winners.",
            next_command="edgekit calibrate MODEL.onnx --images DIR --target cpu",
        )
    return report


def _notes(report: GoldenReport, counts: Counter[str], *, precision: str) -> tuple[str, ...]:
    against = report.against_fp32_sqnr_db
    notes = [
        f"golden inputs: {report.sqnr_db:.1f} dB against its own graph in float "
        f"({report.required_db:.1f} needed)"
        + ("" if against is None else f", {against:.1f} dB against FP32")
    ]
    if precision == "int8" and not any(counts[name] for name in _INT8_CONVOLUTIONS):
        notes.append("no convolution runs in INT8")
    return tuple(notes)
