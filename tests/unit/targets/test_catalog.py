from __future__ import annotations

import csv
from pathlib import Path

import pytest

from targets import TargetError, all_targets
from targets.catalog import CATALOG, COLUMNS, generic_target, load_catalog

GOOD = dict(
    zip(
        COLUMNS,
        [
            *("rtx-9090", "GeForce RTX 9090", "desktop-x", "8.9", "600", "", "", "24", "1008"),
            *("0", "450", "n/a", "8.5+-11.x", "tensorrt_rtx", "int8"),
            *("tensorrt_rtx=built only: ahead of time, 2026-11; tensorrt=never run", "", "a", "no"),
        ],
        strict=True,
    )
)


def write_catalog(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_catalog_has_devices_from_jetson_tx1_to_thor_and_the_cpu_rows() -> None:
    ids = [target.id for target in all_targets()]
    assert len(ids) == len(set(ids)) == 73
    assert {"cpu-x86", "cpu-x86-vnni", "cpu-arm64", "jetson-tx1", "jetson-t5000"} <= set(ids)


def test_a_row_becomes_a_record_with_unknown_figures_as_none(tmp_path: Path) -> None:
    (target,) = load_catalog(write_catalog(tmp_path / "c.csv", GOOD))
    assert (target.id, target.sm, target.sm_text, target.memory_gib) == ("rtx-9090", 89, "8.9", 24)
    assert target.int8_tops_sparse is None
    assert target.runs_on_hardware["tensorrt"] == "never run"
    assert target.tensorrt_since == (8, 5) and target.tensorrt_until == 11
    assert not target.is_cpu and not target.is_jetson


def test_no_row_claims_that_an_engine_ran_on_a_gpu_nobody_had() -> None:
    ran = {t.id for t in all_targets() for s in t.runs_on_hardware.values() if s[:3] == "yes"}
    assert ran == {"cpu-x86", "cpu-x86-vnni"}


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("id", "RTX 9090", "id is 'RTX 9090'"),
        ("name", "", "name is empty"),
        ("compute_capability", "8,9", "compute_capability is '8,9'"),
        ("mem_gb", "lots", "could not convert string to float: 'lots'"),
        ("mem_gb", "-4", "mem_gb is '-4', not a positive number"),
        ("mem_gb", "nan", "mem_gb is 'nan', not a positive number"),
        ("dla_cores", "", "invalid literal for int()"),
        ("tensorrt", "new", "tensorrt is 'new'"),
        ("backend", "cuda", "backend is 'cuda', not one of onnxruntime, tensorrt_rtx"),
        ("default_precision", "int4", "default_precision is 'int4'"),
        ("runs_on_hardware", "tensorrt_rtx=works", "says 'works' of tensorrt_rtx"),
        ("runs_on_hardware", "cuda=never run", "names the backend 'cuda'"),
        ("runs_on_hardware", "tensorrt=never run", "says nothing about tensorrt_rtx"),
        ("verified", "perhaps", "verified is 'perhaps'"),
    ],
)
def test_a_malformed_row_is_named_with_its_line(
    tmp_path: Path, column: str, value: str, complaint: str
) -> None:
    path = write_catalog(tmp_path / "c.csv", GOOD, GOOD | {"id": "other", column: value})
    with pytest.raises(TargetError) as caught:
        load_catalog(path)
    assert caught.value.message.startswith("c.csv line 3 is malformed: ")
    assert complaint in caught.value.message
    assert caught.value.next_command == f"sed -n 3p {path}"


def test_a_jetson_without_jetpack_versions_is_malformed(tmp_path: Path) -> None:
    row = GOOD | {"id": "jetson-x", "family": "jetson-x", "jetpack": "soon"}
    with pytest.raises(TargetError, match="line 2 is malformed: 'soon' is not a range"):
        load_catalog(write_catalog(tmp_path / "c.csv", row))


def test_two_rows_of_one_id_are_malformed(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="line 3 is malformed: rtx-9090 is also on line 2"):
        load_catalog(write_catalog(tmp_path / "c.csv", GOOD, GOOD))


def test_lines_are_counted_through_a_field_of_two_lines(tmp_path: Path) -> None:
    rows = (GOOD | {"notes": "one\ntwo"}, GOOD | {"id": "B"})
    path = write_catalog(tmp_path / "c.csv", *rows)
    with pytest.raises(TargetError, match="line 4 is malformed"):
        load_catalog(path)


def test_a_row_with_a_missing_field_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(",".join(COLUMNS) + "\nrtx-1,RTX 1\n", encoding="utf-8")
    with pytest.raises(TargetError, match="line 2 is malformed: 2 fields instead of 19"):
        load_catalog(path)


def test_other_columns_are_malformed_on_line_one(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("id,name\n", encoding="utf-8")
    with pytest.raises(TargetError, match="line 1 is malformed: the columns must be id"):
        load_catalog(path)


def test_an_open_quote_is_malformed_and_not_the_rest_of_the_file(tmp_path: Path) -> None:
    path = write_catalog(tmp_path / "c.csv", GOOD)
    path.write_text(path.read_text(encoding="utf-8") + '"rtx-1,', encoding="utf-8")
    with pytest.raises(TargetError, match=r"line 3 is malformed"):
        load_catalog(path)


def test_a_missing_or_binary_catalog_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be read: No such file"):
        load_catalog(tmp_path / "none.csv")
    path = tmp_path / "c.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match="is not UTF-8 text"):
        load_catalog(path)


def test_a_gpu_without_a_row_has_what_its_sm_says_and_no_figures() -> None:
    target = generic_target(89, name="NVIDIA GeForce RTX 4090 Laptop GPU", memory_gib=16.0)
    assert (target.id, target.backend, target.memory_gib) == ("sm89", "tensorrt_rtx", 16.0)
    assert target.int8_tops_dense is None and target.verified == "no"
    assert target.tensorrt_since == (8, 6)  # the strictest row of this SM


def test_an_sm_that_no_device_has_is_refused() -> None:
    with pytest.raises(TargetError, match=r"No GPU of SM 6\.1 is in the catalog \(known: sm53"):
        generic_target(61)


def test_the_catalog_is_ascii_with_unix_line_ends() -> None:
    content = CATALOG.read_bytes()
    assert b"\r" not in content and content.endswith(b"\n")
    content.decode("ascii")
