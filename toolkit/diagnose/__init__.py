"""`edgekit diagnose`: an INT8 model and its float reference in, where the accuracy went out."""

from __future__ import annotations

from toolkit.diagnose.page import html_from_diagnosis
from toolkit.diagnose.record import Diagnosis, Finding
from toolkit.diagnose.run import diagnose, write_skeleton

__all__ = ["Diagnosis", "Finding", "diagnose", "html_from_diagnosis", "write_skeleton"]
