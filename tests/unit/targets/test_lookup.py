from __future__ import annotations

import pytest

from targets import TargetError, all_targets, detect, get
from targets.lookup import ALIASES, names


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("rtx-4090", "rtx-4090"),
        ("RTX 4090", "rtx-4090"),
        ("GeForce RTX 4070 Ti SUPER", "rtx-4070-ti-super"),
        ("jetson_orin_nx_16gb", "jetson-orin-nx-16gb"),
        ("orin-nano-8gb", "jetson-orin-nano-8gb"),
        ("jetson-nano", "jetson-nano-4gb"),
        ("nano", "jetson-nano-4gb"),
        ("a100", "a100-pcie-80gb"),
        ("h200", "h200-sxm"),
        ("dgx-spark", "dgx-spark-gb10"),
        ("gb10", "dgx-spark-gb10"),
        ("jetson-agx-thor", "jetson-t5000"),
        ("sm89", "sm89"),
        ("sm-120", "sm120"),
    ],
)
def test_a_name_that_means_one_device_finds_it(name: str, target: str) -> None:
    assert get(name).id == target


@pytest.mark.parametrize("name", ["orin-nano", "jetson-orin-nano", "xavier-nx", "h100"])
def test_a_name_of_several_devices_is_refused_with_their_ids(name: str) -> None:
    with pytest.raises(TargetError) as caught:
        get(name)
    assert " could be " in caught.value.message
    suggested = caught.value.next_command.removeprefix("edgekit build model.onnx --target ")
    assert get(suggested).id in caught.value.message


@pytest.mark.parametrize(
    ("name", "target"), [("orin-nano-8g", "jetson-orin-nano-8gb"), ("rtx-4900", "rtx-4090")]
)
def test_a_slip_is_answered_with_the_nearest_name(name: str, target: str) -> None:
    with pytest.raises(TargetError, match="Did you mean") as caught:
        get(name)
    assert f"'{target}'" in caught.value.message
    get(caught.value.next_command.split()[-1])


@pytest.mark.parametrize("name", ["", "  ", "coral", "../catalog.csv", "-"])
def test_a_name_like_nothing_known_lists_what_is_known(name: str) -> None:
    with pytest.raises(TargetError, match=r"Unknown target .*Known targets: cpu, cpu-x86"):
        get(name)


def test_every_id_and_every_alias_finds_its_row() -> None:
    for target in all_targets():
        assert get(target.id) is target
    for alias, target_id in ALIASES.items():
        assert get(alias).id == target_id


def test_cpu_is_the_row_of_this_machine() -> None:
    assert get("cpu").is_cpu
    if detect().is_cpu:
        assert get("cpu") == detect()


def test_completion_offers_cpu_and_every_id() -> None:
    assert names()[0] == "cpu" and len(names()) == len(all_targets()) + 1
