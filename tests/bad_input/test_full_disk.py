"""A disk that fills up while an arrow writes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.bad_input.arrows import ARROWS, NEEDS
from tests.bad_input.command import Place, is_refusal
from tests.bad_input.inputs import make_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    """Yield `o`, a file system with no block left."""
    folder = place.folder / "o"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system to fill")
    try:
        (folder / "filler").write_bytes(b"x" * (32 << 10))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", sorted(set(ARROWS) - {"train"}))
def test_a_full_disk_is_one_sentence_and_nothing_half_written(
    name: str, place: Place, small_disk: Path
) -> None:
    package = NEEDS.get(name)
    if package and find_spec(package) is None:
        pytest.skip(f"{name} needs {package}")
    if name == "export":
        make_checkpoint(place.folder / "m.pt")
    said = place.run(*ARROWS[name])
    sentence, next_command = is_refusal(said)
    assert "full" in sentence
    assert next_command.startswith("df -h")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
