from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.unpack import unpack_tgz


def _archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_files_come_out_without_the_outermost_folder(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.tgz", ("top/val/x/1.jpg", b"one"), ("./top/list.csv", b"two"))
    assert unpack_tgz(archive, tmp_path / "out") == 2
    assert (tmp_path / "out/val/x/1.jpg").read_bytes() == b"one"
    assert (tmp_path / "out/list.csv").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["../evil", "top/../../evil", "/etc/evil"])
def test_a_member_that_would_lie_outside_is_refused(name: str, tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.tgz", (name, b"x"))
    with pytest.raises(InputError, match="outside the folder"):
        unpack_tgz(archive, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_a_device_is_refused(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("top/link")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(InputError, match="is a link or a device"):
        unpack_tgz(tmp_path / "a.tgz", tmp_path / "out")
    assert not (tmp_path / "out" / "link").is_symlink()


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.tgz", ("top/zeros", bytes(4 << 20)))
    assert archive.stat().st_size < 10_000
    with pytest.raises(InputError, match="would unpack to more than"):
        unpack_tgz(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.tgz", ("top/a", b"1"), ("top/a", b"2"))
    with pytest.raises(InputError, match="top/a comes twice"):
        unpack_tgz(archive, tmp_path / "out")


@pytest.mark.parametrize("length", [0, 100, -20])
def test_a_damaged_archive_is_named(length: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    archive = _archive(tmp_path / "a.tgz", ("top/a", content))
    archive.write_bytes(archive.read_bytes()[:length])
    with pytest.raises(InputError, match=r"a\.tgz is damaged"):
        unpack_tgz(archive, tmp_path / "out")
