from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolkit.live.test_summary import summary
from tests.unit.toolkit.results.test_results import result
from toolkit.errors import InputError
from toolkit.recording import RecordedFrame, Recording
from toolkit.recording.replay_comparison import KeptAnswers, compared
from toolkit.top_k import Guess


def recording(n: int) -> Recording:
    frames = tuple(RecordedFrame(i, 5 + i / 10, 5 + i / 10, "driver", f"{i}.bmp") for i in range(n))
    return Recording(Path("session"), "csi://0", complete=True, frames=frames)


def answers(letters: str, *, first: int = 0) -> dict[int, Guess]:
    return {
        first + i: Guess(ord(letter) - ord("a"), letter.upper(), letter, 0.5)
        for i, letter in enumerate(letters)
        if letter != " "
    }


def test_flips_are_counted_on_frames_that_both_answered_and_joined_to_stretches() -> None:
    made = compared(
        recording(10),
        [
            ("a.onnx", summary(10), answers("aaaaaaaaaa")),
            ("b.onnx", summary(10), answers("abba aaaac")),
        ],
        camera="replay://session",
    )
    (pair,) = made.pairs
    assert pair.n == 9
    assert [flip.index for flip in pair.flips] == [1, 2, 9]
    assert pair.agreement == pytest.approx(6 / 9)
    assert pair.stretches == ((0.1, 0.2, 2), (0.9, 0.9, 1))
    assert (pair.flips[0].a, pair.flips[0].b) == ("A", "B")
    assert [run.changes for run in made.engines] == [0, 3]
    text = "\n".join(made.lines())
    assert made.lines()[0].startswith("agreement with a.onnx: 66.67%  (10 frames, 0.9 s")
    assert "3 flips in 2 stretches" in text
    assert "the longest: 2 frames from 0.10 s to 0.20 s" in text
    assert "--policy queue compares every frame" in text


def test_flips_are_drawn_where_they_happened() -> None:
    made = compared(
        recording(41),
        [
            ("a", summary(41), answers("a" * 41)),
            ("b", summary(41), answers("b" + "a" * 39 + "b")),
        ],
        camera="replay://session",
    )
    (drawn,) = [line for line in made.lines() if "over time" in line]
    bars = drawn.split("|")[1]
    assert len(bars) == 40
    assert [place for place, bar in enumerate(bars) if bar != "·"] == [0, 39]


def test_engines_that_agree_have_no_flips() -> None:
    runs = [(name, summary(3), answers("abc")) for name in "xyz"]
    made = compared(recording(3), runs, camera="replay://session")
    values = made.to_dict()
    assert [pair["agreement"] for pair in values["pairs"]] == [1.0, 1.0]
    assert [pair["b"] for pair in values["pairs"]] == ["y", "z"]
    assert values["engines"][0]["frame_age_ms"].keys() == {"p50", "p95", "p99"}


def test_no_frame_in_common_is_no_agreement() -> None:
    made = compared(
        recording(4),
        [("a", summary(2), answers("aa")), ("b", summary(2), answers("aa", first=2))],
        camera="replay://session",
    )
    assert made.to_dict()["pairs"][0]["agreement"] is None
    assert "answered no frame in common" in "\n".join(made.lines())


def test_one_engine_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="needs two engines"):
        compared(recording(1), [("a", summary(1), answers("a"))], camera="replay://session")


def test_the_best_guess_of_every_frame_is_kept() -> None:
    kept = KeptAnswers()
    for i in range(3):
        kept.put(result(i))
    assert [guess.label for guess in kept.by_frame.values()] == ["bee"] * 3
