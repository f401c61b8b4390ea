from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolkit.errors import MissingDependencyError
from toolkit.lazy import load


def test_a_row_gives_its_function() -> None:
    assert load("toolkit.lazy:load", what="X", install="pip install x") is load


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_absent.py").write_text("import absent_package.part\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        MissingDependencyError, match="needs the package 'absent_package'"
    ) as caught:
        load("needs_absent:anything", what="The source 'x'", install="pip install 'edgekit[x]'")
    assert caught.value.next_command == "pip install 'edgekit[x]'"


def test_our_own_missing_module_is_not_blamed_on_the_user() -> None:
    with pytest.raises(ModuleNotFoundError):
        load("toolkit.not_a_module:x", what="X", install="pip install x")


def test_a_name_that_is_not_in_the_module_is_our_mistake_too() -> None:
    with pytest.raises(AttributeError):
        load("toolkit.lazy:nothing", what="X", install="pip install x")
    assert "toolkit.lazy" in sys.modules
