"""Let the Edgekit of a device time engines there, as a job, and bring its record home."""

from __future__ import annotations

import hashlib
import json
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import join, quote

from toolkit.artifacts import Engine, OnnxModel, digest_of_file, manifest_path
from toolkit.errors import EdgekitError, RemoteError
from toolkit.latency import Latency, read_latency
from toolkit.progress import ProgressCallback
from toolkit.remote.connection import ask
from toolkit.remote.job import VANISHED, Job, JobEnd, run_job
from toolkit.remote.link import Link
from toolkit.remote.neighbours import disturbances, meet_neighbours
from toolkit.remote.run_folder import is_given_up, remove_folder
from toolkit.remote.store import keep_there
from toolkit.remote.their_edgekit import TheirEdgekit
from toolkit.remote.timing_options import TimingOptions
from toolkit.remote.transfer import fetch, put, remote_digest
from toolkit.stop_signals import signals_to

__all__ = ["measure_with_edgekit"]

_RECORD = "record.latency.json"
_ANSWER = "answer.json"
# A measurement whose end nobody saw is taken for an hour: after that the device may be another.
_IS_WHOLE = f'[ -n "$(find {_RECORD} -mmin -60 2> /dev/null)" ]'
_KILLED = (VANISHED, 137)
_COVERS = (
    "Edgekit times from a batch in host memory to its logits in host memory, there as here; "
    "preprocessing is not part of it"
)


def measure_with_edgekit(
    link: Link,
    found: TheirEdgekit,
    engines: Sequence[Engine | OnnxModel],
    options: TimingOptions,
    *,
    run: str,
    resumed: bool,
    progress: ProgressCallback,
) -> tuple[Latency, ...]:
    """Return the latency of each engine as `edgekit measure` of the device writes it down.

    `run` is its id: after a long cut the same id and question find it running, or its answer. An
    id that was `resumed` and found nothing is noted. Raises RemoteError with that Edgekit's own
    sentence when it refuses.
    """
    digests = [digest_of_file(each.path) for each in engines]
    names = [f"{index}/{each.path.name}" for index, each in enumerate(engines)]
    words = [found.command, "measure", *names, *options.words(), "--json", "--out", _RECORD]
    # Two equal commands have a folder each, and an id that comes with another question finds none.
    question = hashlib.sha256(json.dumps([words, digests]).encode()).hexdigest()[:16]
    folder = f"{found.folder}/runs/{run}-{question}"
    kept = keep_there(
        link,
        [(engine.path, digest) for engine, digest in zip(engines, digests, strict=True)],
        run=run,
        folder=found.folder,
        free_mib=found.disk_free_mib,
        progress=progress,
    )
    try:
        with signals_to(signal.default_int_handler):
            for engine, place, name in zip(engines, kept, names, strict=True):
                _bring(link, engine, place, f"{folder}/{name}", progress)
            meet_neighbours(link, folder)
            _write_script(link, folder, f"exec {join(words)} > {_ANSWER}")
            end = run_job(link, Job(folder, "measure", _IS_WHOLE), progress=progress)
            if end.code != 0:
                raise _refusal(link, found, end, folder, names)
            runs = _fetch(link, folder, progress)
    except BaseException as reason:
        if not is_given_up(reason):  # else it goes on, to be found
            remove_folder(link, folder, progress)
        raise
    disturbed = disturbances(link, folder)
    remove_folder(link, folder, progress)
    if [one.digest for one in runs] != digests:
        raise RemoteError(
            f"Edgekit on {link.address} measured other files than it was sent.",
            next_command=found.there("edgekit doctor", link.address),
        )
    missed = (f"nothing of measurement {run} was found on {link.address}: measured from the start",)
    notes = missed if resumed and not end.found else ()
    return tuple(
        _at_home(one, each.path, link, found, end, disturbed, notes)
        for one, each in zip(runs, engines, strict=True)
    )


def _bring(
    link: Link,
    engine: Engine | OnnxModel,
    kept: str,
    place: str,
    progress: ProgressCallback,
) -> None:
    """Put the engine, `kept` there, and its manifest at `place`: messages have its own name."""
    here, there_ = quote(kept), quote(place)
    script = (
        f'mkdir -p "$(dirname {there_})" && {{ ln -f {here} {there_} 2> /dev/null || '
        f"cp {here} {there_}; }}"
    )
    link.step(lambda there: ask(there, script, what=f"make {place}"))
    if isinstance(engine, Engine):
        manifest = manifest_path(engine.path)
        link.step(lambda there: put(there, manifest, f"{place}.json", progress=progress))


def _write_script(link: Link, folder: str, line: str) -> None:
    # Renamed: a shell that runs the old one goes on reading it.
    script = (
        f"cd {quote(folder)} && printf '%s\\n' {quote(line)} > measure.sh.part && "
        "mv -f measure.sh.part measure.sh"
    )
    link.step(lambda there: ask(there, script, what="write the script"))


def _fetch(link: Link, folder: str, progress: ProgressCallback) -> tuple[Latency, ...]:
    remote = f"{folder}/{_RECORD}"
    with tempfile.TemporaryDirectory(prefix="edgekit-") as place:
        local = Path(place) / _RECORD
        digest = link.step(lambda there: remote_digest(there, remote))
        link.step(lambda there: fetch(there, remote, local, digest=digest, progress=progress))
        try:
            return read_latency(local)
        except EdgekitError as error:
            said = error.message.replace(str(local), "its record")
            raise RemoteError(
                f"Edgekit on {link.address} measured, but {said}",
                next_command=error.next_command,
            ) from error


def _refusal(
    link: Link, found: TheirEdgekit, end: JobEnd, folder: str, names: Sequence[str]
) -> RemoteError:
    """Return the error that the device's Edgekit ended with, to be read here."""
    answer = link.step(lambda there: there.run(f"cat {quote(f'{folder}/{_ANSWER}')}")).text
    try:
        said = json.loads(answer)
        sentence, command = str(said["error"]), str(said["next"])
    except (ValueError, KeyError, TypeError):
        last = end.log.rstrip().rpartition("\n")[2][-200:].rstrip(".") or "it gave no reason"
        killed = end.code in _KILLED
        sentence = "it was killed: out of memory, or the device was switched off." if killed else ""
        sentence = sentence or f"it ended with exit code {end.code} ({last})."
        command = "sudo dmesg" if killed else "edgekit doctor"
    for name in names:  # the folder goes; what it was called there tells nobody anything
        sentence, command = (each.replace(name, Path(name).name) for each in (sentence, command))
    return RemoteError(
        f"Edgekit {found.version} on {link.address}: {sentence}",
        next_command=found.there(command, link.address),
    )


def _at_home(
    run: Latency,
    path: Path,
    link: Link,
    found: TheirEdgekit,
    end: JobEnd,
    disturbed: tuple[str, ...],
    more: tuple[str, ...],
) -> Latency:
    """Return the run under the engine's name here, saying where and by what it was timed."""
    notes = [f"timed on {link.address} by its Edgekit {found.version}", _COVERS, *more]
    if end.found:
        notes.append(f"the measurement was found {end.found} there: a connection was cut before")
    if link.cuts:
        notes.append(f"the connection was cut {link.cuts} times; the measurement went on")
    said = {"host": str(link.address), "measured_with": f"edgekit {found.version}"}
    return replace(
        run,
        engine=str(path),
        conditions={**run.conditions, **said},
        unstable=(*disturbed, *run.unstable),
        notes=(*notes, *run.notes),
    )
