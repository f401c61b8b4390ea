"""`edgekit demo`: the whole chain on generated road signs, with the functions that users call."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from targets import decide, detect, get, read_conditions
from toolkit.accuracy import write_accuracy
from toolkit.artifacts import Engine
from toolkit.atomic import check_writable, write_text
from toolkit.build import build
from toolkit.calibrate import Calibration, calibrate
from toolkit.camera import open_camera
from toolkit.compare import compare
from toolkit.comparison import write_comparison
from toolkit.datasets.signs import SIGNS, SignsData, make_signs, sign_frames
from toolkit.export import export
from toolkit.import_model import import_model
from toolkit.latency import write_latency
from toolkit.live import run_live
from toolkit.live.summary import LiveSummary
from toolkit.measure import measure
from toolkit.progress import ProgressCallback, silent
from toolkit.report import report
from toolkit.report.evidence import report_input_from_files
from toolkit.report.model import ReportRow
from toolkit.results import Result
from toolkit.runtime import open_session
from toolkit.score import score
from toolkit.train import train

__all__ = ["Demo", "demo"]

_GPU = "rtx-4090"
"""What GPU engines are built for where there is no GPU."""
_CALIBRATION_IMAGES = 256
_FRAMES = 150
_MEASURED = 300

Say = Callable[[str], None]


@dataclass(frozen=True)
class Demo:
    """What the demo made: the report, its rows and what to try next."""

    report: Path
    rows: tuple[ReportRow, ...]
    live_top1: float
    """Share of live answers that named the sign in the clip."""
    seconds: float
    next_steps: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON values that `edgekit demo --json` prints."""
        rows = [
            {
                "target": row.target,
                "precision": row.precision,
                "top1": row.top1,
                "p50_ms": row.p50_ms,
                "p99_ms": row.p99_ms,
                "bytes": row.bytes,
                "status": row.status,
            }
            for row in self.rows
        ]
        return {
            "report": str(self.report),
            "rows": rows,
            "live_top1": self.live_top1,
            "seconds": round(self.seconds, 1),
        }


@dataclass
class _Steps:
    """Says what each step does and, when it is done, how long it took."""

    say: Say
    started: float = field(default_factory=time.monotonic)
    number: int = 0

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        self.number += 1
        self.say(f"[{self.number}] {what}")
        started = time.monotonic()
        yield
        self.say(f"    done in {time.monotonic() - started:.1f} s")


def demo(
    out: Path, *, seed: int = 0, say: Say = lambda _: None, progress: ProgressCallback = silent
) -> Demo:
    """Make data, train, export, calibrate, build, run live, score, measure and report, in `out`.

    Needs no GPU: engines for one are then built ahead of time and not run; where there is one,
    they are built for it, scored and timed. `say` gets one line per step. Raises what the steps
    raise; a second run over the same folder replaces its files.
    """
    steps = _Steps(say)
    runs = out / "runs"
    here = detect()
    gpu = _GPU if here.is_cpu else here.id
    check_writable(out / "report.html")
    with steps.step(f"draw the data set: {len(SIGNS)} road signs in many scenes"):
        data = make_signs(out / "signs", seed=seed, progress=progress)
    fp32, fp16 = _trained(out, data, seed=seed, steps=steps, progress=progress)
    for_cpu, for_gpu = _calibrated(fp32, data, gpu, seed=seed, steps=steps, progress=progress)
    engines = _built(fp32, fp16, for_cpu, for_gpu, gpu, steps=steps, progress=progress)
    cpu_fp32, cpu_int8 = engines[0].path, engines[1].path
    gpu_engines = [] if here.is_cpu else [engine.path for engine in engines[2:]]
    with steps.step(f"run the live loop on a clip of {_FRAMES} frames with known signs, at 30 fps"):
        summary, live_top1 = _live(cpu_int8, out / "clip.avi", seed=seed, progress=progress)
        write_text(runs / "cpu.live.json", json.dumps(summary.to_dict(raw=True)) + "\n")
        say(f"    {summary.lines()[0]}; {live_top1:.1%} of the answers name the sign")
    with steps.step("score every form on the validation images, which calibration never saw"):
        for model in (cpu_fp32, cpu_int8, fp32, fp16, for_gpu.model.path, *gpu_engines):
            accuracy = score(model, images=data.val, progress=progress)
            write_accuracy(runs / f"{model.stem}.accuracy.json", accuracy)
            say(f"    {accuracy.line()}")
    with steps.step("compare INT8 with FP32 on the same images"):
        for name, a, b in (("cpu", cpu_fp32, cpu_int8), ("gpu", fp32, for_gpu.model.path)):
            comparison = compare(a, b, images=data.val, progress=progress)
            write_comparison(runs / f"{name}.comparison.json", comparison)
            say(f"    {comparison.line()}")
    with steps.step("measure the engines that run here, in turns"):
        latencies = measure(
            [cpu_fp32, cpu_int8, *gpu_engines], samples=_MEASURED, seed=seed, progress=progress
        )
        write_latency(runs / "cpu.latency.json", latencies)
        for latency in latencies:
            say(f"    {latency.line()}")
    with steps.step("write the report"):
        evidence = report_input_from_files([out, runs], title="Road signs: INT8 against FP32")
        written = report(evidence, out=out / "report.html")
    return Demo(
        report=written.html,
        rows=evidence.rows,
        live_top1=live_top1,
        seconds=time.monotonic() - steps.started,
        next_steps=_next_steps(out),
    )


