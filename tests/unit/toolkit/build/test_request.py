from __future__ import annotations

import pytest

from toolkit.build.request import BatchRange, batch_from_text
from toolkit.errors import InputError


def test_a_batch_is_minimum_optimum_maximum() -> None:
    assert batch_from_text("1:4:8") == BatchRange(1, 4, 8)
    assert str(BatchRange(1, 4, 8)) == "1:4:8"


def test_one_number_means_exactly_that_batch() -> None:
    assert batch_from_text("4") == BatchRange(4, 4, 4)


@pytest.mark.parametrize("text", ["", "0", "8:4:1", "1:2", "1:2:3:4", "a", "-1:1:1", "1:4:2"])
def test_a_batch_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="is not MIN:OPT:MAX") as caught:
        batch_from_text(text)
    assert "--batch 1:4:8" in caught.value.next_command
