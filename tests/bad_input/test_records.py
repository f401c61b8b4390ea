"""Gate and ledger through the real command: damaged records, unlike runs, exit codes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from tests.bad_input.command import Place
from tests.unit.toolkit.ledger.trtexec_runs import log_of
from tests.unit.toolkit.report.run_examples import accuracy_of, digest_of_text, latency_of
from toolkit.accuracy import write_accuracy
from toolkit.latency import write_latency


def write_runs(folder: Path, *, lost: int) -> None:
    folder.mkdir(exist_ok=True)
    engine = folder / "net.int8.onnx"
    engine.write_bytes(b"engine")
    latency = latency_of(engine)
    write_latency(folder / "net.latency.json", [latency])
    scores = (("fp32", [0] * 500, "fp32"), ("int8", [0] * (500 - lost) + [1] * lost, "int8"))
    for name, answers, precision in scores:
        digest = latency.digest if name == "int8" else digest_of_text(name)
        model = f"net.{name}.onnx"
        made = accuracy_of(digest, answers, model=model, precision=precision)
        write_accuracy(folder / f"{name}.accuracy.json", made)


def test_a_gate_ends_with_3_unless_every_limit_is_met(place: Place) -> None:
    write_runs(place.folder / "runs", lost=0)
    limits = ("--max-drop", "1", "--p99-ms", "20", "--max-mib", "1")
    said = place.run("gate", "runs", *limits, "--junit", "g.xml", "--markdown", "g.md")
    assert (said.code, said.out.count("\n")) == (0, 1), said
    assert "3 of 3 limits met" in said.out
    assert "<testsuite" in (place.folder / "g.xml").read_text()
    assert "## Gate" in (place.folder / "g.md").read_text()
    write_runs(place.folder / "runs", lost=30)
    said = place.run("gate", "runs", *limits, "--json")
    assert said.code == 3
    values = json.loads(said.out)
    assert values["verdict"] == "not met"
    said = place.run("gate", "runs", "--max-mj", "5", "--json")
    assert (said.code, json.loads(said.out)["verdict"]) == (3, "undecided")


def test_a_gate_refuses_no_limit_and_damaged_records(place: Place) -> None:
    write_runs(place.folder / "runs", lost=0)
    place.refuses("gate", "runs", says="no limit")
    place.refuses("gate", "runs", "--p99-ms", "5", "--confidence", "95", says="of 95 ")
    place.refuses("gate", "missing", "--p99-ms", "5", says="does not exist", code=1)
    record = place.folder / "runs" / "net.latency.json"
    record.write_text(record.read_text()[:5000])
    place.refuses("gate", "runs", "--p99-ms", "5", says="cut off")
    place.refuses("gate", "runs", "--p99-ms", "5", "--json", says="cut off")


def test_a_ledger_compares_like_with_like_and_refuses_the_rest(place: Place) -> None:
    (place.folder / "10.log").write_text(log_of("10.3.0"))
    (place.folder / "11.log").write_text(log_of("11.1.0", graph=True, transfers=False))
    said = place.run("ledger", "add", "10.log", "11.log", "--json")
    assert said.code == 0, said
    a, b = json.loads(said.out)["added"]
    assert place.run("ledger", "list").out.count("\n") == 2
    again = place.refuses("ledger", "diff", a, b, says="cuda graph off and on")
    said = place.run(*shlex.split(again)[1:])
    assert said.code == 0, said
    assert "UNLIKE RUNS" in said.out


def test_a_damaged_ledger_and_cut_logs_are_refused_by_line(place: Place) -> None:
    (place.folder / "run.log").write_text(log_of())
    assert place.run("ledger", "add", "run.log").code == 0
    ledger = place.folder / "ledger.jsonl"
    whole = ledger.read_text()
    (place.folder / "cut.log").write_text(log_of()[:700])
    place.refuses("ledger", "add", "cut.log", says="cut off before it ended")
    ledger.write_text(whole + whole)
    next_command = place.refuses("ledger", "list", says="same id")
    assert next_command == "sed -i 2d ledger.jsonl"
    ledger.write_text(whole.replace('"version": 1', '"version": 3', 1))
    place.refuses("ledger", "list", says="newer Edgekit")
    ledger.write_text(whole[:-30])
    place.refuses("ledger", "list", says="cut off")
    place.refuses("ledger", "list", "--ledger", "none.jsonl", says="cannot be read")
