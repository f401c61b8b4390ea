from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path

import pytest

from targets.conditions import Conditions, advice, one_line, read_conditions
from targets.machine import Machine
from tests.unit.targets.machines import ORIN_NANO_FILES, machine, nvidia_smi, x86_cpuinfo

CPU = "sys/devices/system/cpu"
ZONE = "sys/class/thermal/thermal_zone"
GPU = "sys/class/devfreq/17000000.gpu"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)

ORIN_STATE = {
    f"{CPU}/cpu0/cpufreq/scaling_governor": "schedutil\n",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
    f"{CPU}/cpu0/cpufreq/scaling_min_freq": "729600\n",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq": "1510400\n",
    f"{GPU}/cur_freq": "306000000\n",
    f"{GPU}/min_freq": "306000000\n",
    f"{GPU}/max_freq": "1020000000\n",
    f"{ZONE}0/type": "cpu-thermal\n",
    f"{ZONE}0/temp": "50062\n",
    f"{ZONE}1/type": "gpu-thermal\n",
    f"{ZONE}1/temp": "61500\n",
    f"{ZONE}2/type": "PMIC-Die\n",
    f"{ZONE}2/temp": "100000\n",
    f"{ZONE}3/type": "cv0-thermal\n",
    f"{ZONE}3/temp": "-256000\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device1/type": "gpu-throttle-alert\n",
    "sys/class/thermal/cooling_device1/cur_state": "0\n",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "3\n",
    "sys/class/hwmon/hwmon2/oc3_event_cnt": "4\n",
    "proc/loadavg": "0.42 0.31 0.20 1/411 7812\n",
    "proc/sys/kernel/osrelease": "5.15.148-tegra\n",
    "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
}
ORIN_COMMANDS = {
    "nvpmodel -q": "NV Power Mode: 25W\n1\n",
    "dpkg-query --show --showformat=${Version} nvidia-jetpack": "6.2.1+b38",
    "dpkg-query --show --showformat=${Version} tensorrt": "10.3.0.30-1+cuda12.5",
}


def conditions_of(here: Machine, *packages: str) -> Conditions:
    return read_conditions(
        root=here.root, run=here.run, arch=here.arch, packages=packages, now=NOON
    )


def orin(root: Path, **changes: str) -> Conditions:
    files = {**ORIN_NANO_FILES, **ORIN_STATE, **changes}
    return conditions_of(machine(root, files, commands=ORIN_COMMANDS), "tensorrt")


def test_a_jetson_tells_its_power_mode_clocks_heat_and_versions(tmp_path: Path) -> None:
    c = orin(tmp_path)
    assert c.machine == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert (c.power_mode, c.clocks_locked, c.jetpack, c.l4t) == ("25W", False, "6.2.1", "36.4.3")
    assert (c.cpu_model, c.isa, c.cores) == ("ARM Cortex-A78AE", "neon-dotprod", 6)
    assert (c.governor, c.cpu_mhz, c.gpu_mhz) == ("schedutil", 1510.4, 306)
    assert c.temperature_c == 61.5  # neither the PMIC's constant 100 C nor a sensor that is off
    assert (c.throttled, c.throttle_events, c.load_1min) == (False, 7, 0.42)
    assert (c.os, c.kernel) == ("Ubuntu 22.04.5 LTS", "5.15.148-tegra")
    assert (c.memory_mib, c.memory_available_mib) == (7619, 5088)
    assert c.taken_at == "2026-11-24T12:00:00+00:00"


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="a pip-installed TensorRT wins")
def test_tensorrt_of_a_jetson_is_the_system_package(tmp_path: Path) -> None:
    assert orin(tmp_path).versions == {"tensorrt": "10.3.0.30"}


def test_locked_clocks_are_one_clock_for_every_cpu_and_the_gpu(tmp_path: Path) -> None:
    locked = {
        f"{CPU}/cpu0/cpufreq/scaling_min_freq": "1510400\n",
        f"{GPU}/min_freq": "1020000000\n",
    }
    assert orin(tmp_path, **locked).clocks_locked is True


