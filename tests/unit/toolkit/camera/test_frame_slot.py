from __future__ import annotations

import threading
import time

from toolkit.camera.frame_slot import FrameSlot
from toolkit.clock import VirtualClock


def test_the_newest_item_wins_and_the_one_it_replaced_is_counted() -> None:
    slot: FrameSlot[str] = FrameSlot()
    for item in ("a", "b", "c"):
        slot.offer(item)
    assert slot.take(0.0) == "c"
    assert slot.replaced == 2


def test_items_replaced_after_the_last_one_taken_are_not_counted() -> None:
    slot: FrameSlot[str] = FrameSlot()
    slot.offer("a")
    slot.take(0.0)
    slot.offer("b")
    slot.offer("c")
    assert slot.replaced == 0


def test_put_waits_until_there_is_room() -> None:
    clock = VirtualClock()
    slot: FrameSlot[int] = FrameSlot(clock)
    given_at: list[float] = []

    def give() -> None:
        for item in range(3):
            slot.put(item)
            given_at.append(clock())

    thread = clock.start(give, "giver")
    taken = []
    for _ in range(3):
        clock.sleep(1.0)
        taken.append(slot.take(10.0))
    assert clock.join(thread, 10.0)
    assert taken == [0, 1, 2]
    assert given_at == [0.0, 1.0, 2.0]
    assert slot.replaced == 0


def test_take_gives_up_after_the_time_out() -> None:
    clock = VirtualClock()
    assert FrameSlot[int](clock).take(2.5) is None
    assert clock() == 2.5


def test_close_wakes_the_giver_and_leaves_the_last_item() -> None:
    slot: FrameSlot[int] = FrameSlot()
    slot.put(1)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(slot.put(2)))
    thread.start()
    time.sleep(0.02)
    slot.close()
    thread.join(5)
    assert answers == [False]
    assert not slot.offer(3)
    assert not slot.exhausted
    assert slot.take(0.0) == 1
    assert slot.exhausted


def test_close_wakes_the_taker() -> None:
    slot: FrameSlot[int] = FrameSlot()
    threading.Timer(0.02, slot.close).start()
    began = time.monotonic()
    assert slot.take(30.0) is None
    assert time.monotonic() - began < 5.0
