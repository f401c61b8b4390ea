"""TensorRT's own Python bindings, imported where there is no TensorRT: names can be looked up.

The bindings are small wheels whose extension links to libraries of 1.5 GB. Empty libraries with
the same names let the extension load, in a process of its own; nothing behind it works, except
with `over_rtx`: TensorRT 11's bindings then drive TensorRT-RTX's libraries.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["BINDINGS", "fetch_bindings", "run_with_bindings", "why_no_bindings"]

BINDINGS = {
    "8.6.1": "tensorrt-bindings==8.6.1",
    "10.3": "tensorrt-cu12-bindings==10.3.0",
    "10.16": "tensorrt-cu12-bindings==10.16.*",
    "11": "tensorrt-cu13-bindings==11.4.*",
}
"""TensorRT version -> the wheel with its bindings."""

_ROOT = Path(__file__).resolve().parents[2]
_SYMBOLS = re.compile(
    r" U (\S*(?:createInfer|createNv|getNvOnnx|PluginRegistry|initLibNv|nvcaffe|nvuff)\S*)"
)
_IMPORT = """
import ctypes, importlib.util, os, sys, types
for library in {preloaded!r}:
    ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
sys.setdlopenflags(os.RTLD_LAZY)  # what the empty libraries lack is never called
package = types.ModuleType("tensorrt_bindings")
package.__path__ = [{folder!r}]
sys.modules["tensorrt_bindings"] = package
spec = importlib.util.spec_from_file_location("tensorrt_bindings.tensorrt", {extension!r})
trt = importlib.util.module_from_spec(spec)
sys.modules["tensorrt_bindings.tensorrt"] = trt
spec.loader.exec_module(trt)
trt.__name__, trt.__version__ = "tensorrt", {version!r}
"""


@cache
def why_no_bindings() -> str:
    """Why the bindings cannot be inspected on this machine, or ""."""
    for tool in ("gcc", "nm"):
        if shutil.which(tool) is None:
            return f"no {tool} to make empty libraries with"
    return ""


@cache
def fetch_bindings(version: str) -> Path | str:
    """The folder with the unpacked wheel and its empty libraries; the reason where there is none.

    Kept between runs, in the temporary folder of the system.
    """
    tag = f"{version}-py{sys.version_info[0]}{sys.version_info[1]}"
    folder = Path(tempfile.gettempdir()) / f"edgekit-tensorrt-bindings-{tag}"
    if (folder / "ready").exists():
        return folder
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(made),
        ]
        run = subprocess.run(
            [*pip, "--only-binary", ":all:", BINDINGS[version]],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            lines = run.stderr.strip().splitlines() or ["pip failed"]
            return f"the wheel {BINDINGS[version]} cannot be had: {lines[-1]}"
        _make_empty_libraries(made)
        (made / "ready").touch()
        with suppress(OSError):  # another test process was faster
            made.rename(folder)
        return folder
    finally:
        shutil.rmtree(made, ignore_errors=True)


def run_with_bindings(
    version: str, code: str, *, over_rtx: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `code`, which finds the bindings as `trt`, in a process of its own."""
    folder = fetch_bindings(version)
    assert isinstance(folder, Path), "callers skip without the bindings"
    (extension,) = (folder / "tensorrt_bindings").glob("tensorrt*.so")
    preloaded = _rtx_libraries() if over_rtx else []
    head = _IMPORT.format(
        preloaded=preloaded, folder=str(extension.parent), extension=str(extension), version=version
    )
    return subprocess.run(
        [sys.executable, "-c", head + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=_ROOT,
        env={**os.environ, "LD_LIBRARY_PATH": str(folder / "empty"), "PYTHONPATH": str(_ROOT)},
    )


def _rtx_libraries() -> list[str]:
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    assert spec is not None, "callers skip without TensorRT-RTX"
    folder = Path(next(iter(spec.submodule_search_locations or ())))
    return [str(next(folder.glob(f"lib{name}.so*"))) for name in ("tensorrt_rtx", "tensorrt_onnx*")]


def _make_empty_libraries(folder: Path) -> None:
    (extension,) = (folder / "tensorrt_bindings").glob("tensorrt*.so")
    read = ["readelf", "--dynamic", "--wide", str(extension)]
    needed = subprocess.run(read, capture_output=True, text=True, check=True).stdout
    listed = ["nm", "--dynamic", "--undefined-only", str(extension)]
    symbols = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    source = folder / "empty.c"
    source.write_text(
        "\n".join(
            f'void *nothing{i}(void) __asm__("{name}"); void *nothing{i}(void) {{ return 0; }}'
            for i, name in enumerate(dict.fromkeys(_SYMBOLS.findall(symbols)))
        )
    )
    (folder / "empty").mkdir()
    for name in re.findall(r"\[(libnv\w+\.so\.\d+)\]", needed):
        made = ["-o", str(folder / "empty" / name), f"-Wl,-soname,{name}"]
        subprocess.run(["gcc", "-shared", "-fPIC", *made, str(source)], check=True)
