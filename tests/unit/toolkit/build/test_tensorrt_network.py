from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from toolkit.build.tensorrt_network import refused

TRT = SimpleNamespace(__name__="tensorrt_rtx", __version__="1.0")


def message(words: list[str]) -> str:
    request = SimpleNamespace(model=SimpleNamespace(path=Path("m.onnx")))
    return refused(TRT, request, words).message  # type: ignore[arg-type]  # it reads the path


@pytest.mark.parametrize(
    ("complaints", "said"),
    [
        ([], "refuses m.onnx: no reason given."),
        (["one", "one", "two."], "refuses m.onnx: one; two."),
        (["one", "two", "three", "four", "five"], "refuses m.onnx: one; two; three; and 2 more."),
    ],
)
def test_a_refusal_says_three_reasons_and_counts_the_rest(complaints: list[str], said: str) -> None:
    assert message(complaints).endswith(said)
