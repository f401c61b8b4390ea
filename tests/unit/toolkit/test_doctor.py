from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from targets.machine import Machine
from toolkit.doctor import Doctor, diagnose_machine

ROOT = Path(__file__).parents[3]
CPUINFO = """processor\t: 0
model name\t: Test CPU
flags\t\t: fpu sse2 avx avx2
"""
MEMINFO = "MemTotal:        8000000 kB\nMemAvailable:    4000000 kB\n"


def _machine(root: Path, files: dict[str, str] | None = None) -> Machine:
    everything = {"proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO, **(files or {})}
    for name, text in everything.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(_: Sequence[str]) -> str | None:
        return None

    return Machine(root, run, arch="x86_64")


def _diagnose(root: Path, files: dict[str, str] | None = None) -> Doctor:
    return diagnose_machine(machine=_machine(root, files), folder=root, packages=())


def _state(doctor: Doctor, name: str) -> tuple[str, str, str]:
    check = next(check for check in doctor.checks if check.name == name)
    return check.state, check.detail, check.fix


def test_a_plain_machine_has_no_problems(tmp_path: Path) -> None:
    doctor = _diagnose(tmp_path)
    assert doctor.target == "cpu-x86"
    assert doctor.problems == ()
    assert doctor.to_dict()["ok"] is True
    json.dumps(doctor.to_dict())


def test_a_cpu_without_vnni_is_told_about_seven_bit_weights(tmp_path: Path) -> None:
    assert "7 bits" in _state(_diagnose(tmp_path), "cpu")[1]


def test_a_machine_without_a_gpu_misses_one_but_has_no_problem(tmp_path: Path) -> None:
    state, detail, fix = _state(_diagnose(tmp_path), "gpu")
    assert state == "missing"
    assert "ahead of time" in detail
    assert fix == ""


def test_an_nvidia_card_without_a_driver_is_a_problem(tmp_path: Path) -> None:
    card = "sys/bus/pci/devices/0000:01:00.0"
    files = {f"{card}/vendor": "0x10de\n", f"{card}/class": "0x030000\n"}
    state, detail, fix = _state(_diagnose(tmp_path, files), "gpu")
    assert state == "problem"
    assert "driver" in detail
    assert "install" in fix


def test_nvidia_sound_on_a_card_is_no_gpu(tmp_path: Path) -> None:
    card = "sys/bus/pci/devices/0000:01:00.1"
    files = {f"{card}/vendor": "0x10de\n", f"{card}/class": "0x040300\n"}
    assert _state(_diagnose(tmp_path, files), "gpu")[0] == "missing"


def test_a_jetson_without_tensorrt_is_told_what_to_install(tmp_path: Path) -> None:
    files = {
        "proc/device-tree/compatible": "nvidia,p3767-0003\0nvidia,tegra234",
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic",
    }
    doctor = _diagnose(tmp_path, files)
    assert doctor.target.startswith("jetson-orin-nano")
    assert _state(doctor, "gpu")[0] == "ok"
    assert _state(doctor, "trtexec")[2] == "sudo apt-get install nvidia-jetpack"


def test_a_jetson_that_the_catalog_does_not_know_is_a_problem(tmp_path: Path) -> None:
    files = {"proc/device-tree/compatible": "nvidia,p9999\0nvidia,tegra999"}
    doctor = _diagnose(tmp_path, files)
    assert doctor.target == ""
    assert _state(doctor, "target")[2] == "edgekit targets"


def test_no_camera_names_the_sources_that_need_none(tmp_path: Path) -> None:
    state, detail, _ = _state(_diagnose(tmp_path), "camera")
    assert state == "missing"
    assert "synthetic://" in detail


def test_a_camera_is_listed_with_its_name(tmp_path: Path) -> None:
    files = {"dev/video0": "", "sys/class/video4linux/video0/name": "USB Camera\n"}
    assert _state(_diagnose(tmp_path, files), "camera /dev/video0")[:2] == ("ok", "USB Camera")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every camera")
def test_a_camera_that_may_not_be_opened_names_the_group(tmp_path: Path) -> None:
    machine = _machine(tmp_path, {"dev/video0": ""})
    (tmp_path / "dev/video0").chmod(0)
    doctor = diagnose_machine(machine=machine, folder=tmp_path, packages=())
    assert "video" in _state(doctor, "camera /dev/video0")[2]


def test_a_folder_that_does_not_exist_is_a_problem(tmp_path: Path) -> None:
    doctor = diagnose_machine(machine=_machine(tmp_path), folder=tmp_path / "gone", packages=())
    assert _state(doctor, "disk")[0] == "problem"


def test_little_free_memory_is_a_problem(tmp_path: Path) -> None:
    files = {"proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 200000 kB\n"}
    assert _state(_diagnose(tmp_path, files), "memory")[0] == "problem"


def test_packages_are_checked_without_being_imported_here(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from toolkit.doctor import diagnose_machine\n"
        "from toolkit.installed import Package\n"
        "rows = (Package('cv2', 'cameras'), Package('no_such', 'tests', 'web'))\n"
        "found = diagnose_machine(packages=rows)\n"
        "print(sorted((c.name, c.state) for c in found.checks if c.name.startswith('package')))\n"
        "print('cv2' in sys.modules, 'numpy' in sys.modules, 'onnx' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    checks, loaded = run.stdout.splitlines()
    assert checks == "[('package cv2', 'ok'), ('package no_such', 'missing')]"
    assert loaded == "False False False"
