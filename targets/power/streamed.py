"""Power from a program that prints a line per reading: tegrastats, nvidia-smi."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence

from targets.errors import TargetError
from targets.machine import Machine, number_from_text
from targets.power.rails import module_power
from targets.power.source import PowerSum
from targets.tegrastats import tegrastats_from_line

__all__ = ["StreamedPower", "find_nvidia_smi", "find_tegrastats", "watts_from_tegrastats"]

_INTERVAL_MS = 100
_FIRST_LINE_S = 5.0
# power.draw is a mean over a second on most GPUs since Ampere; the instant one is not.
_FIELDS = ("power.draw.instant", "power.draw")


class StreamedPower:
    """Energy from the lines of a running program, each a reading of power."""

    hz = 1000.0 / _INTERVAL_MS

    def __init__(
        self,
        name: str,
        covers: str,
        command: Sequence[str],
        watts_from_line: Callable[[str], float | None],
        *,
        settle_s: float,
    ) -> None:
        self.name = name
        self.covers = covers
        self.settle_s = settle_s
        self._command = tuple(command)
        self._watts_from_line = watts_from_line
        self._sum = PowerSum()
        self._answered = threading.Event()

    def __enter__(self) -> StreamedPower:
        try:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise TargetError(
                f"{self.name} cannot be started: {error}.", next_command="edgekit doctor"
            ) from error
        self._thread = threading.Thread(target=self._read, name="power", daemon=True)
        self._thread.start()
        self._answered.wait(_FIRST_LINE_S)
        if self._sum.joules(silence_s=_FIRST_LINE_S) is None:
            self.__exit__()
            raise self._silent()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def joules(self) -> float:
        """Return the energy since the source was opened."""
        found = self._sum.joules(silence_s=2.0)
        if found is None:
            raise self._silent()
        return found

    def _silent(self) -> TargetError:
        return TargetError(
            f"{self.name} prints no power ({self.covers}).", next_command=" ".join(self._command)
        )

    def _read(self) -> None:
        for line in self._process.stdout or ():
            watts = self._watts_from_line(line)
            if watts is not None:
                self._sum.add(watts)
                self._answered.set()
        self._answered.set()  # it ended: there is nothing to wait for


def watts_from_tegrastats(line: str) -> float | None:
    """Return the power of the module by one line of tegrastats; None if it names no rail."""
    stats = tegrastats_from_line(line)
    found = module_power(stats.power_mw) if stats is not None else None
    return found[0] / 1000.0 if found is not None else None


def find_tegrastats(machine: Machine) -> StreamedPower | str:
    """Return the source, or in one sentence why there is none."""
    # It prints until it is stopped, so asking whether it is there must not start it.
    path = next(iter(machine.paths("usr/bin/tegrastats")), None)
    if path is None:
        return "tegrastats is not installed"
    command = (str(machine.root / path), "--interval", str(_INTERVAL_MS))
    covers = "module (rails that tegrastats prints)"
    return StreamedPower("tegrastats", covers, command, watts_from_tegrastats, settle_s=0.5)


def find_nvidia_smi(machine: Machine) -> StreamedPower | str:
    """Return the power of the first GPU, or in one sentence why it cannot be read."""
    ask = ("nvidia-smi", "--id=0", "--format=csv,noheader,nounits")
    if machine.run(["nvidia-smi", "-L"]) is None:
        return "nvidia-smi finds no GPU"
    for field in _FIELDS:
        answer = machine.run([*ask, f"--query-gpu={field}"])
        if number_from_text(answer) is not None:
            command = (*ask, f"--query-gpu={field}", f"--loop-ms={_INTERVAL_MS}")
            settle = 1.0 if field == "power.draw" else 0.3
            covers = f"GPU board 0 ({field}), not the host"
            return StreamedPower("nvidia-smi", covers, command, number_from_text, settle_s=settle)
    return "the GPU does not report its power (nvidia-smi says [N/A])"
