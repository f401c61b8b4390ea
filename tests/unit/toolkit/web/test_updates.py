from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from PIL import Image

from targets.conditions import Conditions, read_conditions
from tests.unit.toolkit.live.view_parts import show, shown_frame
from toolkit.live.newest_answer import NewestAnswer
from toolkit.web.picture import Pictures
from toolkit.web.updates import Updates


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack(">I", content[:4])
    return json.loads(content[4 : 4 + length]), content[4 + length :]


def made(newest: NewestAnswer, clock: Clock, conditions: Conditions | None = None) -> Updates:
    return Updates(
        newest, engine="net.onnx", camera="csi://0", conditions=lambda: conditions, clock=clock
    )


def test_an_update_holds_the_answer_the_points_and_the_picture() -> None:
    newest = NewestAnswer()
    for i in range(3):
        show(newest, i)
    state, jpeg = parts(
        made(newest, Clock()).update(viewer="a", run=newest.run, after=-1, picture=-1)
    )
    assert state["answer"]["index"] == state["picture"] == 2
    assert [guess["confidence"] for guess in state["answer"]["top"]][:2] == [0.562, 0.219]
    assert len(state["points"][0]) == 4 + len(state["stages"])
    assert Image.open(io.BytesIO(jpeg)).size == (64, 48)


def test_a_page_that_has_the_picture_or_wants_none_gets_none() -> None:
    newest, clock = NewestAnswer(), Clock()
    show(newest, 5)
    updates = made(newest, clock)
    for picture in (5, -2):
        _, jpeg = parts(updates.update(viewer="a", run=newest.run, after=0, picture=picture))
        assert jpeg == b""


def test_a_page_of_an_earlier_run_starts_anew() -> None:
    newest = NewestAnswer()
    show(newest, 0)
    state, jpeg = parts(made(newest, Clock()).update(viewer="a", run="old", after=99, picture=0))
    assert [point[0] for point in state["points"]] == [0]
    assert jpeg


def test_before_the_first_frame_there_is_no_answer() -> None:
    newest = NewestAnswer()
    state, jpeg = parts(made(newest, Clock()).update(viewer="a", run="", after=-1, picture=-1))
    assert (state["answer"], state["points"], jpeg) == (None, [], b"")


def test_twenty_tabs_together_ask_no_more_often_than_one_may() -> None:
    newest, clock = NewestAnswer(), Clock()
    updates = made(newest, clock)

    def wait_ms(viewer: int) -> int:
        content = updates.update(viewer=str(viewer), run="", after=-1, picture=-1)
        return int(parts(content)[0]["wait_ms"])

    assert wait_ms(0) == 90
    waits = [wait_ms(viewer) for viewer in range(20)]
    assert 1000 * 20 / waits[-1] == pytest.approx(20, rel=0.01)
    clock.now += 60.0
    assert wait_ms(0) == 90  # the others closed their tabs


def test_a_crowd_of_invented_viewers_takes_no_memory() -> None:
    newest = NewestAnswer()
    updates = made(newest, Clock())
    for i in range(1200):
        updates.update(viewer=str(i), run="", after=-1, picture=-2)
    assert len(updates._seen_s) <= 1000


def test_what_the_machine_cannot_tell_is_null() -> None:
    newest = NewestAnswer()
    conditions = read_conditions()
    state, _ = parts(
        made(newest, Clock(), conditions).update(viewer="a", run="", after=-1, picture=-1)
    )
    assert state["machine"]["power_w"] == conditions.gpu_power_w
    assert state["machine"]["load"] == conditions.load_1min


def test_a_picture_is_encoded_once_for_all_and_eleven_times_a_second_at_most() -> None:
    clock = Clock()
    pictures = Pictures(clock=clock)
    first = pictures.newest(shown_frame(0))
    assert pictures.newest(shown_frame(0))[1] is first[1]
    clock.now += 0.01
    assert pictures.newest(shown_frame(1)) == first
    clock.now += 0.09
    assert pictures.newest(shown_frame(2))[0] == 2


@pytest.mark.parametrize("size", [(1, 1), (4320, 7680), (2000, 1)])
def test_pictures_of_any_size_become_small(size: tuple[int, int]) -> None:
    _, jpeg = Pictures().newest(shown_frame(0, size=size))
    assert max(Image.open(io.BytesIO(jpeg)).size) <= 640


def test_a_picture_keeps_its_colours() -> None:
    frame = shown_frame(0)
    frame.image[:] = (255, 0, 0)  # blue, as BGR
    _, jpeg = Pictures().newest(frame)
    red, green, blue = Image.open(io.BytesIO(jpeg)).getpixel((5, 5))  # type: ignore[misc]
    assert blue > 240 > 20 > max(red, green)
