"""Measurements that run at once know of each other, whichever began or ended first."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.ssh_device import SshDevice
from toolkit.latency import Latency
from toolkit.progress import Progress
from toolkit.remote.build import build_on_device
from toolkit.remote.link import Link, open_link
from toolkit.remote.measure import measure_on_device
from toolkit.remote.neighbours import disturbances, meet_neighbours


@pytest.fixture
def link(device: SshDevice) -> Iterator[Link]:
    with open_link(device.address, resume="again") as link:
        yield link


def test_a_timing_with_trtexec_inside_another_is_known_to_both(
    device: SshDevice, model: Path
) -> None:
    root = str(device.root)
    orin = "jetson-orin-nano-8gb"
    engine = build_on_device(model, target=orin, host=device.address, batch="4", root=root).path
    inner: list[Latency] = []

    def measured(samples: int) -> Latency:
        (run,) = measure_on_device(
            [engine],
            host=device.address,
            samples=samples,
            edgekit="none",
            root=root,
            progress=between_turns,
        )
        return run

    def between_turns(progress: Progress) -> None:
        if progress.step == "measure" and (progress.done, progress.total) == (1, 2):
            inner.append(measured(1))

    outer = measured(2)
    for run in (outer, *inner):
        assert run.unstable[0].startswith(f"another measurement ran on {device.address}")
    assert len(inner) == 1
    assert "another" not in "".join(measured(1).unstable)


def test_one_that_starts_and_ends_inside_another_is_known_to_both(
    link: Link, tmp_path: Path
) -> None:
    outer, inner = str(tmp_path / "my runs" / "outer"), str(tmp_path / "my runs" / "inner")
    assert not meet_neighbours(link, outer)
    assert meet_neighbours(link, inner)
    for folder in (inner, outer):
        (said,) = disturbances(link, folder)
        assert said.startswith("another measurement ran on")


@pytest.mark.parametrize("sign", ["old", "ended", "not begun"])
def test_what_does_not_run_any_more_disturbs_nobody(link: Link, tmp_path: Path, sign: str) -> None:
    own, other = tmp_path / "runs" / "own", tmp_path / "runs" / "other"
    meet_neighbours(link, str(other))
    if sign == "old":
        os.utime(other / "alive", (time.time() - 600, time.time() - 600))
    elif sign == "ended":
        (other / "rc").write_text("0\n")
    else:
        (other / "alive").unlink()
    assert not meet_neighbours(link, str(own))
    assert disturbances(link, str(own)) == ()
    assert not (other / "disturbed").exists()


def test_a_measurement_that_begins_anew_forgets_who_disturbed_it_before(
    link: Link, tmp_path: Path
) -> None:
    own = tmp_path / "runs" / "own"
    own.mkdir(parents=True)
    (own / "disturbed").touch()
    assert not meet_neighbours(link, str(own))
    (own / "disturbed").touch()
    (own / "rc").write_text("0\n")  # it ended without us, and is found
    assert meet_neighbours(link, str(own))
