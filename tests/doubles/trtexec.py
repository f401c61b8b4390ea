"""A stand-in for trtexec of TensorRT 8.2.1, 8.5.2, 10.3.0 or 11.1.0: its options, log and files.

It follows the formats of samples/trtexec and samples/common of NVIDIA/TensorRT at those releases.
Its "engine" is a header and the ONNX file, which ONNX Runtime runs for golden inputs: evidence
for the code around it, never for TensorRT.

Run as: trtexec.py VERSION SECONDS MODE OPTIONS...; MODE is "fine", "refuse", "wrong", "full" or
"killed".
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

HEADER = b"ptrt stand-in\n" + bytes(8 << 20)  # large enough to be cut off in the middle
_ALWAYS = (
    *("--onnx=<file>", "--minShapes=spec", "--profilingVerbosity=mode", "--saveEngine=<file>"),
    *("--loadEngine=<file>", "--useDLACore=N", "--allowGPUFallback", "--loadInputs=spec"),
    *("--iterations=N", "--warmUp=N", "--duration=N", "--useSpinWait", "--useCudaGraph"),
    *("--exportTimes=<file>", "--exportOutput=<file>", "--exportProfile=<file>"),
    *("--exportLayerInfo=<file>", "--noDataTransfers", "--shapes=spec", "--separateProfileRun"),
    *("--optShapes=spec", "--maxShapes=spec", "--help"),
)
_FLAGS = ("--fp16", "--int8", "--calib=<file>")
OPTIONS = {
    "8.2.1": (*_ALWAYS, *_FLAGS, "--workspace=N", "--buildOnly"),
    "8.5.2": (*_ALWAYS, *_FLAGS, "--workspace=N", "--memPoolSize=poolspec", "--buildOnly"),
    "10.3.0": (*_ALWAYS, *_FLAGS, "--memPoolSize=poolspec", "--stronglyTyped", "--skipInference"),
    "11.1.0": (
        *(*_ALWAYS, "--memPoolSize=poolspec", "--stronglyTyped", "--skipInference"),
        *("--includeDataTransfers", "--noCudaGraph", "--noSpinWait"),
    ),
}
_STAMP = "[11/24/2026-12:00:00]"


def main(version: str, seconds: float, mode: str, arguments: list[str]) -> int:
    major, minor, patch = map(int, version.split("."))
    number = major * (10000 if major >= 10 else 1000) + minor * 100 + patch
    build = " [b61]" if major >= 11 else ""
    name = f"TensorRT.trtexec [TensorRT v{number}]{build} # trtexec {' '.join(arguments)}"
    print(f"&&&& RUNNING {name}", flush=True)
    given = dict(argument.partition("=")[::2] for argument in arguments)
    if "--help" in given:
        _help(version)
        return 0
    code = _work(version, seconds, mode, given)
    print(f"&&&& {'FAILED' if code else 'PASSED'} {name}", flush=True)
    return code


def _help(version: str) -> None:
    print("=== Model Options ===")
    for option in OPTIONS[version]:
        print(f"  {option:<27} What it does (default = disabled)")


def _work(version: str, seconds: float, mode: str, given: dict[str, str]) -> int:
    known = {option.partition("=")[0] for option in OPTIONS[version]}
    unknown = [option for option in given if option not in known]
    if unknown:
        _help(version)
        for option in unknown:
            _error(f"Unknown option: {option} {given[option]}")
        return 1
    _say("=== Device Information ===")
    _say("Selected Device: Orin")
    _say("Compute Capability: 8.7")
    _say("")
    _say(f"TensorRT version: {version}")
    return (
        _build(version, seconds, mode, given) if "--onnx" in given else _run(version, mode, given)
    )


def _build(version: str, seconds: float, mode: str, given: dict[str, str]) -> int:
    dot = "." if version.startswith(("10", "11")) else ""
    _say(f"Start parsing network model{dot}")
    _say("[TRT] ----------------------------------------------------------------")
    model = Path(given["--onnx"]).read_bytes()
    end = "ed parsing network model. Parse time: 0.0123" if dot else " parsing network model"
    _say(f"Finish{end}")
    _warn("[TRT] onnx2trt_utils.cpp: a weight was cast down")
    for step in range(10):
        time.sleep(seconds / 10)
        _say(f"[TRT] Tactic group {step} timed")
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "refuse":
        _error("[TRT] 10: Could not find any implementation for node conv2.")
        _error("Engine could not be created from network")
        _error("Building engine failed")
        _error("Failed to create engine from model or file.")
        _error("Engine set up failed")
        return 1
    if mode == "full":
        _error("Cannot write engine: No space left on device")
        return 1
    _say(f"Engine built in {seconds:.5g} sec.")
    if dot:
        _say(f"Created engine with size: {len(model) / 2**20:.6g} MiB")
    Path(given["--saveEngine"]).write_bytes(HEADER + model)
    if "--exportLayerInfo" in given:
        int8 = "Int8" if "--int8" in given or b"DequantizeLinear" in model else "Float"
        layers = [_layer(name, int8) for name in ("conv1", "conv2")]
        info = {"Layers": layers, "Bindings": ["image", "logits"]}
        Path(given["--exportLayerInfo"]).write_text(json.dumps(info))
    if "--skipInference" in given or "--buildOnly" in given:
        option = "skipInference" if "--skipInference" in given else "buildOnly"
        _say(f"Skipped inference phase since --{option} is added.")
    return 0


def _layer(name: str, kind: str) -> dict[str, object]:
    tensor = {"Name": name, "Dimensions": [1, 16, 16, 16], "Format/Datatype": f"{kind} NC/32HW32"}
    return {
        "Name": name,
        "LayerType": "CaskConvolution",
        "Inputs": [tensor],
        "Outputs": [tensor],
        "ParameterType": "Convolution",
        "Weights": {"Type": kind, "Count": 432},
        "TacticName": "sm80_xmma_fprop",
    }


def _run(version: str, mode: str, given: dict[str, str]) -> int:
    engine = Path(given["--loadEngine"]).read_bytes()
    if not engine.startswith(HEADER):
        _error("[TRT] 1: [stdArchiveReader.cpp] Serialization assertion magicTagRead failed.")
        _error("Engine deserialization failed")
        return 1
    _say("Engine loaded in 0.0025 sec.")
    _say(f"Loaded engine with size: {len(engine) / 2**20:.6g} MiB")
    _say("Engine deserialized in 0.0105 sec.")
    if "--loadInputs" in given:
        _answer(engine[len(HEADER) :], mode, given)
    _say("Starting inference")
    _time(version, given)
    if "--exportProfile" in given:
        _profile(version, Path(given["--exportProfile"]))
    return 0


def _answer(model: bytes, mode: str, given: dict[str, str]) -> None:
    import numpy as np
    import onnxruntime

    name, _, file = given["--loadInputs"].partition(":")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    shape = [size if isinstance(size, int) else -1 for size in session.get_inputs()[0].shape]
    kind = np.float16 if "float16" in session.get_inputs()[0].type else np.float32
    (logits,) = session.run(None, {name: np.fromfile(file, kind).reshape(shape)})
    if mode == "wrong":
        logits = logits[:, ::-1]
    dimensions = "x".join(map(str, logits.shape))
    values = ", ".join(f"{value:g}" for value in logits.ravel())
    Path(given["--exportOutput"]).write_text(
        f'[\n  {{ "name" : "logits"\n  , "dimensions" : "{dimensions}"\n'
        f'  , "values" : [ {values} ]\n  }}\n]\n'
    )


def _time(version: str, given: dict[str, str]) -> None:
    generator = random.Random(len(given))
    warmup_ms = float(given.get("--warmUp", 200))
    with_transfers = not version.startswith("11") or "--includeDataTransfers" in given
    copies = 0.05 if with_transfers else 0.0
    queries, start = [], 0.0
    counted = 0
    while counted < int(given.get("--iterations", 10)):
        compute = 1.0 + 0.1 * generator.random()
        queries.append((start, copies, compute))
        counted += start + copies >= warmup_ms
        start += compute + 2 * copies + (40.0 if start < warmup_ms else 0.0)
    kept = [query for query in queries if query[0] + query[1] >= warmup_ms]
    latency = sorted(compute + 2 * copy for _, copy, compute in kept)
    middle = latency[len(latency) // 2]
    _say(f"Warmup completed {len(queries) - len(kept)} queries over {warmup_ms:g} ms")
    _say(f"Timing trace has {len(kept)} queries over {start / 1000:g} s")
    _say("=== Performance summary ===")
    _say(f"Throughput: {1000 / middle:g} qps")
    figures = f"min = {latency[0]:g} ms, max = {latency[-1]:g} ms, mean = {middle:g} ms, "
    many = (
        "" if version.startswith("8.2") else "percentile(90%) = 1.2 ms, percentile(95%) = 1.2 ms, "
    )
    figures += f"median = {middle:g} ms, {many}percentile(99%) = {latency[-1]:g} ms"
    for row in ("Latency", "Enqueue Time", "H2D Latency", "GPU Compute Time", "D2H Latency"):
        _say(f"{row}: {figures}")
    if version.startswith("8.2"):
        _say(f"End-to-End Host Latency: {figures}")
    if "--exportTimes" in given:
        # TensorRT 8 writes the warm-up, too.
        written = queries if version.startswith("8") else kept
        rows = [_trace(*query, old=version.startswith("8.2")) for query in written]
        Path(given["--exportTimes"]).write_text("[\n  " + "\n, ".join(rows) + "\n]\n")


def _trace(start: float, copy: float, compute: float, *, old: bool) -> str:
    marks = [start, start + copy, start + copy + compute, start + 2 * copy + compute]
    values = {
        "startEnqMs": start,
        "endEnqMs": start + 0.2,
        "startH2dMs": marks[0],
        "endH2dMs": marks[1],
        "startComputeMs": marks[1],
        "endComputeMs": marks[2],
        "startD2hMs": marks[2],
        "endD2hMs": marks[3],
        "h2dMs": copy,
        "computeMs": compute,
        "d2hMs": copy,
        "latencyMs": compute + 2 * copy,
        **({"endToEndMs": marks[3] - marks[0]} if old else {}),
    }
    return "{ " + ", ".join(f'"{name}" : {value:g}' for name, value in values.items()) + " }"


def _profile(version: str, path: Path) -> None:
    median = "" if version.startswith("8.2") else ', "medianMs" : 0.4'
    rows = [
        f', {{ "name" : "{name}", "timeMs" : {10 * ms:g}, "averageMs" : {ms:g}{median}'
        f', "percentage" : {100 * ms:g} }}'
        for name, ms in (("conv1", 0.4), ("conv2", 0.6))
    ]
    path.write_text("\n".join(["[", '  { "count" : 10 }', *rows, "]", ""]))


def _say(text: str) -> None:
    print(f"{_STAMP} [I] {text}", flush=True)


def _warn(text: str) -> None:
    print(f"{_STAMP} [W] {text}", file=sys.stderr, flush=True)


def _error(text: str) -> None:
    print(f"{_STAMP} [E] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4:]))
