"""Judge what an engine answered on the device to the golden inputs that were sent along."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from toolkit.build.golden_note import golden_note
from toolkit.contract import Contract
from toolkit.errors import InputError
from toolkit.golden import Golden, verify
from toolkit.remote.connection import Connection, ask
from toolkit.remote.trtexec import output_from_json, read_build_log
from toolkit.shell import quoted

__all__ = ["check_answers_there", "judge_answers"]

_VERIFY_S = 600.0  # trtexec starts once for each picture


class _Answered:
    """A Session whose answers were given elsewhere, in the order of the golden pictures."""

    backend = "trtexec"
    note = ""

    def __init__(self, contract: Contract, engine_name: str, answers: list[NDArray[np.float32]]):
        self.contract = contract
        self.engine_name = engine_name
        self._answers = iter(answers)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        answer = next(self._answers)
        if len(answer) != len(batch):
            raise InputError(
                f"{self.engine_name} answered {len(answer)} pictures of {len(batch)}.",
                next_command=f"edgekit inspect {quoted(self.engine_name)}",
            )
        return answer

    def __enter__(self) -> _Answered:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def check_answers_there(
    connection: Connection,
    folder: str,
    golden: Golden,
    contract: Contract,
    *,
    batch: int,
    name: str,
    implicit: bool = False,
) -> str:
    """Run verify.sh in `folder` and return the manifest's note: how the answers compare.

    `implicit`: INT8 comes from a calibration cache, so that the figure is only reported.
    Where trtexec cannot run the inputs the note says that they were not verified, and why. Raises
    BuildError when the engine answers something else than its graph, ConnectionError when cut.
    """
    answer = connection.run(f"cd {quote(folder)} && sh verify.sh 2>&1", timeout_s=_VERIFY_S)
    if answer.code != 0:
        errors = read_build_log(answer.text).errors or (answer.text.rpartition("\n")[2],)
        return f"golden outputs were not verified: trtexec could not run them ({errors[0][:120]})"
    numbers = range(-(-len(golden.images) // batch))
    texts = [
        ask(connection, f"cat {quote(f'{folder}/golden/{n}.json')}", what="show the golden outputs")
        for n in numbers
    ]
    return judge_answers(texts, golden, contract, batch=batch, name=name, implicit=implicit)


def judge_answers(
    texts: Sequence[str],
    golden: Golden,
    contract: Contract,
    *,
    batch: int,
    name: str,
    implicit: bool,
) -> str:
    """Return the manifest's note on `texts`, what trtexec's --exportOutput wrote for each batch.

    `implicit`: INT8 comes from a calibration cache. Raises BuildError when the engine answers
    wrongly, InputError when a text holds no logits or too few.
    """
    sized = contract.with_changes(input_shape=(batch, *contract.input_shape[1:]))
    session = _Answered(sized, name, [_logits(text, name) for text in texts])
    what = f"golden inputs ({len(golden.images)}, on the device)"
    return golden_note(verify(session, golden), model=name, implicit=implicit, what=what)


def _logits(text: str, name: str) -> NDArray[np.float32]:
    shape, values = output_from_json(text)
    if len(shape) != 2:
        raise InputError(
            f"{name} answered {shape}, which are no logits (N, classes).",
            next_command=f"edgekit inspect {quoted(name)}",
        )
    return np.asarray(values, dtype=np.float32).reshape(shape)
