"""Every error a user can meet, drawn once; each says what is wrong and which command comes next.

Exception
└── EdgekitError                 the user can fix it: one sentence, then the next command
    ├── InputError               a file is missing, empty, truncated or not what its name says
    │   ├── ImageError           not an image, or one that must not be decoded
    │   ├── ModelError           an ONNX file that is not a classifier we can run
    │   ├── CheckpointError      a checkpoint that does not fit, or is not only weights
    │   └── LabelsError          class folders and the model's labels do not match
    ├── ContractError            the deployment contract is missing, damaged or from a newer version
    ├── StaleError               bytes changed after the manifest was written
    ├── ForeignEngineError       built for another GPU, instruction set or runtime version
    ├── SchemeError              the quantization scheme does not suit the target
    ├── LeakageError             a scored image was also calibrated on
    ├── BuildError               the builder refused the graph
    ├── CameraError              the camera cannot be opened or read
    ├── MachineError             disk full, no permission, out of memory
    ├── RemoteError              a device over SSH cannot be reached, trusted or used
    └── MissingDependencyError   an optional package is not installed
targets.TargetError              (package targets) an unknown or impossible target
calibration.CalibrationError     (package calibration) ranges or Q/DQ cannot be made from this input
"""

from __future__ import annotations

__all__ = [
    "BuildError",
    "CameraError",
    "CheckpointError",
    "ContractError",
    "EdgekitError",
    "ForeignEngineError",
    "ImageError",
    "InputError",
    "LabelsError",
    "LeakageError",
    "MachineError",
    "MissingDependencyError",
    "ModelError",
    "RemoteError",
    "SchemeError",
    "StaleError",
]


class EdgekitError(Exception):
    """One sentence with the values, and the next command to run."""

    def __init__(self, message: str, *, next_command: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_command = next_command


class InputError(EdgekitError):
    """A file is missing, empty, truncated or not what its name says."""


class ImageError(InputError):
    """A file is not an image, or one that must not be decoded."""


class ModelError(InputError):
    """An ONNX file is not a single-input image classifier that can be run."""


class CheckpointError(InputError):
    """A checkpoint does not fit its network, or holds more than weights."""


class LabelsError(InputError):
    """Class folders and the model's labels do not match."""


class ContractError(EdgekitError):
    """The deployment contract is missing, damaged or written by a newer version."""


class StaleError(EdgekitError):
    """The bytes of a file are not the ones its manifest describes."""


class ForeignEngineError(EdgekitError):
    """An engine was built for another GPU, instruction set or runtime version."""


class SchemeError(EdgekitError):
    """The quantization scheme of a file does not suit the target."""


class LeakageError(EdgekitError):
    """An image that is scored was also calibrated on."""


class BuildError(EdgekitError):
    """The builder refused the graph."""


class CameraError(EdgekitError):
    """The camera cannot be opened or read."""


class MachineError(EdgekitError):
    """The disk is full, a folder is not writable or memory ran out."""


class RemoteError(EdgekitError):
    """A device over SSH cannot be reached, trusted or used."""


class MissingDependencyError(EdgekitError):
    """An optional package is not installed."""
