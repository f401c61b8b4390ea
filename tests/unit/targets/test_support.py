from __future__ import annotations

import pytest

from targets import Decision, TargetError, decide, get
from targets.decision import ANYWHERE, ON_THE_DEVICE, OVER_SSH
from targets.generations import jetpack_from_l4t


def decided(name: str, precision: str = "int8", **options: str | bool) -> Decision:
    return decide(get(name), precision=precision, **options)  # type: ignore[arg-type]  # test rows


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("cpu-x86", "onnxruntime-x86"),
        ("cpu-x86-vnni", "onnxruntime-x86-vnni"),
        ("cpu-arm64", "onnxruntime-arm64"),
    ],
)
def test_a_cpu_gets_onnx_runtime_and_its_own_scheme(name: str, scheme: str) -> None:
    decision = decided(name)
    assert (decision.backend, decision.scheme, decision.where) == ("onnxruntime", scheme, ANYWHERE)
    assert decision.form == "qdq-onnxruntime"


@pytest.mark.parametrize(
    "name", ["rtx-3060", "rtx-4090", "rtx-5090", "a100", "a30", "a2", "a10", "l4", "l40s", "gb10"]
)
def test_gpus_that_rtx_knows_are_built_ahead_of_time(name: str) -> None:
    decision = decided(name)
    assert (decision.backend, decision.where) == ("tensorrt_rtx", ANYWHERE)
    assert (decision.scheme, decision.form) == ("tensorrt-rtx", "qdq-strongly-typed")
    assert decision.strongly_typed and not decision.builder_flags
    assert decision.recentring.startswith("kernels unchanged")


def test_a_named_tensorrt_version_means_tensorrt_and_not_rtx() -> None:
    decision = decided("rtx-4090", tensorrt="10.3")
    assert (decision.backend, decision.tensorrt, decision.where) == (
        "tensorrt",
        "10.3.0",
        ON_THE_DEVICE,
    )
    assert decision.form == "qdq-flags" and decision.builder_flags == ("INT8", "FP16")


@pytest.mark.parametrize(
    ("tensorrt", "form", "scheme", "opset"),
    [
        ("8.2", "qdq-flags", "tensorrt-8", 13),
        ("8.4", "qdq-flags", "tensorrt-8", 17),
        ("8.5", "qdq-flags", "tensorrt-8", 17),
        ("8.6.1", "qdq-flags", "tensorrt-8", 17),
        ("10.3", "qdq-flags", "tensorrt", 20),
        ("10.11", "qdq-flags", "tensorrt", 20),
        ("10.12", "qdq-strongly-typed", "tensorrt", 20),
        ("10.16", "qdq-strongly-typed", "tensorrt", 20),
        ("11", "qdq-strongly-typed", "tensorrt", 20),
    ],
)
def test_the_form_follows_the_tensorrt_generation(
    tensorrt: str, form: str, scheme: str, opset: int
) -> None:
    decision = decided("rtx-3090", tensorrt=tensorrt)
    assert (decision.form, decision.scheme, decision.opset) == (form, scheme, opset)
    assert not decision.untried


@pytest.mark.parametrize(
    ("name", "jetpack", "tensorrt", "backend", "where", "form"),
    [
        ("jetson-xavier-nx-8gb", "4.6", "8.0.1", "trtexec", OVER_SSH, "qdq-flags"),
        ("jetson-xavier-nx-8gb", "4.6.4", "8.2.1", "trtexec", OVER_SSH, "qdq-flags"),
        ("jetson-agx-orin-32gb", "5.0.2", "8.4.1", "trtexec", OVER_SSH, "qdq-flags"),
        ("jetson-orin-nano-8gb", "5.1.3", "8.5.2", "trtexec", OVER_SSH, "qdq-flags"),
        ("jetson-orin-nano-8gb", "6.0", "8.6.2", "tensorrt", ON_THE_DEVICE, "qdq-flags"),
        ("jetson-orin-nano-8gb", "6.2.1", "10.3.0", "tensorrt", ON_THE_DEVICE, "qdq-flags"),
        ("jetson-t5000", "7.1", "10.13.3", "tensorrt", ON_THE_DEVICE, "qdq-strongly-typed"),
        ("jetson-orin-nx-16gb", "7.2", "10.16.2", "tensorrt", ON_THE_DEVICE, "qdq-strongly-typed"),
    ],
)
def test_a_jetson_gets_what_its_jetpack_ships(
    name: str, jetpack: str, tensorrt: str, backend: str, where: str, form: str
) -> None:
    decision = decided(name, jetpack=jetpack)
    assert (decision.tensorrt, decision.backend, decision.where) == (tensorrt, backend, where)
    assert decision.form == form and decision.jetpack == jetpack
    assert decision.runs_edgekit == (backend == "tensorrt")


