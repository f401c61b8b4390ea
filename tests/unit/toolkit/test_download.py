from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path

import pytest

from tests.unit.toolkit.file_server import serving
from toolkit import download as download_module
from toolkit.download import download
from toolkit.errors import InputError, MachineError
from toolkit.progress import Progress

CONTENT = bytes(range(256)) * 3000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"


def test_a_file_is_fetched_checked_and_its_progress_reported(tmp_path: Path) -> None:
    steps: list[Progress] = []
    with serving(CONTENT) as server:
        found = download(
            server.url, tmp_path / "new" / "f", checksums=(SHA256,), progress=steps.append
        )
    assert found == SHA256
    assert (tmp_path / "new" / "f").read_bytes() == CONTENT
    assert {step.step for step in steps} == {"fetch", "check"}


def test_any_of_several_published_checksums_will_do(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        assert download(server.url, tmp_path / "f", checksums=("sha256:00", MD5)) == MD5


def test_what_an_earlier_run_left_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT[:1000])
    with serving(CONTENT) as server:
        download(server.url, tmp_path / "f", checksums=(SHA256,))
    assert server.asked == ["bytes=1000-"]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_complete_file_is_only_checked(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    with serving(CONTENT) as server:
        assert download(server.url, tmp_path / "f", checksums=(SHA256,)) == SHA256
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_dropped_connection_goes_on_where_it_broke(tmp_path: Path) -> None:
    waits: list[float] = []
    with serving(CONTENT, "drop", "error", "drop", "ranges") as server:
        download(server.url, tmp_path / "f", checksums=(SHA256,), sleep=waits.append)
    half = len(CONTENT) // 2
    assert server.asked == [None, f"bytes={half}-", f"bytes={half}-", f"bytes={half + half // 2}-"]
    assert waits == [1.0, 2.0, 4.0]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_everything_again(tmp_path: Path) -> None:
    with serving(CONTENT, "drop", "whole") as server:
        download(server.url, tmp_path / "f", checksums=(SHA256,), sleep=lambda _: None)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_that_sends_another_part_than_asked_for_is_not_believed(tmp_path: Path) -> None:
    with serving(CONTENT, "drop", "other", "ranges") as server:
        download(server.url, tmp_path / "f", checksums=(SHA256,), sleep=lambda _: None)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_after_five_broken_connections_what_arrived_is_kept(tmp_path: Path) -> None:
    with (
        serving(CONTENT, "drop") as server,
        pytest.raises(InputError, match=r"broke off 5 times.*What arrived is kept"),
    ):
        download(server.url, tmp_path / "f", checksums=(SHA256,), sleep=lambda _: None)
    assert CONTENT.startswith((tmp_path / "f").read_bytes())


def test_a_wrong_checksum_names_both_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        serving(CONTENT[:-1] + b"x") as server,
        pytest.raises(InputError, match=f"is not what was published .{MD5}.") as failure,
    ):
        download(server.url, tmp_path / "f", checksums=(MD5,))
    assert "767,999" not in failure.value.message
    assert "768,000 bytes" in failure.value.message
    assert not (tmp_path / "f").exists()


def test_a_missing_file_is_not_tried_again(tmp_path: Path) -> None:
    with (
        serving(CONTENT, "absent") as server,
        pytest.raises(InputError, match="answers 404 Not Found"),
    ):
        download(server.url, tmp_path / "f", checksums=(SHA256,))
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        url = server.url
    with pytest.raises(InputError, match=r"broke off 5 times.*refused"):
        download(url, tmp_path / "f", checksums=(SHA256,), sleep=lambda _: None)


def test_a_server_that_never_stops_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "MAX_BYTES", 1000)
    with serving(CONTENT) as server, pytest.raises(InputError, match="larger than 1,000 bytes"):
        download(server.url, tmp_path / "f", checksums=(SHA256,))


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    with (tmp_path / "f").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with serving(CONTENT) as server, pytest.raises(InputError, match="another process"):
            download(server.url, tmp_path / "f", checksums=(SHA256,))


def test_a_folder_that_cannot_be_written_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with serving(CONTENT) as server, pytest.raises(MachineError, match="cannot be written"):
        download(server.url, tmp_path / "file" / "f", checksums=(SHA256,))
