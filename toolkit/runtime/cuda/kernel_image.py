"""The compiled form of preprocess.cu: shipped PTX, or a cubin where the GPU is older than that.

`python -m toolkit.runtime.cuda.kernel_image` makes the PTX again after a change of the source.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from toolkit.atomic import write_text
from toolkit.errors import BuildError, MissingDependencyError

__all__ = ["PTX", "SOURCE", "compile_cubin", "kernel_image", "ptx_from_source", "ptx_source_digest"]

SOURCE = Path(__file__).resolve().parent.parent / "kernels" / "preprocess.cu"
PTX = SOURCE.with_suffix(".ptx")

_PTX_SM = 75
"""The oldest architecture that nvcc 13 knows; the driver compiles PTX for it and all newer ones."""
_PTX_VERSION = "7.0"
"""Drivers refuse PTX newer than themselves: nvcc 13 writes 9.0, which takes CUDA 13. The kernel
uses nothing newer than 6.3; 7.0 is CUDA 11.0, older than the driver of any supported TensorRT."""


def kernel_image(sm: int) -> bytes:
    """Return what the driver loads on architecture `sm` (8.7 as 87), ended by a zero byte.

    Raises MissingDependencyError for an architecture before 7.5 on a machine without nvcc.
    """
    if sm >= _PTX_SM:
        return PTX.read_bytes() + b"\0"
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise MissingDependencyError(
            f"The preprocessing kernel is shipped for SM 7.5 and newer: for SM {sm // 10}."
            f"{sm % 10} it is compiled here, and nvcc is not installed.",
            next_command="edgekit doctor",
        )
    return compile_cubin(nvcc, sm)


def compile_cubin(nvcc: str, sm: int) -> bytes:
    """Return the kernel compiled for one architecture. Raises BuildError with nvcc's words."""
    return _nvcc(nvcc, "-cubin", f"-arch=sm_{sm}")


def ptx_from_source(nvcc: str) -> str:
    """Return the PTX file's text: the digest of the source, then PTX that older drivers take."""
    text = _nvcc(nvcc, "-ptx", f"-arch=compute_{_PTX_SM}").decode()
    # Comments name the compiler's build; without them equal sources give equal files.
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("//")]
    body = re.sub(r"^\.version .*$", f".version {_PTX_VERSION}", "\n".join(lines), flags=re.M)
    return (
        "// Made from preprocess.cu by python -m toolkit.runtime.cuda.kernel_image.\n"
        f"// SHA-256 of the source: {_source_digest()}\n{body}\n"
    )


def ptx_source_digest() -> str:
    """Return the digest of the source that the shipped PTX was made from."""
    match = re.search(r"SHA-256 of the source: ([0-9a-f]{64})", PTX.read_text(encoding="utf-8"))
    return match[1] if match else ""


def _source_digest() -> str:
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def _nvcc(nvcc: str, *options: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kernel"
        run = subprocess.run(
            [nvcc, *options, "-O3", "-o", str(out), str(SOURCE)],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise BuildError(
                f"nvcc refuses {SOURCE.name}: {' '.join((run.stderr or run.stdout).split())}",
                next_command=f"{nvcc} --version",
            )
        return out.read_bytes()


def _main() -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise MissingDependencyError("There is no nvcc here.", next_command="edgekit doctor")
    write_text(PTX, ptx_from_source(nvcc))


if __name__ == "__main__":
    _main()