@pytest.mark.parametrize(
    ("name", "jetpack"),
    [("jetson-nano", "4.6.1"), ("agx-xavier-32gb", "5.1"), ("orin-nx-8gb", "7.2")],
)
def test_without_a_jetpack_the_newest_one_is_assumed_and_said(name: str, jetpack: str) -> None:
    decision = decided(name, "fp16")
    assert decision.jetpack == jetpack
    assert f"JetPack was not given: {jetpack} is assumed" in decision.reasons


def test_a_tensorrt_version_finds_the_jetpack_that_ships_it() -> None:
    assert decided("orin-nx-8gb", tensorrt="10.3").jetpack == "6.1"
    assert decided("orin-nx-8gb", tensorrt="8.6").jetpack == "6.0"
    assert decided("agx-orin-64gb", tensorrt="11.4.1").jetpack == "7.2.2"


@pytest.mark.parametrize("name", ["jetson-nano", "jetson-tx1", "jetson-tx2"])
def test_int8_is_refused_where_the_gpu_has_none(name: str) -> None:
    with pytest.raises(TargetError, match="has no INT8 in TensorRT") as caught:
        decided(name)
    assert caught.value.next_command.endswith(" --host USER@BOARD")
    assert "--precision" not in caught.value.next_command  # which does not go with --host
    assert decided(name, "fp16").form == "fp16-flag"


@pytest.mark.parametrize("name", ["orin-nano-8gb", "jetson-t5000", "jetson-t4000", "rtx-4090"])
def test_dla_is_refused_where_there_is_none(name: str) -> None:
    with pytest.raises(TargetError, match="has no DLA"):
        decided(name, dla=True)


def test_dla_takes_int8_from_a_cache_before_tensorrt_11() -> None:
    decision = decided("agx-orin-64gb", jetpack="6.1", dla=True)
    assert decision.form == "calibration-cache" and decision.builder_flags == ("INT8", "FP16")
    assert decision.dla and not decision.strongly_typed and not decision.untried


def test_dla_on_jetpack_7_is_answered_and_marked_untried() -> None:
    decision = decided("agx-orin-64gb", jetpack="7.2", dla=True)
    assert decision.untried and any("probe it" in reason for reason in decision.reasons)


def test_dla_on_tensorrt_11_takes_the_graph() -> None:
    fp16 = decided("agx-orin-64gb", "fp16", tensorrt="11.4.1", dla=True)
    assert (fp16.form, fp16.untried) == ("fp16-strongly-typed", False)
    int8 = decided("agx-orin-64gb", tensorrt="11.4.1", dla=True)
    assert (int8.form, int8.untried) == ("qdq-strongly-typed", True)


