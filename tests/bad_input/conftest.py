"""A fresh copy of good inputs for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bad_input.command import Place
from tests.bad_input.inputs import make_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture
def place(inputs: Path, tmp_path: Path) -> Place:
    made = Place(tmp_path / "here", tmp_path / "temporary")
    shutil.copytree(inputs, made.folder)
    made.temporary.mkdir()
    return made
