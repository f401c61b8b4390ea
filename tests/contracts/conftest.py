"""What the contract tests share: TensorRT-RTX, where it is installed."""

from __future__ import annotations

from types import ModuleType

import pytest


@pytest.fixture(scope="package")
def trt() -> ModuleType:
    module: ModuleType = pytest.importorskip("tensorrt_rtx")
    return module
