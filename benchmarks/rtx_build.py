"""What our build adds to TensorRT-RTX's own builder, and whether equal models give equal bytes.

    python -m benchmarks.rtx_build MODEL.onnx... --target rtx-4090

Three contenders in turns on the same graph: `toolkit.build.build` with everything it does (checks,
digests, the layer table, the manifest, both files synced), the bare builder in this process, and
the bare builder in a process of its own. The last one is there because TensorRT keeps the first
logger that a process gives it: in this process the bare builder's lines reach our Python logger.
About two minutes for MobileNetV2 in FP32 and INT8 on two cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt_rtx as trt

from benchmarks.conditions import RESULTS, write_results
from targets import get
from toolkit.artifacts import digest_of_file
from toolkit.build import build
from toolkit.onnx_model.file import open_model
from toolkit.statistics import percentile, ratio_of_medians
from toolkit.tensorrt_log import process_logger
from toolkit.turns import Plan, Timings, take_turns

__all__ = ["main"]


def build_bare(logger: Any, model: bytes, sms: tuple[int, ...], out: Path) -> int:
    """Build with nothing but what an engine needs; return its size in bytes."""
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise SystemExit(f"the parser refuses the model: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(sms)
    for index, sm in enumerate(sms):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)
    source = network.get_input(0)
    if source.shape[0] < 0:
        profile = builder.create_optimization_profile()
        profile.set_shape(source.name, *[(1, *source.shape[1:])] * 3)
        config.add_optimization_profile(profile)
    plan = bytes(builder.build_serialized_network(network, config))
    out.write_bytes(plan)
    return len(plan)


def serve(pipe: Connection, model: bytes, sms: tuple[int, ...], out: Path) -> None:
    """Build whenever the other side asks, with TensorRT's own logger."""
    logger = trt.Logger(trt.Logger.ERROR)
    while pipe.recv():
        pipe.send(build_bare(logger, model, sms, out))


def measured(model: Path, *, target: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Return the build times of one model, their ratios, and whether our bytes are equal."""
    names = target.split(",")
    sms = tuple(sorted({row.sm for row in map(get, names) if row.sm is not None}))
    content = model.read_bytes()
    ours_out, bare_out, alone_out = (folder / f"{name}.engine" for name in "abc")
    digests: set[str] = set()
    sizes: dict[str, int] = {}

    def ours() -> None:
        engine = build(model, target=target, out=ours_out)
        digests.add(engine.manifest.engine_digest)
        sizes["ours"] = engine.path.stat().st_size

    def bare() -> None:
        sizes["bare"] = build_bare(process_logger(trt), content, sms, bare_out)

    here, there = multiprocessing.get_context("spawn").Pipe()
    worker = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, content, sms, alone_out)
    )
    worker.start()

    def alone() -> None:
        here.send(True)
        here.recv()

    plan = Plan(rounds, block=1, switch=0)
    timings = take_turns([ours, bare, alone], plan=plan, warmup=1, seconds=600.0)
    here.send(False)
    worker.join()
    contract = open_model(model).contract
    return {
        "model": model.name,
        "onnx_digest": digest_of_file(model),
        "precision": contract.precision,
        "target": target,
        "rounds": rounds,
        "ours": _seconds(timings[0]),
        "bare_in_this_process": _seconds(timings[1]),
        "bare_in_its_own_process": _seconds(timings[2]),
        "ratio_in_one_process": _ratio(timings[1], timings[0]),
        "ratio_to_its_own_process": _ratio(timings[2], timings[0]),
        "bytes": sizes,
        "byte_identical": len(digests) == 1,
    }


def _seconds(timings: Timings) -> dict[str, Any]:
    return {"median_s": percentile(timings.samples, 50), "samples_s": list(timings.samples)}


def _ratio(bare: Timings, ours: Timings) -> dict[str, Any]:
    found = ratio_of_medians(*(np.asarray(each.samples).reshape(-1, 1) for each in (bare, ours)))
    return {"value": found.value, "interval": found.interval.to_list()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--target", default="rtx-4090")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--out", type=Path, default=RESULTS / "rtx-build.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rows = [
            measured(model, target=arguments.target, rounds=arguments.rounds, folder=Path(place))
            for model in arguments.models
        ]
    for row in rows:
        one, own = row["ratio_in_one_process"], row["ratio_to_its_own_process"]
        print(
            f"{row['model']} ({row['precision']}): {row['ours']['median_s']:.2f} s, "
            f"{one['value']:.2f} times the bare builder in one process, {own['value']:.2f} times "
            f"in its own; bytes {'equal' if row['byte_identical'] else 'differ'}"
        )
    write_results(arguments.out, {"builds": rows})


if __name__ == "__main__":
    main()
