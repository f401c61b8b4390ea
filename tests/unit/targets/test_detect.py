from __future__ import annotations

from pathlib import Path

import pytest

from targets import TargetError, detect
from targets.detect import detect_cpu, isa, jetpack_here, l4t_here
from targets.machine import Machine, run_command
from tests.unit.targets.machines import ORIN_NANO_FILES, machine, nvidia_smi, x86_cpuinfo


def jetson(root: Path, model: str, compatible: str, memory_kb: int) -> Machine:
    files = {
        "proc/device-tree/model": f"{model}\0",
        "proc/device-tree/compatible": compatible.replace(" ", "\0") + "\0",
        "proc/meminfo": f"MemTotal:       {memory_kb} kB\n",
    }
    return machine(root, files)


@pytest.mark.parametrize(
    ("model", "compatible", "memory_kb", "target"),
    [
        (
            "NVIDIA Jetson Nano Developer Kit",
            "nvidia,p3449-0000-b00+p3448-0000-b00 nvidia,jetson-nano nvidia,tegra210",
            4051048,
            "jetson-nano-4gb",
        ),
        ("jetson_tx1", "nvidia,p2597-0000+p2180-1000 nvidia,tegra210", 4080000, "jetson-tx1"),
        ("quill", "nvidia,p2771-0000 nvidia,tegra186", 8028000, "jetson-tx2"),
        (
            "NVIDIA Jetson TX2 NX Developer Kit",
            "nvidia,p3509-0000+p3636-0001 nvidia,tegra186",
            3950000,
            "jetson-tx2",
        ),
        (
            "NVIDIA Jetson Xavier NX Developer Kit",
            "nvidia,p3509-0000+p3668-0000 nvidia,tegra194",
            7950000,
            "jetson-xavier-nx-8gb",
        ),
        (
            "NVIDIA Jetson Xavier NX Developer Kit",
            "nvidia,p3509-0000+p3668-0003 nvidia,tegra194",
            15900000,
            "jetson-xavier-nx-16gb",
        ),
        ("Jetson-AGX", "nvidia,p2972-0000 nvidia,tegra194", 32692948, "jetson-agx-xavier-32gb"),
        (
            "NVIDIA Orin Nano Developer Kit",
            "nvidia,p3768-0000+p3767-0005 nvidia,p3767-0005 nvidia,tegra234",
            7802664,
            "jetson-orin-nano-8gb",
        ),
        (
            "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
            "nvidia,p3768-0000+p3767-0000 nvidia,p3767-0000 nvidia,tegra234",
            15757000,
            "jetson-orin-nx-16gb",
        ),
        (
            "NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super",
            "nvidia,p3768-0000+p3767-0001-super nvidia,p3767-0001 nvidia,tegra234",
            7802664,
            "jetson-orin-nx-8gb-super",
        ),
        (
            "NVIDIA Jetson AGX Orin Developer Kit",
            "nvidia,p3737-0000+p3701-0000 nvidia,p3701-0000 nvidia,tegra234",
            31269000,
            "jetson-agx-orin-32gb",
        ),
        (
            "NVIDIA Jetson AGX Orin Developer Kit",
            "nvidia,p3737-0000+p3701-0005 nvidia,p3701-0005 nvidia,tegra234",
            64350000,
            "jetson-agx-orin-64gb",
        ),
        (
            "NVIDIA Jetson AGX Thor Developer Kit",
            "nvidia,p4071-0000+p3834-0008 nvidia,p3834-0008 nvidia,tegra264",
            128790000,
            "jetson-t5000",
        ),
        (
            "NVIDIA Jetson T4000",
            "nvidia,p4071-0000+p3834-0000 nvidia,p3834-0000 nvidia,tegra264",
            64390000,
            "jetson-t4000",
        ),
    ],
)
def test_a_jetson_is_known_by_its_module_and_memory(
    tmp_path: Path, model: str, compatible: str, memory_kb: int, target: str
) -> None:
    assert detect(jetson(tmp_path, model, compatible, memory_kb)).id == target


def test_a_jetson_in_super_mode_is_the_super_row(tmp_path: Path) -> None:
    assert detect(machine(tmp_path, ORIN_NANO_FILES)).id == "jetson-orin-nano-8gb-super"


