"""The logs are excerpts of what TensorRT-RTX 1.7.1.116 wrote for the graphs in onnx_graphs.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.build.layer_table import LayerRow, parse_layer_table

LOGS = Path(__file__).with_name("logs")


def log(name: str) -> str:
    return (LOGS / f"{name}.txt").read_text(encoding="utf-8")


def test_an_int8_convolution_is_a_row_with_its_types_and_onnx_nodes() -> None:
    assert parse_layer_table(log("int8")).rows[1] == LayerRow(
        name="conv1_myl0_1",
        kind="correlation",
        inputs=("Int8",),
        constants=("Int8", "Float", "Float"),
        outputs=("Float",),
        onnx_nodes=("conv1", "image_DQ", "w1_DQ"),
    )


def test_int8_convolutions_are_counted_apart_from_their_requantizing_kernels() -> None:
    table = parse_layer_table(log("int8"))
    assert [row.kind for row in table.rows] == [
        *("kgen", "correlation", "kgen", "correlation", "kgen", "kgen", "kgen")
    ]
    assert table.kernels == 7
    assert table.int8_nodes == {"conv1", "conv2"}
    assert table.count(["conv1", "conv2"]) == (2, 0)


def test_half_precision_counts_as_float() -> None:
    table = parse_layer_table(log("fp16"))
    assert table.count(["conv1", "conv2"]) == (0, 2)
    assert table.rows[1].inputs == ("Half",)
    assert table.int8_nodes == frozenset()


def test_shape_calls_of_a_dynamic_batch_are_not_kernels() -> None:
    table = parse_layer_table(log("dynamic_batch"))
    kinds = [row.kind for row in table.rows]
    assert "shape_call" in kinds
    assert "runtime_fusion" in kinds  # the matrix product, here
    assert table.kernels == len(table.rows) - kinds.count("shape_call")


def test_depthwise_grouped_and_transposed_convolutions_are_convolutions() -> None:
    table = parse_layer_table(log("transposed"))
    assert [row.kind for row in table.rows if row.is_convolution] == [
        *("correlation", "correlation", "deconv")
    ]
    assert table.count(["n_Conva", "n_Convb", "n_ConvTransposec"]) == (0, 3)


def test_a_convolution_that_became_a_matrix_product_is_still_counted() -> None:
    table = parse_layer_table(log("pointwise"))
    row = next(row for row in table.rows if row.kind == "runtime_fusion")
    assert row.onnx_nodes[0] == "features.17.conv.3/Conv"
    assert table.count(["features.17.conv.3/Conv"]) == (0, 1)


@pytest.mark.parametrize("names", [["", ""], ["conv1", "conv1"]])
def test_without_names_to_go_by_convolution_kernels_are_counted(names: list[str]) -> None:
    assert parse_layer_table(log("int8")).count(names) == (2, 0)
    assert parse_layer_table(log("fp16")).count(names) == (0, 2)


def test_the_tensors_listed_after_the_table_are_not_rows() -> None:
    assert "I/O Tensors:" in log("int8")
    assert len(parse_layer_table(log("int8")).rows) == 7


def test_a_log_without_a_table_has_no_rows() -> None:
    assert parse_layer_table("").rows == ()
    assert parse_layer_table("Engine generation completed in 0.1 seconds.\n").rows == ()


def test_the_last_table_of_a_log_counts() -> None:
    assert parse_layer_table(log("int8") + log("fp16")) == parse_layer_table(log("fp16"))


def test_a_severity_before_the_heading_does_not_hide_it() -> None:
    marked = log("int8").replace("Layers:", "[VERBOSE] Layers:")
    assert parse_layer_table(marked) == parse_layer_table(log("int8"))


@pytest.mark.parametrize("kept", [40, 400, 1200, 2400])
def test_a_log_that_was_cut_gives_the_rows_before_the_cut(kept: int) -> None:
    text = log("int8")
    start = text.index("Layers:\n") + len("Layers:\n")
    whole = parse_layer_table(text).rows
    cut = parse_layer_table(text[: start + kept]).rows
    assert cut[:-1] == whole[: max(len(cut) - 1, 0)]
