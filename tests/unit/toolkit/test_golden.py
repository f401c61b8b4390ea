from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.quantize import quantize
from calibration.repair.pixels import PIXELS
from calibration.schemes import SCHEMES
from tests.unit.toolkit.onnx_graphs import (
    classifier,
    contract,
    half_classifier,
    quantized_classifier,
)
from toolkit.artifacts import OnnxModel, digest_of_file
from toolkit.calibrate.pixel_levels import levels_of
from toolkit.errors import InputError, StaleError
from toolkit.golden import (
    Golden,
    generated_images,
    golden_for,
    golden_path,
    make_golden,
    read_golden,
    verify,
    write_golden,
)
from toolkit.onnx_model.file import write_onnx
from toolkit.preprocess import Preprocess
from toolkit.runtime import open_session
from toolkit.runtime.fake import FakeSession


def float_model(folder: Path) -> OnnxModel:
    return write_onnx(classifier(), folder / "m.onnx", contract())


def int8_model(folder: Path, activations: str = "int8") -> OnnxModel:
    scheme = "tensorrt" if activations == "int8" else "onnxruntime-x86"
    made = contract(precision="int8", scheme=scheme)
    return write_onnx(quantized_classifier(activations=activations), folder / "m.int8.onnx", made)


def test_generated_images_have_the_contracts_shape_and_depend_on_the_seed_alone() -> None:
    images = generated_images(contract(), count=3)
    assert images.shape == (3, 16, 16, 3)
    assert images.dtype == np.uint8
    assert np.array_equal(images, generated_images(contract(), count=3))
    assert not np.array_equal(images, generated_images(contract(), count=3, seed=1))


def test_generated_images_use_the_range_of_a_picture() -> None:
    images = generated_images(contract(), count=8)
    assert 90 < images.mean() < 150
    assert images.std() > 40
    assert len({image.tobytes() for image in images}) == 8


def test_a_picture_of_one_grey_pixel_is_possible() -> None:
    tiny = Preprocess(1, 1, colour="gray", mean=(0.0,), std=(1.0,))
    assert generated_images(contract(preprocess=tiny), count=1).shape == (1, 1, 1, 1)


def test_the_golden_file_lies_beside_the_model_and_comes_back_equal(tmp_path: Path) -> None:
    model = int8_model(tmp_path)
    golden = make_golden(model, float_model=float_model(tmp_path))
    assert write_golden(golden, model.path) == tmp_path / "m.int8.golden.npz"
    read = read_golden(model)
    assert read.model == golden.model
    for name in ("images", "own", "nudged", "fp32"):
        assert np.array_equal(getattr(read, name), getattr(golden, name)), name


def test_equal_models_give_equal_golden_bytes(tmp_path: Path) -> None:
    model = float_model(tmp_path)
    first = digest_of_file(write_golden(make_golden(model), model.path))
    assert digest_of_file(write_golden(make_golden(model), model.path)) == first


def test_the_own_reference_is_the_graph_in_float(tmp_path: Path) -> None:
    model = int8_model(tmp_path)
    golden = make_golden(model)
    with open_session(model.path) as session:  # a TensorRT scheme: evaluated in float
        batch = model.contract.preprocess.normalise(golden.images)
        assert session.infer(batch) == pytest.approx(golden.own, abs=1e-4)
    assert golden.fp32 is None


def test_a_model_passes_its_own_golden_file(tmp_path: Path) -> None:
    for model in (float_model(tmp_path), int8_model(tmp_path)):
        with open_session(model.path) as session:
            report = verify(session, make_golden(model))
        assert report.passed
        assert report.sqnr_db > 60
        assert report.against_fp32_sqnr_db is None


def test_what_quantization_cost_is_reported_and_not_judged(tmp_path: Path) -> None:
    model = int8_model(tmp_path)
    golden = make_golden(model, float_model=float_model(tmp_path))
    with open_session(model.path) as session:
        report = verify(session, golden)
    assert report.against_fp32_sqnr_db is not None
    assert 10 < report.against_fp32_sqnr_db < report.sqnr_db


def test_integer_kernels_pass_the_golden_file_of_their_graph(tmp_path: Path) -> None:
    model = int8_model(tmp_path, "uint8")
    with open_session(model.path) as session:
        assert session.backend == "onnxruntime"
        assert verify(session, make_golden(model)).passed


def test_half_precision_must_come_as_close_as_float(tmp_path: Path) -> None:
    model = write_onnx(half_classifier(), tmp_path / "h.onnx", contract(precision="fp16"))
    with open_session(model.path) as session:
        report = verify(session, make_golden(model))
    assert report.passed
    assert report.required_db == 30.0


def test_answers_of_another_network_fail(tmp_path: Path) -> None:
    golden = make_golden(float_model(tmp_path))
    with FakeSession(contract()) as session:
        report = verify(session, golden)
    assert not report.passed
    assert report.sqnr_db < 10


def test_answers_that_are_not_numbers_fail(tmp_path: Path) -> None:
    golden = make_golden(float_model(tmp_path))
    broken = replace(golden, own=np.full_like(golden.own, np.nan))
    with open_session(float_model(tmp_path).path) as session:
        assert not verify(session, broken).passed


