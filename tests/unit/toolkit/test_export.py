from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'edgekit[train]'")

from toolkit.artifacts import digest_of_file  # noqa: E402 - only with torch
from toolkit.checkpoint import Trained, save_trained  # noqa: E402 - only with torch
from toolkit.errors import CheckpointError, InputError  # noqa: E402 - only with torch
from toolkit.export import ExportResult, export  # noqa: E402 - only with torch
from toolkit.networks import build_network, preprocess_of  # noqa: E402 - only with torch
from toolkit.onnx_model.file import open_model, read_onnx  # noqa: E402 - only with torch
from toolkit.sample_inputs import sample_inputs  # noqa: E402 - only with torch


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:  # type: ignore[name-defined]  # torch comes from importorskip
    """A signs-cnn whose batch norms have seen pictures, so that folding them changes weights."""
    torch.manual_seed(0)
    made = build_network("signs-cnn", 3).train()
    made(torch.from_numpy(sample_inputs(preprocess_of("signs-cnn"), 4)))
    return made.eval()


@pytest.fixture(scope="module")
def checkpoint(
    network: torch.nn.Module,  # type: ignore[name-defined]  # torch comes from importorskip
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    trained = Trained(
        arch="signs-cnn",
        classes=("a", "b", "c"),
        preprocess=preprocess_of("signs-cnn"),
        state=network.state_dict(),
        top1=0.5,
        epochs=1,
        seed=0,
    )
    save_trained(path, trained)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> ExportResult:
    return export(checkpoint, out=checkpoint.with_name("model.onnx"), opset=17)


def run(
    path: Path, inputs: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = session.run(
        None, {"input": inputs}
    )[0]
    return logits


def test_the_file_carries_a_contract_that_names_the_checkpoint(
    exported: ExportResult, checkpoint: Path
) -> None:
    contract = open_model(exported.model.path).contract
    assert contract == exported.model.contract
    assert contract.parent == digest_of_file(checkpoint)
    assert contract.labels == contract.ids == ("a", "b", "c")
    assert contract.preprocess == preprocess_of("signs-cnn")
    assert (contract.input_name, contract.input_shape) == ("input", (0, 3, 48, 48))
    assert (contract.precision, contract.calibration, contract.scheme) == ("fp32", "", "")


def test_the_graph_gives_pytorchs_logits_at_every_batch_size(
    exported: ExportResult,
    network: torch.nn.Module,  # type: ignore[name-defined]  # torch comes from importorskip
) -> None:
    for n in (1, 5):
        inputs = sample_inputs(preprocess_of("signs-cnn"), n, seed=9)
        with torch.no_grad():
            expected = network(torch.from_numpy(inputs)).numpy()
        assert np.abs(run(exported.model.path, inputs) - expected).max() < 1e-5
    assert exported.max_abs_diff < 1e-5


def test_batch_normalization_is_folded_and_no_training_operator_is_left(
    exported: ExportResult,
) -> None:
    kinds = {node.op_type for node in read_onnx(exported.model.path).graph.node}
    assert kinds == {"Conv", "Clip", "Add", "Relu", "GlobalAveragePool", "Reshape", "Gemm"}


def test_input_output_and_batch_have_the_names_everything_else_expects(
    exported: ExportResult,
) -> None:
    graph = read_onnx(exported.model.path).graph
    assert (graph.input[0].name, graph.output[0].name) == ("input", "logits")
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert graph.node[0].name == "stem.1/Conv"


def test_opset_17_is_written_when_asked_for(exported: ExportResult) -> None:
    model = onnx.load(exported.model.path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version == 8


def test_the_file_says_nothing_about_the_machine_that_made_it(exported: ExportResult) -> None:
    content = exported.model.path.read_bytes()
    assert b"site-packages" not in content
    assert b"stack_trace" not in content


def test_equal_checkpoints_give_equal_bytes(
    exported: ExportResult, checkpoint: Path, tmp_path: Path
) -> None:
    again = export(checkpoint, out=tmp_path / "again.onnx", opset=17)
    assert again.model.digest == exported.model.digest


def test_fp16_keeps_float_inputs_and_is_close_to_fp32(
    exported: ExportResult, checkpoint: Path, tmp_path: Path
) -> None:
    half = export(checkpoint, out=tmp_path / "half.onnx", opset=17, precision="fp16")
    assert half.model.contract.precision == "fp16"
    assert half.model.contract.input_type == "float32"
    assert half.max_abs_diff == exported.max_abs_diff
    inputs = sample_inputs(preprocess_of("signs-cnn"), 2, seed=3)
    full = run(exported.model.path, inputs)
    difference = np.abs(run(half.model.path, inputs) - full).max()
    assert 0 < difference < 0.02 * np.abs(full).max()
    assert half.model.path.stat().st_size < 0.7 * exported.model.path.stat().st_size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 13}, "Opset 13 cannot be written, only 17"),
        ({"opset": 25}, "Opset 25"),
        ({"precision": "int8"}, "INT8 needs ranges"),
        ({"precision": "half"}, "Unknown precision 'half'"),
    ],
)
def test_impossible_options_are_refused(
    checkpoint: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        export(checkpoint, out=tmp_path / "m.onnx", **options)  # type: ignore[arg-type]  # mixed


def test_weights_of_somebody_else_are_sent_to_import(tmp_path: Path) -> None:
    torch.save(build_network("lenet5", 2).state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="does not say which network") as caught:
        export(tmp_path / "a.pth", out=tmp_path / "m.onnx")
    assert caught.value.next_command.startswith("edgekit import")


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    out.write_bytes(b"the old one")
    with pytest.raises(CheckpointError):
        export(tmp_path / "gone.pt", out=out)
    assert out.read_bytes() == b"the old one"