def test_a_raised_throttle_alert_is_throttling(tmp_path: Path) -> None:
    c = orin(tmp_path, **{"sys/class/thermal/cooling_device1/cur_state": "1\n"})
    assert c.throttled is True
    assert "THROTTLED" in one_line(c)


def test_what_a_bare_machine_does_not_tell_is_none_and_never_zero(tmp_path: Path) -> None:
    c = conditions_of(machine(tmp_path, {}, arch="x86_64"), "no-such-package")
    for name in (
        *("machine", "cpu_model", "cores", "core_limit", "governor", "cpu_mhz", "temperature_c"),
        *("throttled", "throttle_events", "power_mode", "clocks_locked", "memory_mib"),
        *("memory_available_mib", "load_1min", "jetpack", "l4t", "gpu", "driver"),
        *("gpu_memory_mib", "gpu_mhz", "gpu_temperature_c", "gpu_power_w", "gpu_throttled"),
    ):
        assert getattr(c, name) is None, name
    assert c.versions == {"no-such-package": None}
    assert "unknown: governor, temperature" in one_line(c)


def test_a_container_quota_limits_the_cores(tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": x86_cpuinfo("avx2", cores=16),
        "sys/fs/cgroup/cpu.max": "200000 100000\n",
    }
    c = conditions_of(machine(tmp_path, files, arch="x86_64"))
    assert (c.cores, c.core_limit) == (16, 2.0)
    assert "16 cores (2 usable)" in one_line(c)
    unlimited = {**files, "sys/fs/cgroup/cpu.max": "max 100000\n"}
    assert conditions_of(machine(tmp_path, unlimited, arch="x86_64")).core_limit is None


def test_a_desktop_gpu_stands_in_the_line(tmp_path: Path) -> None:
    line = "NVIDIA GeForce RTX 4090, 550.54.14, 24564, 58, 2520, 310.5, 8.9, 0x0"
    c = conditions_of(machine(tmp_path, {}, commands=nvidia_smi(line), arch="x86_64"))
    assert (c.gpu, c.driver, c.gpu_power_w) == ("NVIDIA GeForce RTX 4090", "550.54.14", 310.5)
    assert one_line(c) == "NVIDIA GeForce RTX 4090, 2520 MHz, 58 C, driver 550.54.14"


def test_the_line_of_a_jetson_says_whether_clocks_are_locked(tmp_path: Path) -> None:
    line = one_line(orin(tmp_path))
    assert "25W, clocks not locked, JetPack 6.2.1, 306 MHz, 62 C, load 0.4" in line


def test_the_line_of_a_cpu_names_its_instruction_set(tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": x86_cpuinfo("avx2 avx512bw avx512_vnni"),
        "proc/loadavg": "0.10 0.1 0.1 1/99 12\n",
        f"{CPU}/cpu0/cpufreq/scaling_governor": "performance\n",
        f"{ZONE}0/type": "x86_pkg_temp\n",
        f"{ZONE}0/temp": "47000\n",
    }
    c = conditions_of(machine(tmp_path, files, arch="x86_64"))
    assert one_line(c) == (
        "AMD EPYC, 2 cores, avx512-vnni, governor performance, 2550 MHz, 47 C, load 0.1"
    )
    assert advice(c) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"clocks_locked": False}, "run `sudo jetson_clocks` and repeat"),
        ({"gpu_throttled": True, "clocks_locked": False}, "it is throttled"),
        ({"governor": "powersave"}, "the governor is powersave"),
        ({"load_1min": 1.9}, "the load is 1.9"),
    ],
)
def test_advice_says_what_to_do_before_comparing(
    tmp_path: Path, changes: dict[str, str | bool | float], sentence: str
) -> None:
    files = {"proc/cpuinfo": x86_cpuinfo("avx2")}
    calm = conditions_of(machine(tmp_path, files, arch="x86_64"))
    assert advice(calm) is None
    assert sentence in (advice(replace(calm, **changes)) or "")  # type: ignore[arg-type]  # test rows


def test_conditions_of_this_machine_are_json() -> None:
    values = json.loads(json.dumps(asdict(read_conditions())))
    assert values["python"] and values["versions"]["numpy"]