def test_a_graph_is_not_asked_to_be_closer_than_it_is_stable(tmp_path: Path) -> None:
    golden = make_golden(float_model(tmp_path))
    noise = np.random.default_rng(0).standard_normal(golden.own.shape).astype(np.float32)
    unstable = replace(golden, nudged=golden.own + 0.1 * float(golden.own.std()) * noise)
    with open_session(float_model(tmp_path).path) as session:
        assert verify(session, unstable).required_db == pytest.approx(17.0, abs=2.0)


def test_a_graph_that_rounds_the_nudge_away_is_moved_by_whole_levels(tmp_path: Path) -> None:
    made = contract(precision="int8", scheme="tensorrt")
    images = made.preprocess.normalise(generated_images(made, count=16, seed=3))
    coded = quantize(
        classifier(),
        lambda: [images],
        scheme=SCHEMES["tensorrt"],
        effort="fast",
        model_digest="m",
        levels=levels_of(made.preprocess),
    )
    assert any(span.method == PIXELS for span in coded.table.ranges.values())
    golden = make_golden(write_onnx(coded.model, tmp_path / "m.int8.onnx", made))
    assert not np.array_equal(golden.own, golden.nudged)


def test_a_flipped_winner_counts_only_beyond_the_graphs_own_instability(tmp_path: Path) -> None:
    made = contract(labels=("a", "b"), ids=("a", "b"))
    images = generated_images(made, count=1)
    fake = FakeSession(made)
    answer = fake.infer(made.preprocess.normalise(images))
    flipped = answer[:, ::-1].copy()
    gap = float(abs(answer[0, 0] - answer[0, 1]))
    stable = Golden("", images, own=flipped, nudged=flipped + 0.1 * gap)
    shaky = Golden("", images, own=flipped, nudged=flipped + 0.9 * gap)
    assert not verify(fake, stable).top1_equal
    assert verify(fake, shaky).top1_equal


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    model = classifier()
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 3
    fixed = write_onnx(model, tmp_path / "f.onnx", contract(input_shape=(3, 3, 16, 16)))
    golden = make_golden(fixed)  # 8 pictures in batches of 3
    assert golden.own == pytest.approx(make_golden(float_model(tmp_path)).own, abs=1e-4)


def test_ones_own_pictures_must_have_the_networks_size(tmp_path: Path) -> None:
    model = float_model(tmp_path)
    assert len(make_golden(model, images=np.zeros((2, 16, 16, 3), np.uint8)).own) == 2
    with pytest.raises(InputError, match=r"uint8 \(n, 16, 16, 3\), got uint8 \(2, 8, 8, 3\)"):
        make_golden(model, images=np.zeros((2, 8, 8, 3), np.uint8))


def test_a_golden_file_of_other_bytes_is_stale(tmp_path: Path) -> None:
    model = float_model(tmp_path)
    write_golden(make_golden(model), model.path)
    changed = write_onnx(classifier(seed=1), model.path, contract())
    with pytest.raises(StaleError, match="another version"):
        read_golden(changed)
    assert golden_for(changed).model == changed.digest


def test_a_missing_golden_file_is_made_when_needed(tmp_path: Path) -> None:
    model = float_model(tmp_path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_golden(model)
    assert golden_for(model).model == model.digest
    assert not golden_path(model.path).exists()


@pytest.mark.parametrize("kept", [0, 10, 400, -30])
def test_a_truncated_golden_file_is_damaged(tmp_path: Path, kept: int) -> None:
    model = float_model(tmp_path)
    path = write_golden(make_golden(model), model.path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="is damaged"):
        read_golden(model)


def test_arrays_that_do_not_belong_together_are_damage(tmp_path: Path) -> None:
    model = float_model(tmp_path)
    golden = make_golden(model)
    write_golden(replace(golden, own=golden.own[:3]), model.path)
    with pytest.raises(InputError, match="is damaged"):
        read_golden(model)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    model = float_model(tmp_path)
    arrays = {"model": model.digest, "images": np.array([{}], dtype=object)}
    np.savez(golden_path(model.path), **arrays)  # type: ignore[arg-type]  # what an attacker would do
    with pytest.raises(InputError, match="is damaged"):
        read_golden(model)


def test_a_golden_file_that_would_unpack_to_gigabytes_is_refused(tmp_path: Path) -> None:
    model = float_model(tmp_path)
    with zipfile.ZipFile(
        golden_path(model.path), "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        archive.writestr("images.npy", bytes(300 << 20))
    assert golden_path(model.path).stat().st_size < 1 << 22
    with pytest.raises(InputError, match="would unpack to 300 MiB"):
        read_golden(model)


def test_a_header_that_promises_more_than_the_file_holds_is_damage(tmp_path: Path) -> None:
    model = float_model(tmp_path)
    header = io.BytesIO()
    promise = {"descr": "|u1", "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(header, promise)
    with zipfile.ZipFile(golden_path(model.path), "w") as archive:
        archive.writestr("model.npy", header.getvalue() + b"short")
    with pytest.raises(InputError, match="is damaged"):
        read_golden(model)
