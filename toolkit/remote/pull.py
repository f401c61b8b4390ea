"""Bring a finished engine home: checked, with its layers counted and its manifest written."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote

import toolkit
from targets import Conditions, one_line
from targets.decision import Decision
from toolkit.artifacts import (
    Engine,
    Manifest,
    OnnxModel,
    digest_of_file,
    manifest_path,
    open_engine_file,
)
from toolkit.atomic import replace_file
from toolkit.build.inspector_layers import layers_from_inspector
from toolkit.build.layer_table import LayerTable
from toolkit.calibrate.pair import ranges_note
from toolkit.errors import RemoteError
from toolkit.onnx_model.file import convolution_names
from toolkit.progress import ProgressCallback
from toolkit.remote.bundle import BundleParts
from toolkit.remote.connection import Connection
from toolkit.remote.job import JobEnd
from toolkit.remote.link import Link
from toolkit.remote.machine import conditions_of, open_machine
from toolkit.remote.preflight import Device
from toolkit.remote.transfer import fetch, remote_digest
from toolkit.remote.trtexec import BuildLog, read_build_log
from toolkit.remote.verify import check_answers_there

__all__ = ["Finished", "pull_engine"]

_FOUND = {
    "running": "the build was found running on the device: an earlier connection was cut",
    "finished": "the engine was found finished on the device: an earlier connection was cut",
}


@dataclass(frozen=True)
class Finished:
    """A build that ended well in `folder` of the device, and what it was asked for."""

    model: OnnxModel
    decision: Decision
    parts: BundleParts
    device: Device
    end: JobEnd
    folder: str


def pull_engine(
    link: Link,
    done: Finished,
    out: Path,
    *,
    started_s: float,
    root: str,
    progress: ProgressCallback,
) -> Engine:
    """Write engine and manifest; `started_s` is the monotonic time when the work began.

    Raises BuildError when the engine answers wrongly, RemoteError when it is not there.
    """
    batch = int(done.parts.bundle.description["golden_batch"])
    golden = link.step(
        lambda there: check_answers_there(
            there,
            done.folder,
            done.parts.golden,
            done.parts.contract,
            batch=batch,
            name=str(done.model.path),
            implicit=done.parts.flags.calibration_cache,
        )
    )
    conditions = link.step(lambda there: _conditions(there, done.device, root))
    layers = link.step(lambda there: _layers(there, done))
    # Both are complete before either gets its name: a full disk leaves the old pair.
    with replace_file(manifest_path(out)) as seal, replace_file(out) as temporary:
        link.step(lambda there: _fetch(there, done, temporary, progress))
        notes = _notes(done, link, golden, conditions, layers)
        manifest = _manifest(done, layers, conditions, notes, temporary, started_s)
        seal.write_text(manifest.to_json(), encoding="utf-8")
    return open_engine_file(out)


def _fetch(there: Connection, done: Finished, local: Path, progress: ProgressCallback) -> None:
    remote = f"{done.folder}/model.engine"
    digest = remote_digest(there, remote)
    if not digest:
        raise RemoteError(
            f"The engine on {there.address} is gone: somebody removed {done.folder}.",
            next_command=there.address.ssh,
        )
    fetch(there, remote, local, digest=digest, progress=progress)


def _conditions(there: Connection, device: Device, root: str) -> Conditions:
    with open_machine(there, root=root) as machine:
        return conditions_of(there, machine, tensorrt=device.tensorrt)


def _layers(there: Connection, done: Finished) -> LayerTable:
    answer = there.run(f"cat {quote(f'{done.folder}/layers.json')}")
    return layers_from_inspector(answer.text, convolutions=convolution_names(done.model.path))


def _notes(
    done: Finished, link: Link, golden: str, conditions: Conditions, layers: LayerTable
) -> tuple[str, ...]:
    found = _FOUND.get(done.end.found, "")
    cuts = f"the connection was cut {link.cuts} times" if link.cuts else ""
    unknown = "" if layers.rows else "the builder named no layers: what runs in Int8 is unknown"
    log = read_build_log(done.end.log)
    cache = done.parts.bundle.files.get("calibration.cache")
    return (
        *done.decision.reasons,
        *(() if cache is None else (ranges_note(cache),)),
        *done.device.warnings,
        *(f"builder warning: {warning}" for warning in log.warnings),
        golden,
        *(note for note in (unknown, found, cuts) if note),
        f"built over SSH with trtexec on: {one_line(conditions)}",
    )


def _manifest(
    done: Finished,
    layers: LayerTable,
    conditions: Conditions,
    notes: tuple[str, ...],
    engine: Path,
    started_s: float,
) -> Manifest:
    int8, floats = layers.count(convolution_names(done.model.path))
    log: BuildLog = read_build_log(done.end.log)
    return Manifest(
        engine_digest=digest_of_file(engine),
        onnx_digest=done.model.digest,
        target=done.device.target.id,
        backend="tensorrt",
        precision=done.parts.contract.precision,
        contract=done.parts.contract.to_dict(),
        built_with=f"tensorrt {done.device.tensorrt}",
        built_on=log.device or conditions.gpu or conditions.machine or done.device.target.name,
        tool_version=toolkit.__version__,
        sms=() if done.device.target.sm is None else (done.device.target.sm,),
        int8_convs=int8,
        float_convs=floats,
        kernels=layers.kernels,
        seconds=time.monotonic() - started_s,
        reproducible=False,  # tactics are chosen by timing them
        notes=notes,
        flags=done.parts.flags.words,
        conditions=asdict(conditions),
    )