def test_dla_in_fp32_is_refused() -> None:
    with pytest.raises(TargetError, match="computes in FP16 and INT8, not in FP32") as caught:
        decided("orin-nx-16gb", "fp32", dla=True)
    assert caught.value.next_command.startswith("edgekit import SOURCE --precision fp16 --target")


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("orin-nano-8gb", {"tensorrt": "11.4.1"}, "AGX Orin and Thor only"),
        ("agx-orin-64gb", {"tensorrt": "11.2"}, "the first TensorRT 11 for Jetson is 11.4.1"),
        ("agx-orin-64gb", {"jetpack": "6.2", "tensorrt": "11.4.1"}, "needs JetPack 7.2.2"),
        ("agx-orin-64gb", {"jetpack": "7.0"}, "JetPack 7.0 does not run on Jetson AGX Orin"),
        ("orin-nano-8gb-super", {"jetpack": "6.1"}, "JetPack 6.1 does not run on"),
        ("xavier-nx-8gb", {"jetpack": "6.2"}, "JetPack 6.2 does not run on"),
        ("xavier-nx-8gb", {"jetpack": "8.0"}, "JetPack 8.0 does not run on"),
        ("xavier-nx-8gb", {"jetpack": "4.5"}, "JetPack 4.5 is older than 4.6"),
        ("orin-nx-8gb", {"tensorrt": "8.2"}, "No JetPack that runs on Jetson Orin NX 8GB"),
        ("orin-nx-8gb", {"jetpack": "6.2", "tensorrt": "8.6"}, "has TensorRT 10.3.0, not 8.6"),
        ("orin-nx-8gb", {"jetpack": "6.0", "tensorrt": "10.3"}, "has TensorRT 8.6.2, not 10.3"),
        ("rtx-4090", {"tensorrt": "8.4"}, "does not know GeForce RTX 4090"),
        ("rtx-5090", {"tensorrt": "10.3"}, "takes 10.8 or newer"),
        ("rtx-3090", {"tensorrt": "7.2"}, "TensorRT 7.2 does not know"),
        ("rtx-4090", {"jetpack": "6.2"}, "has no JetPack"),
        ("cpu-x86", {"tensorrt": "10.3"}, "has no TensorRT: it has no GPU"),
        ("orin-nx-8gb", {"backend": "tensorrt_rtx"}, "TensorRT-RTX does not know"),
        ("h100-pcie", {"backend": "tensorrt_rtx"}, "TensorRT-RTX does not know"),
        ("rtx-2080", {"backend": "tensorrt_rtx"}, "TensorRT-RTX has no INT8 on Turing"),
        ("rtx-4090", {"backend": "tensorrt_rtx", "tensorrt": "10.3"}, "another product"),
        ("rtx-4090", {"backend": "onnxruntime"}, "ONNX Runtime builds for CPUs here"),
        ("cpu-x86", {"backend": "tensorrt"}, "needs an NVIDIA GPU"),
        ("cpu-x86", {"backend": "openvino"}, "Unknown backend 'openvino'"),
        ("orin-nx-8gb", {"jetpack": "5.1.2", "backend": "tensorrt"}, "Python too old"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(
    name: str, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(TargetError) as caught:
        decided(name, **options)
    assert sentence in caught.value.message
    assert caught.value.next_command


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(TargetError, match="Unknown precision 'int4': it is fp32, fp16 or int8"):
        decided("rtx-4090", "int4")


def test_turing_is_built_by_rtx_in_fp16_and_by_tensorrt_otherwise() -> None:
    assert decided("rtx-2080-ti", "fp16").backend == "tensorrt_rtx"
    for precision in ("int8", "fp32"):
        decision = decided("rtx-2080-ti", precision)
        assert decision.backend == "tensorrt"
        assert any("on Turing" in reason for reason in decision.reasons)
    with pytest.raises(TargetError, match="refuses FP32 matrix products on Turing"):
        decided("t4", "fp32", backend="tensorrt_rtx")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("orin-nano-8gb", {"jetpack": "7.3"}),
        ("orin-nano-8gb", {"jetpack": "8.0"}),
        ("orin-nano-8gb", {"jetpack": "6.2.9"}),
        ("orin-nx-8gb", {"jetpack": "6.1", "tensorrt": "10.7"}),
        ("rtx-4090", {"tensorrt": "12.0"}),
        ("rtx-4090", {"tensorrt": "9.2"}),
        ("t4", {"tensorrt": "11.4"}),
        ("agx-orin-64gb", {"tensorrt": "11.9"}),
    ],
)
def test_an_unknown_newer_version_is_answered_and_marked_untried(
    name: str, options: dict[str, str]
) -> None:
    decision = decided(name, **options)
    assert decision.untried
    assert any(word in " ".join(decision.reasons) for word in ("untried", "newer than"))


def test_a_gpu_without_tensor_cores_is_warned_about_int8() -> None:
    assert any("measure both" in reason for reason in decided("gtx-1660").reasons)


def test_trtexec_can_be_asked_for_where_edgekit_runs_too() -> None:
    decision = decided("orin-nx-8gb", jetpack="6.2", backend="trtexec")
    assert (decision.backend, decision.where) == ("trtexec", OVER_SSH)


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ((32, 7, 1), (4, 6, 1)),
        ((35, 4, 1), (5, 1, 2)),
        ((36, 3, 0), (6, 0)),
        ((36, 4, 3), (6, 2)),
        ((36, 4, 7), (6, 2, 1)),
        ((38, 4, 0), (7, 1)),
        ((39, 2, 0), (7, 2)),
        ((32, 5, 0), None),
        ((40, 1, 0), None),
    ],
)
def test_jetson_linux_releases_belong_to_a_jetpack(
    l4t: tuple[int, ...], jetpack: tuple[int, ...] | None
) -> None:
    assert jetpack_from_l4t(l4t) == jetpack
