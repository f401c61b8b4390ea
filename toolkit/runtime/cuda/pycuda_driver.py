"""PyCUDA's driver module. Raises MissingDependencyError on a machine without NVIDIA's driver."""

from __future__ import annotations

from toolkit.runtime.cuda.libcuda import open_libcuda

open_libcuda()  # PyCUDA's extension links to it: without it, its import fails without saying why

import pycuda.driver as driver  # noqa: E402 - after the check

__all__ = ["driver"]
