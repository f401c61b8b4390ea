from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.unit.toolkit.report.run_examples import (
    accuracy_of,
    digest_of_text,
    latency_of,
    live_values,
    write_json,
)
from toolkit.accuracy import write_accuracy
from toolkit.artifacts import digest_of_file
from toolkit.comparison import pair_accuracies, write_comparison
from toolkit.energy import Energy, Window
from toolkit.errors import InputError
from toolkit.gate import Limits, gate, junit_from_gate, markdown_from_gate, write_gate
from toolkit.latency import Latency, write_latency


def engine_in(folder: Path, name: str = "net.int8.onnx") -> Path:
    path = folder / name
    path.write_bytes(b"x" * (1 << 20))
    return path


def write_scores(folder: Path, engine: Path, *, lost: int, n: int = 1000, gained: int = 0) -> None:
    """fp32 gets all right but `gained`; the engine gets `lost` of those wrong."""
    truth = [0] * n
    wrong_before = [1] * gained + truth[gained:]
    wrong_after = truth[: n - lost] + [1] * lost
    fp32 = accuracy_of(digest_of_text("fp32"), wrong_before, model="net.onnx")
    int8 = accuracy_of(digest_of_file(engine), wrong_after, model=engine.name, precision="int8")
    write_accuracy(folder / "fp32.accuracy.json", fp32)
    write_accuracy(folder / "int8.accuracy.json", int8)


def write_times(folder: Path, engine: Path, samples: np.ndarray) -> Latency:
    run = replace(latency_of(engine), samples_ms=tuple(map(float, samples)))
    write_latency(folder / "int8.latency.json", [run])
    return run


def uniform(n: int, *, over: float = 0.0, seed: int = 0) -> np.ndarray:
    """Times of 5 to 10 ms, of which the share `over` takes 20 ms."""
    rng = np.random.default_rng(seed)
    times = rng.uniform(5.0, 10.0, n)
    times[rng.random(n) < over] = 20.0
    return times


