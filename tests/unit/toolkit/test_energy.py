from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from targets.machine import Machine
from targets.power.rapl import Rapl, find_rapl
from tests.unit.targets.power.trees import write, write_rapl
from tests.unit.toolkit.colour_models import make_model
from toolkit.cli.app import app
from toolkit.energy import Energy, Window, energy_from_dict
from toolkit.energy_windows import EnergyPlan, measure_energy
from toolkit.errors import InputError
from toolkit.latency import read_latency, write_latency
from toolkit.measure import measure


class Bench:
    """A machine whose clock and RAPL counter only move when something happens."""

    def __init__(self, root: Path) -> None:
        self.now = 0.0
        self.used_uj = 0.0
        self._counter = write_rapl(root, "intel-rapl:0", "package-0", 0)

    def spend(self, seconds: float, watts: float) -> None:
        self.now += seconds
        self.used_uj += 1e6 * seconds * watts
        write(self._counter, f"{self.used_uj:.0f}")


def measured(root: Path, *, watts: tuple[float, ...], idle_w: float) -> tuple[Energy, ...]:
    """Return the energy of calls that take 10 ms at `watts` each."""
    bench = Bench(root)
    source = find_rapl(root)
    assert isinstance(source, Rapl)
    return measure_energy(
        [partial(bench.spend, 0.01, each) for each in watts],
        source,
        plan=EnergyPlan(windows=5, seconds=0.5),
        clock=lambda: bench.now,
        sleep=lambda seconds: bench.spend(seconds, idle_w),
    )


def test_energy_is_what_the_load_takes_above_idle(tmp_path: Path) -> None:
    one, other = measured(tmp_path, watts=(5.0, 12.0), idle_w=2.0)
    assert one.mj == pytest.approx(30.0, rel=1e-4)
    assert other.mj == pytest.approx(100.0, rel=1e-4)
    assert one.idle_w == pytest.approx(2.0)
    assert one.load_w == pytest.approx(5.0)
    assert len(one.windows) == len(one.idle_before) == len(one.idle_after) == 5
    assert one.interval().width < 0.1


def energy_of(load: list[float], before: list[float], after: list[float]) -> Energy:
    """One-second windows with 100 inferences each, powers in watts."""
    windows = tuple(Window(1.0, watts, 100) for watts in load)
    idle = [tuple(Window(1.0, watts) for watts in part) for part in (before, after)]
    return Energy("RAPL", "processor", 1000.0, windows, *idle)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        load, before, after = (list(rng.normal(m, 0.5, 10)) for m in (10.0, 4.0, 4.0))
        hits += 60.0 in energy_of(load, before, after).interval()
    assert 930 <= hits <= 995


def test_idle_power_that_moved_widens_the_interval() -> None:
    calm = energy_of([10.0, 10.1] * 5, [4.0, 4.1] * 5, [4.0, 4.1] * 5)
    moved = energy_of([10.0, 10.1] * 5, [3.0, 3.1] * 5, [5.0, 5.1] * 5)
    assert moved.interval().width > 5.0 * calm.interval().width
    assert moved.mj == pytest.approx(calm.mj)


def test_a_single_window_bounds_nothing() -> None:
    assert math.isinf(energy_of([10.0], [4.0, 4.1], [4.0, 4.1]).interval().width)


def test_a_figure_that_could_be_zero_carries_a_question_mark() -> None:
    assert "? mJ" in energy_of([4.0, 5.0, 3.0], [4.0, 5.0], [4.0, 3.0]).line()
    assert "60 mJ above idle" in energy_of([10.0] * 5, [4.0] * 5, [4.0] * 5).line()


