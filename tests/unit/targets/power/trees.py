"""Trees of sensor files as the kernels of PCs and Jetsons show them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_hwmon", "write_iio", "write_rapl"]

RANGE_UJ = 262_143_328_850


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}")
    part.write_text(f"{text}\n")
    part.replace(path)  # a reader never sees half a number


def write_rapl(root: Path, zone: str, name: str, energy_uj: int) -> Path:
    folder = root / "sys/class/powercap" / zone
    write(folder / "name", name)
    write(folder / "max_energy_range_uj", str(RANGE_UJ))
    write(folder / "energy_uj", str(energy_uj))
    return folder / "energy_uj"


def write_hwmon(root: Path, rails: dict[str, tuple[int, int]]) -> None:
    """Write rails as (millivolts, milliamperes), JetPack 5 and newer."""
    write(root / "proc/device-tree/compatible", "nvidia,p3768-0000\0nvidia,tegra234")
    folder = root / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    for channel, (name, (millivolt, milliampere)) in enumerate(rails.items(), start=1):
        write(folder / f"in{channel}_label", name)
        write(folder / f"in{channel}_input", str(millivolt))
        write(folder / f"curr{channel}_input", str(milliampere))
    write(folder / "in7_label", "sum of shunt voltages")
    write(folder / "in7_input", "12")


def write_iio(root: Path, rails_mw: dict[str, int]) -> None:
    """Write rails as milliwatts, JetPack 4."""
    write(root / "proc/device-tree/compatible", "nvidia,jetson-nano\0nvidia,tegra210")
    folder = root / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    for channel, (name, milliwatt) in enumerate(rails_mw.items()):
        write(folder / f"rail_name_{channel}", name)
        write(folder / f"in_power{channel}_input", str(milliwatt))
