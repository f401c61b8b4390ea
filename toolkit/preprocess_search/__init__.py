"""`edgekit doctor --preprocess`: the preparation of pictures that a model wants."""

from __future__ import annotations

from toolkit.preprocess_search.record import Deviation, PreprocessCheck
from toolkit.preprocess_search.search import check_preprocess

__all__ = ["Deviation", "PreprocessCheck", "check_preprocess"]
