"""The diagnosis from files to record: what `edgekit diagnose` calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.execute import logits_of
from calibration.graph import prepare
from calibration.repair.pixels import without_pixel_codes
from calibration.skeleton import float_skeleton
from toolkit.accuracy import Accuracy
from toolkit.artifacts import digest_of_file
from toolkit.comparison import Comparison
from toolkit.contract import Contract, read_contract
from toolkit.datasets.folder import LabelledImage, batches
from toolkit.diagnose.graphs import layer_errors, measure, not_compared, open_graphs
from toolkit.diagnose.record import Diagnosis, Finding, Stage
from toolkit.diagnose.suspects import suspects
from toolkit.diagnose.trials import Bench, try_changes, try_ranges_together
from toolkit.errors import ContractError
from toolkit.logits import LogitsDifference
from toolkit.onnx_model.file import open_model, read_onnx, write_onnx
from toolkit.predictions import (
    IdentifiedImage,
    images_to_score,
    infer,
    predictions_from_logits,
)
from toolkit.preprocess import Preprocess
from toolkit.progress import Progress, ProgressCallback, silent
from toolkit.runtime import open_session
from toolkit.shell import quoted

__all__ = ["diagnose", "write_skeleton"]

_BATCH = 8
_TRIAL_IMAGES = 16
_Inputs = NDArray[np.float32]


def diagnose(
    model: Path,
    *,
    images: Path,
    reference: Path | None = None,
    engine: Path | None = None,
    samples: int = 64,
    progress: ProgressCallback = silent,
) -> Diagnosis:
    """Return where `model` (ONNX with Q/DQ) loses accuracy against the float `reference`.

    On `samples` images of `images`/CLASS/, spread evenly over the classes. Without a reference the
    model's own float skeleton serves: ranges can then be judged, weights and biases cannot. A
    model without a contract is prepared for as its reference is. `engine` is compared with
    `model`. Nothing is written. Raises ModelError, ContractError, LabelsError, ImageError and
    calibration.CalibrationError.
    """
    quantized = read_onnx(model)
    contract, basis = _contracts(model, quantized, reference)
    graphs = open_graphs(quantized, read_onnx(reference) if reference else None)
    chosen = images_to_score(images, basis, limit=samples, progress=progress)
    pictures = _Pictures(chosen.images, progress)
    inputs = pictures.prepared(basis.preprocess)
    wanted = logits_of(graphs.reference, inputs)
    prepared = logits_of(graphs.quantized, inputs)
    same = contract.preprocess == basis.preprocess
    deployed = (
        prepared if same else logits_of(graphs.quantized, pictures.prepared(contract.preprocess))
    )
    measured = measure(graphs, inputs, progress=progress)
    found = suspects(graphs, measured)
    few = slice(0, _TRIAL_IMAGES)
    bench = Bench(wanted[few], deployed[few], prepared[few], inputs[few])
    findings = try_changes(bench, found, progress=progress)
    if not same:
        findings.append(_preprocess_finding(contract.preprocess, basis.preprocess, bench))
    findings.sort(key=lambda finding: finding.rank)
    logits = {"reference": wanted, "deployed": deployed, "prepared": prepared}
    if engine is not None:
        logits["engine"] = _engine_logits(engine, pictures)
    notes = list(chosen.notes)
    if reference is None:
        notes.append(
            "no --reference: the model's own float skeleton served, so weights and biases that are "
            "wrong cannot be seen"
        )
    return Diagnosis(
        model=str(model),
        reference=str(reference or ""),
        samples=len(chosen.images),
        stages=_stages(logits, chosen.images, same=same),
        findings=tuple(findings),
        together=try_ranges_together(bench, graphs, measured, found),
        layers=layer_errors(graphs, measured),
        tensors=measured.tensors,
        not_compared=not_compared(graphs, measured),
        comparison=_comparison(model, reference, images, basis, logits, chosen.images),
        notes=tuple(notes),
    )


def write_skeleton(model: Path, out: Path, *, reference: Path | None = None) -> Path:
    """Write the float network inside `model` to `out`, with a contract: it can be calibrated anew.

    Raises what `diagnose` raises for the files, and MachineError.
    """
    quantized = read_onnx(model)
    contract, _ = _contracts(model, quantized, reference)
    skeleton = prepare(float_skeleton(quantized))  # at an opset whose Clip has bounds as inputs
    if contract.scheme:  # ours may read the picture by its levels: calibration will see to that
        skeleton = without_pixel_codes(skeleton)
    floats = contract.with_changes(
        input_name=skeleton.graph.input[0].name,
        precision="fp32",
        scheme="",
        calibration="",
        calibration_images=(),
        activation_map="",
        parent=digest_of_file(model),
    )
    return write_onnx(skeleton, out, floats).path


@dataclass(frozen=True)
class _Pictures:
    """The chosen images, prepared in one way or another, all in memory."""

    images: tuple[IdentifiedImage, ...]
    progress: ProgressCallback

    def prepared(self, preprocess: Preprocess) -> _Inputs:
        labelled = [LabelledImage(image.path, image.label) for image in self.images]
        parts: list[_Inputs] = []
        for batch, _ in batches(labelled, preprocess, batch_size=_BATCH):
            parts.append(batch)
            done = sum(map(len, parts))
            self.progress(Progress("prepare images", done, len(labelled)))
        return np.concatenate(parts)


def _contracts(
    model: Path, quantized: onnx.ModelProto, reference: Path | None
) -> tuple[Contract, Contract]:
    """Return the contract of the model and that of the reference, whose inputs are compared."""
    own = read_contract(quantized, where=str(model))
    if reference is None:
        contract = open_model(model).contract
        return contract, contract
    basis = open_model(reference).contract
    contract = open_model(model).contract if own is not None else basis
    if contract.input_shape[1:] != basis.input_shape[1:] or contract.labels != basis.labels:
        raise ContractError(
            f"{model.name} takes {contract.input_shape[1:]} pixels and names "
            f"{len(contract.labels)} classes, {reference.name} takes {basis.input_shape[1:]} and "
            f"names {len(basis.labels)}: they are not the same network.",
            next_command=f"edgekit inspect {quoted(reference)}",
        )
    return contract, basis


def _preprocess_finding(given: Preprocess, wanted: Preprocess, bench: Bench) -> Finding:
    one, other = given.to_dict(), wanted.to_dict()
    different = [name for name in one if one[name] != other[name]]
    return Finding(
        kind="preprocess",
        where=", ".join(different),
        text="the model prepares pictures differently: "
        + ", ".join(f"{name} {one[name]}" for name in different),
        change="prepare them as for the reference: "
        + ", ".join(f"{name} {other[name]}" for name in different),
        fault=True,
        trial=bench.preprocess(),
    )


def _engine_logits(engine: Path, pictures: _Pictures) -> _Inputs:
    with open_session(engine) as session:
        inputs = pictures.prepared(session.contract.preprocess)
        size = session.contract.input_shape[0] or _BATCH
        return np.concatenate(
            [
                infer(session, inputs[start : start + size], pictures.images[start : start + size])
                for start in range(0, len(inputs), size)
            ]
        )


def _stages(
    logits: dict[str, _Inputs], images: tuple[IdentifiedImage, ...], *, same: bool
) -> tuple[Stage, ...]:
    """Return the split; each step changes one thing, and the steps add up to the whole."""
    steps = [("FP32 -> Q/DQ", "reference", "prepared")]
    if not same:
        steps.append(("preprocessing", "prepared", "deployed"))
    if "engine" in logits:
        steps.append(("Q/DQ -> engine", "deployed", "engine"))
    labels = np.array([image.label for image in images])
    made = []
    for name, before, after in steps:
        difference = LogitsDifference()
        difference.add(logits[before], logits[after])
        one, other = (logits[key].argmax(axis=1) for key in (before, after))
        made.append(
            Stage(
                name,
                difference.sqnr_db,
                float((one == other).mean()),
                float((one == labels).mean()),
                float((other == labels).mean()),
            )
        )
    return tuple(made)


def _comparison(
    model: Path,
    reference: Path | None,
    images: Path,
    contract: Contract,
    logits: dict[str, _Inputs],
    shown: tuple[IdentifiedImage, ...],
) -> Comparison:
    """Return the reference and the last step of the way, paired, with every flip."""
    last = "engine" if "engine" in logits else "deployed"
    difference = LogitsDifference()
    difference.add(logits["reference"], logits[last])
    sides = [
        Accuracy(
            model=str(path),
            digest=digest_of_file(path),
            backend="onnxruntime-float",
            precision=precision,
            images=str(images),
            batch_size=_BATCH,
            labels=contract.labels,
            ids=contract.ids,
            predictions=tuple(predictions_from_logits(logits[key], shown)),
        )
        for path, precision, key in (
            (reference or model, "fp32", "reference"),
            (model, "int8", last),
        )
    ]
    return Comparison(sides[0], sides[1], difference.sqnr_db, difference.mean_kl)
