"""CUDA and PyCUDA: drivers, contexts, copies, and packages that do not load."""

from __future__ import annotations

from toolkit.explain.rule import Rule

__all__ = ["RULES"]

RULES = (
    Rule(
        "driver-too-old",
        (
            r"CUDA initialization failure with error: 35\b",
            r"CUDA driver version is insufficient for CUDA runtime version",
            r"cudaErrorInsufficientDriver",
        ),
        "The NVIDIA driver is older than the CUDA that TensorRT was built with, or there is none.",
        "nvidia-smi",
        "CUDA documentation, CUDA Compatibility: driver versions; NVIDIA/TensorRT issue 4176",
    ),
    Rule(
        "no-gpu",
        (
            r"no CUDA-capable device is detected",
            r"CUDA initialization failure with error: 100\b",
            r"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver",
            r"cuInit failed: unknown error",
        ),
        "CUDA finds no GPU: the driver is not loaded, or the container was started without GPUs.",
        "edgekit doctor",
        "CUDA documentation, Installation Guide for Linux: verify the driver",
    ),
    Rule(
        "builder-not-made",
        (r"factory function returned nullptr",),
        "TensorRT could not make its builder or runtime: no usable GPU or driver, named in an [E] "
        "line before this one.",
        "edgekit doctor",
        "NVIDIA/TensorRT issue 3539, factory function returned nullptr",
    ),
    Rule(
        "gpu-permission",
        (r"NvRmMemInitNvmap failed(?: with|:? ?error) Permission denied",),
        "This user may not use the Jetson's GPU: it belongs to the group video.",
        "sudo usermod --append --groups video,render $USER",
        "NVIDIA developer forum, NvRmMemInitNvmap failed with Permission denied",
    ),
    Rule(
        "no-kernel-image",
        (r"no kernel image is available for execution", r"device kernel image is invalid"),
        "A CUDA kernel or package was compiled for other GPU architectures than this one.",
        "edgekit doctor",
        "CUDA documentation, NVCC: GPU compilation (-gencode)",
    ),
    Rule(
        "illegal-access",
        (r"an illegal memory access was encountered", r"misaligned address"),
        "A kernel wrote or read outside its memory: mostly a buffer smaller than the engine's "
        "tensor, or one that was freed while the GPU still used it.",
        "compute-sanitizer python3 PROGRAM.py",
        "CUDA documentation, Compute Sanitizer: memcheck",
    ),
    Rule(
        "pycuda-no-context",
        (
            r"invalid device context - no currently active context",
            r"cu\w+ failed: invalid device context",
        ),
        "A CUDA call came from a thread that has no context: it was made in another thread, or "
        "popped before.",
        "edgekit live ENGINE --camera URI",
        "PyCUDA documentation, FAQ: multiple threads; jkjung-avt/tensorrt_demos issue 63",
    ),
    Rule(
        "pycuda-copy",
        (r"cuMemcpy(?:HtoD|DtoH)(?:Async)? failed: invalid argument",),
        "The array that is copied is larger than the engine's tensor: another shape, or float64 "
        "where the engine has float32.",
        "edgekit inspect ENGINE",
        "jkjung-avt/tensorrt_demos issue 375, cuMemcpyHtoDAsync failed: invalid argument",
    ),
    Rule(
        "pycuda-context-left",
        (r"PyCUDA ERROR: The context stack was not empty upon module cleanup",),
        "The program ended with a CUDA context still current: an exception came before its pop().",
        "edgekit live ENGINE --camera URI",
        "PyCUDA documentation, FAQ: the context stack was not empty",
    ),
    Rule(
        "pycuda-does-not-build",
        (r"fatal error: cuda\w*\.h: No such file", r"cannot find -lcuda\b"),
        "pip builds PyCUDA from source, and the compiler finds no CUDA headers or driver library.",
        "CUDA_ROOT=/usr/local/cuda CPATH=/usr/local/cuda/include pip install pycuda",
        "PyCUDA documentation, Installation; inducer/pycuda issue 366",
    ),
    Rule(
        "no-nvcc",
        (r"nvcc: (?:command )?not found", r"No such file or directory: 'nvcc'"),
        "CUDA's compiler is not installed or not on the PATH.",
        "export PATH=/usr/local/cuda/bin:$PATH",
        "CUDA documentation, Installation Guide for Linux: environment setup",
    ),
    Rule(
        "library-missing",
        (
            r"(?P<library>lib(?:nvinfer|nvonnxparser|nvdla|cuda|cublas|cudnn|cufft|curand|nvrtc)"
            r"[\w.]*\.so[.\d]*): cannot open shared object file",
        ),
        "{library} is not installed, of another version, or not mounted into the container.",
        "edgekit doctor",
        "NVIDIA Container Toolkit documentation, Jetson: --runtime nvidia; NVIDIA/TensorRT issue "
        "2105",
    ),
    Rule(
        "python-package-missing",
        (r"No module named '(?P<module>tensorrt(?:_rtx)?|pycuda)(?:\.[\w.]+)?'",),
        "Python does not find {module}; on a Jetson TensorRT's bindings come with JetPack, and a "
        "virtual environment hides them unless it may see the system's packages.",
        "python3 -m venv --system-site-packages .venv",
        "JetPack documentation, TensorRT: Python bindings",
    ),
    Rule(
        "no-trtexec",
        (r"trtexec: (?:command )?not found",),
        "trtexec is not on the PATH; JetPack puts it into /usr/src/tensorrt/bin.",
        "export PATH=/usr/src/tensorrt/bin:$PATH",
        "TensorRT documentation, Command-Line Programs: trtexec",
    ),
    Rule(
        "static-tls",
        (r"cannot allocate memory in static TLS block",),
        "Libraries were loaded in an order that leaves no room for thread-local memory on ARM.",
        "export LD_PRELOAD=/usr/lib/aarch64-linux-gnu/libgomp.so.1",
        "opencv/opencv issue 14884, cannot allocate memory in static TLS block",
    ),
    Rule(
        "illegal-instruction",
        (r"Illegal instruction",),
        "A library was compiled for a newer CPU than this one; on a Jetson Nano it is NumPy's "
        "OpenBLAS, which takes the CPU for another.",
        "export OPENBLAS_CORETYPE=ARMV8",
        "numpy/numpy issue 18131, illegal instruction on Jetson",
    ),
    Rule(
        "container-without-gpu",
        (
            r"could not select device driver \"\" with capabilities: \[\[gpu\]\]",
            r"[Uu]nknown or invalid runtime name: nvidia",
            r"Unknown runtime specified nvidia",
        ),
        "Docker does not know NVIDIA's runtime.",
        "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
        "NVIDIA Container Toolkit documentation, Installing",
    ),
)
