from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from toolkit.progress import Progress
from toolkit.turns import Plan, plan_turns, take_turns


class Machine:
    """A clock, and things that take time on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[str] = []

    def clock(self) -> float:
        return self.now

    def job(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.ran.append(name)
            self.now += seconds

        return run


def test_every_contender_runs_once_in_every_round_and_in_a_random_order() -> None:
    machine = Machine()
    jobs = [machine.job(name, 1.0) for name in "ab"]
    take_turns(
        jobs, plan=Plan(rounds=50, block=2, switch=0), warmup=0, seconds=1e9, clock=machine.clock
    )
    rounds = ["".join(machine.ran[i : i + 4]) for i in range(0, 200, 4)]
    assert set(rounds) == {"aabb", "bbaa"}
    assert 10 < rounds.count("aabb") < 40


def test_the_seed_decides_the_order() -> None:
    orders = []
    for seed in (1, 1, 2):
        machine = Machine()
        jobs = [machine.job(name, 1.0) for name in "abc"]
        plan = Plan(rounds=20, block=1, switch=0)
        take_turns(jobs, plan=plan, warmup=0, seconds=1e9, seed=seed, clock=machine.clock)
        orders.append("".join(machine.ran))
    assert orders[0] == orders[1] != orders[2]


def test_warm_up_and_the_run_after_a_switch_are_kept_apart_from_the_samples() -> None:
    machine = Machine()
    slow_first = iter([9.0, 9.0, *([1.0] * 100)])

    def job() -> None:
        machine.now += next(slow_first)

    plan = Plan(rounds=3, block=2, switch=1)
    (timings,) = take_turns([job], plan=plan, warmup=2, seconds=1e9, clock=machine.clock)
    assert timings.warmup == (9.0, 9.0)
    assert timings.switch == (1.0,) * 3
    assert timings.samples == (1.0,) * 6


def test_time_that_is_up_ends_the_rounds_with_equal_samples_for_all() -> None:
    machine = Machine()
    jobs = [machine.job("fast", 0.1), machine.job("slow", 0.9)]
    plan = Plan(rounds=1000, block=1, switch=0)
    fast, slow = take_turns(jobs, plan=plan, warmup=0, seconds=5.0, clock=machine.clock)
    assert len(fast.samples) == len(slow.samples) == pytest.approx(10, abs=1)


def test_at_least_one_round_is_run_whatever_it_takes() -> None:
    machine = Machine()
    plan = Plan(rounds=10, block=1, switch=0)
    (timings,) = take_turns(
        [machine.job("slow", 100.0)], plan=plan, warmup=5, seconds=1.0, clock=machine.clock
    )
    assert len(timings.samples) == 1
    assert len(timings.warmup) == 1


@pytest.mark.parametrize(
    ("samples", "contenders", "expected"),
    [
        (1000, 2, Plan(200, 5, 1)),
        (1000, 1, Plan(200, 5, 0)),
        (100, 3, Plan(50, 2, 1)),
        (7, 2, Plan(7, 1, 1)),
        (1, 1, Plan(1, 1, 0)),
    ],
)
def test_plans_have_many_short_rounds(samples: int, contenders: int, expected: Plan) -> None:
    assert plan_turns(samples, contenders=contenders) == expected


def test_progress_counts_the_rounds_and_the_garbage_collector_rests_meanwhile() -> None:
    seen: list[Progress] = []
    collecting: list[bool] = []
    plan = Plan(rounds=3, block=1, switch=0)
    take_turns(
        [lambda: collecting.append(gc.isenabled())],
        plan=plan,
        warmup=0,
        seconds=10.0,
        progress=seen.append,
    )
    assert [(p.done, p.total) for p in seen] == [(1, 3), (2, 3), (3, 3)]
    assert not any(collecting)
    assert gc.isenabled()
