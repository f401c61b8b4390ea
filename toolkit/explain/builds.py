"""Builds that fail or fall back: ranges, kernels, the DLA, and options that a version lacks."""

from __future__ import annotations

from toolkit.explain.rule import Rule

__all__ = ["RULES"]

_BUILD = "edgekit build MODEL.onnx --target NAME"

RULES = (
    Rule(
        "no-kernel",
        (r"Could not find any implementation for node (?P<node>\{?[^\s}]{1,200}\}?)",),
        "No kernel runs {node} in the types it asks for and within the builder's memory: often a "
        "quantized depthwise or transposed convolution, or a limit that is too low.",
        f"{_BUILD} --workspace-mib 4096",
        "NVIDIA/TensorRT issues 1917 and 4060, could not find any implementation",
    ),
    Rule(
        "tactic-memory",
        (r"Tactic Device request: (?P<asked>\d+) ?MB Available: (?P<free>\d+) ?MB",),
        "Kernels that want {asked} MB were left out because {free} MB were free: the engine may be "
        "slower, and when the build then fails, memory is the reason.",
        "free -h",
        "NVIDIA/TensorRT issue 3355, device memory is insufficient to use tactic",
        warning=True,
    ),
    Rule(
        "range-missing",
        (r"Missing scale and zero-point for tensor (?P<tensor>[^\s,]+)",),
        "The calibration cache has no range for {tensor}: layers around it run in float. The cache "
        "belongs to another graph, or names changed since.",
        "edgekit calibrate FLOAT.onnx --images DIR --target NAME",
        "NVIDIA/TensorRT issue 3131, missing scale and zero-point",
        warning=True,
    ),
    Rule(
        "no-ranges",
        (r"Calibration failure occurred with no scaling factors detected",),
        "INT8 was asked for and there is neither Q/DQ in the graph nor a calibration cache.",
        "edgekit calibrate FLOAT.onnx --images DIR --target NAME",
        "TensorRT documentation, error messages: calibration failure",
    ),
    Rule(
        "gpu-unknown-to-tensorrt",
        (r"Target GPU SM (?P<sm>\d+) is not supported by this TensorRT release",),
        "This TensorRT does not know SM {sm}: support for the GPU ended before it, or came later.",
        "edgekit targets",
        "TensorRT documentation, Support Matrix: hardware and precision",
    ),
    Rule(
        "trtexec-option",
        (r"\[E\] Unknown option: (?P<option>--\w+)",),
        "This trtexec has no {option}: --workspace became --memPoolSize in 8.4, and TensorRT 11 "
        "took away --int8, --fp16, --best and --calib, for precision lies in the graph there.",
        _BUILD,
        "TensorRT documentation, Migrating from 10.x to 11.x: trtexec",
    ),
    Rule(
        "api-removed",
        (
            r"AttributeError: .{0,90} has no attribute '(?P<name>num_bindings|\w*binding_\w+|"
            r"max_workspace_size|max_batch_size|build_engine|build_cuda_engine|execute_async|"
            r"execute_async_v2|FP16|INT8|platform_has_fast_\w+|IInt8\w+|int8_calibrator)'",
        ),
        "The program uses {name}, which this TensorRT no longer has: bindings became named tensors "
        "in 10, precision flags and calibrators went in 11.",
        _BUILD,
        "TensorRT documentation, Migrating from 8.x to 10.x and from 10.x to 11.x: Python API",
    ),
    Rule(
        "dla-takes-no-qdq",
        (r"cannot run in INT8 mode due to missing scale",),
        "The DLA before TensorRT 11 takes INT8 from a calibration cache, not from Q/DQ.",
        "edgekit targets NAME",
        "NVIDIA/TensorRT issue 2222, DLA and Q/DQ",
    ),
    Rule(
        "dla-falls-back",
        (
            r"Layer '(?P<layer>[^'\n]{1,160})' \(\w+\): Unsupported on DLA\. Switching",
            r"Default DLA is enabled but layer (?P<layer>.{1,160}?) is not \w+ on DLA, fall",
        ),
        "The DLA cannot take {layer} and perhaps others: they run on the GPU, with copies between.",
        f"{_BUILD} --precision fp16",
        "TensorRT documentation, Working with DLA: supported layers and restrictions",
        warning=True,
    ),
    Rule(
        "dla-runtime",
        (r"NVMEDIA_DLA ?: +\d+, ERROR", r"DLA Node compilation Failed"),
        "The DLA's own compiler or runtime refused: out of its memory, or a layer beyond its "
        "limits.",
        "edgekit targets NAME",
        "NVIDIA/Deep-Learning-Accelerator-SW documentation, known issues",
    ),
)
