"""Engines that a device keeps: asked for first, and room only for what must be sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.ssh_device import SshDevice
from toolkit.errors import RemoteError
from toolkit.progress import Progress
from toolkit.remote.link import Link, open_link
from toolkit.remote.store import keep_there

_SIZE = 2 << 20
ENOUGH_FOR_ONE, ENOUGH_FOR_TWO = 64 + 4 * 2, 64 + 4 * 4
"""What `check_room` asks for: 64 MiB, and four times the size."""


@pytest.fixture
def link(device: SshDevice) -> Iterator[Link]:
    with open_link(device.address, resume="again") as link:
        yield link


@pytest.fixture
def engines(tmp_path: Path) -> list[tuple[Path, str]]:
    made = []
    for letter in "ab":
        path, content = tmp_path / f"{letter}.engine", letter.encode() * _SIZE
        path.write_bytes(content)
        made.append((path, hashlib.sha256(content).hexdigest()))
    return made


def _kept(
    link: Link,
    device: SshDevice,
    engines: list[tuple[Path, str]],
    free_mib: int,
    *,
    run: str = "one",
) -> tuple[list[Path], list[str]]:
    """Return where the device has the engines, and the names of those that were sent."""
    sent: list[str] = []

    def listen(progress: Progress) -> None:
        if progress.done == progress.total:
            sent.append(progress.note)

    folder = str(device.home / "kept")
    places = keep_there(link, engines, run=run, folder=folder, free_mib=free_mib, progress=listen)
    return [Path(place) for place in places], sent


def test_the_room_for_all_that_must_be_sent_is_asked_for_at_once(
    link: Link, device: SshDevice, engines: list[tuple[Path, str]]
) -> None:
    with pytest.raises(RemoteError, match=f"this needs {ENOUGH_FOR_TWO} MiB"):
        _kept(link, device, engines, ENOUGH_FOR_TWO - 1)
    assert not list((device.home / "kept" / "engines").iterdir())
    places, sent = _kept(link, device, engines, ENOUGH_FOR_TWO)
    assert [place.read_bytes() for place in places] == [path.read_bytes() for path, _ in engines]
    assert sent == ["a.engine", "b.engine"]


def test_what_is_there_needs_no_room(
    link: Link, device: SshDevice, engines: list[tuple[Path, str]]
) -> None:
    _kept(link, device, engines[:1], ENOUGH_FOR_ONE)
    assert _kept(link, device, engines, ENOUGH_FOR_ONE)[1] == ["b.engine"]
    assert _kept(link, device, engines, 0)[1] == []


def test_an_engine_that_is_named_twice_is_sent_and_counted_once(
    link: Link, device: SshDevice, engines: list[tuple[Path, str]]
) -> None:
    places, sent = _kept(link, device, [engines[0], engines[0]], ENOUGH_FOR_ONE)
    assert (places[0], sent) == (places[1], ["a.engine"])


def test_a_copy_that_was_cut_off_needs_room_for_the_rest_only(
    link: Link, device: SshDevice, engines: list[tuple[Path, str]]
) -> None:
    path, digest = engines[0]
    part = device.home / "kept" / "engines" / f"{digest[:16]}.engine.one.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(path.read_bytes()[: _SIZE // 2])
    with pytest.raises(RemoteError):
        _kept(link, device, engines[:1], ENOUGH_FOR_ONE - 1, run="two")
    (place,), _ = _kept(link, device, engines[:1], ENOUGH_FOR_ONE - 4)
    assert place.read_bytes() == path.read_bytes()
    assert not part.exists()


def test_the_copy_that_another_command_is_making_is_left_to_it(
    link: Link, device: SshDevice, engines: list[tuple[Path, str]]
) -> None:
    path, digest = engines[0]
    other = device.home / "kept" / "engines" / f"{digest[:16]}.engine.two.part"
    other.parent.mkdir(parents=True)
    other.write_bytes(path.read_bytes()[:1000])
    (place,), _ = _kept(link, device, engines[:1], ENOUGH_FOR_ONE)
    assert place.read_bytes() == path.read_bytes()
    assert other.read_bytes() == path.read_bytes()[:1000]


def test_an_engine_that_was_altered_there_is_sent_again(
    link: Link, device: SshDevice, engines: list[tuple[Path, str]]
) -> None:
    (place,), _ = _kept(link, device, engines[:1], ENOUGH_FOR_ONE)
    place.write_bytes(b"rotten")
    assert _kept(link, device, engines[:1], ENOUGH_FOR_ONE)[1] == ["a.engine"]
    assert place.read_bytes() == engines[0][0].read_bytes()
