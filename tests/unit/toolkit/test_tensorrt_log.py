from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.tensorrt_log import heard_by, newest_errors, process_logger


@pytest.fixture
def trt() -> Any:
    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def __init__(self) -> None:
            pass

    return SimpleNamespace(ILogger=ILogger)


def test_a_process_has_one_logger_for_each_module(trt: Any) -> None:
    assert process_logger(trt) is process_logger(trt)


def test_lines_go_to_who_listens_last(trt: Any) -> None:
    outer: list[str] = []
    inner: list[str] = []
    logger = process_logger(trt)
    logger.log(trt.ILogger.INFO, "nobody listens")
    with heard_by(trt, lambda _severity, line: outer.append(line)):
        logger.log(trt.ILogger.INFO, "1")
        with heard_by(trt, lambda _severity, line: inner.append(line)):
            logger.log(trt.ILogger.INFO, "2")
        logger.log(trt.ILogger.INFO, "3")
    assert (outer, inner) == (["1", "3"], ["2"])


def test_errors_are_kept_for_the_next_sentence_and_only_once(trt: Any) -> None:
    logger = process_logger(trt)
    logger.log(trt.ILogger.WARNING, "not this")
    logger.log(trt.ILogger.ERROR, "No  such\ntactic.")
    logger.log(trt.ILogger.ERROR, "No such tactic.")
    assert newest_errors(trt) == "No such tactic"
    assert newest_errors(trt) == "it gave no reason"
