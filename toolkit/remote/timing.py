"""One run of trtexec that times an engine on the device, with tegrastats beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import join, quote
from statistics import fmean

from targets.tegrastats import Tegrastats, tegrastats_from_line
from toolkit.artifacts import Engine
from toolkit.errors import RemoteError
from toolkit.explain import explain_text
from toolkit.remote.connection import Connection, ask
from toolkit.remote.neighbours import ALIVE
from toolkit.remote.preflight import Device
from toolkit.remote.run_folder import WORKS_HERE
from toolkit.remote.trtexec import (
    BuildLog,
    QueryTime,
    read_build_log,
    read_summary,
    times_from_json,
)

__all__ = ["WARMUP_MS", "Sensors", "TimedRun", "sensors_of", "time_once", "timing_flags"]

WARMUP_MS = 200
"""trtexec's own default: it warms up for a time, not for a number of inferences."""

# A run that an interrupted connection left behind would disturb this one.
_RUN = """\
mkdir -p {folder} && cd {folder} || exit
! works_here || kill "$(cat pid)" 2> /dev/null
: > {alive}
rm -f times.json tegra.log
: > tegra.log
watch=
if command -v tegrastats > /dev/null; then
  tegrastats --interval 200 > tegra.log 2> /dev/null < /dev/null & watch=$!
fi
{command} > run.log 2>&1 < /dev/null & echo $! > pid
wait $!; code=$?
rm -f pid
touch -c {alive}
[ -z "$watch" ] || kill "$watch" 2> /dev/null
cat run.log
exit $code
"""


@dataclass(frozen=True)
class TimedRun:
    """The queries after the warm-up, what the log says and the lines of tegrastats."""

    queries: tuple[QueryTime, ...]
    log: BuildLog
    tegrastats: tuple[Tegrastats, ...]


@dataclass(frozen=True)
class Sensors:
    """What tegrastats saw over all runs; None or empty where it does not say."""

    lines: int
    hottest_c: float | None
    gpu_load_percent: float | None
    gpu_mhz: tuple[int, int] | None
    """Lowest and highest clock."""
    power_mw: dict[str, float]
    """Mean per rail."""


def timing_flags(device: Device, engine: Engine, *, batch: int, graph: bool) -> list[str]:
    """Return flags with which every version times the same: transfers on, spinning waits.

    TensorRT 8 and 10 transfer by default, and spin and use CUDA graphs when told; 11 does the
    opposite in all three.
    """
    contract = engine.contract
    flags = [f"--warmUp={WARMUP_MS}", "--duration=0"]
    if device.has("--includeDataTransfers "):
        flags += ["--includeDataTransfers", *([] if graph else ["--noCudaGraph"])]
    else:
        flags += ["--useSpinWait", *(["--useCudaGraph"] if graph else [])]
    if contract.input_shape[0] == 0:
        image = "x".join(map(str, contract.input_shape[1:]))
        flags.append(f"--shapes={contract.input_name}:{batch}x{image}")
    return flags


def time_once(
    there: Connection,
    device: Device,
    remote: str,
    folder: str,
    flags: Sequence[str],
    *,
    timeout_s: float,
) -> TimedRun:
    """Run the engine at `remote` once. Raises RemoteError when trtexec cannot run it."""
    words = [device.trtexec, f"--loadEngine={remote}", "--exportTimes=times.json", *flags]
    run = _RUN.format(folder=quote(folder), command=join(words), alive=ALIVE)
    script = WORKS_HERE + run
    answer = there.run(script, timeout_s=timeout_s)
    log = read_build_log(answer.text)
    if answer.code != 0:
        known = [each.cause for each in explain_text(answer.text) if not each.warning]
        said = (*known, *log.errors, f"exit code {answer.code}")[0].rstrip(".")
        raise RemoteError(
            f"trtexec on {there.address} cannot run {Path(remote).name}: {said}.",
            next_command=f"{there.address.ssh} {join([device.trtexec, f'--loadEngine={remote}'])}",
        )
    read_summary(answer.text)  # a run without one did not end, whatever its exit code
    times = ask(there, f"cat {quote(folder)}/times.json", what="show the times")
    lines = ask(there, f"cat {quote(folder)}/tegra.log", what="show tegrastats").splitlines()
    seen = tuple(stats for line in lines if (stats := tegrastats_from_line(line)) is not None)
    return TimedRun(times_from_json(times, warmup_ms=WARMUP_MS), log, seen)


def sensors_of(lines: Sequence[Tegrastats]) -> Sensors | None:
    """Return what tegrastats saw; None where the device has none."""
    if not lines:
        return None
    loads = [line.gpu_load_percent for line in lines if line.gpu_load_percent is not None]
    clocks = [mhz for line in lines for mhz in line.gpu_mhz]
    rails = sorted({rail for line in lines for rail in line.power_mw})
    return Sensors(
        lines=len(lines),
        hottest_c=max((c for line in lines for c in line.temperatures_c.values()), default=None),
        gpu_load_percent=fmean(loads) if loads else None,
        gpu_mhz=(min(clocks), max(clocks)) if clocks else None,
        power_mw={
            rail: fmean(line.power_mw[rail] for line in lines if rail in line.power_mw)
            for rail in rails
        },
    )
