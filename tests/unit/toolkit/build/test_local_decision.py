"""The decision where the engine is built: by the TensorRT that is installed, not an assumed one."""

from __future__ import annotations

import pytest

import toolkit.build.local_decision as module
from targets import TargetError, get
from targets.catalog import Target
from targets.machine import Machine
from toolkit.build.local_decision import InstalledTensorRT, decide_here, installed_tensorrt

NANO = get("jetson-orin-nano-8gb")


@pytest.mark.parametrize(
    ("tensorrt", "jetpack", "form", "scheme"),
    [
        ("8.6.2.3", "6.0", "qdq-flags", "tensorrt-8"),
        ("10.3.0.30", "6.2", "qdq-flags", "tensorrt"),
        ("10.3.0.30", "6.2.1", "qdq-flags", "tensorrt"),
        ("10.16.2.10", "7.2", "qdq-strongly-typed", "tensorrt"),
        ("10.7.0", "6.1", "qdq-flags", "tensorrt"),  # newer than the JetPack's: a container
        ("8.6.2", "6.2", "qdq-flags", "tensorrt-8"),  # older: the JetPack's word is dropped
    ],
)
def test_the_installed_version_decides_the_form(
    tensorrt: str, jetpack: str, form: str, scheme: str
) -> None:
    found = decide_here(NANO, precision="int8", installed=InstalledTensorRT(tensorrt, jetpack))
    assert (found.form, found.scheme) == (form, scheme)
    assert found.tensorrt is not None
    assert found.tensorrt.startswith(".".join(tensorrt.split(".")[:2]))


def test_a_server_card_is_decided_by_its_own_tensorrt() -> None:
    row = get("h100-sxm")
    old = decide_here(row, precision="fp16", installed=InstalledTensorRT("10.3.0"))
    new = decide_here(row, precision="fp16", installed=InstalledTensorRT("11.4.1.6"))
    assert (old.builder_flags, new.builder_flags) == (("FP16",), ())


def test_what_cannot_work_is_refused_all_the_same() -> None:
    with pytest.raises(TargetError, match="does not know"):
        decide_here(get("b200"), precision="fp16", installed=InstalledTensorRT("8.6.1"))


def test_an_engine_built_ahead_of_time_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(_: Target) -> InstalledTensorRT:
        raise AssertionError("nothing is installed for it")

    monkeypatch.setattr(module, "installed_tensorrt", asked)
    assert decide_here(get("rtx-4090"), precision="int8").backend == "tensorrt_rtx"


def test_without_a_driver_the_catalogs_newest_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_driver", lambda: False)
    assert installed_tensorrt(NANO) is None
    assert any("is assumed" in reason for reason in decide_here(NANO, precision="fp16").reasons)


def test_another_machine_is_not_asked_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_driver", lambda: True)
    monkeypatch.setattr(module, "detect", lambda _: get("rtx-4090"))
    assert installed_tensorrt(NANO) is None

    def unknown(_: Machine) -> Target:
        raise TargetError("This Jetson is not in the catalog.", next_command="edgekit targets")

    monkeypatch.setattr(module, "detect", unknown)
    assert installed_tensorrt(NANO) is None


def test_the_machine_itself_is_asked_for_tensorrt_and_jetpack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "has_driver", lambda: True)
    monkeypatch.setattr(module, "detect", lambda _: NANO)
    monkeypatch.setattr(module, "jetpack_here", lambda _: "6.2")
    monkeypatch.setattr(module, "load", lambda row, what, install: lambda: "10.3.0")
    assert installed_tensorrt(NANO) == InstalledTensorRT("10.3.0", "6.2")
