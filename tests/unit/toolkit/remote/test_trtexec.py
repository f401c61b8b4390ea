from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.ssh_device import STAND_IN
from toolkit.errors import InputError
from toolkit.remote.trtexec import (
    kernels_from_layers,
    layers_from_profile,
    output_from_json,
    read_build_log,
    read_summary,
    times_from_json,
    version_from_banner,
)

VERSIONS = ("8.2.1", "8.5.2", "10.3.0", "11.1.0")


def trtexec(version: str, *arguments: str, mode: str = "fine") -> str:
    """Return the log of a run of the stand-in."""
    command = [sys.executable, str(STAND_IN), version, "0", mode, *arguments]
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return run.stdout


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("v8001", "8.0.1"),
        ("v8201", "8.2.1"),
        ("v8502", "8.5.2"),
        ("v8602", "8.6.2"),
        ("v100300", "10.3.0"),
        ("v101602", "10.16.2"),
        ("v110401", "11.4.1"),
    ],
)
def test_the_banner_names_the_version_in_both_encodings(banner: str, version: str) -> None:
    text = f"&&&& RUNNING TensorRT.trtexec [TensorRT {banner}] # trtexec --help\n"
    assert version_from_banner(text) == version


def test_a_log_without_a_banner_has_the_line_of_the_version() -> None:
    assert version_from_banner("[11/24/2026-12:00:00] [I] TensorRT version: 10.13.3\n") == "10.13.3"
    assert version_from_banner("bash: trtexec: command not found\n") is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_build_log_is_read_alike_in_every_version(version: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"graph")
    files = [f"--onnx={tmp_path / 'm.onnx'}", f"--saveEngine={tmp_path / 'm.engine'}"]
    log = read_build_log(trtexec(version, *files))
    assert (log.tensorrt, log.passed, log.device, log.build_s) == (version, True, "Orin", 0.0)
    assert log.warnings == ("onnx2trt_utils.cpp: a weight was cast down",)
    log = read_build_log(trtexec(version, *files, mode="refuse"))
    assert log.passed is False
    assert log.errors[0].startswith("10: Could not find any implementation for node conv2")
    log = read_build_log(trtexec(version, *files, "--nonsense=1"))
    assert log.errors == ("Unknown option: --nonsense 1",)


@pytest.mark.parametrize("version", VERSIONS)
def test_times_profile_and_summary_are_read_alike_in_every_version(
    version: str, tmp_path: Path
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"graph")
    engine, times, profile = (tmp_path / name for name in ("m.engine", "t.json", "p.json"))
    trtexec(version, f"--onnx={tmp_path / 'm.onnx'}", f"--saveEngine={engine}")
    text = trtexec(
        version,
        *(f"--loadEngine={engine}", f"--exportTimes={times}", f"--exportProfile={profile}"),
        *("--iterations=7", "--warmUp=100"),
    )
    queries = times_from_json(times.read_text(), warmup_ms=100)
    everything = times_from_json(times.read_text(), warmup_ms=0)
    assert len(queries) == 7
    assert (len(everything) > 7) == version.startswith("8")  # only 8 writes its warm-up
    for query in queries:
        parts = query.h2d_ms + query.compute_ms + query.d2h_ms
        assert query.latency_ms == pytest.approx(parts, abs=1e-4)
    summary = read_summary(text)
    middle = sorted(query.latency_ms for query in queries)[3]
    assert summary.rows["Latency"]["median"] == pytest.approx(middle, abs=1e-4)
    assert summary.throughput_qps > 0
    assert read_build_log(text).load_s == pytest.approx(0.013)
    assert [layer.name for layer in layers_from_profile(profile.read_text())] == ["conv1", "conv2"]


def test_layers_become_kernels_with_their_median_where_there_is_one() -> None:
    rows = '{"name": "a + b", "averageMs": 3.0, "medianMs": 2.0, "percentage": 75.0}'
    old = '{"name": "c", "averageMs": 6.0, "percentage": 25.0}'
    kernels = kernels_from_layers(layers_from_profile(f'[{{"count": 2}}, {rows}, {old}]'))
    assert [(each.name, each.median_ms, each.share) for each in kernels] == [
        ("a + b", 2.0, 0.25),
        ("c", 6.0, 0.75),
    ]


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"latencyMs": 1}]', '[{"name": "a"}]', "[1]"])
def test_what_is_no_file_of_trtexec_is_refused(text: str) -> None:
    if text != "{}":  # an empty list of queries is one
        with pytest.raises(InputError):
            times_from_json(text, warmup_ms=0)
    with pytest.raises(InputError):
        output_from_json(text)
    if text not in ("{}", '[{"latencyMs": 1}]'):
        with pytest.raises(InputError):
            layers_from_profile(text)
    with pytest.raises(InputError):
        read_summary(text)


def test_outputs_have_the_shape_they_say() -> None:
    text = '[ { "name" : "logits", "dimensions" : "1x3", "values" : [ 1, 2.5, -3e-05 ] } ]'
    assert output_from_json(text) == ((1, 3), [1.0, 2.5, -3e-05])
    with pytest.raises(InputError, match="3 values for 1x4"):
        output_from_json(text.replace("1x3", "1x4"))
