"""The INA3221 monitors of a Jetson, below /sys/bus/i2c: hwmon since JetPack 5, iio before."""

from __future__ import annotations

import re

from targets.machine import Machine
from targets.power.rails import module_power
from targets.power.source import PolledPower

__all__ = ["find_ina3221", "rails_mw"]

_HZ = 20.0
_HWMON = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[0-9]_label"
_IIO = "sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_[0-9]"
# The driver's fourth "rail" is the sum of the shunt voltages, which is no power.
_NO_RAIL = "sum of shunt voltages"


def rails_mw(machine: Machine) -> dict[str, float]:
    """Return the power of every rail that can be read now, by the name on the board."""
    rails: dict[str, float] = {}
    for label in machine.paths(_HWMON):
        folder, _, file = label.rpartition("/")
        channel = file[2:-6]
        millivolt = machine.number(f"{folder}/in{channel}_input")
        milliampere = machine.number(f"{folder}/curr{channel}_input")
        name = machine.text(label)
        if name and name.lower() != _NO_RAIL and millivolt is not None and milliampere is not None:
            rails[name] = millivolt * milliampere / 1000.0
    for label in machine.paths(_IIO):
        milliwatt = machine.number(re.sub(r"rail_name_(\d)$", r"in_power\1_input", label))
        name = machine.text(label)
        if name and milliwatt is not None:
            rails[name] = milliwatt
    return rails


def find_ina3221(machine: Machine) -> PolledPower | str:
    """Return the source, or in one sentence why there is none."""
    found = module_power(rails_mw(machine))
    if found is None:
        return "no INA3221 rails that may be read under /sys/bus/i2c/drivers"
    _, covers = found

    def watts() -> float | None:
        now = module_power(rails_mw(machine))
        # With a rail missing it would be the power of something else.
        return now[0] / 1000.0 if now is not None and now[1] == covers else None

    return PolledPower("INA3221", covers, watts, hz=_HZ)
