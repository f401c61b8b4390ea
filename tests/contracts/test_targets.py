"""Every row of the catalog, with every JetPack, TensorRT and precision: a decision or a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import pytest

from calibration.schemes import SCHEMES
from targets import Decision, Target, TargetError, all_targets, decide, get
from targets.catalog import BACKENDS, PRECISIONS
from targets.decision import ANYWHERE, FORMS, ON_THE_DEVICE, OVER_SSH
from targets.generations import GENERATIONS, L4T_RELEASES, RELEASES
from targets.versions import text_from_version

JETPACKS = (None, "4", "4.5", "5", "5.0", "6", "7", "7.3", "8.0", *(j for _, j in L4T_RELEASES))
TENSORRTS = (
    *(None, "7.2", "8.2", "9.1", "10", "11", "11.2", "12.0"),
    *(text_from_version(release) for release in RELEASES),
)
BY_ID = {target.id: target for target in all_targets()}


@dataclass(frozen=True)
class Question:
    precision: str
    jetpack: str | None
    tensorrt: str | None
    dla: bool
    backend: str


def questions(target: Target) -> Iterator[Question]:
    jetpacks = JETPACKS if target.is_jetson else (None, "6.2")
    for precision, jetpack, tensorrt, dla in product(
        PRECISIONS, jetpacks, TENSORRTS, (False, True)
    ):
        yield Question(precision, jetpack, tensorrt, dla, "auto")
    for precision, backend, dla in product(PRECISIONS, BACKENDS, (False, True)):
        yield Question(precision, None, None, dla, backend)


@cache
def answers(name: str) -> list[tuple[Question, Decision | TargetError]]:
    """Ask everything about one device; any exception but TargetError fails the test."""
    found: list[tuple[Question, Decision | TargetError]] = []
    for question in questions(BY_ID[name]):
        try:
            found.append((question, decide(BY_ID[name], **vars(question))))
        except TargetError as error:
            found.append((question, error))
    return found


@pytest.mark.parametrize("target", all_targets(), ids=lambda target: target.id)
def test_every_question_about_a_device_gets_a_decision_or_a_reason(target: Target) -> None:
    for question, answer in answers(target.id):
        if isinstance(answer, TargetError):
            assert answer.message.endswith(".") and len(answer.message) > 20, question
            assert answer.next_command.startswith(("edgekit ", "pip ")), question
            continue
        assert answer.backend in BACKENDS and answer.backend in target.runs_on_hardware, question
        assert answer.form in FORMS and answer.reasons and all(answer.reasons), question
        assert answer.where in (ANYWHERE, ON_THE_DEVICE, OVER_SSH), question
        assert answer.opset in {generation.opset for generation in GENERATIONS}, question
        assert (answer.scheme in SCHEMES) if answer.precision == "int8" else not answer.scheme
        if answer.scheme:
            assert answer.opset <= SCHEMES[answer.scheme].max_opset, question
        assert not (answer.strongly_typed and answer.builder_flags), question


@pytest.mark.parametrize("target", all_targets(), ids=lambda target: target.id)
def test_no_decision_silently_changes_what_was_asked(target: Target) -> None:
    for question, answer in answers(target.id):
        if isinstance(answer, TargetError):
            continue
        forms = {"int8": ("qdq", "calibration"), "fp16": ("fp16",), "fp32": ("fp32",)}
        assert answer.form.startswith(forms[question.precision]), question
        assert (answer.precision, answer.dla) == (question.precision, question.dla), question
        assert question.backend in ("auto", answer.backend), question
        assert (answer.jetpack is not None) == target.is_jetson, question
        assert question.jetpack in (None, answer.jetpack), question
        if question.tensorrt is not None:
            assert f"{answer.tensorrt}.".startswith(f"{question.tensorrt}."), question


@pytest.mark.parametrize("target", all_targets(), ids=lambda target: target.id)
def test_every_device_can_be_built_for_at_its_default_precision(target: Target) -> None:
    decision = decide(target, precision=target.default_precision)
    assert not decision.untried
    if not target.is_jetson and target.sm != 75:  # Jetson: trtexec on JetPack 4 and 5
        assert decision.backend == target.backend


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_every_scheme_belongs_to_some_device(scheme: str) -> None:
    named = {
        answer.scheme
        for name in ("cpu-x86", "cpu-x86-vnni", "cpu-arm64", "rtx-4090", "orin-nx-16gb")
        for _, answer in answers(get(name).id)
        if isinstance(answer, Decision)
    }
    assert scheme in named


def test_next_commands_name_targets_that_exist() -> None:
    for target in all_targets():
        for _, answer in answers(target.id):
            if isinstance(answer, TargetError) and "--target " in answer.next_command:
                name = answer.next_command.partition("--target ")[2].split()[0]
                assert name == "cpu" or name in BY_ID