def test_an_engine_that_keeps_every_limit_passes(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_scores(tmp_path, engine, lost=2)
    write_times(tmp_path, engine, uniform(2000))
    result = gate([tmp_path], Limits(max_drop=1.0, p99_ms=12.0, max_mib=1.0))
    assert result.passed, result.checks
    assert [check.verdict for check in result.checks] == ["met"] * 3
    assert "3 of 3 limits met at 95 % confidence" in result.line()


def test_a_loss_that_is_shown_is_not_met(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_scores(tmp_path, engine, lost=40)
    (check,) = gate([tmp_path], Limits(max_drop=1.0)).checks
    assert check.verdict == "not met"
    assert check.value == pytest.approx(4.0)
    assert check.bound is not None
    assert 1.0 < check.bound < 4.0


def test_too_few_images_are_undecided_and_as_many_as_it_says_decide(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_scores(tmp_path, engine, lost=3, gained=2, n=200)
    result = gate([tmp_path], Limits(max_drop=1.0))
    (check,) = result.checks
    assert (check.verdict, result.verdict) == ("undecided", "undecided")
    assert not result.passed
    count = int("".join(filter(str.isdigit, check.needed.split("images")[0])))
    many = count // 200 + 1
    write_scores(tmp_path, engine, lost=3 * many, gained=2 * many, n=200 * many)
    assert gate([tmp_path], Limits(max_drop=1.0)).passed


def test_a_drop_at_the_limit_is_decided_by_no_number_of_images(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_scores(tmp_path, engine, lost=10, n=1000)
    (check,) = gate([tmp_path], Limits(max_drop=1.0)).checks
    assert "no number of images" in check.needed


def test_a_comparison_record_is_evidence_of_its_own(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    a = accuracy_of(digest_of_text("fp32"), [0] * 500)
    b = accuracy_of(digest_of_file(engine), [0] * 500, model=engine.name, precision="int8")
    write_comparison(tmp_path / "c.comparison.json", pair_accuracies(a, b))
    result = gate([tmp_path], Limits(max_drop=1.0))
    assert result.passed
    assert result.engine == engine.name


def test_samples_under_the_limit_but_too_few_are_undecided_with_a_number(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_times(tmp_path, engine, uniform(100))
    (check,) = gate([tmp_path], Limits(p99_ms=12.0)).checks
    assert check.verdict == "undecided"
    assert check.bound is None
    # Independent samples: ln 0.05 / ln 0.99 = 298.07; of 100 it is not known that they are.
    assert 299 <= int(check.needed.split()[1]) <= 500
    write_times(tmp_path, engine, uniform(500))
    assert gate([tmp_path], Limits(p99_ms=12.0)).passed


def test_a_tail_beyond_the_limit_is_not_met(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_times(tmp_path, engine, uniform(2000, over=0.05))
    (check,) = gate([tmp_path], Limits(p99_ms=12.0)).checks
    assert check.verdict == "not met"


def test_of_two_measurements_each_must_keep_the_limit(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    good = write_times(tmp_path, engine, uniform(2000))
    slow = replace(good, run="r2", samples_ms=tuple(2.0 * ms for ms in good.samples_ms))
    write_latency(tmp_path / "again.latency.json", [slow])
    result = gate([tmp_path], Limits(p99_ms=12.0))
    assert sorted(check.verdict for check in result.checks) == ["met", "not met"]
    assert result.verdict == "not met"


def test_a_live_run_stands_in_where_no_latency_was_measured(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_scores(tmp_path, engine, lost=0)
    values = live_values(engine.name)
    times = uniform(2000).tolist()
    values["samples_ms"] = {"preprocess": [1.0] * 2000, "infer": times}
    write_json(tmp_path / "a.live.json", values)
    (check,) = gate([tmp_path], Limits(p99_ms=12.0)).checks
    assert check.name == "p99 of capture-to-result"
    assert check.value == pytest.approx(1.0 + np.sort(times)[1979])
    assert check.verdict == "met"


def test_a_live_file_whose_stages_differ_in_length_is_refused(tmp_path: Path) -> None:
    values = live_values("net.int8.onnx") | {"samples_ms": {"a": [1.0], "b": [1.0, 2.0]}}
    write_json(tmp_path / "a.live.json", values)
    with pytest.raises(InputError, match="damaged or was edited"):
        gate([tmp_path], Limits(p99_ms=12.0))


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(max_drop=1.0), "edgekit compare"),
        (Limits(p99_ms=5.0), "edgekit measure"),
        (Limits(max_mj=3.0), "no energy"),
        (Limits(max_mib=5.0), "size unknown"),
    ],
)
def test_a_limit_without_evidence_never_passes(tmp_path: Path, limits: Limits, says: str) -> None:
    engine = engine_in(tmp_path)
    score = accuracy_of(digest_of_file(engine), [0] * 9, model=engine.name, precision="int8")
    write_accuracy(tmp_path / "int8.accuracy.json", score)
    result = gate([tmp_path], limits)
    assert result.verdict == "undecided"
    assert says in result.checks[0].needed
    assert result.checks[0].value is None


def test_the_latency_of_the_fake_backend_is_no_evidence(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_scores(tmp_path, engine, lost=0)
    run = replace(latency_of(engine), backend="fake")
    write_latency(tmp_path / "int8.latency.json", [run])
    assert gate([tmp_path], Limits(p99_ms=100.0)).verdict == "undecided"


def test_a_baseline_takes_the_place_of_the_float_model(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    write_scores(tmp_path, engine, lost=40)
    old = accuracy_of(digest_of_text("old"), [0] * 960 + [1] * 40, model="old.onnx")
    (tmp_path / "last").mkdir()
    write_accuracy(tmp_path / "last" / "old.accuracy.json", replace(old, precision="int8"))
    assert gate([tmp_path / "int8.accuracy.json"], Limits(max_drop=1.0), baseline=tmp_path / "last")
    runs = [tmp_path / "fp32.accuracy.json", tmp_path / "int8.accuracy.json"]
    assert gate(runs, Limits(max_drop=1.0)).verdict == "not met"
    assert gate(runs, Limits(max_drop=1.0), baseline=tmp_path / "last").passed


def test_several_engines_must_be_told_apart(tmp_path: Path) -> None:
    for name in ("one.int8.onnx", "two.int8.onnx"):
        engine = engine_in(tmp_path, name)
        engine.write_bytes(name.encode())
        write_latency(tmp_path / f"{name}.latency.json", [latency_of(engine, run=name)])
    with pytest.raises(InputError, match=r"2 engines .*one\.int8\.onnx, two\.int8\.onnx"):
        gate([tmp_path], Limits(p99_ms=50.0))
    assert gate([tmp_path], Limits(p99_ms=50.0), engine="two.int8.onnx").passed
    with pytest.raises(InputError, match="no engine called three"):
        gate([tmp_path], Limits(p99_ms=50.0), engine="three")


def test_a_folder_without_records_has_no_engine_to_judge(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="speak of no engine"):
        gate([tmp_path], Limits(p99_ms=50.0))


def test_no_limit_and_limits_that_say_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no limit"):
        Limits()
    for wrong in ({"p99_ms": 0.0}, {"max_drop": -1.0}, {"max_mib": float("nan")}):
        with pytest.raises(InputError, match="is no limit"):
            Limits(**wrong)
    for confidence in (0.5, 1.0, 95.0):
        with pytest.raises(InputError, match="says nothing"):
            gate([tmp_path], Limits(max_drop=1.0), confidence=confidence)


def test_the_verdict_is_written_as_junit_and_markdown(tmp_path: Path) -> None:
    engine = engine_in(tmp_path, "net <&>|.int8.onnx")
    write_scores(tmp_path, engine, lost=40)
    result = gate([tmp_path], Limits(max_drop=1.0, max_mj=2.0))
    write_gate(result, junit=tmp_path / "g.xml", markdown=tmp_path / "g.md")
    suite = ElementTree.parse(tmp_path / "g.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    failures = [case.find("failure") for case in suite]
    assert [each.get("type") for each in failures if each is not None] == ["not met", "undecided"]
    text = (tmp_path / "g.md").read_text()
    assert text == markdown_from_gate(result)
    assert "not met" in text.splitlines()[0]
    assert "net &lt;&amp;&gt;\\|.int8.onnx" in text
    assert junit_from_gate(result).startswith("<?xml")
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_cut_off_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.latency.json").write_text('{"kind": "edgekit late')
    with pytest.raises(InputError, match="cut off"):
        gate([tmp_path], Limits(p99_ms=5.0))


def test_bounds_are_wrong_no_oftener_than_their_confidence_allows(tmp_path: Path) -> None:
    """2,000 runs at a true drop of exactly the limit: "met" is wrong there, and so is "not met"."""
    from toolkit.gate.checks import check_drop
    from toolkit.report.paired import paired_from_comparison

    a = accuracy_of("a" * 64, [0])
    paired = paired_from_comparison(pair_accuracies(a, replace(a, digest="b" * 64)))
    drawn = np.random.default_rng(7).multinomial(653, [0.03, 0.02, 0.95], size=2000)
    verdicts = [
        check_drop(
            replace(paired, only_before=int(lost), only_after=int(gained), n=653),
            limit=1.0,
            confidence=0.95,
        ).verdict
        for lost, gained, _ in drawn
    ]
    assert verdicts.count("met") / 2000 <= 0.065
    assert verdicts.count("not met") / 2000 <= 0.065


def write_energy(folder: Path, engine: Path, load_w: list[float]) -> Energy:
    """100 inferences a second above an idle power of 4 W."""
    idle = tuple(Window(1.0, watts) for watts in (4.0, 4.1, 3.9))
    windows = tuple(Window(1.0, watts, 100) for watts in load_w)
    energy = Energy("INA3221", "module (VDD_IN)", 20.0, windows, idle, idle)
    write_latency(folder / "int8.latency.json", [replace(latency_of(engine), energy=energy)])
    return energy


@pytest.mark.parametrize(
    ("limit", "verdict"), [(70.0, "met"), (60.0, "undecided"), (50.0, "not met")]
)
def test_energy_above_idle_is_held_to_its_limit(tmp_path: Path, limit: float, verdict: str) -> None:
    engine = engine_in(tmp_path)
    energy = write_energy(tmp_path, engine, [10.0, 10.2, 9.8, 10.1, 9.9])
    assert energy.mj == pytest.approx(60.0)
    (check,) = gate([tmp_path], Limits(max_mj=limit)).checks
    assert (check.name, check.verdict, check.value) == ("energy", verdict, energy.mj)
    assert check.evidence == "INA3221, module (VDD_IN), 5 windows"
    assert ("quieter" in check.needed) == (verdict == "undecided")
