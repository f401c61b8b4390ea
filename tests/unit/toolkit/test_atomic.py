from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolkit.atomic import replace_file, write_bytes, write_text
from toolkit.errors import MachineError


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    write_bytes(target, b"old")
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.json", "{}\n")
    assert (tmp_path / "a" / "b" / "c.json").read_text(encoding="utf-8") == "{}\n"


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    write_bytes(target, b"old")
    with pytest.raises(KeyboardInterrupt), replace_file(target) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    write_bytes(target, b"old")
    code = (
        "import time\nfrom pathlib import Path\nfrom toolkit.atomic import replace_file\n"
        f"with replace_file(Path({str(target)!r})) as t:\n"
        "    t.write_bytes(b'half')\n    print('written', flush=True)\n    time.sleep(30)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline().strip() == "written"
    writer.send_signal(signal.SIGKILL)
    writer.wait(timeout=10)
    writer.stdout.close()
    assert target.read_bytes() == b"old"


def test_a_full_disk_is_one_sentence_and_the_old_file_stays(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to stand for a full disk")
    target = tmp_path / "model.onnx"
    write_bytes(target, b"old")
    with (
        pytest.raises(MachineError) as caught,
        replace_file(target),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert "is full" in caught.value.message
    assert target.read_bytes() == b"old"


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file", encoding="utf-8")
    with pytest.raises(MachineError, match="cannot be written"):
        write_bytes(tmp_path / "folder" / "model.onnx", b"x")


def test_ordinary_permissions_are_kept(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        write_bytes(tmp_path / "model.onnx", b"x")
    finally:
        os.umask(previous)
    assert (tmp_path / "model.onnx").stat().st_mode & 0o777 == 0o644
    assert time.time() - (tmp_path / "model.onnx").stat().st_mtime < 60
