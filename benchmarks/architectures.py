"""Say of every torchvision classifier whether it exports, quantizes, lints clean and builds in RTX.

    python -m benchmarks.architectures [--only NAME...] [--again] [--minutes 15] [--memory-gib 12]

Weights are random (seed 0), calibration data are noise, the effort is fast: this is about graphs,
not about accuracy. Each network has a process of its own, with a time and a memory limit; the
smallest come first. What results/architectures.json holds already is not run again, so a stopped
run is taken up; `--again` and `--only` run it all the same. The table is docs/architectures.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.conditions import RESULTS, write_results
from toolkit.atomic import write_text
from toolkit.build import build
from toolkit.calibrate import calibrate
from toolkit.errors import EdgekitError
from toolkit.import_model import import_model
from toolkit.lint import lint
from toolkit.networks.torchvision_networks import names, weights_of

__all__ = ["main"]

TARGET = "rtx-4090"
OUT = RESULTS / "architectures.json"
TABLE = Path(__file__).parent.parent / "docs" / "architectures.md"
PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "tensorrt-rtx")

ABOUT = """# Which torchvision classifiers become INT8 engines

Written by `python -m benchmarks.architectures`. Every classifier of torchvision, with random
weights, is exported, quantized for {target} (effort fast, noise instead of images), linted and
built ahead of time with TensorRT-RTX. This is about graphs: it says nothing about accuracy or
speed. "INT8 share" is the part of the convolutions' multiply-accumulates that runs in INT8, not
counting depthwise convolutions, which stay in float for RTX, nor matrix products: a transformer
with one convolution has a share of 100% and most of its layers in float.

{versions}.

| network | million weights | INT8 layers | float layers | INT8 share | lint | RTX engine |
|---|---:|---:|---:|---:|---|---|
"""


def one(name: str, folder: Path) -> dict[str, Any]:
    """Return what becomes of one network, step by step until one fails."""
    row: dict[str, Any] = {"network": name, "million_weights": millions(name), "seconds": {}}

    def timed(step: str, work: Callable[[], Any]) -> Any:
        row["failed"], started = step, time.monotonic()
        result = work()
        row["seconds"][step] = round(time.monotonic() - started, 1)
        return result

    source, model, int8 = f"torchvision:{name}@random", folder / "m.onnx", folder / "m.int8.onnx"
    try:
        timed("export", lambda: import_model(source, out=model))
        made = timed(
            "quantize",
            lambda: calibrate(
                model,
                images=None,
                random_data=True,
                samples=4,
                method="minmax",
                effort="fast",
                target=TARGET,
                out=int8,
            ),
        )
        row |= {"int8": made.quantized, "float": made.float_layers, "share": made.int8_mac_share}
        report = timed("lint", lambda: lint(int8, target=TARGET))
        row |= {kind: report.count(kind) for kind in ("error", "warning")}
        if not report.passed:
            first = next(found for found in report.findings if found.severity == "error")
            row["reason"] = first.message
            return row
        engine = timed("build", lambda: build(int8, target=TARGET, out=folder / "m.engine"))
    except EdgekitError as error:
        row["reason"] = error.message.replace(f"{folder}/", "")
        return row
    row |= {"engine_bytes": engine.path.stat().st_size, "int8_convs": engine.manifest.int8_convs}
    del row["failed"]
    return row


def in_a_process(name: str, *, minutes: float, memory_gib: float) -> dict[str, Any]:
    """Return the row of a network, or the limit that ended it."""
    row = {"network": name, "million_weights": millions(name), "failed": "run"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.architectures", "--one", name]
        command += ["--memory-gib", str(memory_gib), "--folder", folder]
        try:
            ended = subprocess.run(
                command, timeout=60 * minutes, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            return row | {"reason": f"not done after {minutes:g} minutes"}
    if ended.returncode == 0:
        result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        return result
    lines = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
    limit = "MemoryError" in lines[-1] or "alloc" in lines[-1]
    within = f" (within {memory_gib:g} GiB)" if limit else ""
    return row | {"reason": f"{lines[-1][:200]}{within}"}


def millions(name: str) -> float:
    """Return how many million weights a network has, by torchvision's own account."""
    meta = next(iter(weights_of(name).values())).meta
    return round(int(meta["num_params"]) / 1e6, 1)


def table(rows: list[dict[str, Any]]) -> str:
    """Return docs/architectures.md; what failed is listed with its reason below the table."""
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    lines = [ABOUT.format(target=TARGET, versions=versions).rstrip("\n")]
    for row in rows:
        failed = row.get("failed")
        share = f"{row['share']:.0%}" if "share" in row else ""
        lint_words = f"{row['error']} errors, {row['warning']} warnings" if "error" in row else ""
        engine = f"fails: {failed}" if failed else f"{row['engine_bytes'] / 2**20:.0f} MiB"
        cells = [row["network"], row["million_weights"], row.get("int8", ""), row.get("float", "")]
        lines.append("| " + " | ".join(map(str, [*cells, share, lint_words, engine])) + " |")
    bad = [row for row in rows if "failed" in row]
    missing = len(names()) - len(rows)
    lines += ["", f"{len(rows) - len(bad)} of {len(names())} build" + "." * (not missing)]
    if missing:
        lines[-1] += f"; {missing} were not run yet."
    lines += [""] * bool(bad)
    lines += [f"- {row['network']}, {row['failed']}: {first_of(row['reason'])}" for row in bad]
    return "\n".join(lines) + "\n"


def first_of(reason: str) -> str:
    """Return a reason with the first of the nodes that it lists, and how many there are."""
    first, *others = reason.split("; node ")
    return f"{first.rstrip('.')}; {len(others)} more nodes alike." if others else reason


def run(wanted: list[str], *, again: bool, minutes: float, memory_gib: float) -> None:
    """Run the networks, keeping file and table up to date after each."""
    known = json.loads(OUT.read_text(encoding="utf-8"))["networks"] if OUT.exists() else []
    rows = {row["network"]: row for row in known}
    for name in sorted(wanted, key=millions):
        if name in rows and not again:
            continue
        row = rows[name] = in_a_process(name, minutes=minutes, memory_gib=memory_gib)
        print(name, row.get("reason", "builds"), flush=True)
        ordered = sorted(rows.values(), key=lambda row: (row["million_weights"], row["network"]))
        versions = {package: version(package) for package in PACKAGES}
        write_results(OUT, {"target": TARGET, "versions": versions, "networks": ordered})
        write_text(TABLE, table(ordered))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], choices=names(), metavar="NAME")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--memory-gib", type=float, default=12.0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        limit = int(chosen.memory_gib * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        print(json.dumps(one(chosen.one, chosen.folder)))
        return
    run(
        chosen.only or list(names()),
        again=chosen.again or bool(chosen.only),
        minutes=chosen.minutes,
        memory_gib=chosen.memory_gib,
    )


if __name__ == "__main__":
    main()
