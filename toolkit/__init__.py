"""The pipeline: train, import, export, calibrate, build, live, measure, score, compare, report."""

import os

__version__ = "0.1.0"

# ONNX Runtime's wheels report their use to Microsoft unless this is set before they are imported
# (its Privacy.md), and leave a file in the temporary folder. Set it to 0 to allow that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
