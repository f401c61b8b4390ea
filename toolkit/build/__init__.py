"""Build the engine of a model for a named device."""

from __future__ import annotations

import json
import time
from pathlib import Path

import toolkit
from targets import get
from targets.catalog import Target
from targets.decision import ANYWHERE, Decision
from toolkit.artifacts import (
    Engine,
    Manifest,
    OnnxModel,
    digest_of_file,
    manifest_from_dict,
    manifest_path,
)
from toolkit.atomic import replace_file
from toolkit.build.local_decision import decide_here
from toolkit.build.options_fit import check_options
from toolkit.build.request import BuildRequest, Built, TensorRTOptions, batch_from_text
from toolkit.build.suits import check_scheme
from toolkit.calibrate.pair import cache_of, ranges_note
from toolkit.contract import contract_from_dict
from toolkit.errors import BuildError, InputError
from toolkit.lazy import load
from toolkit.onnx_model.file import open_model
from toolkit.progress import ProgressCallback, silent
from toolkit.runtime.cuda.libcuda import has_driver
from toolkit.shell import quoted

__all__ = ["BUILDERS", "build", "engine_path"]

BUILDERS = {
    "onnxruntime": "toolkit.build.onnxruntime:build",
    "tensorrt": "toolkit.build.tensorrt_here:build",
    "tensorrt_rtx": "toolkit.build.tensorrt_rtx:build",
}
"""Add a builder here: its row is a `backend` of targets, its function a request.Builder."""

_INSTALL = {
    "tensorrt": "pip install 'edgekit[tensorrt]'",
    "tensorrt_rtx": "pip install 'edgekit[rtx]'",
}


def build(
    model: Path,
    *,
    target: str,
    out: Path | None = None,
    precision: str | None = None,
    batch: str | None = None,
    workspace_mib: int | None = None,
    options: TensorRTOptions | None = None,
    progress: ProgressCallback = silent,
) -> Engine:
    """Return the engine of `model` for `target`, written to `out` with its manifest beside it.

    `target` is a name of the catalog, or several GPUs with commas between them ("rtx-3090,
    rtx-4090") for one engine. The precision is that of the graph; `precision` may only repeat it.
    With `options.dla_core` a float model that names a calibration cache is built in INT8 with it.
    `batch` is "MIN:OPT:MAX" where the model's batch is dynamic; GPU engines take one picture
    unless told otherwise. `options` are those of classic TensorRT: InputError where the target has
    none of them. Raises SchemeError when the model was quantized for another runtime, BuildError
    with the builder's own words when it refuses the graph, and TargetError, ModelError,
    ContractError, InputError, MissingDependencyError and MachineError.
    """
    started = time.monotonic()
    source = open_model(model)
    rows = [get(name) for name in target.split(",")]
    options = options or TensorRTOptions()
    cache = None if options.dla_core is None else cache_of(source)
    decision = _decide(rows, source, precision, options, cache)
    request = BuildRequest(
        model=source,
        target=",".join(row.id for row in rows),
        out=out or engine_path(model, target),
        sms=tuple(sorted({row.sm for row in rows if row.sm is not None})),
        batch=batch_from_text(batch) if batch else None,
        workspace_mib=workspace_mib,
        flags=decision.builder_flags,
        options=options,
        calibration_cache=cache,
    )
    _check_out(request)
    builder = load(
        BUILDERS[decision.backend],
        what=f"Building for {request.target}",
        install=_INSTALL.get(decision.backend, "pip install --upgrade edgekit"),
    )
    # Both are complete before either gets its name: a full disk leaves the old pair.
    with replace_file(manifest_path(request.out)) as seal, replace_file(request.out) as temporary:
        built: Built = builder(request, temporary, progress)
        manifest = _manifest(request, decision, built, temporary, time.monotonic() - started)
        text = manifest.to_json()
        seal.write_text(text, encoding="utf-8")
    # As whoever opens the file will read it, but for a second digest of what was just digested.
    sealed = manifest_from_dict(json.loads(text))
    return Engine(request.out, sealed, contract_from_dict(sealed.contract, where=str(request.out)))


def engine_path(model: Path, target: str) -> Path:
    """Return `model.int8.rtx-4090.engine` for `model.int8.onnx`; cpu engines end in `.onnx`.

    `cpu` stays `cpu`, so that a script finds its engine on every machine; the manifest says which.
    """
    names = [name.strip() for name in target.split(",")]
    rows = [get(name) for name in names]
    suffix = "onnx" if rows[0].is_cpu else "engine"
    words = (name if name == "cpu" else row.id for name, row in zip(names, rows, strict=True))
    return model.with_name(f"{model.name.removesuffix('.onnx')}.{'+'.join(words)}.{suffix}")


def _decide(
    rows: list[Target],
    source: OnnxModel,
    precision: str | None,
    options: TensorRTOptions,
    cache: Path | None,
) -> Decision:
    wanted = source.contract.precision if cache is None else "int8"
    if precision is not None and precision != wanted:
        raise InputError(
            f"{source.path} is {wanted}, and its precision lies in the graph: "
            f"--precision {precision} cannot change it.",
            next_command="edgekit calibrate MODEL.onnx --images DIR"
            if precision == "int8"
            else f"edgekit import SOURCE --precision {precision} --out model.{precision}.onnx",
        )
    dla = options.dla_core is not None
    decisions = [decide_here(row, precision=wanted, dla=dla) for row in rows]
    first = decisions[0]
    for row, decision in zip(rows, decisions, strict=True):
        check_options(source, row, decision, options, calibration_cache=cache)
        if decision.backend not in BUILDERS or (decision.where != ANYWHERE and not has_driver()):
            here = (
                "Edgekit does not run on that board"
                if decision.backend not in BUILDERS
                else "there is no NVIDIA driver here"
            )
            raise BuildError(
                f"{row.name} takes {decision.backend} at {wanted}, which builds {decision.where}: "
                f"{here}.",
                next_command=f"edgekit build {quoted(source.path)} --target {row.id} "
                "--host USER@BOARD",
            )
        if (decision.backend, decision.form) != (first.backend, first.form) or (
            len(rows) > 1 and row.is_cpu
        ):
            other = rows[1] if row is rows[0] else row
            raise InputError(
                f"{rows[0].id} and {other.id} cannot share one engine: build one for each.",
                next_command=f"edgekit build {quoted(source.path)} --target {row.id}",
            )
        check_scheme(source, row, decision)
    return first


def _check_out(request: BuildRequest) -> None:
    if request.out.resolve() == request.model.path.resolve():
        raise InputError(
            f"{request.out} is the model itself: an engine needs a name of its own.",
            next_command=f"edgekit build {quoted(request.model.path)} --target {request.target}",
        )


def _manifest(
    request: BuildRequest, decision: Decision, built: Built, engine: Path, seconds: float
) -> Manifest:
    cache = request.calibration_cache
    ranges = () if cache is None else (ranges_note(cache.read_bytes()),)
    return Manifest(
        engine_digest=digest_of_file(engine),
        onnx_digest=request.model.digest,
        target=request.target,
        backend=decision.backend,
        precision=built.contract.precision,
        contract=built.contract.to_dict(),
        built_with=built.built_with,
        built_on=built.built_on,
        tool_version=toolkit.__version__,
        sms=request.sms,
        isa=built.isa,
        int8_convs=built.int8_convs,
        float_convs=built.float_convs,
        kernels=built.kernels,
        seconds=seconds,
        reproducible=built.reproducible,
        notes=(*decision.reasons, *ranges, *built.notes),
        flags=built.flags,
    )
