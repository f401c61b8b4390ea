"""Latency records with kernel times, and engines that they time, written by hand."""

from __future__ import annotations

from pathlib import Path

from toolkit.artifacts import Manifest, OnnxModel, digest_of_file, write_manifest
from toolkit.kernel_time import KernelTime
from toolkit.latency import Latency

__all__ = ["engine_of", "timed"]


def timed(
    p50_ms: float,
    kernels: dict[str, float],
    *,
    engine: str = "e.engine",
    digest: str = "",
    precision: str = "int8",
    backend: str = "tensorrt",
    batch: int = 1,
) -> Latency:
    """A run of `p50_ms` with kernels of so many milliseconds."""
    total = sum(kernels.values()) or 1.0
    return Latency(
        engine=engine,
        digest=digest,
        backend=backend,
        precision=precision,
        threads=0,
        batch=batch,
        run="one",
        block=5,
        samples_ms=(p50_ms,) * 100,
        warmup_ms=(),
        switch_ms=(),
        cold_start_ms=1.0,
        bytes=1,
        conditions={"machine": "a board"},
        layers=tuple(KernelTime(n, "", "", ms, ms / total) for n, ms in kernels.items()),
    )


def engine_of(
    path: Path, model: OnnxModel, precision: str, *, target: str = "rtx-4090", **contract: str
) -> str:
    """Write a file with the manifest of an engine of `model`, and return its digest."""
    path.write_bytes(f"{precision} {target} {contract}".encode())
    made = model.contract.with_changes(precision=precision, parent=model.digest)
    write_manifest(
        path,
        Manifest(
            engine_digest=digest_of_file(path),
            onnx_digest="0" * 64,
            target=target,
            backend="tensorrt",
            precision=precision,
            contract=made.with_changes(**contract).to_dict(),
            built_with="tensorrt 10.3.0",
            built_on="a board",
            tool_version="0",
        ),
    )
    return digest_of_file(path)
