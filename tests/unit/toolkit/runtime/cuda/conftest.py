from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.cuda_machine import CudaMachine
from tests.doubles.engines import write_engine
from tests.unit.toolkit.onnx_graphs import classifier, contract
from tests.unit.toolkit.runtime.cuda.cuda_parts import RECIPE
from toolkit.artifacts import Engine


@pytest.fixture
def machine() -> CudaMachine:
    return CudaMachine()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return write_engine(classifier(), contract(preprocess=RECIPE), tmp_path)
