"""What a timing with trtexec leaves on the device, whichever way it ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.ssh_device import SshDevice
from tests.unit.toolkit.remote.board import for_tensorrt
from toolkit.errors import RemoteError
from toolkit.latency import Latency
from toolkit.progress import Progress
from toolkit.remote import measure_trtexec
from toolkit.remote.link import Link, open_link
from toolkit.remote.measure import measure_on_device
from toolkit.remote.neighbours import disturbances
from toolkit.remote.run_folder import remove_folder

RUN = "a" * 16


@pytest.fixture
def engine(device: SshDevice, model: Path) -> Path:
    return for_tensorrt(device, model).path


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that works elsewhere and has the number that an old `pid` holds."""
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process
        process.kill()


def runs_of(device: SshDevice) -> Path:
    return device.home / ".cache" / "edgekit" / "runs"


def measured(device: SshDevice, engine: Path, **options: Any) -> Latency:
    wanted: dict[str, Any] = {"samples": 2, "edgekit": "none", "root": str(device.root), **options}
    (run,) = measure_on_device([engine], host=device.address, **wanted)
    return run


def test_a_process_that_has_an_old_number_by_now_is_left_alone(
    device: SshDevice, engine: Path, stranger: subprocess.Popen[bytes]
) -> None:
    folder = runs_of(device) / RUN
    folder.mkdir(parents=True)
    (folder / "pid").write_text(f"{stranger.pid}\n")
    measured(device, engine, resume=RUN)
    folder.mkdir()
    (folder / "pid").write_text(f"{stranger.pid}\n")
    with open_link(device.address, resume="again") as link:
        remove_folder(link, str(folder), lambda progress: None)
    assert not folder.exists()
    with pytest.raises(subprocess.TimeoutExpired):
        stranger.wait(0.3)


def test_a_trtexec_that_fails_leaves_no_folder(device: SshDevice, engine: Path) -> None:
    device.command("trtexec", f'[ "$1" = --help ] && cat {device.folder}/help && exit; false')
    with pytest.raises(RemoteError, match="cannot run"):
        measured(device, engine)
    assert not list(runs_of(device).iterdir())


def test_a_connection_lost_after_the_last_turn_leaves_the_measurement(
    device: SshDevice, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(link: Link, folder: str) -> tuple[str, ...]:
        device.stop()
        return disturbances(link, folder)

    monkeypatch.setattr(measure_trtexec, "disturbances", vanish)
    said: list[Progress] = []
    run = measured(device, engine, pauses_s=(0.05,), progress=said.append)
    assert len(run.samples_ms) == 2
    assert run.unstable[0].startswith(f"whether another measurement ran on {device.address} is not")
    assert [each.done for each in said if each.step == "connect"] == [1]  # and then not again
    assert f"{runs_of(device)}/" in said[-1].note and "stays there" in said[-1].note


def test_a_lost_timing_with_trtexec_is_repeated_and_said_to_be(
    device: SshDevice, engine: Path
) -> None:
    def vanish(progress: Progress) -> None:
        if progress.step == "measure":
            device.stop()

    with pytest.raises(RemoteError, match="The next command repeats it") as caught:
        measured(device, engine, pauses_s=(0.05,), progress=vanish)
    assert "goes on" not in caught.value.message
    (folder,) = runs_of(device).iterdir()
    assert caught.value.next_command.endswith(f" --resume {folder.name}")
    device.start()
    run = measured(device, engine, resume=folder.name)
    assert len(run.samples_ms) == 2
    assert not run.unstable or "another measurement" not in run.unstable[0]
    assert not list(runs_of(device).iterdir())
