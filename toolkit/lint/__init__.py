"""Whether a runtime will take a graph, and which layers will really run in INT8.

`lint("model.int8.onnx", runtime="tensorrt-rtx")` answers without building anything. RULES in
`engine.py` lists what is looked at, RUNTIMES in `runtimes.py` for whom.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import InputError
from toolkit.lint.engine import examine
from toolkit.lint.findings import Finding, Layer, LintReport
from toolkit.lint.runtimes import RUNTIMES, runtime_named, runtime_of_target
from toolkit.lint.subject import read_subject
from toolkit.shell import quoted

__all__ = ["RUNTIMES", "Finding", "Layer", "LintReport", "lint"]


def lint(model_path: str | Path, *, runtime: str = "", target: str = "") -> LintReport:
    """Return the verdict on an ONNX file for a runtime (a key of RUNTIMES) or for a device.

    Any ONNX file will do, with or without a deployment contract. Raises ModelError for a file
    that is not valid ONNX, InputError unless exactly one of `runtime` and `target` is given or
    the runtime is unknown, TargetError for an unknown device and for one without INT8.
    """
    path = Path(model_path)
    if bool(runtime) == bool(target):
        raise InputError(
            f"Lint asks for one of a target and a runtime ({', '.join(RUNTIMES)}); "
            f"{'both were' if runtime else 'neither was'} given.",
            next_command=f"edgekit lint {quoted(path)} --runtime tensorrt-rtx",
        )
    if runtime:
        chosen = runtime_named(runtime)
        subject = read_subject(path)
    else:
        subject = read_subject(path)
        chosen = runtime_of_target(target, quantized=bool(subject.quantizers))
    return examine(subject, chosen, model=path, target=target)
