"""Ctrl-C, SIGTERM and SIGKILL in the middle of every arrow."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.bad_input.arrows import ARROWS, NEEDS
from tests.bad_input.command import EDGEKIT, Place, Said, is_refusal
from tests.bad_input.inputs import make_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOMENTS = (0.3, 0.6, 0.9)
"""When the signal comes, as parts of the time that the whole command took."""
CATCHES = "SigCgt:"


@dataclass(frozen=True)
class Arrow:
    """A command that was seen to work here, how long it takes and what it writes."""

    arguments: tuple[str, ...]
    seconds: float
    place: Place

    @property
    def out(self) -> Path:
        return self.place.folder / "o"

    def stopped(self, number: signal.Signals, moment: float) -> Said:
        """Start the command, send the signal at `moment` of its time, return what it said."""
        with subprocess.Popen(
            [*EDGEKIT, *self.arguments],
            cwd=self.place.folder,
            env=self.place.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            started = time.monotonic()
            while process.poll() is None and not _catches(process.pid, signal.SIGTERM):
                time.sleep(0.002)
            while process.poll() is None and time.monotonic() - started < moment * self.seconds:
                time.sleep(0.005)
            process.send_signal(number)
            out, err = process.communicate(timeout=120)
        return Said(process.returncode, out, err)


def _catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal: before that it is not edgekit yet."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return False
    line = next((line for line in status.splitlines() if line.startswith(CATCHES)), f"{CATCHES} 0")
    return bool(int(line.removeprefix(CATCHES), 16) >> (number - 1) & 1)


@pytest.fixture(params=sorted(ARROWS))
def arrow(request: pytest.FixtureRequest, place: Place) -> Arrow:
    package = NEEDS.get(request.param)
    if package and find_spec(package) is None:
        pytest.skip(f"{request.param} needs {package}")
    if request.param == "export":
        make_checkpoint(place.folder / "m.pt")
    started = time.monotonic()
    said = place.run(*ARROWS[request.param])
    assert said.code == 0, said
    return Arrow(ARROWS[request.param], time.monotonic() - started, place)


def test_a_stopped_command_says_so_and_leaves_nothing_half_written(arrow: Arrow) -> None:
    files = {path: path.read_bytes() for path in arrow.out.iterdir()}
    for number in (signal.SIGINT, signal.SIGTERM):
        for moment in MOMENTS:
            said = arrow.stopped(number, moment)
            assert sorted(arrow.out.iterdir()) == sorted(files), "nothing temporary stays"
            if said.code == 0:
                continue  # it was done first, or ended with its summary as `live` does
            sentence, _ = is_refusal(said)
            assert sentence.startswith("Interrupted")


def test_a_killed_command_leaves_the_old_files_or_new_ones(arrow: Arrow) -> None:
    names = {path.name for path in arrow.out.iterdir()}
    for path in arrow.out.iterdir():
        path.write_bytes(b"old")
    arrow.stopped(signal.SIGKILL, 0.5)
    kept = {path.name: path.read_bytes() for path in arrow.out.iterdir()}
    assert names <= set(kept)
    assert all(content for content in kept.values())
    unfinished = set(kept) - names
    assert all(name.startswith(".") for name in unfinished), "what is unfinished is hidden"
    again = arrow.place.run(*arrow.arguments)
    assert again.code == 0, again
    assert {path.name for path in arrow.out.iterdir()} == names, "and is removed by the next run"
