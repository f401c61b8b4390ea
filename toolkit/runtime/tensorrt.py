"""Run engines of classic TensorRT on this machine's GPU."""

from __future__ import annotations

import tensorrt

from toolkit.artifacts import Engine, OnnxModel
from toolkit.runtime.cuda.pycuda_driver import driver
from toolkit.runtime.cuda.session import CudaSession, open_cuda_session

__all__ = ["open_session"]


def open_session(source: OnnxModel | Engine, *, threads: int, spin: bool) -> CudaSession:
    """Return a session of the first GPU; `threads` changes nothing."""
    del threads
    return open_cuda_session(source, trt=tensorrt, driver=driver, spin=spin)
