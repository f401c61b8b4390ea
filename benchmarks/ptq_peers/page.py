"""docs/ptq-peers.md, written from the rows that were measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ptq_peers.combinations import EDGEKIT
from toolkit.atomic import write_text

__all__ = ["PAGE", "write_page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ptq-peers.md"

_Row = Mapping[str, Any]
_DEFAULT = "edgekit/tensorrt/balanced/512"
_LEARNT = 0.5  # float top-1 of ten classes
_BUSY = 1.0  # load: above it another process took part of the two cores

_INTRODUCTION = """\
# INT8 beside other quantizers

Written by `python -m benchmarks.ptq_peers`; do not edit. Every tool starts from the same float ONNX
file, reads the same JPEGs through the same preprocessing in a process of its own, and is scored
on the same validation images, none of which it saw. Peers run with per-channel INT8 weights and
symmetric INT8 activations where they can; NNCF chooses uint8 activations by itself, which TensorRT
does not take on a GPU. These images are an easy selection: compare columns, never quote the top-1
as ImageNet accuracy.

- **images**: how many were calibrated on.
- **top-1**: share of validation images named correctly; **drop**: what was lost against float, in
  percentage points, with its paired 95 % interval. An interval that contains 0 shows no loss.
- **same answer**: share of images that float and INT8 name alike, right or wrong.
- **SQNR**: power of the float logits over the power of their error, in decibel. Higher is better;
  6 dB are one bit.
- **KL**: how far the class probabilities moved, in thousandths of a nat, mean over images.
- **INT8 MACs**: share of the convolutions' multiplications that read INT8 on both sides.
- **RTX**: convolutions in INT8 + in float, from the layer table of TensorRT-RTX for an RTX 4090,
  or why it refuses the file.
- **s**: seconds of the tool alone, without decoding images; **s, process**: from start to exit.
  `~`: something else was running (load above 1), so read no ratio from it.
- **MiB**: peak resident memory of the process.

TensorRT files are scored with Q/DQ evaluated in float, as TensorRT defines it; `edgekit cpu` rows
on the fused engine that runs on this machine's CPU.
"""

_NETWORKS = """\
## Other networks, briefly trained on road signs: not evidence of collapse

Ten drawn classes and minutes of training leave weights that no product ships. The rows show how
close INT8 stays to float on other architectures, and nothing about how they behave with real
weights. `resnet18-outliers` is the exception made on purpose: a tenth of the channels between
convolutions were made 128 times as large, with the next convolution taking the factor out again.
In float it computes what `resnet18` computes; one range per tensor that covers all values leaves
the other channels one bit.

| network | float top-1 | tool | same answer % | SQNR dB |
|---|---|---|---|---|
"""

_HEAD = """\
| tool | images | top-1 % | drop, points | same answer % | SQNR dB | KL | INT8 MACs | RTX | s \
| s, process | MiB |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def write_page(models: Mapping[str, Sequence[_Row]], networks: Sequence[_Row]) -> None:
    """Write the page from the rows of each model, and those of the briefly trained networks."""
    parts = [_INTRODUCTION]
    for model, rows in models.items():
        parts += [f"\n## {model}\n\n", _float_line(rows), _HEAD]
        parts += [_line(row) for row in rows]
        parts += ["\n", _refusals(rows), _winners(rows)]
    if networks:
        parts += ["\n", _NETWORKS, *_network_lines(networks)]
    write_text(PAGE, "".join(parts))
    print(PAGE)


def _name(row: _Row) -> str:
    words = str(row["key"]).split("/")
    return " ".join(words[:-1]) if words[0] != EDGEKIT else f"**edgekit** {' '.join(words[1:-1])}"


def _scores(row: _Row) -> _Row:
    """Return the figures that count: those of the engine, where one was built."""
    found: _Row = row.get("engine", row)
    return found


def _float_line(rows: Sequence[_Row]) -> str:
    scored = [row for row in rows if "failed" not in row]
    if not scored:
        return ""
    return f"Float: {100 * scored[0]['top1_a']:.2f} % on {scored[0]['n']} images.\n\n"


def _line(row: _Row) -> str:
    images = row.get("samples") or str(row["key"]).rsplit("/", 1)[-1]
    if "failed" in row:
        cells = [_name(row), images, f"not made: {_text(row['failed'])}", *[""] * 6, *_cost(row)]
    else:
        scores = _scores(row)
        low, high = scores["drop_interval"]
        cells = [
            _name(row),
            images,
            f"{100 * scores['top1_b']:.2f}",
            f"{scores['drop_points']:.2f} ({low:.2f} to {high:.2f})",
            f"{100 * scores['agreement']:.1f}",
            "" if scores["sqnr_db"] is None else f"{scores['sqnr_db']:.1f}",
            f"{1000 * scores['mean_kl']:.1f}",
            f"{row['int8_mac_share']:.2f}",
            _rtx(row),
            *_cost(row),
        ]
    return f"| {' | '.join(map(str, cells))} |\n"


