from __future__ import annotations

from collections.abc import Sequence

import pytest

from targets.nvidia_smi import FIELDS, gpus_from_csv, query_gpus


def test_a_line_is_read_field_by_field() -> None:
    (gpu,) = gpus_from_csv(
        "NVIDIA GeForce RTX 3090, 550.54.14, 24576, 61, 1740, 341.22, 8.6, 0x0000000000000004\n"
    )
    assert (gpu.name, gpu.driver, gpu.memory_mib) == (
        "NVIDIA GeForce RTX 3090",
        "550.54.14",
        24576,
    )
    assert (gpu.temperature_c, gpu.sm_mhz, gpu.power_w, gpu.sm) == (61, 1740, 341.22, 86)
    assert gpu.throttled is True  # 0x4 is the power cap


def test_what_is_not_supported_is_unknown_and_not_zero() -> None:
    line = "NVIDIA Thor, 580.00, [N/A], [Not Supported], [N/A], [Unknown Error], 11.0, [N/A]"
    (gpu,) = gpus_from_csv(line)
    assert gpu.sm == 110
    assert (gpu.memory_mib, gpu.temperature_c, gpu.sm_mhz, gpu.power_w) == (None,) * 4
    assert gpu.throttled is None


def test_units_are_read_over() -> None:
    (gpu,) = gpus_from_csv("NVIDIA L4, 550.1, 23034 MiB, 40, 210 MHz, 11.60 W, 8.9, 0x1")
    assert (gpu.memory_mib, gpu.sm_mhz, gpu.power_w) == (23034, 210, 11.6)
    assert gpu.throttled is False  # 0x1 is idle


def test_messages_between_the_rows_are_no_gpus() -> None:
    assert gpus_from_csv("\nNVIDIA-SMI has failed because it couldn't communicate\n") == ()


@pytest.mark.parametrize(
    ("refused", "sm", "throttled"),
    [
        ("clocks_event_reasons.active", 86, True),
        ("compute_cap", None, None),
    ],
)
def test_an_older_driver_is_asked_again_with_the_fields_it_has(
    refused: str, sm: int | None, throttled: bool | None
) -> None:
    values = dict(
        zip(
            (*FIELDS, "clocks_throttle_reasons.active"),
            ("NVIDIA GeForce RTX 3090", "525.1", "24576", "61", "1740", "341", "8.6", "0x8", "0x8"),
            strict=True,
        )
    )

    def run(arguments: Sequence[str]) -> str | None:
        if arguments[1] == "-L":
            return "GPU 0: NVIDIA GeForce RTX 3090 (UUID: GPU-0)\n"
        fields = arguments[1].removeprefix("--query-gpu=").split(",")
        if refused in fields:
            return f'Field "{refused}" is not a valid field to query.\n'
        return ", ".join(values[field] for field in fields) + "\n"

    (gpu,) = query_gpus(run)
    assert (gpu.name, gpu.sm, gpu.throttled) == ("NVIDIA GeForce RTX 3090", sm, throttled)


def test_no_driver_means_no_gpus_and_one_question() -> None:
    asked: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> str | None:
        asked.append(arguments)
        return None

    assert query_gpus(run) == () and len(asked) == 1
