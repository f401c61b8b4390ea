"""Engines that do not load: built by another TensorRT, for another GPU, or no engine at all."""

from __future__ import annotations

from toolkit.explain.rule import Rule

__all__ = ["RULES"]

_REBUILD = "edgekit build MODEL.onnx --target NAME"

RULES = (
    Rule(
        "engine-of-another-tensorrt",
        (
            r"not compatible with this version of TensorRT, expecting library version "
            r"(?P<here>[\d.]+) got (?P<built>[\d.]+\d)",
            r"Version tag does not match\. Note: Current Version: (?P<here>\d+), "
            r"Serialized Engine Version: (?P<built>\d+)",
        ),
        "The engine was written by another TensorRT than the one that loads it (version {built}, "
        "here {here}), and engines do not move between versions.",
        _REBUILD,
        "NVIDIA/TensorRT issue 2195; TensorRT documentation, Version Compatibility",
    ),
    Rule(
        "engine-of-another-gpu",
        (
            r"generated on an incompatible device, expecting compute (?P<here>[\d.]+) "
            r"got compute (?P<built>[\d.]+\d)",
        ),
        "The engine was built for compute capability {built}, this GPU has {here}: engines do not "
        "move between GPU architectures.",
        _REBUILD,
        "NVIDIA/TensorRT issue 2176, engine plan file is generated on an incompatible device",
    ),
    Rule(
        "engine-of-another-platform",
        (r"Platform specific tag mismatch detected",),
        "The engine was built on another platform: between x86 and Jetson, or Windows and Linux, "
        "engines do not move.",
        _REBUILD,
        "NVIDIA/TensorRT issue 1810, building a Jetson engine on a PC",
    ),
    Rule(
        "not-an-engine",
        (r"magicTagRead == \w+ failed", r"Magic tag does not match"),
        "The file is no engine of this TensorRT: an ONNX model, a file cut off, a Git LFS pointer, "
        "an engine of TensorRT-RTX, or one with another program's header before it.",
        "edgekit inspect ENGINE",
        "TensorRT documentation, Troubleshooting: serialization assertions",
    ),
    Rule(
        "engine-did-not-load",
        (r"'NoneType' object has no attribute 'create_execution_context'",),
        "deserialize_cuda_engine gave None and the program went on: the engine did not load, "
        "and TensorRT said why in an [E] line before this one.",
        "edgekit inspect ENGINE",
        "NVIDIA/TensorRT issue 2041, deserialize_cuda_engine returns None",
    ),
    Rule(
        "engine-tuned-on-another-gpu",
        (r"Using an engine plan file across different models of devices is not recommended",),
        "The engine was tuned on another GPU of the same architecture: it answers alike, its "
        "latency is not what this GPU can do.",
        _REBUILD,
        "NVIDIA/TensorRT issue 2072, engine plan files across models of devices",
        warning=True,
    ),
)
