from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import LabelsError
from toolkit.labels import choose_labels, read_labels


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_line_is_a_name(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path / "l.txt", "cat\ngreat white shark\n\n"))
    assert labels.names == labels.ids == ("cat", "great white shark")
    assert labels.origin == "labels from l.txt"


def test_a_tab_separates_folder_name_and_name(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path / "l.txt", "n1\tcat\nn2\tcat\n"))
    assert (labels.ids, labels.names) == (("n1", "n2"), ("cat", "cat"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "it is empty"), ("cat\n\ndog\n", "line 2 is empty"), ("cat\ncat\n", "'cat' twice")],
)
def test_lists_that_name_no_classes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelsError, match=message):
        read_labels(write(tmp_path / "l.txt", text))


def test_a_missing_or_binary_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("gone", "binary"):
        with pytest.raises(LabelsError, match=f"{name} is not a readable list"):
            read_labels(tmp_path / name)


def test_a_list_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="names 2 classes, the model has 3 outputs"):
        choose_labels(write(tmp_path / "l.txt", "a\nb\n"), classes=3, imagenet=False)


def test_a_thousand_outputs_of_an_imagenet_model_get_its_labels() -> None:
    labels = choose_labels(None, classes=1000, imagenet=True)
    assert (labels.ids[0], labels.names[0]) == ("n01440764", "tench")


def test_other_outputs_are_numbered_and_say_so() -> None:
    for classes, imagenet in ((1000, False), (3, True)):
        labels = choose_labels(None, classes=classes, imagenet=imagenet)
        assert labels.names[:3] == ("0", "1", "2")
        assert labels.origin == "classes without names"


def test_the_word_imagenet_stands_for_its_labels() -> None:
    assert choose_labels(Path("imagenet"), classes=1000, imagenet=False).ids[0] == "n01440764"
    with pytest.raises(LabelsError, match="1000 classes, the model has 10"):
        choose_labels(Path("imagenet"), classes=10, imagenet=False)
