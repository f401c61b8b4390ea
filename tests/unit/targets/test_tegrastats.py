from __future__ import annotations

from targets.tegrastats import tegrastats_from_line

NANO = (
    "RAM 2145/3964MB (lfb 118x4MB) SWAP 0/1982MB (cached 0MB) IRAM 0/252kB(lfb 252kB) "
    "CPU [25%@1479,35%@1479,15%@1479,off] EMC_FREQ 10%@1600 GR3D_FREQ 7%@921 APE 25 "
    "PLL@43C CPU@46.5C PMIC@100C GPU@43C AO@45C thermal@46.2C "
    "POM_5V_IN 4250/4300 POM_5V_GPU 480/470 POM_5V_CPU 1520/1500"
)
XAVIER_NX = (
    "RAM 2690/6854MB (lfb 6x1MB) SWAP 479/3427MB (cached 3MB) "
    "CPU [3%@1904,7%@1906,1%@1905,0%@1907,off,off] EMC_FREQ 0%@1600 GR3D_FREQ 0%@[510] "
    "VIC_FREQ 601 APE 150 AUX@39C CPU@39.5C AO@37.5C GPU@37.5C PMIC@50C "
    "VDD_IN 5079mW/5079mW VDD_CPU_GPU_CV 696mW/696mW VDD_SOC 1104mW/1104mW"
)
ORIN_NANO = (
    "05-05-2025 06:05:39 RAM 2639/7620MB (lfb 9x4MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [1%@729,4%@729,8%@729,4%@729,5%@729,4%@729] GR3D_FREQ 0% cpu@44.156C soc2@43.781C "
    "soc0@44.687C gpu@45.968C tj@45.968C soc1@45.312C VDD_IN 5263mW/5263mW "
    "VDD_CPU_GPU_CV 717mW/717mW VDD_SOC 1794mW/1794mW"
)
THOR = (
    "05-14-2026 21:36:35 RAM 26063/125772MB (lfb 35x4MB) CPU [2%@972,1%@972] "
    "GR3D_FREQ @[314,314,314] cpu@35.25C tj@36.343C VDD_GPU -392mW/-392mW "
    "VDD_CPU_SOC_MSS 3924mW/3835mW VIN_SYS_5V0 5064mW/5055mW VIN 15004mW/15096mW"
)


def test_jetpack_4_writes_power_without_a_unit() -> None:
    stats = tegrastats_from_line(NANO)
    assert stats is not None
    assert stats.power_mw == {"POM_5V_IN": 4250, "POM_5V_GPU": 480, "POM_5V_CPU": 1520}
    assert stats.average_power_mw["POM_5V_IN"] == 4300
    assert (stats.gpu_load_percent, stats.gpu_mhz, stats.memory_mhz) == (7, (921,), 1600)
    assert stats.cpu_load_percent == (25, 35, 15, None)
    assert stats.cpu_mhz == (1479, 1479, 1479, None)
    assert stats.temperatures_c["thermal"] == 46.2


def test_jetpack_5_writes_gpu_clocks_in_brackets() -> None:
    stats = tegrastats_from_line(XAVIER_NX)
    assert stats is not None
    assert (stats.gpu_load_percent, stats.gpu_mhz) == (0, (510,))
    assert (stats.swap_used_mib, stats.swap_total_mib) == (479, 3427)
    assert stats.power_mw["VDD_IN"] == 5079


def test_jetpack_6_without_root_leaves_the_gpu_clock_out() -> None:
    stats = tegrastats_from_line(ORIN_NANO)
    assert stats is not None
    assert (stats.ram_used_mib, stats.ram_total_mib) == (2639, 7620)
    assert (stats.gpu_load_percent, stats.gpu_mhz, stats.memory_mhz) == (0, (), None)
    assert stats.temperatures_c["tj"] == 45.968
    assert set(stats.power_mw) == {"VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"}


def test_thor_leaves_the_gpu_load_out_and_it_is_unknown() -> None:
    stats = tegrastats_from_line(THOR)
    assert stats is not None
    assert stats.gpu_load_percent is None and stats.gpu_mhz == (314, 314, 314)
    assert stats.swap_total_mib is None
    assert stats.power_mw["VDD_GPU"] == -392 and stats.power_mw["VIN"] == 15004


def test_two_graphics_clusters_have_two_clocks() -> None:
    stats = tegrastats_from_line("RAM 1/30536MB GR3D_FREQ 12%@[305,306] cpu@50C")
    assert stats is not None and stats.gpu_mhz == (305, 306)


def test_a_sensor_that_is_switched_off_is_absent() -> None:
    stats = tegrastats_from_line("RAM 1/7620MB CPU [off] cpu@50C cv0@-256C")
    assert stats is not None and stats.temperatures_c == {"cpu": 50.0}


def test_the_old_form_shares_one_clock_among_the_cores() -> None:
    stats = tegrastats_from_line("RAM 3468/3983MB CPU [17%,off,29%]@408 EMC_FREQ 1%@408")
    assert stats is not None
    assert (stats.cpu_load_percent, stats.cpu_mhz) == ((17, None, 29), (408, None, 408))


def test_any_other_line_is_none() -> None:
    assert tegrastats_from_line("") is None
    assert tegrastats_from_line("tegrastats: command not found") is None
