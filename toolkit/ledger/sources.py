"""What can be added to a ledger: latency records of Edgekit, and logs and times of trtexec."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import InputError
from toolkit.latency import Latency, read_latency
from toolkit.ledger.entry import Entry, Settings
from toolkit.remote.trtexec import QueryTime, read_build_log, read_summary, times_from_json
from toolkit.shell import quoted
from toolkit.statistics import percentile

__all__ = ["entries_from_file"]

_OPTIONS = {
    "cuda_graph": re.compile(r"\bCUDA Graph: (\w+)", re.IGNORECASE),
    "spin_wait": re.compile(r"\bSpin-wait: (\w+)", re.IGNORECASE),
    "transfers": re.compile(r"\bData transfers: (\w+)", re.IGNORECASE),
}
_STREAMS = re.compile(r"\] (?:Inference )?Streams: (\d+)\s*$", re.MULTILINE)
_WARMUP = re.compile(r"\bDuration: .*?\(\+ ([\d.]+)\s?ms warm up\)")
_BATCH = re.compile(r"\] Batch: (\d+)\s*$|--shapes=[^\s:]+:(\d+)x", re.MULTILINE)
_ENGINE = re.compile(r"--(?:loadEngine|saveEngine|onnx)=(\S+)")
_INT8, _FP16 = re.compile(r"\s--(?:int8|best)\b"), re.compile(r"\s--fp16\b")
_WARMUP_MS = 200.0


def entries_from_file(path: Path, *, log: Path | None = None) -> tuple[Entry, ...]:
    """Return the runs in `path`: `*.latency.json`, a log of trtexec, or its `--exportTimes` file.

    The times of trtexec do not say how they were taken: `log` is the log of the same run. Raises
    InputError for other files, and for those that were cut off or edited.
    """
    text = _text(path)
    if '"edgekit latency"' in text[:200]:
        return tuple(_from_latency(run, path) for run in read_latency(path))
    if text.lstrip().startswith("["):
        if log is None:
            raise InputError(
                f"{path} holds times of trtexec, which do not say how they were taken (CUDA graph, "
                "spin-wait, transfers, streams): the log of the same run does.",
                next_command=f"edgekit ledger add {quoted(path)} --log RUN.log",
            )
        return (_from_trtexec(_text(log), path, times=text),)
    if "TensorRT.trtexec" in text:
        return (_from_trtexec(text, path, times=None),)
    raise InputError(
        f"{path} is no latency record, no log of trtexec and no file of --exportTimes.",
        next_command="edgekit ledger add FILE.latency.json",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}.",
            next_command=f"ls -l {quoted(path)}",
        ) from error


def _from_latency(run: Latency, path: Path) -> Entry:
    said = run.conditions
    remote = "data_transfers" in said
    gpu = run.backend.startswith("tensorrt")
    package = run.backend.partition("-")[0]
    version = str((said.get("versions") or {}).get(package) or "")
    if remote:
        version = str(said.get("measured_with") or "").removeprefix("trtexec ")
    return _entry(
        samples=run.samples_ms,
        engine=Path(run.engine).name,
        digest=run.digest,
        precision=run.precision,
        version=version,
        source=path.name,
        taken_at=str(said.get("taken_at") or ""),
        run=run.run,
        block=run.block,
        settings=Settings(
            covers=str(said.get("covers") or "batch in host memory to logits in host memory"),
            device=str((said.get("gpu") if gpu else None) or _computer(said)),
            runtime="TensorRT" if run.backend == "tensorrt" else run.backend,
            batch=run.batch,
            threads=None if gpu else run.threads or said.get("cores"),
            cuda_graph=_flag(said.get("cuda_graph")),
            spin_wait=_flag(said.get("spin_wait")),
            transfers=_flag(said.get("data_transfers", True)),
            streams=1,
            power_mode=said.get("power_mode"),
            clocks_locked=said.get("clocks_locked"),
        ),
    )


def _computer(said: dict[str, Any]) -> str:
    return str(said.get("cpu_model") or said.get("machine") or "unknown")


def _flag(value: Any) -> bool | None:
    if value == "asked for":  # trtexec's own log says no more than that, either
        return True
    return value if isinstance(value, bool) else None


def _from_trtexec(log: str, path: Path, *, times: str | None) -> Entry:
    run = read_build_log(log)
    if run.passed is not True:
        how = "failed" if run.passed is False else "was cut off before it ended"
        raise InputError(
            f"The run of trtexec in the log for {path} {how}: its figures are no measurement.",
            next_command="trtexec --loadEngine=ENGINE 2>&1 | tee RUN.log",
        )
    summary = read_summary(log)
    transfers = _option("transfers", log)
    streams, warmup = _last(_STREAMS, log), _last(_WARMUP, log)
    queries: Sequence[QueryTime] = ()
    if times is not None:
        warmup_ms = float(warmup) if warmup else _WARMUP_MS
        queries = times_from_json(times, warmup_ms=warmup_ms)
        if not queries:
            raise InputError(
                f"{path} holds no query after the warm-up of {warmup_ms:g} ms.",
                next_command="trtexec --loadEngine=ENGINE --exportTimes=TIMES.json",
            )
    command = log.partition("\n")[0] + " "
    engine, batch = _ENGINE.search(command), _BATCH.search(log)
    settings = Settings(
        covers="H2D + GPU compute + D2H" if transfers is not False else "GPU compute",
        device=run.device or "unknown",
        runtime="TensorRT",
        batch=next((int(each) for each in batch.groups() if each), None) if batch else None,
        streams=int(streams) if streams else None,
        cuda_graph=_option("cuda_graph", log),
        spin_wait=_option("spin_wait", log),
        transfers=transfers,
    )
    latency = summary.rows["Latency"]
    return _entry(
        samples=tuple(query.latency_ms for query in queries),
        summary=tuple(
            latency.get(name) for name in ("median", "percentile(95%)", "percentile(99%)")
        ),
        engine=Path(engine[1]).name if engine else "unknown",
        digest="",
        precision="int8" if _INT8.search(command) else "fp16" if _FP16.search(command) else "",
        version=run.tensorrt,
        source=path.name,
        taken_at="",
        run="",
        block=0,
        settings=settings,
    )


def _option(name: str, log: str) -> bool | None:
    word = _last(_OPTIONS[name], log)
    return None if word is None else word == "enabled"


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return found[-1].lower() if found else None


def _entry(
    *,
    samples: Sequence[float],
    summary: Sequence[float | None] = (None, None, None),
    **known: Any,
) -> Entry:
    """Return the entry with the percentiles of its samples, or of the summary without samples."""
    p50, p95, p99 = [percentile(samples, q) for q in (50, 95, 99)] if samples else summary
    if p50 is None:
        raise InputError(
            f"{known['source']} states no median of the latency.",
            next_command="trtexec --loadEngine=ENGINE 2>&1 | tee RUN.log",
        )
    return Entry(samples_ms=tuple(map(float, samples)), p50_ms=p50, p95_ms=p95, p99_ms=p99, **known)
