"""The power rails of a Jetson: which of them make up the module."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["module_power"]

# The rail that feeds all others: since Xavier NX, then Nano and TX1, then Thor.
_WHOLE = ("VDD_IN", "POM_5V_IN", "VIN")


def module_power(rails_mw: Mapping[str, float]) -> tuple[float, str] | None:
    """Return the milliwatts of the module and the names of what was counted; None without rails.

    AGX boards measure no input: there it is the sum of the rails they have, and the name says so.
    """
    for name in _WHOLE:
        if name in rails_mw:
            return rails_mw[name], f"module ({name})"
    if not rails_mw:
        return None
    return sum(rails_mw.values()), f"sum of rails ({' + '.join(sorted(rails_mw))})"
