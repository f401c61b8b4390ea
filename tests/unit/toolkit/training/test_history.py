from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from toolkit.errors import InputError
from toolkit.training.curves import svg_from_history
from toolkit.training.history import Epoch, TrainingHistory, best_of, files_beside, read_history


def epoch(val_loss: float) -> Epoch:
    return Epoch(1.5, 0.5, val_loss, 0.75, 0.1, 2.0)


def history(classes: int = 3, epochs: int = 2) -> TrainingHistory:
    return TrainingHistory(
        arch="lenet5",
        classes=tuple(f"class <{n}>" for n in range(classes)),
        options={"epochs": epochs},
        epochs=tuple(epoch(1.0 / (n + 1)) for n in range(epochs)),
        best=epochs - 1,
        top1=0.75,
        confusion=((0, 0, 3), (1, 0, 1), (1, 1, 2)),
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    history().write(tmp_path / "h.json")
    assert read_history(tmp_path / "h.json") == history()


@pytest.mark.parametrize(
    "change", [{"epochs": [{"loss": 1}]}, {"confusion": [[1, 2]]}, {"classes": None}]
)
def test_a_history_that_was_edited_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "h.json"
    history().write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match="damaged"):
        read_history(path)


def test_the_best_epoch_is_the_first_with_the_lowest_loss() -> None:
    assert best_of(tuple(map(epoch, (0.9, 0.4, 0.5, 0.4)))) == 1


def test_files_lie_beside_the_checkpoint() -> None:
    files = files_beside(Path("runs/a.b.pt"))
    assert files.history == Path("runs/a.b.training.json")
    assert files.resume == Path("runs/a.b.resume.pt")


@pytest.mark.parametrize(("classes", "epochs"), [(3, 1), (3, 40), (200, 2)])
def test_the_curves_are_a_picture_that_any_viewer_reads(classes: int, epochs: int) -> None:
    root = ElementTree.fromstring(svg_from_history(history(classes, epochs)))
    text = " ".join(root.itertext())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "top-1 75.00%" in text
    assert "class <1> taken for class <0>: 1" in text
    curves = [e for e in root.iter() if e.get("class") in ("train", "val") and e.get("d")]
    assert len(curves) == 4
