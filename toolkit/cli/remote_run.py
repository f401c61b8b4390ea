"""`build --host`, `build --bundle` (`--adopt`) and `measure --host`: what the commands do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.build.request import TensorRTOptions
from toolkit.cli.build_lines import build_outcome
from toolkit.cli.outcome import Outcome
from toolkit.errors import InputError
from toolkit.latency import Latency
from toolkit.progress import ProgressCallback
from toolkit.remote.adopt import adopt_engine
from toolkit.remote.build import build_on_device, bundle_for
from toolkit.remote.bundle import FOLDER
from toolkit.remote.connection import address_from_text
from toolkit.remote.measure import measure_on_device
from toolkit.shell import quoted

__all__ = ["build_there", "measure_there"]


def build_there(
    model: Path,
    *,
    target: str,
    out: Path | None,
    host: str,
    port: int,
    identity: Path | None,
    bundle: Path | None,
    jetpack: str,
    adopt: Path | None,
    precision: str,
    batch: str | None,
    workspace_mib: int | None,
    options: TensorRTOptions,
    progress: ProgressCallback,
) -> Outcome:
    """Build on `host`, write `bundle`, or adopt what it built.

    Raises InputError for options that do not go together.
    """
    if not host and bundle is None:
        raise InputError(
            f"--jetpack {jetpack} goes with --bundle: elsewhere the device says its own."
            if adopt is None
            else f"--adopt {adopt} needs the --bundle it was built from.",
            next_command=f"edgekit build {quoted(model)} --target {target} --bundle FILE.tar.gz",
        )
    where = "--host" if host else "--bundle"
    foreign = [name for name in options.given() if name != "--dla-core"]
    foreign += ["--precision"] if precision else []
    foreign += ["--bundle"] if host and bundle else []
    foreign += ["--jetpack"] if host and jetpack else []
    foreign += ["--out"] if bundle and out and adopt is None else []
    foreign += ["--adopt"] if host and adopt else []
    if foreign:
        raise InputError(
            f"{foreign[0]} does not go with {where}.",
            next_command=f"edgekit build {quoted(model)} --target {target} {where} "
            f"{host or (quoted(bundle) if bundle else '')}".rstrip(),
        )
    if bundle is not None and adopt is not None:
        given = {
            "--jetpack": bool(jetpack),
            "--batch": batch is not None,
            "--workspace-mib": workspace_mib is not None,
            "--dla-core": options.dla_core is not None,
        }
        _check_bundle_decides(given, bundle)
        engine = adopt_engine(adopt, bundle=bundle, model=model, target=target, out=out)
        return build_outcome(engine)
    if bundle is not None:
        made = bundle_for(
            model,
            target=target,
            out=bundle,
            batch=batch,
            workspace_mib=workspace_mib,
            dla_core=options.dla_core,
            jetpack=jetpack or None,
        )
        decision = made.description["decision"]
        size = bundle.stat().st_size
        return Outcome(
            f"{bundle}  {size / 2**20:.1f} MiB for TensorRT {decision['tensorrt']}; on the board: "
            f"tar -xzf {bundle.name} && sh {FOLDER}/build.sh",
            {
                "bundle": str(bundle),
                "target": made.description["target"],
                "tensorrt": decision["tensorrt"],
                "flags": made.description["flags"],
                "bytes": size,
                "digest": made.digest,
                "notes": decision["reasons"],
            },
            details=(
                *decision["reasons"],
                "with its output kept as build.log, and verify.sh run after it, bring the folder "
                f"back: edgekit build {quoted(model)} --target {target} --bundle {quoted(bundle)} "
                f"--adopt {FOLDER}/model.engine",
            ),
        )
    engine = build_on_device(
        model,
        target=target,
        host=address_from_text(host, port=port or None, identity=identity),
        out=out,
        batch=batch,
        workspace_mib=workspace_mib,
        dla_core=options.dla_core,
        progress=progress,
    )
    return build_outcome(engine)


def _check_bundle_decides(given: dict[str, bool], bundle: Path) -> None:
    for name in (name for name, is_given in given.items() if is_given):
        raise InputError(
            f"{name} does not go with --adopt: the bundle says how the engine was built.",
            next_command=f"edgekit inspect {quoted(bundle)}",
        )


def measure_there(
    engines: Sequence[Path],
    *,
    host: str,
    port: int,
    identity: Path | None,
    out: Path | None,
    as_json: bool,
    progress: ProgressCallback,
    **options: Any,
) -> tuple[Latency, ...]:
    """Measure on `host`; `options` are those of `measure_on_device`."""
    address = address_from_text(host, port=port or None, identity=identity)
    repeated = ["--out", quoted(out)] if out else []
    repeated += ["--json"] if as_json else []
    return measure_on_device(engines, host=address, repeated=repeated, progress=progress, **options)
