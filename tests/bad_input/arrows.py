"""Every command that writes files, with arguments that work on the good inputs."""

from __future__ import annotations

__all__ = ["ARROWS", "NEEDS"]

ARROWS: dict[str, tuple[str, ...]] = {
    "train": ("train", ".", "--arch", "lenet5", "--epochs", "1", "--out", "o/x.pt"),
    "export": ("export", "m.pt", "--out", "o/x.onnx"),
    "import": ("import", "model.onnx", "--out", "o/x.onnx"),
    "calibrate": ("calibrate", "model.onnx", "--images", "train", "--out", "o/x.int8.onnx"),
    "build for a cpu": ("build", "model.onnx", "--target", "cpu", "--out", "o/x.onnx"),
    "build for a gpu": ("build", "int8.onnx", "--target", "rtx-4090", "--out", "o/x.engine"),
    "live": (
        *("live", "model.onnx", "--camera", "synthetic://64x48", "--policy", "queue"),
        *("--frames", "2000", "--out", "o/x.live.json"),
    ),
    "measure": ("measure", "model.onnx", "--samples", "2000", "--out", "o/x.latency.json"),
    "score": ("score", "model.onnx", "--images", "train", "--out", "o/x.accuracy.json"),
    "compare": (
        *("compare", "model.onnx", "engine.onnx", "--images", "val"),
        *("--out", "o/x.comparison.json"),
    ),
    "report": ("report", "engine.accuracy.json", "engine.latency.json", "--out", "o/x.html"),
}

NEEDS = {"train": "torch", "export": "torch", "build for a gpu": "tensorrt_rtx"}
"""Packages beyond the core that an arrow needs."""
