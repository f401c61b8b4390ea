"""Every planted deviation is named, and a right contract is called right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from tests.unit.toolkit.colour_models import colour_contract, make_folder, make_model
from tests.unit.toolkit.onnx_graphs import classifier, contract
from toolkit.cli.app import app
from toolkit.errors import InputError
from toolkit.onnx_model.file import write_onnx
from toolkit.preprocess import Preprocess
from toolkit.preprocess_search import check_preprocess
from toolkit.preprocess_search.variants import Variant, decode, variants_of
from toolkit.runtime import open_session

TRUTH = Preprocess(
    16,
    16,
    resize="shorter",
    resize_size=18,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen pictures with structure, of several shapes; every second one lies on its side."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    for index in range(14):
        coarse = rng.integers(0, 256, (9, 7 + index % 5, 3), dtype=np.uint8)
        size = (83 + 7 * index, 97 - 3 * index)
        exif = Image.Exif()
        exif[ORIENTATION] = 6 if index % 2 else 1
        path = root / f"{index:02}.jpg"
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(
            path, quality=95, exif=exif
        )
    return root


def _expected(pictures: Path, truth: Variant, model: Path, out: Path) -> Path:
    paths = sorted(pictures.glob("*.jpg"))
    inputs = [truth.preprocess(decode(p, truth.decoder, truth.preprocess)) for p in paths]
    with open_session(model) as session:
        np.save(out, session.infer(np.stack(inputs)))
    return out


def _model(path: Path, preprocess: Preprocess) -> Path:
    return write_onnx(classifier(), path, contract(preprocess=preprocess)).path


WRONG: dict[str, dict[str, Any]] = {
    "colour order": {"colour": "bgr"},
    "value range": {"mean": (0.0, 0.0, 0.0)},
    "resize": {"resize": "squash"},
    "interpolation": {"interpolation": "nearest"},
    "antialias": {"antialias": False},
}


@pytest.mark.parametrize("aspect", sorted(WRONG))
def test_a_planted_deviation_is_named_from_expected_logits(
    aspect: str, pictures: Path, tmp_path: Path
) -> None:
    model = _model(tmp_path / "m.onnx", replace(TRUTH, **WRONG[aspect]))
    expected = _expected(pictures, Variant(TRUTH), model, tmp_path / "logits.npy")
    found = check_preprocess(model, images=pictures, expected=expected)
    assert found.verdict == "wrong"
    assert [deviation.aspect for deviation in found.deviations] == [aspect]
    assert found.preprocess == TRUTH
    assert found.sqnr_found_db is not None and found.sqnr_found_db > 60.0
    assert aspect in found.line()


@pytest.mark.parametrize(
    "values", [{"scale": 1.0}, {"std": (1.0, 1.0, 1.0)}, {"scale": 1.0, "mean": (0.0, 0.0, 0.0)}]
)
def test_a_wrong_scale_or_deviation_is_named(
    values: dict[str, Any], pictures: Path, tmp_path: Path
) -> None:
    model = _model(tmp_path / "m.onnx", replace(TRUTH, **values))
    expected = _expected(pictures, Variant(TRUTH), model, tmp_path / "logits.npy")
    found = check_preprocess(model, images=pictures, expected=expected)
    assert [deviation.aspect for deviation in found.deviations] == ["value range"]
    assert found.preprocess == TRUTH


def _variant(aspect: str, after: str) -> Variant:
    wanted = (aspect, after)
    return next(
        variant
        for variant in variants_of(Variant(TRUTH))
        for key, (_, value) in variant.changes_from(Variant(TRUTH)).items()
        if (key, value) == wanted
    )


@pytest.mark.parametrize(
    ("aspect", "wanted"),
    [
        ("EXIF orientation", "applied"),
        ("decoder", "JPEG at reduced size"),
        ("rounding", "down"),
        ("interpolation", "bicubic"),
        ("resize", "none"),
    ],
)
def test_what_the_training_pipeline_did_otherwise_is_named(
    aspect: str, wanted: str, pictures: Path, tmp_path: Path
) -> None:
    model = _model(tmp_path / "m.onnx", TRUTH)
    trained_with = _variant(aspect, wanted)
    expected = _expected(pictures, trained_with, model, tmp_path / "logits.npy")
    found = check_preprocess(model, images=pictures, expected=expected)
    assert [(d.aspect, d.found) for d in found.deviations] == [(aspect, wanted)]


def test_two_deviations_at_once_are_both_named(pictures: Path, tmp_path: Path) -> None:
    wrong = replace(TRUTH, colour="bgr", mean=(0.0, 0.0, 0.0))
    model = _model(tmp_path / "m.onnx", wrong)
    expected = _expected(pictures, Variant(TRUTH), model, tmp_path / "logits.npy")
    found = check_preprocess(model, images=pictures, expected=expected)
    assert {d.aspect for d in found.deviations} == {"colour order", "value range"}


def test_a_right_contract_is_called_right(pictures: Path, tmp_path: Path) -> None:
    model = _model(tmp_path / "m.onnx", TRUTH)
    expected = _expected(pictures, Variant(TRUTH), model, tmp_path / "logits.npy")
    found = check_preprocess(model, images=pictures, expected=expected)
    assert (found.verdict, found.deviations) == ("right", ())


def test_logits_of_another_model_leave_it_undecided(pictures: Path, tmp_path: Path) -> None:
    model = _model(tmp_path / "m.onnx", TRUTH)
    other = np.random.default_rng(0).normal(size=(14, 4)).astype(np.float32)
    np.save(tmp_path / "logits.npy", other)
    found = check_preprocess(model, images=pictures, expected=tmp_path / "logits.npy")
    assert found.sqnr_found_db is not None and found.sqnr_found_db < 20.0
    assert found.verdict == "undecided" or any("more differs" in note for note in found.notes)


def test_from_labels_swapped_colours_are_named_with_their_cost(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "images", each=12)
    preprocess = replace(colour_contract().preprocess, colour="bgr")
    model = make_model(tmp_path / "m.onnx", preprocess=preprocess)
    found = check_preprocess(model, images=images)
    assert [(d.aspect, d.contract, d.found) for d in found.deviations] == [
        ("colour order", "bgr", "rgb")
    ]
    assert (found.top1_contract, found.top1_found, found.cost_points) == (0.5, 1.0, 50.0)
    low, high = found.cost_interval
    assert low < 50.0 < high


def test_from_labels_a_right_contract_is_called_right_and_the_rest_is_named(
    tmp_path: Path,
) -> None:
    images = make_folder(tmp_path / "images", each=6)
    found = check_preprocess(make_model(tmp_path / "m.onnx"), images=images)
    assert found.verdict == "right"
    assert any("do not tell the contract from" in note for note in found.notes)


def test_a_model_that_only_guesses_is_undecided(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "images", each=6)
    model = make_model(tmp_path / "m.onnx", answers=(3, 3, 3, 3))
    assert check_preprocess(model, images=images).verdict == "undecided"


def _save(path: Path, values: NDArray[Any]) -> Path:
    np.save(path, values)
    return path


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 4), np.float32), "3 rows"),
        (np.zeros((14, 7), np.float32), "7 classes"),
        (np.zeros(14, np.float32), "not logits"),
        (np.full((14, 4), np.nan, np.float32), "NaN"),
    ],
)
def test_expected_logits_that_do_not_fit_are_refused(
    values: NDArray[Any], said: str, pictures: Path, tmp_path: Path
) -> None:
    model = _model(tmp_path / "m.onnx", TRUTH)
    expected = _save(tmp_path / "logits.npy", values)
    with pytest.raises(InputError, match=said):
        check_preprocess(model, images=pictures, expected=expected)


def test_a_file_that_is_not_numpy_is_refused(pictures: Path, tmp_path: Path) -> None:
    bad = tmp_path / "logits.npz"
    bad.write_bytes(b"not an array")
    with pytest.raises(InputError, match="not a readable"):
        check_preprocess(_model(tmp_path / "m.onnx", TRUTH), images=pictures, expected=bad)


def test_an_npz_with_names_picks_the_pictures_it_names(pictures: Path, tmp_path: Path) -> None:
    model = _model(tmp_path / "m.onnx", TRUTH)
    rows = np.load(_expected(pictures, Variant(TRUTH), model, tmp_path / "all.npy"))
    out = tmp_path / "some.npz"
    np.savez(out, logits=rows[[4, 1]], names=np.array(["04.jpg", "01.jpg"]))
    found = check_preprocess(model, images=pictures, expected=out)
    assert (found.samples, found.verdict) == (2, "right")
    np.savez(out, logits=rows[:1], names=np.array(["gone.jpg"]))
    with pytest.raises(InputError, match="not in"):
        check_preprocess(model, images=pictures, expected=out)


def test_the_command_says_no_with_exit_3_and_asks_for_what_it_lacks(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "images", each=12)
    preprocess = replace(colour_contract().preprocess, colour="bgr")
    model = make_model(tmp_path / "m.onnx", preprocess=preprocess)
    options = ["--preprocess", str(model), "--images", str(images)]
    done = CliRunner().invoke(app, ["doctor", *options, "--labels", "--json"])
    values = json.loads(done.stdout)
    assert (done.exit_code, values["verdict"]) == (3, "wrong")
    assert values["deviations"][0]["aspect"] == "colour order"
    neither = CliRunner().invoke(app, ["doctor", *options])
    assert neither.exit_code == 1
