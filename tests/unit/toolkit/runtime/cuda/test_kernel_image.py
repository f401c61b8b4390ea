from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from toolkit.errors import MissingDependencyError
from toolkit.runtime.cuda.kernel_image import (
    PTX,
    SOURCE,
    compile_cubin,
    kernel_image,
    ptx_from_source,
    ptx_source_digest,
)

NVCC = shutil.which("nvcc")
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc on this machine")


def test_the_shipped_ptx_was_made_from_the_shipped_source() -> None:
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    assert ptx_source_digest() == digest, "run: python -m toolkit.runtime.cuda.kernel_image"


def test_the_ptx_is_old_enough_for_the_drivers_of_every_supported_tensorrt() -> None:
    lines = PTX.read_text(encoding="utf-8").splitlines()
    assert ".version 7.0" in lines
    assert ".target sm_75" in lines


@pytest.mark.parametrize("kernel", ["preprocess_fp32", "preprocess_fp16", "preprocess_int8"])
def test_the_ptx_has_a_kernel_for_every_input_type(kernel: str) -> None:
    assert f".visible .entry {kernel}(" in PTX.read_text(encoding="utf-8")


def test_the_driver_gets_the_ptx_as_a_c_string() -> None:
    assert kernel_image(87) == PTX.read_bytes() + b"\0"


def test_an_older_gpu_needs_nvcc_and_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(MissingDependencyError, match=r"SM 7\.0.*nvcc is not installed"):
        kernel_image(70)


def architectures() -> list[int]:
    if NVCC is None:
        return [75]
    run = subprocess.run([NVCC, "--list-gpu-code"], capture_output=True, text=True, check=True)
    names = [name.removeprefix("sm_") for name in run.stdout.split()]
    return sorted({int(name) for name in names if name.isdecimal()})


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("sm", architectures())
def test_nvcc_compiles_the_kernel_for_every_architecture_it_knows(sm: int) -> None:
    assert NVCC is not None
    assert compile_cubin(NVCC, sm).startswith(b"\x7fELF")


@needs_nvcc
def test_nvcc_makes_the_shipped_ptx_again_and_the_assembler_takes_it(
    tmp_path: pytest.TempPathFactory,
) -> None:
    assert NVCC is not None
    version = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    if "V13.0.88" in version:  # another compiler may well choose other instructions
        assert ptx_from_source(NVCC) == PTX.read_text(encoding="utf-8")
    # An instruction newer than the lowered .version would be refused here.
    cubin = f"{tmp_path}/kernel.cubin"
    subprocess.run([NVCC, "-cubin", "-arch=sm_75", "-o", cubin, str(PTX)], check=True)
