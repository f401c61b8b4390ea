"""The structure of the project: who may import whom, and what must not be imported early."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"toolkit", "calibration", "targets"}
MAY_IMPORT = {
    "targets": {"targets"},
    "calibration": {"calibration", "numpy", "onnx", "onnxruntime"},
    "toolkit": OURS,
}
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "tensorrt",
    "tensorrt_rtx",
    "pycuda",
    "paramiko",
    "cv2",
    "matplotlib",
    "starlette",
    "uvicorn",
}
STDLIB = set(sys.stdlib_module_names)


def _sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Yield the first part of every module that the file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_packages_depend_only_downwards(package: str) -> None:
    for path in _sources(package):
        wrong = (set(_imports(path)) & OURS) - MAY_IMPORT[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("package", ["targets", "calibration"])
def test_the_lower_packages_use_only_what_they_promise(package: str) -> None:
    for path in _sources(package):
        wrong = set(_imports(path)) - STDLIB - MAY_IMPORT[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_cv2_appears_only_in_the_camera_package() -> None:
    users = {path for path in _sources("toolkit") if "cv2" in set(_imports(path))}
    assert users, "the camera package reads video with OpenCV"
    assert all((ROOT / "toolkit" / "camera") in path.parents for path in users)


def test_importing_every_light_module_loads_no_heavy_package() -> None:
    heavy_modules = {
        path
        for package in OURS
        for path in _sources(package)
        if HEAVY & set(_imports(path, top_level_only=True))
    }
    light = [
        _module_name(path)
        for package in sorted(OURS)
        for path in _sources(package)
        if path not in heavy_modules and path.name != "__main__.py"
    ]
    wanted = _loaded_after(light) & HEAVY
    allowed = _loaded_after([name for name in light if "onnxruntime" in name]) & HEAVY
    assert not wanted - allowed, f"light modules load {wanted}"


def test_a_command_line_help_loads_neither_numpy_nor_onnx() -> None:
    loaded = _loaded_after(["toolkit.cli.app"])
    assert not loaded & (HEAVY | {"numpy", "onnx", "onnxruntime", "PIL"})


def _loaded_after(modules: list[str]) -> set[str]:
    code = f"import sys\nfor name in {modules!r}: __import__(name)\nprint(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert run.returncode == 0, run.stderr
    return {name.split(".")[0] for name in run.stdout.split()}


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _light_modules() -> list[str]:
    return [
        _module_name(path)
        for package in sorted(OURS)
        for path in _sources(package)
        if not HEAVY & set(_imports(path, top_level_only=True)) and path.name != "__main__.py"
    ]


@pytest.mark.parametrize("name", _light_modules())
def test_public_names_are_listed_and_documented(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    listed = getattr(module, "__all__", None)
    own = [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    ]
    if own:
        assert listed is not None, f"{name} defines {own} and has no __all__"
    missing = [key for key in listed or [] if not hasattr(module, key)]
    assert not missing, f"{name}.__all__ names {missing}, which do not exist"
    assert module.__doc__ or not own, f"{name} has no docstring"


def test_every_error_of_the_tree_is_drawn() -> None:
    import toolkit.errors as errors

    drawn = set(re.findall(r"[A-Z]\w*Error", errors.__doc__ or ""))
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == "toolkit.errors"
    }
    assert defined | {"TargetError", "CalibrationError"} == drawn


def test_the_tree_has_no_error_outside_it() -> None:
    elsewhere = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for package in OURS
        for path in _sources(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and node.name.endswith("Error")
        and not node.name.startswith("_")
        and path.name != "errors.py"
    }
    assert not elsewhere


@pytest.mark.parametrize("package", sorted(OURS))
def test_a_module_stays_short_enough_to_read(package: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _sources(package)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 320
    }
    assert not long


@pytest.mark.parametrize("package", sorted(OURS))
def test_no_module_has_a_name_that_says_nothing(package: str) -> None:
    vague = {"utils", "util", "core", "common", "helpers", "helper", "base", "manager"}
    assert not [path for path in _sources(package) if path.stem in vague]


FORBIDDEN_LICENCES = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)


def test_no_dependency_is_gpl_or_agpl() -> None:
    offenders = {}
    for distribution in _dependencies("edgekit"):
        fields = distribution.metadata
        licence_texts = fields.get_all("License") or []
        declared = " ".join(
            [
                *(fields.get_all("License-Expression") or []),
                *(text.split("\n")[0] for text in licence_texts),
                *(c for c in fields.get_all("Classifier") or [] if c.startswith("License")),
            ]
        )
        without_lgpl = re.sub(r"LGPL|Lesser General Public", "", declared)
        if FORBIDDEN_LICENCES.search(without_lgpl):
            offenders[fields["Name"]] = declared
    assert not offenders


def _dependencies(root: str) -> list[metadata.Distribution]:
    """Return the installed distributions that `root` needs, directly or not, extras included."""
    seen: dict[str, metadata.Distribution] = {}
    waiting = [root]
    while waiting:
        name = re.split(r"[\s<>=!~;\[(]", waiting.pop())[0].lower().replace("_", "-")
        if name in seen:
            continue
        try:
            seen[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # an extra or a marker that this machine does not need
        waiting.extend(seen[name].requires or [])
    assert root in seen, "the licences are read from the installed project"
    return list(seen.values())
