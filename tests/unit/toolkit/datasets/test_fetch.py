from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.toolkit.file_server import FileServer, serving
from tests.unit.toolkit.picture_folders import write_picture
from toolkit.cli.app import app
from toolkit.datasets import catalog
from toolkit.datasets.catalog import CATALOG, SHORT_NAMES, Published
from toolkit.datasets.fetch import fetch_dataset
from toolkit.datasets.imagenet import open_imagenet
from toolkit.errors import InputError


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """A small archive laid out like Imagenette's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for part in ("train", "val"):
            for synset in ("n01440764", "n03888257"):
                name = f"imagenette2-160/{part}/{synset}/{synset}_1.png"
                tar.add(write_picture(tmp_path / "made" / name), arcname=name)
    return buffer.getvalue()


def _publish(monkeypatch: pytest.MonkeyPatch, server: FileServer, content: bytes) -> None:
    checksum = f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
    monkeypatch.setitem(catalog.CATALOG, "imagenette2-160", Published(server.url, (checksum,)))


@pytest.fixture
def server(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving(content) as running:
        _publish(monkeypatch, running, content)
        yield running


def test_a_fetched_data_set_is_ready_for_the_other_commands(
    server: FileServer, tmp_path: Path
) -> None:
    found = fetch_dataset("imagenette2-160", out=tmp_path / "data" / "set")
    assert (found.name, found.files) == ("imagenette2-160", 4)
    images = open_imagenet(found.root / "val").images
    assert [image.label for image in images] == [0, 701]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["set"], "no leftovers"


def test_a_data_set_that_is_there_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    first = fetch_dataset("imagenette2-160", out=tmp_path / "set")
    assert fetch_dataset("imagenette2-160", out=tmp_path / "set") == first
    assert len(server.asked) == 1


def test_a_folder_with_something_else_is_left_alone(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not imagenette2-160: it is left alone"):
        fetch_dataset("imagenette2-160", out=tmp_path / "set")
    assert not server.asked


def test_a_killed_run_is_taken_up_where_it_ended(
    server: FileServer, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / ".imagenette2-160.tgz.partial").write_bytes(content[:500])
    fetch_dataset("imagenette2-160", out=tmp_path / "set")
    assert server.asked == ["bytes=500-"]


def test_a_wrong_checksum_leaves_no_folder(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(content[:-1] + b"x") as running:
        _publish(monkeypatch, running, content)
        with pytest.raises(InputError, match="is not what was published"):
            fetch_dataset("imagenette2-160", out=tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_an_archive_that_is_refused_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("top/../../evil"))
    with serving(buffer.getvalue()) as running:
        _publish(monkeypatch, running, buffer.getvalue())
        with pytest.raises(InputError, match="outside the folder"):
            fetch_dataset("imagenette2-160", out=tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No data set 'imagenett'") as failure:
        fetch_dataset("imagenett", out=tmp_path / "set")
    assert "fetch imagenette " in failure.value.next_command


def test_the_command_prints_one_object(server: FileServer, tmp_path: Path) -> None:
    arguments = ["dataset", "fetch", "imagenette2-160", "--out", str(tmp_path / "s"), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["files"] == 4


def test_every_row_is_fetched_securely_and_checked() -> None:
    assert set(SHORT_NAMES.values()) <= set(CATALOG)
    for row in CATALOG.values():
        assert row.url.startswith("https://")
        assert row.checksums
        for checksum in row.checksums:
            kind, _, digest = checksum.partition(":")
            assert len(bytes.fromhex(digest)) == hashlib.new(kind).digest_size
