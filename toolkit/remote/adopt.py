"""Take in an engine that was built by hand from a bundle: checked, and given its manifest.

Beside the engine may lie what the scripts of the bundle left on the board: `model.engine.sha256`,
`layers.json`, `golden/*.json`, and `build.log`, the output of build.sh. What is there is checked;
of what is not there the manifest says that nobody knows.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import toolkit
from targets import Target, get
from toolkit.artifacts import (
    Engine,
    Manifest,
    OnnxModel,
    digest_of_file,
    manifest_path,
    open_engine_file,
)
from toolkit.atomic import check_writable, replace_file
from toolkit.build import engine_path
from toolkit.build.inspector_layers import layers_from_inspector
from toolkit.bundle_facts import BundleFacts, facts_of
from toolkit.calibrate.pair import ranges_note
from toolkit.errors import BuildError, InputError, StaleError
from toolkit.onnx_model.file import convolution_names, open_model
from toolkit.remote.bundle import Bundle, golden_of, read_bundle
from toolkit.remote.trtexec import BuildLog, read_build_log
from toolkit.remote.verify import judge_answers
from toolkit.shell import quoted

__all__ = ["adopt_engine"]

_MOST_TEXT = 1 << 28


@dataclass(frozen=True)
class _Found:
    """What lay beside the engine, and what the manifest should note of it."""

    log: BuildLog | None
    int8_convs: int
    float_convs: int
    kernels: int
    notes: tuple[str, ...]


def adopt_engine(
    engine: Path, *, bundle: Path, model: Path, target: str, out: Path | None = None
) -> Engine:
    """Return `engine`, built on the board from `bundle`, copied to `out` with its manifest.

    `model` and `target` are what the bundle was made from and for. Raises StaleError when they are
    not, or when the engine is not the file build.sh sealed or its log another build's; BuildError
    when the log says that the build failed, or when the engine answered wrongly; InputError.
    """
    row, source = get(target), open_model(model)
    archive = read_bundle(bundle)
    facts = facts_of(archive, where=bundle)
    _check_parents(facts, source, row, bundle)
    out = out or engine_path(model, target)
    if out.resolve() in (model.resolve(), bundle.resolve(), engine.resolve()):
        raise InputError(
            f"{out} is there already as something else: the adopted engine needs its own name.",
            next_command=_again(facts, model, bundle, engine),
        )
    check_writable(out)
    digest = digest_of_file(engine)
    _check_seal(engine, digest)
    found = _look_beside(engine, archive, facts, source)
    # Both are complete before either gets its name: a full disk leaves the old pair.
    with replace_file(manifest_path(out)) as seal, replace_file(out) as temporary:
        shutil.copyfile(engine, temporary)
        manifest = _manifest(facts, row, found, digest)
        seal.write_text(manifest.to_json(), encoding="utf-8")
    return open_engine_file(out)


def _check_parents(facts: BundleFacts, source: OnnxModel, row: Target, bundle: Path) -> None:
    if facts.target != row.id:
        raise StaleError(
            f"{bundle} builds for {facts.target}, not for {row.id}.",
            next_command=f"edgekit inspect {quoted(bundle)}",
        )
    if facts.onnx_digest != source.digest:
        raise StaleError(
            f"{bundle} was not made from {source.path}: its ONNX file is "
            f"{facts.onnx_digest[:12]}, this one {source.digest[:12]} (SHA-256).",
            next_command=f"edgekit inspect {quoted(bundle)}",
        )


def _check_seal(engine: Path, digest: str) -> None:
    """Raise when build.sh wrote down another digest. Without the file there is nothing to say."""
    seal = engine.with_name("model.engine.sha256")
    words = (_text(seal) or "").split()
    if words and words[0] != digest:
        raise StaleError(
            f"{engine} is not the engine that build.sh wrote (SHA-256 {digest[:12]}, "
            f"{seal.name} says {words[0][:12]}): it was altered or cut off on the way.",
            next_command=f"ls -l {quoted(engine.parent)}",
        )


def _look_beside(engine: Path, archive: Bundle, facts: BundleFacts, source: OnnxModel) -> _Found:
    convolutions = convolution_names(source.path)
    layers_text = _text(engine.with_name("layers.json")) or ""
    layers = layers_from_inspector(layers_text, convolutions=convolutions)
    log_path = engine.with_name("build.log")
    log_text = _text(log_path)
    log = None if log_text is None else _checked_log(log_text, log_path, facts)
    cache = archive.files.get("calibration.cache")
    sealed = engine.with_name("model.engine.sha256").exists()
    built_by = log.tensorrt if log is not None else ""
    maybe = {
        "no model.engine.sha256 lay beside the engine: whether it arrived whole was not checked": (
            not sealed
        ),
        f"no build.log lay beside the engine: that TensorRT {facts.tensorrt} built it is what the "
        "bundle asks for, not what was seen": log is None,
        f"the bundle was made for TensorRT {facts.tensorrt}, and {built_by} built the engine": (
            built_by not in ("", facts.tensorrt)
        ),
        "the builder named no layers: what runs in Int8 is unknown": not layers.rows,
    }
    warnings = () if log is None else tuple(f"builder warning: {said}" for said in log.warnings)
    notes = (
        *facts.reasons,
        *(() if cache is None else (ranges_note(cache),)),
        *warnings,
        _answers(engine, archive, facts, source),
        *(note for note, applies in maybe.items() if applies),
        f"built by hand from the bundle {facts.digest[:12]}",
    )
    int8, floats = layers.count(convolutions)
    return _Found(log, int8, floats, layers.kernels, notes)


def _checked_log(text: str, path: Path, facts: BundleFacts) -> BuildLog:
    log = read_build_log(text)
    explain = f"edgekit doctor --log {quoted(path)}"
    if log.passed is not True:
        said = log.errors[0] if log.errors else "it ends in the middle"
        raise BuildError(f"{path} is of a build that did not succeed: {said}", next_command=explain)
    banner = next((line for line in text.splitlines() if "&&&& RUNNING" in line), "")
    missing = [word for word in facts.command.certain if word not in banner.split()]
    if missing:
        raise StaleError(
            f"{path} is the log of another build: its trtexec was not given {missing[0]}.",
            next_command=explain,
        )
    return log


def _answers(engine: Path, archive: Bundle, facts: BundleFacts, source: OnnxModel) -> str:
    """Return the note on the golden outputs that verify.sh left, if it was run."""
    names = sorted(name for name in archive.files if name.startswith("golden/"))
    texts = [_text(engine.parent / name.replace(".bin", ".json")) for name in names]
    answers = [text for text in texts if text is not None]
    if len(answers) < len(names):
        return "golden outputs were not verified: verify.sh was not run, or its files were not kept"
    golden = golden_of(source, facts.contract, batch=facts.golden_batch, files=archive.files)
    if golden is None:
        return (
            "golden outputs were not verified: the bundle's inputs are not those of the model here"
        )
    return judge_answers(
        answers,
        golden,
        facts.contract,
        batch=facts.golden_batch,
        name=str(source.path),
        implicit=facts.form == "calibration-cache",
    )


def _manifest(facts: BundleFacts, row: Target, found: _Found, digest: str) -> Manifest:
    log = found.log
    return Manifest(
        engine_digest=digest,
        onnx_digest=facts.onnx_digest,
        target=row.id,
        backend="tensorrt",
        precision=facts.contract.precision,
        contract=facts.contract.to_dict(),
        built_with=f"tensorrt {(log.tensorrt if log else '') or facts.tensorrt}",
        built_on=(log.device if log else "") or row.name,
        tool_version=toolkit.__version__,
        sms=() if row.sm is None else (row.sm,),
        int8_convs=found.int8_convs,
        float_convs=found.float_convs,
        kernels=found.kernels,
        seconds=(log.build_s if log else None) or 0.0,
        reproducible=False,  # tactics are chosen by timing them
        notes=found.notes,
        flags=facts.flags,
    )


def _text(path: Path) -> str | None:
    """Return the text of a file that may be missing. Raises InputError when it cannot be read."""
    if not path.exists():
        return None
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise ValueError("it is far too large")
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read: {error}.", next_command=f"ls -l {quoted(path)}"
        ) from error


def _again(facts: BundleFacts, model: Path, bundle: Path, engine: Path) -> str:
    return (
        f"edgekit build {quoted(model)} --target {facts.target} --bundle {quoted(bundle)} "
        f"--adopt {quoted(engine)} --out ENGINE"
    )
