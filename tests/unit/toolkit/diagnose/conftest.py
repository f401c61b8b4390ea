"""A small network trained on generated road signs, and its INT8 forms."""

from __future__ import annotations

import pytest

from benchmarks.planted_faults import Subject, sign_subjects


@pytest.fixture(scope="session")
def signs(tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    pytest.importorskip("torch", reason="the network is trained here")
    return sign_subjects(tmp_path_factory.mktemp("signs"), pictures=400, epochs=3)
