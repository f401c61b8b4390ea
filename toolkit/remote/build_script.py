"""The scripts of a bundle: `build.sh` and `verify.sh`, which need only sh and trtexec.

TensorRT 8.0 to 11 differ in some flags; the scripts ask `trtexec --help` for them, and refuse
where a precision cannot be asked for, instead of building another one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from targets.decision import Decision
from toolkit.build.request import BatchRange
from toolkit.contract import Contract
from toolkit.errors import BuildError

__all__ = [
    "FIND_TRTEXEC",
    "WHERE_TRTEXEC",
    "WRONG_TENSORRT",
    "TrtexecFlags",
    "build_script",
    "flags_for",
    "verify_script",
]

WRONG_TENSORRT = 3
"""Exit code of build.sh where the device's TensorRT has not the flags the bundle needs."""

WHERE_TRTEXEC = """\
trtexec=${TRTEXEC:-}
for place in trtexec /usr/src/tensorrt/bin/trtexec /usr/local/bin/trtexec; do
  [ -n "$trtexec" ] || trtexec=$(command -v "$place" || true)
done
"""
"""Sets `trtexec`: where it is, or nothing."""

FIND_TRTEXEC = (
    WHERE_TRTEXEC
    + """\
if [ -z "$trtexec" ]; then
  echo 'trtexec: not found; JetPack puts it into /usr/src/tensorrt/bin' >&2
  exit 127
fi
offers=$("$trtexec" --help 2>&1 < /dev/null)
has() { case $offers in *"  $1"*) true ;; *) false ;; esac; }
"""
)
"""Sets `trtexec` and `has`, which says whether its help has a line with an option."""

_HEAD = """\
#!/bin/sh
# {what}
# Written by Edgekit {version} for {target}; run it on the device: sh {name}
set -u
cd "$(dirname "$0")" || exit 1
"""
_TYPED = """\
if has '--stronglyTyped '; then
  set -- "$@" --stronglyTyped
elif has '--fp16 '; then
  echo "This TensorRT cannot read precision from the graph (no --stronglyTyped)." >&2
  exit 3
fi
"""
_FLAG = """\
has '{flag}' || {{
  echo "This TensorRT has no {flag}: precision comes from the graph there." >&2
  exit 3
}}
set -- "$@" {given}
"""
_WORKSPACE = """\
if has '--memPoolSize='; then
  set -- "$@" --memPoolSize=workspace:{mib}
else
  set -- "$@" --workspace={mib}
fi
"""
_BUILD = """\
if has '--exportLayerInfo='; then
  set -- "$@" --exportLayerInfo=layers.json --profilingVerbosity=detailed
fi
if has '--skipInference '; then
  set -- "$@" --skipInference
elif has '--buildOnly '; then
  set -- "$@" --buildOnly
fi
rm -f model.engine model.engine.part model.engine.sha256 layers.json
"$trtexec" "$@" || exit
[ -s model.engine.part ] || { echo "trtexec wrote no engine" >&2; exit 1; }
sha256sum < model.engine.part > model.engine.sha256 || exit
mv model.engine.part model.engine
"""
_VERIFY = """\
if has '--includeDataTransfers '; then
  set -- "$@" --includeDataTransfers
fi
for picture in golden/*.bin; do
  "$trtexec" "$@" --loadInputs={name}:"$picture" --exportOutput="${{picture%.bin}}.part" || exit
  mv "${{picture%.bin}}.part" "${{picture%.bin}}.json" || exit
done
"""


@dataclass(frozen=True)
class TrtexecFlags:
    """What trtexec is told beyond the files: precision, DLA, memory and the range of the batch."""

    strongly_typed: bool
    precision: tuple[str, ...] = ()
    """INT8 and FP16 where precision is a flag."""
    calibration_cache: bool = False
    dla_core: int | None = None
    workspace_mib: int | None = None
    shapes: tuple[tuple[str, str], ...] = ()
    """("minShapes", "input:1x3x224x224") and so on; none where the graph's batch is fixed."""

    @property
    def words(self) -> tuple[str, ...]:
        """Return what the manifest says of them, as it does for other builds."""
        dla = () if self.dla_core is None else ("GPU_FALLBACK", f"DLA_CORE_{self.dla_core}")
        return (*(("STRONGLY_TYPED",) if self.strongly_typed else ()), *self.precision, *dla)


def flags_for(
    decision: Decision,
    contract: Contract,
    *,
    batch: BatchRange | None,
    workspace_mib: int | None,
    dla_core: int | None,
) -> TrtexecFlags:
    """Return the flags that `decision` means. Raises BuildError for a name trtexec cannot take."""
    name = contract.input_name
    if not re.fullmatch(r"[\w./-]+", name, re.ASCII):
        raise BuildError(
            f"trtexec cannot be told of an input named {name!r}.",
            next_command="edgekit import SOURCE --out model.onnx",
        )
    shapes: tuple[tuple[str, str], ...] = ()
    if contract.input_shape[0] == 0:
        image = "x".join(map(str, contract.input_shape[1:]))
        sizes = batch or BatchRange(1, 1, 1)
        shapes = (
            ("minShapes", f"{name}:{sizes.minimum}x{image}"),
            ("optShapes", f"{name}:{sizes.optimum}x{image}"),
            ("maxShapes", f"{name}:{sizes.maximum}x{image}"),
        )
    return TrtexecFlags(
        strongly_typed=decision.strongly_typed,
        precision=decision.builder_flags,
        calibration_cache=decision.form == "calibration-cache",
        dla_core=dla_core if decision.dla else None,
        workspace_mib=workspace_mib,
        shapes=shapes,
    )


def build_script(flags: TrtexecFlags, *, target: str, version: str) -> str:
    """Return the text of build.sh, which writes model.engine, layers.json and nothing half."""
    first = ["--onnx=model.onnx", "--saveEngine=model.engine.part"]
    first += [f"--{option}={quote(shape)}" for option, shape in flags.shapes]
    if flags.dla_core is not None:
        first += [f"--useDLACore={flags.dla_core}", "--allowGPUFallback"]
    parts = [
        _HEAD.format(
            what="Builds model.engine from model.onnx. Needs only sh and trtexec.",
            name="build.sh",
            target=target,
            version=version,
        ),
        FIND_TRTEXEC,
        f"set -- {' '.join(first)}\n",
        _TYPED if flags.strongly_typed else "",
    ]
    for flag in flags.precision:
        option = f"--{flag.lower()}"
        parts.append(_FLAG.format(flag=f"{option} ", given=option))
    if flags.calibration_cache:
        parts.append(_FLAG.format(flag="--calib=", given="--calib=calibration.cache"))
    if flags.workspace_mib is not None:
        parts.append(_WORKSPACE.format(mib=flags.workspace_mib))
    return "".join([*parts, _BUILD])


def verify_script(contract: Contract, *, shape: Sequence[int], target: str, version: str) -> str:
    """Return the text of verify.sh, which writes golden/N.json for every golden/N.bin.

    `shape` is that of one golden input; where the batch is dynamic, trtexec is told.
    """
    first = ["--loadEngine=model.engine", "--iterations=1", "--duration=0", "--warmUp=0"]
    if contract.input_shape[0] == 0:
        first.append(f"--shapes={contract.input_name}:{'x'.join(map(str, shape))}")
    head = _HEAD.format(
        what="Runs the golden inputs through model.engine, into golden/*.json.",
        name="verify.sh",
        target=target,
        version=version,
    )
    setting = f"set -- {' '.join(first)}\n"
    return head + FIND_TRTEXEC + setting + _VERIFY.format(name=contract.input_name)