def test_an_unknown_jetson_is_refused_with_what_it_says_of_itself(tmp_path: Path) -> None:
    board = jetson(tmp_path, "NVIDIA Jetson Next", "nvidia,p9999-0000 nvidia,tegra300", 8000000)
    with pytest.raises(TargetError, match=r"Jetson Next.*p9999-0000 nvidia,tegra300"):
        detect(board)


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("NVIDIA GeForce RTX 4090, 550.54.14, 24564, 36, 210, 21.5, 8.9, 0x1", "rtx-4090"),
        ("NVIDIA GeForce GTX 1660 SUPER, 535.1, 6144, 40, 300, 9, 7.5, 0x1", "gtx-1660-super"),
        ("Tesla T4, 535.161.08, 15360, 41, 300, 9.98, 7.5, 0x0", "t4"),
        ("NVIDIA A100 80GB PCIe, 550.1, 81920, 33, 210, 43.6, 8.0, 0x1", "a100-pcie-80gb"),
        ("NVIDIA H100 80GB HBM3, 550.1, 81559, 27, 345, 71.1, 9.0, 0x1", "h100-sxm"),
        ("NVIDIA H100 PCIe, 550.1, 81559, 27, 345, 50.0, 9.0, 0x1", "h100-pcie"),
        ("NVIDIA GB10, 580.95.05, [N/A], 38, 208, 3.9, 12.1, 0x1", "dgx-spark-gb10"),
        ("NVIDIA L4, 550.1, 23034, 40, 210, 11, 8.9, 0x1", "l4"),
    ],
)
def test_a_gpu_is_known_by_the_name_nvidia_smi_prints(
    tmp_path: Path, line: str, target: str
) -> None:
    files = {"proc/cpuinfo": x86_cpuinfo("avx2")}
    assert detect(machine(tmp_path, files, commands=nvidia_smi(line), arch="x86_64")).id == target


def test_a_gpu_without_a_row_is_a_target_of_its_sm(tmp_path: Path) -> None:
    line = "NVIDIA GeForce RTX 4090 Laptop GPU, 550.1, 16376, 45, 210, 9.1, 8.9, 0x1"
    target = detect(machine(tmp_path, {}, commands=nvidia_smi(line), arch="x86_64"))
    assert (target.id, target.name) == ("sm89", "NVIDIA GeForce RTX 4090 Laptop GPU")
    assert target.memory_gib == pytest.approx(15.99, abs=0.01)


def test_a_gpu_that_nothing_is_built_for_is_refused(tmp_path: Path) -> None:
    line = "NVIDIA GeForce GTX 1080, 535.1, 8192, 40, 200, 9, 6.1, 0x1"
    with pytest.raises(TargetError, match=r"No GPU of SM 6\.1") as caught:
        detect(machine(tmp_path, {}, commands=nvidia_smi(line), arch="x86_64"))
    assert caught.value.next_command == "edgekit build model.onnx --target cpu"


@pytest.mark.parametrize(
    ("flags", "name", "target"),
    [
        ("avx avx2 fma avx512f avx512bw avx512vl avx512_vnni", "avx512-vnni", "cpu-x86-vnni"),
        ("avx avx2 fma avx_vnni", "avx2-vnni", "cpu-x86-vnni"),
        ("avx avx2 fma avx512f avx512bw avx512vl", "avx512", "cpu-x86"),
        ("avx avx2 fma", "avx2", "cpu-x86"),
        ("avx", "avx", "cpu-x86"),
        ("", "sse2", "cpu-x86"),
    ],
)
def test_an_x86_cpu_is_known_by_its_flags(
    tmp_path: Path, flags: str, name: str, target: str
) -> None:
    here = machine(tmp_path, {"proc/cpuinfo": x86_cpuinfo(flags)}, arch="x86_64")
    assert (isa(here), detect(here).id) == (name, target)


def test_an_arm_cpu_with_dot_products_is_told_from_one_without(tmp_path: Path) -> None:
    with_dot = machine(tmp_path, {"proc/cpuinfo": ORIN_NANO_FILES["proc/cpuinfo"]})
    assert (isa(with_dot), detect(with_dot).id) == ("neon-dotprod", "cpu-arm64")
    plain = machine(tmp_path, {"proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd crc32\n"})
    assert isa(plain) == "neon"


def test_a_mac_answers_through_sysctl(tmp_path: Path) -> None:
    commands = {
        "sysctl -n hw.optional.arm.FEAT_DotProd": "1\n",
        "sysctl -n machdep.cpu.brand_string": "Apple M2\n",
        "sysctl -n hw.ncpu": "8\n",
    }
    here = machine(tmp_path, {}, commands=commands, arch="arm64")
    assert (isa(here), detect(here).id) == ("neon-dotprod", "cpu-arm64")


def test_an_architecture_without_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="This machine's CPU is riscv64"):
        detect_cpu(machine(tmp_path, {"proc/cpuinfo": "processor\t: 0\n"}, arch="riscv64"))


def test_jetpack_is_the_installed_package_before_the_jetson_linux_release(tmp_path: Path) -> None:
    shown = "dpkg-query --show --showformat=${Version} nvidia-jetpack"
    here = machine(tmp_path, ORIN_NANO_FILES, commands={shown: "6.2.1+b38"})
    assert l4t_here(here) == (36, 4, 3)
    assert jetpack_here(here) == "6.2.1"
    assert jetpack_here(machine(tmp_path, ORIN_NANO_FILES)) == "6.2"


def test_jetpack_is_unknown_where_there_is_no_release_file(tmp_path: Path) -> None:
    assert jetpack_here(machine(tmp_path, {"etc/nv_tegra_release": "# R99\n"})) is None


def test_a_command_that_is_missing_or_fails_has_no_answer() -> None:
    assert run_command(["a-command-that-nobody-has"]) is None
    assert run_command(["sh", "-c", "exit 3"]) is None
    assert run_command(["sh", "-c", "echo yes"]) == "yes\n"


def test_this_machine_is_recognised() -> None:
    assert detect().id
