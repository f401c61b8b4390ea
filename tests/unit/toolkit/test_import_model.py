from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.unit.toolkit.onnx_graphs import classifier
from toolkit.errors import InputError, MissingDependencyError
from toolkit.import_model import import_model
from toolkit.onnx_model.file import open_model


def test_a_source_that_is_none_gets_the_list_and_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean torchvision:resnet18"):
        import_model("torchvison:resnet18", out=tmp_path / "m.onnx")
    for source in ("resnet18", "model.h5", ""):
        with pytest.raises(InputError, match="is not a model source"):
            import_model(source, out=tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["gone.onnx", "gone.pth", "gone.pt2", "gone.pth.tar"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} does not exist"):
        import_model(str(tmp_path / name), out=tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"opset": 12}, "Opset 12"), ({"precision": "int8"}, "INT8 needs ranges")],
)
def test_impossible_options_are_refused_before_anything_is_read(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        import_model("gone.onnx", out=tmp_path / "m.onnx", **options)  # type: ignore[arg-type]


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_a_source_without_its_package_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="needs the package 't") as caught:
        import_model("timm:resnet18", out=tmp_path / "m.onnx")
    assert caught.value.next_command == "pip install 'edgekit[train]' timm"


def test_an_imported_file_can_be_opened_by_the_rest_of_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(classifier().SerializeToString())
    model = import_model(str(tmp_path / "a.onnx"), out=tmp_path / "m.onnx", preprocess="unit")
    assert open_model(model.path) == model


def test_an_fp16_import_keeps_float_inputs(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(classifier().SerializeToString())
    model = import_model(
        str(tmp_path / "a.onnx"), out=tmp_path / "m.onnx", preprocess="unit", precision="fp16"
    )
    assert (model.contract.precision, model.contract.input_type) == ("fp16", "float32")


def test_a_model_is_not_written_over_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(classifier().SerializeToString())
    table = tmp_path / "table.json"
    table.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"table\.json .* must end in \.onnx") as caught:
        import_model(str(tmp_path / "a.onnx"), out=table, preprocess="unit")
    assert caught.value.next_command.endswith("table.json.onnx")
    assert table.read_text(encoding="utf-8") == "{}"
