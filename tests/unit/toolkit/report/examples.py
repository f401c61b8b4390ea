"""Reports to draw: one like a real one, and one whose every text is an attack."""

from __future__ import annotations

import io
import random
from dataclasses import replace

from PIL import Image

from toolkit.report.model import (
    BUILT_ONLY,
    MEASURED_HERE,
    CalibrationUsed,
    ConditionsOf,
    CorruptionCurve,
    CurvePoint,
    Flip,
    FlipSet,
    LiveRun,
    Percentiles,
    ReportInput,
    ReportRow,
    RobustnessOf,
    SourceFile,
)
from toolkit.robustness import CORRUPTIONS
from toolkit.statistics import percentile

__all__ = [
    "ATTACK",
    "built_only",
    "corrupted_pictures",
    "hostile_report",
    "measured",
    "ordinary_report",
    "with_energy",
]

ATTACK = "<script>fetch('https://evil.example/')</script>\"'><img src=x onerror=alert(1)>|`&amp;"


def samples_ms(middle: float, count: int, seed: int) -> tuple[float, ...]:
    rng = random.Random(seed)
    return tuple(
        middle * (1.0 + abs(rng.gauss(0.0, 0.04))) * (2.0 if rng.random() < 0.01 else 1.0)
        for _ in range(count)
    )


def measured(
    engine: str,
    *,
    precision: str = "fp32",
    middle_ms: float = 10.0,
    top1: float = 0.9,
    count: int = 1200,
    drop: float | None = None,
    interval: tuple[float, float] | None = None,
    target: str = "cpu-x86",
    run: str = "one",
    model: str = "",
    size: int = 14_000_000,
) -> ReportRow:
    samples = samples_ms(middle_ms, count, seed=len(engine))
    return ReportRow(
        target=target,
        precision=precision,
        engine=engine,
        top1=top1,
        top1_interval=(top1 - 0.02, top1 + 0.02),
        drop_points=drop,
        drop_interval=interval,
        p50_ms=percentile(samples, 50),
        p95_ms=percentile(samples, 95),
        p99_ms=percentile(samples, 99),
        latency_samples=samples,
        bytes=size,
        status=MEASURED_HERE,
        model=model,
        images=653,
        latency_run=run,
    )


def with_energy(row: ReportRow, *, mj: float) -> ReportRow:
    return replace(row, mj=mj, mj_interval=(0.9 * mj, 1.1 * mj), energy_of="module (VDD_IN)")


def built_only(engine: str, *, precision: str = "int8", target: str = "rtx-4090") -> ReportRow:
    return ReportRow(
        target=target, precision=precision, engine=engine, bytes=8_000_000, status=BUILT_ONLY
    )


def thumbnail() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (112, 112), (40, 120, 90)).save(picture, "JPEG")
    return picture.getvalue()


def corrupted_pictures(
    *,
    names: tuple[str, str] = ("net.fp32.cpu.onnx", "net.int8.cpu.onnx"),
    corruptions: tuple[str, ...] = tuple(CORRUPTIONS),
    precisions: tuple[str, str] = ("fp32", "int8"),
) -> RobustnessOf:
    points = tuple(
        CurvePoint(
            severity,
            (0.9 - 0.1 * severity, 0.89 - 0.12 * severity),
            ((0.85 - 0.1 * severity, 0.95 - 0.1 * severity), (0.2, None)),
            1.0 + 2.0 * severity,
            (0.5, None),
        )
        for severity in range(6)
    )
    curves = tuple(CorruptionCurve(name, points, 6.0, (4.0, 8.0)) for name in corruptions)
    return RobustnessOf(
        names, precisions, 653, (224, 224), curves, 6.0, (4.0, 8.0), 5.0, (3.0, 7.0)
    )


def ordinary_report() -> ReportInput:
    flips = tuple(
        Flip(f"val/n{k}/{k}.JPEG", "tench", "tench", "eel", k < 2, k == 2, thumbnail())
        for k in range(4)
    )
    times = Percentiles(4.0, 5.0, 6.0)
    return ReportInput(
        title="MobileNetV2 on two machines",
        rows=(
            with_energy(measured("net.fp32.cpu.onnx"), mj=41.25),
            measured(
                "net.int8.cpu.onnx",
                precision="int8",
                middle_ms=4.0,
                top1=0.895,
                drop=0.5,
                interval=(-0.4, 1.4),
                size=3_600_000,
            ),
            built_only("net.int8.rtx-4090.engine"),
        ),
        live=(
            LiveRun(
                engine="net.int8.cpu.onnx",
                camera="synthetic://640x480@30",
                policy="latest",
                frames=300,
                dropped=3,
                fps=29.9,
                capture_to_result_ms=Percentiles(8.0, 9.0, 12.0),
                stages_ms=(("preprocess", times), ("inference", times)),
                frame_age_ms=times,
                timestamp_origin="read",
                samples=300,
            ),
        ),
        conditions=(ConditionsOf(("all engines",), (("isa", "avx2"), ("threads", "2"))),),
        calibrations=(CalibrationUsed("net.calibration.json", "auto", 512, 0, "9f86d081884c7d65"),),
        flips=(FlipSet("fp32", "int8", 653, 12, 5, 3, flips, 0.7, 0.98),),
        robustness=(corrupted_pictures(),),
        commands=("edgekit measure net.fp32.cpu.onnx net.int8.cpu.onnx",),
        made_on="a machine",
        images="653 images in val",
        sources=(SourceFile("runs/net.latency.json", "ab" * 32),),
    )


def hostile_report() -> ReportInput:
    row = measured(f"{ATTACK}.onnx", precision="int8", target=ATTACK, model=ATTACK)
    other = measured(f"{ATTACK}{ATTACK}.onnx", precision=ATTACK, target=ATTACK, count=20)
    times = Percentiles(None, None, None)
    return ReportInput(
        title=ATTACK + "\u202e\x00\ud800",
        rows=(row, other, built_only("\udcff.engine", target=ATTACK)),
        live=(
            LiveRun(ATTACK, ATTACK, ATTACK, 0, 0, None, times, ((ATTACK, times),), times, ATTACK),
        ),
        conditions=(ConditionsOf((ATTACK, "b"), ((ATTACK, ATTACK),)),),
        calibrations=(
            CalibrationUsed(ATTACK, ATTACK, 1, 0, ATTACK, ATTACK, ATTACK, ATTACK, True, (ATTACK,)),
        ),
        flips=(
            FlipSet(
                ATTACK, ATTACK, 1, 1, 0, 0, (Flip(ATTACK, ATTACK, ATTACK, ATTACK, False, False),)
            ),
        ),
        robustness=(
            corrupted_pictures(
                names=(ATTACK, ATTACK), corruptions=(ATTACK,), precisions=(ATTACK, ATTACK)
            ),
        ),
        commands=(ATTACK, "```\nrm -rf /"),
        made_on=ATTACK,
        images=ATTACK,
        notes=(ATTACK,),
        sources=(SourceFile(ATTACK, ATTACK),),
    )
