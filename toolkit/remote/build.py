"""Build on the device over SSH, with its trtexec; or write the bundle that does it by hand."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from targets import Target, get
from targets.decision import ANYWHERE, Decision
from targets.support import decide
from toolkit.artifacts import Engine, OnnxModel
from toolkit.atomic import check_writable, write_text
from toolkit.build import engine_path
from toolkit.build.options_fit import check_dla_form
from toolkit.build.request import batch_from_text
from toolkit.build.suits import check_scheme
from toolkit.build.workspace import workspace_for
from toolkit.calibrate.pair import cache_of
from toolkit.errors import BuildError, InputError, RemoteError
from toolkit.explain import explain_text
from toolkit.onnx_model.file import open_model
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.remote.build_script import WRONG_TENSORRT
from toolkit.remote.bundle import FOLDER, Bundle, BundleParts, make_bundle, write_bundle
from toolkit.remote.connection import Address, Connection, Opener, ask
from toolkit.remote.job import VANISHED, Job, JobEnd, run_job
from toolkit.remote.link import PAUSES_S, Link, open_link
from toolkit.remote.preflight import Device, check_room, inspect_device
from toolkit.remote.pull import Finished, pull_engine
from toolkit.remote.transfer import put
from toolkit.remote.trtexec import read_build_log
from toolkit.shell import quoted, word

__all__ = ["build_on_device", "bundle_for"]

_KEPT_DAYS = 14  # what interrupted builds left on the device
_UNPACK_S = 300.0
_ENGINE_IS_WHOLE = '[ "$(sha256sum < model.engine 2> /dev/null)" = "$(cat model.engine.sha256)" ]'


def bundle_for(
    model: Path,
    *,
    target: str,
    out: Path,
    batch: str | None = None,
    workspace_mib: int | None = None,
    dla_core: int | None = None,
    jetpack: str | None = None,
) -> Bundle:
    """Write the archive that builds `model` on a board nobody can reach, and return it.

    `jetpack` is the board's; the newest that runs on it where left out. Raises what `build` raises
    for a model that does not suit the target, and TargetError for what cannot work there.
    """
    source, row = open_model(model), get(target)
    dla = dla_core is not None
    cache = cache_of(source) if dla else None
    precision = source.contract.precision if cache is None else "int8"
    decision = decide(row, precision=precision, jetpack=jetpack, dla=dla, backend="trtexec")
    parts = _parts(source, row, decision, batch, workspace_mib, dla_core, cache)
    check_writable(out)
    write_bundle(parts.bundle, out)
    return parts.bundle


def build_on_device(
    model: Path,
    *,
    target: str,
    host: Address,
    out: Path | None = None,
    batch: str | None = None,
    workspace_mib: int | None = None,
    dla_core: int | None = None,
    progress: ProgressCallback = silent,
    opener: Opener | None = None,
    pauses_s: tuple[float, ...] = PAUSES_S,
    sleep: Callable[[float], None] = time.sleep,
    root: str = "/",
) -> Engine:
    """Return the engine of `model`, built on the device at `host` and written to `out`.

    Its log lies beside it as `.build.log`. A cut connection is opened again; after a longer one the
    same call finds the build that went on, or its engine. Raises RemoteError for the device and the
    way to it, ForeignEngineError when it is another GPU, BuildError when TensorRT refuses or the
    engine answers wrongly, and what `toolkit.build.build` raises for the model.
    """
    started = time.monotonic()
    source, row = open_model(model), get(target)
    cache = None if dla_core is None else cache_of(source)
    out = out or engine_path(model, target)
    if out.resolve() == model.resolve():
        raise InputError(
            f"{out} is the model itself: an engine needs a name of its own.",
            next_command=f"edgekit build {quoted(model)} --target {row.id} --host {host}",
        )
    check_writable(out)
    resume = (
        f"edgekit build {quoted(model)} --target {row.id} --host {word(str(host))} "
        f"--out {quoted(out)}"
        + (f" --batch {word(batch)}" if batch else "")
        + (f" --workspace-mib {workspace_mib}" if workspace_mib else "")
        + (f" --dla-core {dla_core}" if dla_core is not None else "")
    )
    with open_link(
        host, resume=resume, progress=progress, opener=opener, pauses_s=pauses_s, sleep=sleep
    ) as link:
        device = link.step(lambda there: inspect_device(there, target=row, root=root))
        progress(Progress("inspect", 1, 1, device.summary()))
        decision = decide(
            row,
            precision=source.contract.precision if cache is None else "int8",
            jetpack=device.conditions.jetpack,
            tensorrt=device.tensorrt,
            dla=dla_core is not None,
            backend="trtexec",
        )
        parts = _parts(source, row, decision, batch, workspace_mib, dla_core, cache)
        folder = f"{device.folder}/builds/{parts.bundle.digest[:16]}"
        _push(link, device, parts.bundle, folder, progress)
        job = Job(f"{folder}/{FOLDER}", "build", _ENGINE_IS_WHOLE)
        end = run_job(link, job, progress=progress)
        log = out.with_name(f"{out.name}.build.log")
        write_text(log, end.log)
        _check_end(end, link, device, log)
        finished = Finished(source, decision, parts, device, end, f"{folder}/{FOLDER}")
        engine = pull_engine(link, finished, out, started_s=started, root=root, progress=progress)
        _clean_up(link, device, folder, progress)
        return engine


def _parts(
    source: OnnxModel,
    row: Target,
    decision: Decision,
    batch: str | None,
    workspace_mib: int | None,
    dla_core: int | None,
    cache: Path | None,
) -> BundleParts:
    if decision.where == ANYWHERE:
        raise InputError(
            f"{row.name} is built here, ahead of time: it takes {decision.backend}.",
            next_command=f"edgekit build {quoted(source.path)} --target {row.id}",
        )
    check_scheme(source, row, decision)
    check_dla_form(source, row, decision, cache)
    return make_bundle(
        source,
        row,
        decision,
        batch=batch_from_text(batch) if batch else None,
        workspace_mib=workspace_mib or workspace_for(row),
        calibration_cache=cache,
        dla_core=dla_core,
    )


def _push(
    link: Link, device: Device, bundle: Bundle, folder: str, progress: ProgressCallback
) -> None:
    """Bring the bundle into `folder`, unpacked, unless it is there."""

    def is_there(connection: Connection) -> bool:
        there = quote(folder)
        script = f"mkdir -p {there} && cd {there} && {{ [ ! -f ready ] || cat ready; }}"
        return ask(connection, script, what=f"make {folder}") == bundle.digest

    if link.step(is_there):
        return
    size = sum(map(len, bundle.files.values()))
    link.step(lambda there: check_room(there, size, free_mib=device.disk_free_mib))
    with tempfile.TemporaryDirectory(prefix="edgekit-") as local:
        archive = Path(local) / "bundle.tar.gz"
        write_bundle(bundle, archive)
        link.step(lambda there: put(there, archive, f"{folder}/bundle.tar.gz", progress=progress))
    # A step may run twice: the second time there is no archive any more.
    unpack = (
        f"cd {quote(folder)} && [ -f ready ] || {{ rm -rf {FOLDER} && "
        f"tar -xzf bundle.tar.gz && rm bundle.tar.gz && echo {bundle.digest} > ready; }}"
    )
    link.step(lambda there: ask(there, unpack, what="unpack the bundle", timeout_s=_UNPACK_S))


def _clean_up(link: Link, device: Device, folder: str, progress: ProgressCallback) -> None:
    script = (
        f"rm -rf {quote(folder)}; cd {quote(device.folder)} && "
        f"find builds -mindepth 1 -maxdepth 1 -mtime +{_KEPT_DAYS} -exec rm -rf {{}} +"
    )
    try:
        link.step(lambda there: there.run(script))
    except RemoteError as error:  # the engine is here: what is left there harms nobody
        progress(Progress("clean up", 0, 1, f"{folder} stays on the device: {error.message}"))


def _check_end(end: JobEnd, link: Link, device: Device, log: Path) -> None:
    """Raise for a build that failed, with what is known of its reason."""
    if end.code == 0:
        return
    known = explain_text(end.log)
    said = read_build_log(end.log).errors or (end.log.rstrip().rpartition("\n")[2],)
    explain = f"edgekit doctor --log {quoted(log)}"
    if "No space left on device" in end.log:
        raise RemoteError(
            f"The disk of {link.address} was full before the engine was written.",
            next_command=f"{link.address.ssh} df -h",
        )
    if end.code in (VANISHED, 137):
        raise RemoteError(
            f"The build on {link.address} was killed: out of memory, or the device was switched "
            f"off (it had {device.conditions.memory_available_mib} MiB of memory and "
            f"{device.swap_free_mib} MiB of swap free).",
            next_command=f"{link.address.ssh} sudo dmesg | edgekit doctor --log -",
        )
    if end.code == WRONG_TENSORRT:
        raise BuildError(
            f"TensorRT {device.tensorrt} on {link.address} does not take the bundle: {said[0]}",
            next_command=explain,
        )
    cause = next((each.cause for each in known if not each.warning), said[0].rstrip(".") + ".")
    raise BuildError(
        f"trtexec on {link.address} refused the model (exit code {end.code}): {cause}",
        next_command=explain,
    )
