from __future__ import annotations

import json
import math
from typing import Any

import pytest

from toolkit.live.samples import STAGES, FrameTimes, Samples
from toolkit.live.summary import LiveSummary, spread_of


def summary(n: int, origin: str = "driver", **changes: Any) -> LiveSummary:
    samples = Samples(n)
    for i in range(n):
        end = 0.004 + i / 1e6
        samples.add(FrameTimes(0.0, 0.001, 0.002, 0.002, 0.003, end))
    values: dict[str, Any] = {
        "camera": "synthetic://8x8",
        "policy": "latest",
        "ended": "frame limit",
        "frames": n,
        "dropped": 2,
        "damaged": 0,
        "clock_faults": 0,
        "warmup": 10,
        "smooth": 1,
        "min_confidence": 0.0,
        "uncertain": 0,
        "fps": 30.0,
        "timestamp_origin": origin,
        "capture_to_result_ms": spread_of(samples.capture_to_result_ms()),
        "frame_age_ms": spread_of(samples.frame_age_ms()),
        "stages_ms": {stage: spread_of(samples.stage_ms(stage)) for stage in STAGES},
        "cpu_cores_used": 0.5,
        "conditions": {"engine": "m.onnx"},
        "samples": samples,
    }
    return LiveSummary(**{**values, **changes})


def test_p99_of_less_than_a_thousand_frames_carries_a_question_mark() -> None:
    assert "p99 4.98 ms?" in summary(990).lines()[1]
    assert "p50 4.49 ms  p95" in summary(990).lines()[1]
    assert "?" not in "".join(summary(1000).lines())
    assert summary(990).to_dict()["untrusted_percentiles"] == ["p99"]


def test_ages_from_the_moment_of_reading_are_always_doubtful() -> None:
    lines = summary(1000, origin="read").lines()
    assert lines[1].count("?") == lines[2].count("?") == 3
    assert "?" not in lines[3]  # a stage that needs no camera timestamp


def test_the_json_object_has_the_keys_scripts_rely_on() -> None:
    values = summary(100).to_dict()
    assert {
        "frames",
        "dropped",
        "fps",
        "capture_to_result_ms",
        "frame_age_ms",
        "timestamp_origin",
        "stages_ms",
        "conditions",
    } <= values.keys()
    assert values["stages_ms"].keys() == set(STAGES)
    assert values["capture_to_result_ms"].keys() == {"p50", "p95", "p99"}
    assert json.loads(json.dumps(values)) == values


def test_raw_samples_are_given_when_asked_for() -> None:
    assert "samples_ms" not in summary(3).to_dict()
    assert len(summary(3).to_dict(raw=True)["samples_ms"]["infer"]) == 3


def test_jitter_is_p99_minus_p50() -> None:
    assert summary(1000).jitter_ms == pytest.approx(4.989 - 4.499)


def test_nothing_measured_is_null_in_json() -> None:
    empty = summary(1, fps=math.nan, capture_to_result_ms=spread_of([])).to_dict()
    assert empty["fps"] is None
    assert empty["capture_to_result_ms"]["p99"] is None
    assert empty["jitter_ms"] is None
