from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolkit.installed import PACKAGES, Package, check_package, run_probe


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose modules this process and its children can import."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_an_installed_package_tells_its_version(packages: Path) -> None:
    (packages / "fine_package.py").write_text("__version__ = '1.2.3'\nprint('hello')\n")
    check = check_package(Package("fine_package", "tests"), jetson=False)
    assert (check.state, check.detail) == ("ok", "1.2.3 (tests)")
    assert "fine_package" not in sys.modules


def test_a_package_without_a_version_attribute_is_looked_up() -> None:
    assert check_package(Package("rich", "bars"), jetson=False).detail[0].isdigit()


def test_a_missing_optional_package_names_its_pip_line() -> None:
    check = check_package(Package("no_such_package", "trains", "train"), jetson=False)
    assert check.state == "missing"
    assert check.fix == "pip install 'edgekit[train]'"


def test_a_missing_core_package_is_a_problem() -> None:
    check = check_package(Package("no_such_package", "everything"), jetson=False)
    assert (check.state, check.fix) == ("problem", "pip install edgekit")


def test_tensorrt_on_a_jetson_comes_with_jetpack() -> None:
    row = Package("tensorrt", "engines", "tensorrt")
    if check_package(row, jetson=False).state == "ok":
        pytest.skip("tensorrt is installed here")
    assert "nvidia-jetpack" in check_package(row, jetson=True).fix


def test_a_package_that_raises_shows_its_last_line(packages: Path) -> None:
    (packages / "sad_package.py").write_text("raise OSError('libnvinfer.so.10 is missing')\n")
    check = check_package(Package("sad_package", "tests", "rtx"), jetson=False)
    assert check.state == "problem"
    assert "OSError: libnvinfer.so.10 is missing" in check.detail
    assert check.fix == "pip install --force-reinstall 'edgekit[rtx]'"


def test_a_package_that_kills_its_process_does_not_harm_this_one(packages: Path) -> None:
    (packages / "deadly_package.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    check = check_package(Package("deadly_package", "tests"), jetson=False)
    assert check.state == "problem"
    assert "killed by signal 9" in check.detail


def test_a_package_that_hangs_is_given_up(packages: Path) -> None:
    (packages / "slow_package.py").write_text("import time\ntime.sleep(60)\n")
    probe = run_probe(Package("slow_package", "tests"), timeout_s=0.5)
    assert probe.error.startswith("it did not finish within")


def test_a_package_whose_probe_fails_is_a_problem(packages: Path) -> None:
    (packages / "hollow_package.py").write_text("")
    row = Package("hollow_package", "tests", "rtx", "module.Builder()")
    assert "no attribute 'Builder'" in check_package(row, jetson=False).detail


def test_every_extra_named_in_the_table_exists() -> None:
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    extras = {row.extra for row in PACKAGES if row.extra}
    assert all(f"\n{extra} = [" in text for extra in extras)


def test_the_ahead_of_time_builder_really_builds_for_a_gpu_that_is_absent() -> None:
    row = next(row for row in PACKAGES if row.module == "tensorrt_rtx")
    check = check_package(row, jetson=False)
    if check.state == "missing":
        pytest.skip("tensorrt-rtx is not installed")
    assert check.state == "ok"
