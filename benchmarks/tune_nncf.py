"""NNCF's side of benchmarks/tune_peer.py, run by a Python that has nncf, onnx and onnxruntime.

    python benchmarks/tune_nncf.py FOLDER MAX_DROP

FOLDER holds model.onnx, images.npy (n, C, H, W), labels.npy (n,) and calibration.npy. Prints one
JSON object: how many images NNCF evaluated, on how many calls, and what it ended with.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import nncf  # type: ignore[import-not-found]  # in its own environment, not in ours
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

__all__ = ["main"]


class Validation:
    """Top-1 on the images that NNCF asks for; counts them."""

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self._labels = labels
        self.images = 0
        self.calls: list[int] = []

    def __call__(
        self, model: onnx.ModelProto, items: Iterable[tuple[int, dict[str, object]]]
    ) -> tuple[float, list[float]]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        right = []
        for index, inputs in items:
            logits = session.run(None, inputs)[0]
            right.append(float(int(np.argmax(logits)) == int(self._labels[index])))
        self.images += len(right)
        self.calls.append(len(right))
        return float(np.mean(right)), right


def main() -> None:
    """Quantize with accuracy control and say what it took."""
    folder, max_drop = Path(sys.argv[1]), float(sys.argv[2])
    model = onnx.load(folder / "model.onnx")
    name = model.graph.input[0].name
    images, labels, calibration = (
        np.load(folder / f"{part}.npy") for part in ("images", "labels", "calibration")
    )
    items = [(index, {name: image[None]}) for index, image in enumerate(images)]
    validation = Validation(labels)
    started = time.monotonic()
    tuned = nncf.quantize_with_accuracy_control(
        model,
        calibration_dataset=nncf.Dataset([{name: image[None]} for image in calibration]),
        validation_dataset=nncf.Dataset(items, lambda item: item),
        validation_fn=validation,
        max_drop=max_drop,
        drop_type=nncf.DropType.ABSOLUTE,
        preset=nncf.QuantizationPreset.PERFORMANCE,
        target_device=nncf.TargetDevice.GPU,
        subset_size=len(calibration),
    )
    seconds, calls = time.monotonic() - started, list(validation.calls)
    onnx.save(tuned, folder / "nncf.onnx")
    before = Validation(labels)(model, items)[0]
    after = Validation(labels)(tuned, items)[0]
    print(
        json.dumps(
            {
                "nncf": nncf.__version__,
                "images_evaluated": sum(calls),
                "calls": calls,
                "top1_float": before,
                "top1": after,
                "drop_points": 100.0 * (before - after),
                "quantizers": sum(n.op_type == "QuantizeLinear" for n in tuned.graph.node),
                "seconds": round(seconds, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
