"""What the web view costs the live loop: throughput with it, and with tabs open, over without.

    python -m benchmarks.web_view model.int8.cpu.onnx

Saturated, one engine thread. In every round the loop runs without a view, with one that nobody
looks at, with one tab and with many, in turns; the ratio is of frames per second. The tabs are a
process of their own that asks as the page does: the newest frame, then a pause of the length that
the server names. The CPU time a frame, of all threads, tells more on a busy machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.conditions import RESULTS, write_results
from toolkit.artifacts import digest_of_file
from toolkit.camera import open_camera
from toolkit.live import run_live
from toolkit.runtime import Session, open_session
from toolkit.statistics import ratio_of_medians
from toolkit.web.server import WebView, open_web_view

__all__ = ["main", "opened_tabs"]


def look(url: str, viewer: str, updates: list[int]) -> None:
    """Ask as the page does until the server ends, and count."""
    parts = urlsplit(url)
    picture = after = -1
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    while True:
        try:
            asked = f"update?viewer={viewer}&after={after}&picture={picture}&run=x"
            connection.request("GET", parts.path + asked)
            content = connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return  # the run is over
        (length,) = struct.unpack(">I", content[:4])
        state = json.loads(content[4 : 4 + length])
        updates[0] += 1
        time.sleep(state["wait_ms"] / 1e3)


def be_tabs(url: str, tabs: int) -> None:
    updates = [0]
    threads = [threading.Thread(target=look, args=(url, str(tab), updates)) for tab in range(tabs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(updates[0])


@contextmanager
def opened_tabs(view: WebView, tabs: int) -> Iterator[subprocess.Popen[str]]:
    """Yield the process that stands for `tabs` browser tabs; it ends with the server."""
    command = [sys.executable, "-m", "benchmarks.web_view", "--be-tabs", str(tabs), view.url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(1.0)  # it starts Python
        yield process
    finally:
        process.terminate()
        process.wait()


def looped(session: Session, frames: int, *, tabs: int | None) -> tuple[float, float]:
    """Return frames per second, and this process's CPU ms a frame; no view when `tabs` is None."""
    opened = open_web_view("127.0.0.1:0", engine="benchmark", camera="synthetic")
    with nullcontext() if tabs is None else opened as view:
        watched = opened_tabs(view, tabs) if view is not None and tabs else nullcontext()
        with watched, open_camera("synthetic://640x480", paced=False) as camera:
            views = [view.newest] if view is not None else []
            cpu_s = time.process_time()
            rate = run_live(
                session, camera, frames=frames, policy="queue", warmup=0, views=views
            ).fps
            return rate, (time.process_time() - cpu_s) / frames * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engine", help="engine, or ONNX model")
    parser.add_argument("--be-tabs", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--tabs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--frames", type=int, default=300, help="of each run")
    parser.add_argument("--out", type=Path, default=RESULTS / "web-view.json")
    arguments = parser.parse_args()
    if arguments.be_tabs:
        be_tabs(arguments.engine, arguments.be_tabs)
        return
    engine = Path(arguments.engine)
    contenders: dict[str, int | None] = {
        "no view": None,
        "view, nobody looks": 0,
        "view, 1 tab": 1,
        f"view, {arguments.tabs} tabs": arguments.tabs,
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    cpu_ms: dict[str, list[float]] = {name: [] for name in contenders}
    with open_session(engine, threads=1) as session:
        looped(session, arguments.frames // 3, tabs=None)
        for turn in range(arguments.rounds):
            names = list(contenders)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                rate, cpu = looped(session, arguments.frames, tabs=contenders[name])
                rates[name].append(rate)
                cpu_ms[name].append(cpu)
    write_results(
        arguments.out,
        {
            "engine": engine.name,
            "digest": digest_of_file(engine),
            "fps": rates,
            "cpu_ms_per_frame": cpu_ms,
            "throughput_ratio": dict(compared(rates)),
        },
    )
    for name, ratio in compared(rates):
        print(
            f"{name}: {ratio['value']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}] of the "
            f"throughput, CPU {np.median(cpu_ms[name]):.2f} ms a frame "
            f"(without {np.median(cpu_ms['no view']):.2f})"
        )


def compared(rates: dict[str, list[float]]) -> Iterator[tuple[str, dict[str, Any]]]:
    without, *others = rates
    # Seconds a frame: a ratio of fps is the inverse of a ratio of times.
    base = 1 / np.array([rates[without]]).T
    for name in others:
        ratio = ratio_of_medians(base, 1 / np.array([rates[name]]).T)
        interval = ratio.interval
        yield name, {"value": ratio.value, "low": interval.low, "high": interval.high}


if __name__ == "__main__":
    main()