def test_an_energy_survives_its_record_and_an_edited_one_does_not() -> None:
    energy = energy_of([10.0, 10.5, 9.5], [4.0, 4.1], [4.0, 4.2])
    values = energy.to_dict()
    assert energy_from_dict(values) == energy
    with pytest.raises(ValueError, match="does not follow"):
        energy_from_dict({**values, "mj": 1.0})
    with pytest.raises(ValueError, match="without windows"):
        energy_from_dict({**values, "idle_after": []})
    with pytest.raises(ValueError, match="without an inference"):
        energy_from_dict({**values, "windows": values["idle_after"]})


@contextmanager
def counter_at(root: Path, watts: float) -> Iterator[None]:
    """Advance a RAPL counter below `root` in real time."""
    start = time.perf_counter()
    counter = write_rapl(root, "intel-rapl:0", "package-0", 0)
    stop = threading.Event()

    def advance() -> None:
        while not stop.wait(0.002):
            write(counter, f"{1e6 * watts * (time.perf_counter() - start):.0f}")

    thread = threading.Thread(target=advance)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_measure_reads_a_counter_of_known_power_and_records_its_source(tmp_path: Path) -> None:
    path = make_model(tmp_path / "a.onnx")
    plan = EnergyPlan(windows=4, seconds=0.2)
    machine = Machine(tmp_path, lambda command: None, "x86_64")
    with counter_at(tmp_path, 7.0):
        (run,) = measure([path], threads=1, samples=10, warmup=1, energy=plan, machine=machine)
    assert run.energy is not None
    assert run.energy.idle_w == pytest.approx(7.0, rel=0.15)
    assert run.energy.load_w == pytest.approx(7.0, rel=0.15)
    assert abs(run.energy.mj) < 0.3 * 7e3 * 0.2 / run.energy.windows[0].inferences
    assert run.conditions["energy"] == "RAPL, processor (package-0), 1000 readings/s"
    write_latency(tmp_path / "a.latency.json", [run])
    assert read_latency(tmp_path / "a.latency.json")[0].energy == run.energy
    assert "mJ above idle" in run.line()


def test_a_machine_without_a_source_says_unavailable_and_why(tmp_path: Path) -> None:
    path = make_model(tmp_path / "a.onnx")
    machine = Machine(tmp_path, lambda command: None, "x86_64")
    (run,) = measure([path], threads=1, samples=10, energy=EnergyPlan(), machine=machine)
    assert run.energy is None
    assert any(note.startswith("energy unavailable: no RAPL") for note in run.notes)
    assert "energy" not in run.to_dict() and "mJ" not in run.line()
    assert str(run.conditions["energy"]).startswith("energy unavailable")


def test_an_edited_energy_in_a_record_is_refused(tmp_path: Path) -> None:
    path = make_model(tmp_path / "a.onnx")
    with counter_at(tmp_path, 5.0):
        machine = Machine(tmp_path, lambda command: None, "x86_64")
        plan = EnergyPlan(windows=2, seconds=0.02)
        (run,) = measure([path], threads=1, samples=10, energy=plan, machine=machine)
    out = tmp_path / "a.latency.json"
    write_latency(out, [run])
    text = out.read_text()
    assert run.energy is not None
    out.write_text(text.replace(f'"mj": {run.energy.mj!r}', '"mj": 0.0'))
    with pytest.raises(InputError, match="does not follow"):
        read_latency(out)


def test_the_command_says_unavailable_with_the_reason_and_never_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "the RAPL counters may only be read by root: sudo chmod o+r /sys/..."
    monkeypatch.setattr("toolkit.measure.find_energy_source", lambda *_, **__: reason)
    path = make_model(tmp_path / "a.onnx")
    line = ["measure", str(path), "--threads", "1", "--samples", "10", "--energy"]
    run = CliRunner().invoke(app, line)
    assert run.exit_code == 0
    assert f"energy unavailable: {reason}" in " ".join(run.stderr.split())
    assert "mJ" not in run.stdout
    told = json.loads(CliRunner().invoke(app, [*line, "--json"]).stdout)["runs"][0]
    assert "energy" not in told and reason in told["conditions"]["energy"]
