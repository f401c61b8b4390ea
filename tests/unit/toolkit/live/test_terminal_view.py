from __future__ import annotations

import io

from rich.console import Console

from tests.unit.toolkit.live.view_parts import show
from toolkit.live.newest_answer import NewestAnswer
from toolkit.live.terminal_view import open_terminal_view, picture_of


def text_of(newest: NewestAnswer) -> str:
    file = io.StringIO()
    Console(file=file, width=100).print(picture_of(newest, "net.onnx  csi://0"))
    return file.getvalue()


def test_it_waits_for_the_first_frame() -> None:
    assert "waiting for the first frame" in text_of(NewestAnswer())


def test_bars_ages_and_stages_are_shown_and_labels_are_no_markup() -> None:
    newest = NewestAnswer()
    show(newest, 0)
    show(newest, 3, uncertain=True)
    text = text_of(newest)
    assert "net.onnx  csi://0" in text
    assert "dog [red]" in text
    assert "59.4%" in text
    assert "2 answered, 2 passed over" in text
    assert "frame age 12.0 ms" in text
    assert "preprocess 6.0" in text
    assert "uncertain" in text


def test_it_draws_into_a_file_that_is_no_terminal_without_harm() -> None:
    file = io.StringIO()
    with open_terminal_view(engine="net.onnx", camera="csi://0", file=file) as newest:
        show(newest, 0)
    assert file.getvalue() == ""
