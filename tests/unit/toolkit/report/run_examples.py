"""Run files like those that the other commands write, made in a few lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from targets import Conditions, read_conditions
from toolkit.accuracy import Accuracy
from toolkit.artifacts import Manifest, digest_of_file, write_manifest
from toolkit.contract import Contract
from toolkit.latency import Latency
from toolkit.predictions import Prediction
from toolkit.preprocess import Preprocess

__all__ = ["HERE", "accuracy_of", "build_engine", "digest_of_text", "latency_of", "live_values"]

HERE: Conditions = read_conditions(root=Path("/nowhere"), run=lambda _: None)
LABELS = ("tench", "eel", "newt")


def digest_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def build_engine(
    folder: Path,
    name: str,
    *,
    precision: str = "fp32",
    target: str = "cpu-x86",
    onnx: str = "model.onnx",
    parent: str = "",
    calibration: str = "",
    source: str = "torchvision:net, weights net.pth",
) -> Path:
    """Write an engine of a few bytes with its manifest."""
    engine = folder / name
    engine.parent.mkdir(parents=True, exist_ok=True)
    engine.write_bytes(f"engine {name}".encode())
    contract = Contract(
        input_name="input",
        input_shape=(1, 3, 8, 8),
        preprocess=Preprocess(8, 8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        labels=LABELS,
        ids=LABELS,
        source=source,
        parent=parent,
        precision=precision,
        calibration=calibration,
    )
    is_cpu = target.startswith("cpu")
    manifest = Manifest(
        engine_digest=digest_of_file(engine),
        onnx_digest=digest_of_text(onnx),
        target=target,
        backend="onnxruntime" if is_cpu else "tensorrt_rtx",
        precision=precision,
        contract=contract.to_dict(),
        built_with="onnxruntime 1.32.0" if is_cpu else "tensorrt_rtx 1.7.1",
        built_on="a CPU" if is_cpu else "no GPU (ahead of time)",
        tool_version="0.1.0",
        sms=() if is_cpu else (89,),
        isa="avx2" if is_cpu else "",
    )
    write_manifest(engine, manifest)
    return engine


def latency_of(
    engine: Path, *, middle_ms: float = 10.0, run: str = "r1", backend: str = "onnxruntime"
) -> Latency:
    samples = tuple(middle_ms * (1.0 + (k % 7) / 100.0) for k in range(1000))
    conditions: dict[str, Any] = {**asdict(HERE), "before": asdict(HERE)}
    return Latency(
        engine=str(engine),
        digest=digest_of_file(engine),
        backend=backend,
        precision="int8" if "int8" in engine.name else "fp32",
        threads=2,
        batch=1,
        run=run,
        block=5,
        samples_ms=samples,
        warmup_ms=(20.0,) * 50,
        switch_ms=(11.0,) * 200,
        cold_start_ms=80.0,
        bytes=engine.stat().st_size,
        conditions=conditions,
    )


def accuracy_of(
    digest: str,
    predicted: Sequence[int],
    *,
    model: str = "net.onnx",
    precision: str = "fp32",
    images: str = "val",
    backend: str = "onnxruntime",
    picture_digests: Sequence[str] = (),
) -> Accuracy:
    """Return a score of images whose right class is always 0."""
    return Accuracy(
        model=model,
        digest=digest,
        backend=backend,
        precision=precision,
        images=images,
        batch_size=8,
        labels=LABELS,
        ids=LABELS,
        predictions=tuple(
            Prediction(
                image=picture_digests[k] if picture_digests else f"{k:016x}",
                path=f"tench/{k}.png",
                label=0,
                predicted=answer,
                confidence=0.9,
                rank=int(answer != 0),
                logits=f"{k:016x}",
            )
            for k, answer in enumerate(predicted)
        ),
    )


def pictures(root: Path, count: int) -> list[str]:
    """Write `count` different pictures of one class and return their digests."""
    folder = root / "tench"
    folder.mkdir(parents=True)
    digests = []
    for k in range(count):
        path = folder / f"{k}.png"
        Image.fromarray(np.full((20, 30, 3), 10 * k, np.uint8)).save(path)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    return digests


def live_values(engine: str) -> dict[str, Any]:
    times = {"p50": 4.0, "p95": 5.0, "p99": 6.0}
    return {
        "camera": "synthetic://640x480@30",
        "policy": "latest",
        "frames": 300,
        "dropped": 2,
        "fps": 29.9,
        "timestamp_origin": "exposure",
        "capture_to_result_ms": times,
        "frame_age_ms": times,
        "stages_ms": {"preprocess": times, "infer": times},
        "samples": 300,
        "conditions": {"engine": engine, "threads": 0, "before": asdict(HERE), "after": None},
    }


def write_json(path: Path, values: object) -> Path:
    path.write_text(json.dumps(values), encoding="utf-8")
    return path