def _is_busy(row: _Row) -> bool:
    return bool(row["load_1min_before"] > _BUSY)


def _cost(row: _Row) -> list[str]:
    busy = "~" if _is_busy(row) else ""
    own, whole = row.get("seconds"), row.get("process_seconds")
    return [
        *("" if value is None else f"{busy}{value:.0f}" for value in (own, whole)),
        f"{row['peak_rss_mib']:.0f}" if "peak_rss_mib" in row else "",
    ]


def _rtx(row: _Row) -> str:
    verdict = row.get("rtx", {})
    if "refused" in verdict:
        return "refused"
    return f"{verdict['int8_convs']} + {verdict['float_convs']}" if verdict else ""


def _refusals(rows: Sequence[_Row]) -> str:
    """Return why files are refused for an RTX, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if "refused" in row.get("rtx", {}):
            # The sentence starts with the file's name, which differs from row to row.
            said = _text(row["rtx"]["refused"]).partition(" refuses ")[2] or row["rtx"]["refused"]
            reason = said.partition(": ")[2] or said
            reasons.setdefault(reason, []).append(_name(row))
    lines = (f"- {', '.join(dict.fromkeys(n))}: {reason}\n" for reason, n in reasons.items())
    listed = "".join(lines)
    return f"Refused for an RTX 4090:\n\n{listed}\n" if listed else ""


def _text(said: str) -> str:
    """Return words that fit a cell: no bars, no folders of the machine that ran them."""
    words = (Path(word).name if word.startswith("/") else word for word in said.split())
    return " ".join(words).replace("|", "\\|")


def _winners(rows: Sequence[_Row]) -> str:
    """Return, in words, where a peer is ahead of Edgekit's default."""
    made = {str(row["key"]): row for row in rows if "failed" not in row}
    if _DEFAULT not in made or all(row["tool"] == EDGEKIT for row in made.values()):
        return ""
    ours, best = made[_DEFAULT], made.get(_DEFAULT.replace("balanced", "best"))
    lines = []
    for what, unit, value in _MEASURES:
        ahead = [
            f"{_name(row)} ({key.rsplit('/', 1)[-1]} images) {unit.format(abs(value(row)))}"
            + (", ahead of `best` too" if best is not None and value(row) > value(best) else "")
            for key, row in made.items()
            if row["tool"] != EDGEKIT
            and value(row) > value(ours)
            # Seconds taken on a busy machine rank nothing.
            and not (what == "seconds" and (_is_busy(row) or _is_busy(ours)))
        ]
        if ahead:
            lines.append(f"- {what} {unit.format(abs(value(ours)))}: {'; '.join(ahead)}.\n")
    start = "Edgekit's default is `tensorrt balanced` with 512 images. "
    if not lines:
        return f"{start}No peer is ahead of it in any column measured.\n"
    return f"{start}Where a peer is ahead of it:\n\n{''.join(lines)}"


# What is compared, how it is written, and a value that is larger where the row is better.
_MEASURES: tuple[tuple[str, str, Callable[[_Row], float]], ...] = (
    ("top-1", "{:.2%}", lambda row: row["top1_b"]),
    ("same answer", "{:.1%}", lambda row: row["agreement"]),
    ("SQNR", "{:.1f} dB", lambda row: row["sqnr_db"]),
    ("KL", "{:.4f} nat", lambda row: -row["mean_kl"]),
    ("seconds", "{:.0f}", lambda row: -row["seconds"]),
    ("peak memory", "{:.0f} MiB", lambda row: -row["peak_rss_mib"]),
)


def _network_lines(rows: Sequence[_Row]) -> list[str]:
    """Return the rows of the networks that learnt something, and the names of the others."""
    learnt = [row for row in rows if row["trained"]["top1"] >= _LEARNT]
    other = {row["network"]: row["trained"]["top1"] for row in rows if row not in learnt}
    lines = [_network_line(row) for row in learnt]
    if other:
        names = ", ".join(f"{name} ({top1:.0%})" for name, top1 in other.items())
        lines.append(
            f"\nLeft out, because training ended below {_LEARNT:.0%} top-1, where equal answers "
            f"mean nothing: {names}.\n"
        )
    return lines


def _network_line(row: _Row) -> str:
    words = str(row["key"]).split("/")
    tool = " ".join(words[1:-1])
    start = f"| {row['network']} | {100 * row['trained']['top1']:.1f} | {tool} "
    if "failed" in row:
        return f"{start}| not made: {_text(row['failed'])} | |\n"
    sqnr = "" if row["sqnr_db"] is None else f"{row['sqnr_db']:.1f}"
    return f"{start}| {100 * row['agreement']:.1f} | {sqnr} |\n"
