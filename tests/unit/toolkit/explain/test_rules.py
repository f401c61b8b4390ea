"""Every rule against a log in the real format, one file of `logs/` a rule."""

from __future__ import annotations

import re
import string
import time
from pathlib import Path

import pytest

from toolkit.explain import RULES, Rule, explain_text

LOGS = {
    path.stem: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("logs/*")
}
BY_NAME = {rule.name: rule for rule in RULES}


def test_every_rule_has_one_name_and_one_log() -> None:
    assert len(BY_NAME) == len(RULES)
    assert set(LOGS) == set(BY_NAME)


@pytest.mark.parametrize("name", sorted(LOGS))
def test_a_log_is_explained_by_its_own_rule_and_by_no_other(name: str) -> None:
    assert [each.rule for each in explain_text(LOGS[name])] == [name]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_cause_command_and_reference(rule: Rule) -> None:
    (found,) = explain_text(LOGS[rule.name])
    assert found.cause.endswith(".")
    assert found.fix
    assert "\n" not in found.fix
    assert len(found.reference.split()) >= 3
    assert found.text.removesuffix(" ...") in LOGS[rule.name]
    for text in (found.cause, found.fix):
        assert not re.search(r"[{}](?!\.)", text.replace("{ForeignNode", "")), text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_a_cause_quotes_is_in_every_pattern_of_its_rule(rule: Rule) -> None:
    quoted = {
        field
        for text in (rule.cause, rule.fix)
        for _, field, _, _ in string.Formatter().parse(text)
        if field
    }
    for pattern in rule.patterns:
        assert quoted <= set(re.compile(pattern).groupindex), pattern


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("engine-of-another-tensorrt", "verifyHeader: 0 (Version tag does not match. Note: Current "
         "Version: 232, Serialized Engine Version: 213)"),
        ("operator-unknown", "Error Code 4: API Usage Error (Cannot find plugin: ROIAlignX, "
         "version: 1, namespace:.)"),
        ("zero-point", "node 'image_Q' (QuantizeLinear): Non-zero zero point is not supported."),
        ("precision-flag", "Error Code 4: API Usage Error (fp16 precision has been set for at "
         "least one layer or layer output, but fp16 is not configured in the builder.)"),
        ("shape-outside-profile", "Static dimension mismatch while setting input shape for image."),
        ("address-missing", "Neither address or allocator is set for output tensor logits. Call"),
        ("dla-falls-back", "Default DLA is enabled but layer route_3 is not supported on DLA, "
         "falling back to GPU."),
        ("no-gpu", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
        ("gpu-memory", "pycuda._driver.MemoryError: cuMemHostAlloc failed: out of memory"),
        ("gpu-memory", "[TRT] [E] 1: [allocate::78] Error Code 1: Cuda Runtime (out of memory)"),
        ("gpu-permission", "NvRmMemInitNvmap failed: error Permission denied"),
        ("killed", "Killed"),
        ("killed", "command failed with exit code 137"),
        ("killed-by-kernel", "Out of memory: Kill process 2700 (DeviceMemory) score 1 or "
         "sacrifice child"),
        ("camera-busy", "VIDIOC_S_FMT: failed: Device or resource busy"),
        ("gstreamer-formats", "could not link nvvconv0 to nvegltransform0"),
        ("network-camera-away", "Connection to tcp://10.0.0.7:554?timeout=0 failed: Connection "
         "refused"),
    ],
)  # fmt: skip
def test_other_wordings_of_the_same_failure_are_known(name: str, line: str) -> None:
    assert [each.rule for each in explain_text(line)] == [name]


def test_values_of_the_log_are_in_the_cause() -> None:
    (found,) = explain_text(LOGS["engine-of-another-gpu"])
    assert "compute capability 7.5, this GPU has 8.6" in found.cause
    (found,) = explain_text(LOGS["killed-by-kernel"])
    assert "killed trtexec" in found.cause
    (found,) = explain_text(LOGS["gstreamer-element"])
    assert found.fix == "gst-inspect-1.0 nvarguscamerasrc"


def test_failures_come_in_their_order_and_warnings_last() -> None:
    text = LOGS["tactic-memory"] + LOGS["no-kernel"] + LOGS["gpu-memory"]
    found = explain_text(text)
    assert [each.rule for each in found] == ["no-kernel", "gpu-memory", "tactic-memory"]
    assert [each.warning for each in found] == [False, False, True]
    assert [each.times for each in found] == [1, 2, 2]


def test_a_run_that_went_well_is_not_explained() -> None:
    assert not explain_text(
        "&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec --onnx=m.onnx --int8\n"
        "[I] [TRT] [MemUsageChange] Init CUDA: CPU +2, GPU +0, now: CPU 31, GPU 3520 (MiB)\n"
        "[I] [TRT] No importer registered for op: EfficientNMS_TRT. Attempting to import as "
        "plugin.\n"
        "[I] Engine built in 94.5 sec.\n[I] Throughput: 812.3 qps\n"
        "&&&& PASSED TensorRT.trtexec [TensorRT v100300] # trtexec --onnx=m.onnx --int8\n"
    )


def test_lines_that_nearly_match_again_and_again_take_no_time_to_speak_of() -> None:
    beginnings = (
        "Layer 'x",
        "VIDIOC_",
        "cu",
        "lib",
        "libcuda",
        "pattern, got: src ",
        "/dev/video0 ",
    )
    hostile = "".join(each * (2000 // len(each)) + "\n" for each in beginnings) * 12
    start = time.perf_counter()
    assert not explain_text(hostile)
    assert time.perf_counter() - start < 10.0


def test_the_names_of_a_build_replace_those_that_stand_for_them() -> None:
    (found,) = explain_text(LOGS["no-profile"])
    fix = found.fix_for(model="'my model.onnx'", target="jetson-agx-orin-64gb")
    assert fix == "edgekit build 'my model.onnx' --target jetson-agx-orin-64gb --batch 1:4:8"
