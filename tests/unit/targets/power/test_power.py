from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from targets import TargetError
from targets.machine import Machine
from targets.power import find_energy_source
from targets.power.ina3221 import find_ina3221, rails_mw
from targets.power.rails import module_power
from targets.power.rapl import Rapl, find_rapl
from targets.power.source import PolledPower, PowerSum
from targets.power.streamed import (
    StreamedPower,
    find_nvidia_smi,
    find_tegrastats,
    watts_from_tegrastats,
)
from tests.unit.targets.power.trees import RANGE_UJ, write, write_hwmon, write_iio, write_rapl
from tests.unit.targets.test_tegrastats import NANO, ORIN_NANO, THOR, XAVIER_NX


def nothing(_: Sequence[str]) -> str | None:
    return None


def test_rapl_counts_packages_and_memory_but_nothing_twice(tmp_path: Path) -> None:
    package = write_rapl(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    memory = write_rapl(tmp_path, "intel-rapl:0:1", "dram", 500_000)
    for zone, name in (("intel-rapl:0:0", "core"), ("intel-rapl:1", "psys")):
        write_rapl(tmp_path, zone, name, 9)
    rapl = find_rapl(tmp_path)
    assert isinstance(rapl, Rapl)
    assert rapl.covers == "processor (package-0, dram-0)"
    with rapl:
        write(package, "4000000")
        write(memory, "1000000")
        assert rapl.joules() == pytest.approx(3.5)


def test_a_rapl_counter_that_laps_goes_on(tmp_path: Path) -> None:
    counter = write_rapl(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 2_000_000)
    rapl = find_rapl(tmp_path)
    assert isinstance(rapl, Rapl)
    write(counter, "3000000")
    assert rapl.joules() == pytest.approx(5.0)
    write(counter, "4000000")
    assert rapl.joules() == pytest.approx(6.0)


def test_rapl_that_only_root_may_read_names_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rapl(tmp_path, "intel-rapl:0", "package-0", 5)
    read = Path.read_text

    def refuse(path: Path, *args: str, **options: str) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *args, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    said = find_rapl(tmp_path)
    assert isinstance(said, str)
    assert "only be read by root" in said
    assert "sudo chmod o+r /sys/class/powercap/intel-rapl:*/energy_uj" in said


def test_a_rapl_counter_of_something_else_is_no_source(tmp_path: Path) -> None:
    counter = write_rapl(tmp_path, "intel-rapl:0", "package-0", 5)
    write(counter, "on")
    said = find_rapl(tmp_path)
    assert isinstance(said, str) and "holds 'on'" in said


def test_a_machine_without_any_sensor_says_so(tmp_path: Path) -> None:
    machine = Machine(tmp_path, nothing, "x86_64")
    assert "no RAPL counters" in str(find_energy_source(machine, on_gpu=False))
    assert "finds no GPU" in str(find_energy_source(machine, on_gpu=True))


def test_a_jetson_without_sensors_names_both_that_were_tried(tmp_path: Path) -> None:
    write(tmp_path / "proc/device-tree/compatible", "nvidia,tegra234")
    said = find_energy_source(Machine(tmp_path, nothing, "aarch64"), on_gpu=True)
    assert said == (
        "no INA3221 rails that may be read under /sys/bus/i2c/drivers; tegrastats is not installed"
    )


def test_jetpack_6_gives_the_input_of_the_module(tmp_path: Path) -> None:
    write_hwmon(tmp_path, {"VDD_IN": (5000, 1000), "VDD_CPU_GPU_CV": (5000, 200)})
    machine = Machine(tmp_path, nothing, "aarch64")
    assert rails_mw(machine) == {"VDD_IN": 5000.0, "VDD_CPU_GPU_CV": 1000.0}
    source = find_energy_source(machine, on_gpu=False)
    assert not isinstance(source, str)
    assert (source.name, source.covers) == ("INA3221", "module (VDD_IN)")
    with source:
        time.sleep(0.2)
        assert source.joules() == pytest.approx(1.0, rel=0.5)


def test_jetpack_4_gives_milliwatts(tmp_path: Path) -> None:
    write_iio(tmp_path, {"POM_5V_IN": 4250, "POM_5V_GPU": 480})
    source = find_ina3221(Machine(tmp_path, nothing, "aarch64"))
    assert not isinstance(source, str) and source.covers == "module (POM_5V_IN)"


def test_a_board_without_an_input_rail_sums_and_names_its_rails() -> None:
    rails = {"VDD_GPU_SOC": 3000.0, "VDD_CPU_CV": 1000.0}
    assert module_power(rails) == (4000.0, "sum of rails (VDD_CPU_CV + VDD_GPU_SOC)")
    assert module_power({}) is None


@pytest.mark.parametrize(
    ("line", "watts"), [(NANO, 4.25), (XAVIER_NX, 5.079), (ORIN_NANO, 5.263), (THOR, 15.004)]
)
def test_a_line_of_tegrastats_gives_the_power_of_the_module(line: str, watts: float) -> None:
    assert watts_from_tegrastats(line) == pytest.approx(watts)


def test_a_line_without_rails_is_no_power() -> None:
    assert watts_from_tegrastats("RAM 1/7620MB CPU [off] cpu@50C") is None
    assert watts_from_tegrastats("tegrastats: not found") is None


def test_a_program_that_prints_power_is_summed(tmp_path: Path) -> None:
    write(tmp_path / "proc/device-tree/compatible", "nvidia,tegra234")
    script = f"#!{sys.executable}\nimport time\nwhile True:\n    print({ORIN_NANO!r}, flush=True)\n"
    program = tmp_path / "usr/bin/tegrastats"
    write(program, f"{script}    time.sleep(0.02)")
    program.chmod(0o755)
    source = find_tegrastats(Machine(tmp_path, nothing, "aarch64"))
    assert isinstance(source, StreamedPower)
    with source:
        start, clock = source.joules(), time.monotonic()
        time.sleep(0.4)
        used, seconds = source.joules() - start, time.monotonic() - clock
    assert used / seconds == pytest.approx(5.263, rel=0.02)


def test_a_program_that_ends_without_power_is_an_error() -> None:
    source = StreamedPower("x", "y", [sys.executable, "-c", ""], lambda line: None, settle_s=0.0)
    with pytest.raises(TargetError, match="prints no power"), source:
        pass
    missing = StreamedPower("x", "y", ["/no/such/program"], lambda line: None, settle_s=0.0)
    with pytest.raises(TargetError, match="cannot be started"), missing:
        pass


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"power.draw.instant": "68.31\n", "power.draw": "68.90\n"}, "power.draw.instant"),
        ({"power.draw.instant": None, "power.draw": "31.52\n"}, "power.draw"),
        ({"power.draw.instant": "[N/A]\n", "power.draw": "31.52\n"}, "power.draw"),
    ],
)
def test_the_gpu_is_asked_for_the_power_it_can_tell(
    answers: dict[str, str | None], field: str
) -> None:
    def run(command: Sequence[str]) -> str | None:
        asked = next((c for c in command if c.startswith("--query-gpu=")), None)
        return answers[asked.removeprefix("--query-gpu=")] if asked else "GPU 0: NVIDIA T4 (UUID)"

    source = find_nvidia_smi(Machine(Path("/"), run, "x86_64"))
    assert isinstance(source, StreamedPower)
    assert source.covers == f"GPU board 0 ({field}), not the host"


def test_a_gpu_that_reports_no_power_is_unavailable_not_zero() -> None:
    source = find_nvidia_smi(Machine(Path("/"), lambda command: "[N/A]\n", "x86_64"))
    assert source == "the GPU does not report its power (nvidia-smi says [N/A])"


def test_power_is_straight_between_readings_and_level_after() -> None:
    now = [0.0]
    total = PowerSum(clock=lambda: now[0])
    assert total.joules(silence_s=9.0) is None
    for at, watts in ((0.0, 1.0), (2.0, 3.0)):
        now[0] = at
        total.add(watts)
    now[0] = 3.0
    assert total.joules(silence_s=9.0) == pytest.approx(4.0 + 3.0)
    now[0] = 20.0
    assert total.joules(silence_s=9.0) is None


def test_a_sensor_that_never_answers_is_an_error_not_zero() -> None:
    source = PolledPower("INA3221", "module", lambda: None, hz=20.0)
    with source, pytest.raises(TargetError, match="stopped answering"):
        source.joules()