def _trained(
    out: Path, data: SignsData, *, seed: int, steps: _Steps, progress: ProgressCallback
) -> tuple[Path, Path]:
    with steps.step("train a small CNN on the CPU"):
        checkpoint = train(data.root, out=out / "model.pt", seed=seed, progress=progress)
        steps.say(f"    top-1 {checkpoint.top1:.2%}")
    with steps.step("export to ONNX, FP32 and FP16, checked against PyTorch"):
        fp32 = export(checkpoint.path, out=out / "model.onnx", progress=progress)
        fp16 = import_model(
            str(fp32.model.path),
            out=out / "model.fp16.onnx",
            precision="fp16",
            progress=progress,
        )
        steps.say(f"    max |PyTorch - ONNX| {fp32.max_abs_diff:.2g}")
    return fp32.model.path, fp16.path


def _calibrated(
    fp32: Path, data: SignsData, gpu: str, *, seed: int, steps: _Steps, progress: ProgressCallback
) -> tuple[Calibration, Calibration]:
    """Return the INT8 models for this CPU and for the GPU: each runtime wants its own Q/DQ."""
    made = []
    for target, name in (("cpu", "model.cpu"), (gpu, "model.gpu")):
        with steps.step(f"calibrate for {target} on {_CALIBRATION_IMAGES} training images"):
            result = calibrate(
                fp32,
                images=data.train,
                out=fp32.with_name(f"{name}.int8.onnx"),
                target=target,
                samples=_CALIBRATION_IMAGES,
                seed=seed,
                progress=progress,
            )
            steps.say(
                f"    {result.quantized} layers in INT8, {result.float_layers} in float, "
                f"{result.int8_mac_share:.1%} of convolution MACs in INT8"
            )
            made.append(result)
    return made[0], made[1]


def _built(
    fp32: Path,
    fp16: Path,
    for_cpu: Calibration,
    for_gpu: Calibration,
    gpu: str,
    *,
    steps: _Steps,
    progress: ProgressCallback,
) -> tuple[Engine, ...]:
    engines = []
    with steps.step("build engines for this CPU"):
        for model in (fp32, for_cpu.model.path):
            engines.append(build(model, target="cpu", progress=progress))
        reason = decide(get("cpu"), precision="fp16").reasons[0]
        steps.say(f"    no fp16 engine for the CPU: {reason}")
    where = decide(get(gpu), precision="int8")
    with steps.step(f"build engines for {gpu} with {where.backend}, {where.where}"):
        for model in (fp32, fp16, for_gpu.model.path):
            engine = build(model, target=gpu, progress=progress)
            manifest = engine.manifest
            steps.say(
                f"    {engine.path.name}: {manifest.int8_convs} INT8 and "
                f"{manifest.float_convs} float convolutions, {manifest.kernels} kernels"
            )
            engines.append(engine)
    return tuple(engines)


class _Answers:
    """A sink that keeps the first guess of every frame."""

    lost = 0

    def __init__(self) -> None:
        self.labels: dict[int, str] = {}

    def put(self, result: Result) -> None:
        self.labels[result.index] = result.top[0].label


def _live(
    engine: Path, clip: Path, *, seed: int, progress: ProgressCallback
) -> tuple[LiveSummary, float]:
    from toolkit.camera.clip import write_clip  # loads OpenCV

    truth: list[str] = []

    def frames() -> Iterator[Any]:
        for frame, label in sign_frames(_FRAMES, seed=seed):
            truth.append(SIGNS[label])
            yield frame

    write_clip(frames(), clip)
    answers = _Answers()
    before = asdict(read_conditions())
    with (
        open_session(engine, spin=False) as session,
        open_camera(f"file://{clip}") as camera,
    ):
        conditions = {"engine": engine.name, "backend": session.backend, "before": before}
        summary = run_live(
            session, camera, sinks=(answers,), conditions=conditions, progress=progress
        )
    right = sum(truth[index] == label for index, label in answers.labels.items())
    return summary, right / len(answers.labels)


def _next_steps(out: Path) -> tuple[str, ...]:
    return (
        "Try your own model next:",
        "  edgekit import torchvision:mobilenet_v2 --out model.onnx",
        "  edgekit calibrate model.onnx --images TRAIN_IMAGES --target cpu",
        "  edgekit build model.int8.onnx --target cpu",
        "  edgekit compare model.onnx model.int8.cpu.onnx --images VALIDATION_IMAGES",
        f"or look again at {out / 'report.html'}",
    )
