"""A script that runs on the device without us: started once, followed, found again after a cut.

Its folder holds `pid`, its log and, when it has ended, `rc` with the exit code. Only Ctrl-C and its
like end it early.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote

from toolkit.progress import Progress, ProgressCallback
from toolkit.remote.connection import Connection, ask
from toolkit.remote.link import Link
from toolkit.remote.run_folder import WORKS_HERE
from toolkit.stop_signals import signals_to

__all__ = ["VANISHED", "Job", "JobEnd", "run_job"]

VANISHED = -1
"""Exit code of a job that left none: killed with its shell, or the device lost power."""

_BEAT_S = 2.0
_NOTE_CHARS = 80

_START = """\
if [ ! -f rc ] && works_here; then echo running; exit; fi
if [ "$(cat rc 2> /dev/null)" = 0 ] && {is_whole}; then echo finished; exit; fi
rm -f rc pid {name}.log
: > {name}.log || exit
setsid nohup sh -c \\
  'sh {name}.sh >> {name}.log 2>&1 < /dev/null; echo $? > rc.part; mv rc.part rc' \\
  > /dev/null 2>&1 < /dev/null &
echo $! > pid || exit
echo started
"""
# A NUL every second says that the connection lives; it is not part of the log.
_FOLLOW = """\
seen={seen}
while :; do
  ended=; [ -f rc ] && ended=1
  works_here || ended=1
  size=$(wc -c < {name}.log)
  if [ "$size" -gt "$seen" ]; then
    tail -c "+$((seen + 1))" {name}.log | head -c "$((size - seen))"
    seen=$size; quiet=0
  fi
  [ -n "$ended" ] && break
  quiet=$((${{quiet:-0}} + 1))
  [ $((quiet % 5)) = 0 ] && printf '\\000'
  sleep 0.2 2> /dev/null || sleep 1
done
"""


@dataclass(frozen=True)
class Job:
    """`NAME.sh` in `folder` of the device; `is_whole` tests in sh if its result is complete."""

    folder: str
    name: str
    """A plain word, which also names the log and the step of the progress."""
    is_whole: str


@dataclass(frozen=True)
class JobEnd:
    """How a job ended. `found` says what was there already: "running", "finished" or ""."""

    code: int
    log: str
    found: str


def run_job(
    link: Link,
    job: Job,
    *,
    progress: ProgressCallback,
    clock: Callable[[], float] = time.monotonic,
) -> JobEnd:
    """Run a job to its end, however often the connection is cut. Ctrl-C ends it there, too.

    Raises RemoteError when the device stays away; the job goes on there.
    """
    try:
        # The command line ends at once when it is interrupted: here something has to be told first.
        with signals_to(signal.default_int_handler):
            return _started_and_followed(link, job, progress, clock)
    except KeyboardInterrupt:
        progress(Progress("stop", 0, 1, f"ending the {job.name} on the device"))
        link.step(lambda there: _stop(there, job.folder))
        raise


def _started_and_followed(
    link: Link, job: Job, progress: ProgressCallback, clock: Callable[[], float]
) -> JobEnd:
    head = _head(job.folder)
    states: list[str] = []

    def start(connection: Connection) -> str:
        script = head + _START.format(name=job.name, is_whole=job.is_whole)
        return ask(connection, script, what=f"start the {job.name}")

    link.goes_on_alone = True
    states.append(link.step(start))
    log = bytearray()
    began_s = clock()
    told_s = began_s

    def hear(piece: bytes) -> None:
        nonlocal told_s
        text = piece.replace(b"\0", b"")
        log.extend(text)
        now_s = clock()
        if text or now_s - told_s >= _BEAT_S:
            told_s = now_s
            last = log.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
            note = f"{now_s - began_s:.0f} s: {last[:_NOTE_CHARS]}"
            progress(Progress(job.name, log.count(b"\n"), 0, note))

    def follow(connection: Connection) -> int:
        script = head + _FOLLOW.format(seen=len(log), name=job.name)
        answer = connection.run(script, hear=hear, timeout_s=None)
        if answer.code != 0:
            raise ConnectionError(f"{connection.address} stopped telling the log ({answer.err})")
        # The exit code is written a moment after the shell that wrote it was seen alive.
        code = ask(
            connection,
            f"{head}for i in 1 2 3 4 5; do [ -f rc ] && break; sleep 0.2; done; "
            f"cat rc 2> /dev/null || echo {VANISHED}",
            what=f"say how the {job.name} ended",
        )
        return int(code or VANISHED)

    code = link.step(follow)
    found = "" if states[0] == "started" else states[0]
    return JobEnd(code, log.decode("utf-8", "replace"), found)


def _stop(connection: Connection, folder: str) -> None:
    """End a running job with everything it started."""
    connection.run(f'{_head(folder)}works_here && kill -- "-$(cat pid)"')


def _head(folder: str) -> str:
    return f"cd {quote(folder)} || exit\n{WORKS_HERE}"
