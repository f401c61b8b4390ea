"""Engines that a device keeps: asked for first, and room only for what must be sent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.ssh_device import SshDevice
from toolkit.errors import RemoteError
from toolkit.progress import Progress
from toolkit.remote import transfer
from toolkit.remote.connection import Connection
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


def test_a_full_disk_keeps_no_unfinished_copy(
    link: Link, device: SshDevice, engines: list[tuple[Path, str]]
) -> None:
    with device.small_disk() as small:
        with pytest.raises(RemoteError, match="No space left"):
            keep_there(link, engines, run="one", folder=str(small), free_mib=9999, progress=_deaf)
        assert not list((small / "engines").iterdir())


def test_ctrl_c_keeps_no_unfinished_copy_and_a_lost_connection_does(
    link: Link,
    device: SshDevice,
    engines: list[tuple[Path, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: list[BaseException] = [KeyboardInterrupt(), RemoteError("lost", next_command="again")]
    ends[1].__cause__ = ConnectionError("lost")
    left: list[int] = []
    digest_there = transfer.remote_digest

    def end(there: Connection, remote: str) -> str:
        if remote.endswith(".part"):
            raise ends[len(left)]
        return digest_there(there, remote)

    monkeypatch.setattr(transfer, "remote_digest", end)
    for reason in ends:
        with pytest.raises(type(reason)):
            _kept(link, device, engines[:1], ENOUGH_FOR_ONE)
        left.append(len(list((device.home / "kept" / "engines").iterdir())))
    assert left == [0, 1]


def test_what_was_given_up_long_ago_makes_room_first(
    link: Link, device: SshDevice, engines: list[tuple[Path, str]]
) -> None:
    kept = device.home / "kept"
    old = [kept / "engines" / "x.engine.two.part", kept / "runs" / "two", kept / "runs" / "one-a"]
    new = [kept / "engines" / "x.engine.six.part", kept / "runs" / "six"]
    for path in (*old, *new):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (40 << 20) if path == old[0] else b"x")
    for path in old:
        os.utime(path, (0, 0))
    _kept(link, device, engines[:1], ENOUGH_FOR_ONE - 8)
    assert [path.exists() for path in old] == [False, False, True]  # the last is this run's own
    assert all(path.exists() for path in new)


def _deaf(progress: Progress) -> None: ...
