"""Our layouts against the kernel's own header, compiled by this machine's compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from toolkit.camera import v4l2_ioctl as v4l2

STRUCTURES = {
    "v4l2_capability": (v4l2.Capability, ("card", "capabilities", "device_caps")),
    "v4l2_format": (
        v4l2.Format,
        (
            "width=fmt.pix.width",
            "height=fmt.pix.height",
            "pixelformat=fmt.pix.pixelformat",
            "bytesperline=fmt.pix.bytesperline",
            "sizeimage=fmt.pix.sizeimage",
        ),
    ),
    "v4l2_requestbuffers": (v4l2.RequestBuffers, ("count", "type", "memory")),
    "v4l2_buffer": (
        v4l2.Buffer,
        (
            "index",
            "type",
            "bytesused",
            "flags",
            "seconds=timestamp.tv_sec",
            "microseconds=timestamp.tv_usec",
            "sequence",
            "memory",
            "offset=m.offset",
            "length",
        ),
    ),
    "v4l2_streamparm": (
        v4l2.StreamParameters,
        (
            "numerator=parm.capture.timeperframe.numerator",
            "type",
            "denominator=parm.capture.timeperframe.denominator",
        ),
    ),
}
CONSTANTS = {
    "V4L2_BUF_TYPE_VIDEO_CAPTURE": v4l2.VIDEO_CAPTURE,
    "V4L2_MEMORY_MMAP": v4l2.MEMORY_MMAP,
    "V4L2_CAP_VIDEO_CAPTURE": v4l2.CAP_VIDEO_CAPTURE,
    "V4L2_CAP_STREAMING": v4l2.CAP_STREAMING,
    "V4L2_CAP_DEVICE_CAPS": v4l2.CAP_DEVICE_CAPS,
    "V4L2_BUF_FLAG_ERROR": v4l2.FLAG_ERROR,
    "V4L2_BUF_FLAG_TIMESTAMP_MASK": v4l2.FLAG_CLOCK_MASK,
    "V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC": v4l2.FLAG_CLOCK_MONOTONIC,
    "V4L2_BUF_FLAG_TSTAMP_SRC_MASK": v4l2.FLAG_SOURCE_MASK,
    "V4L2_BUF_FLAG_TSTAMP_SRC_SOE": v4l2.FLAG_SOURCE_EXPOSURE,
    "V4L2_PIX_FMT_MJPEG": v4l2.fourcc("MJPG"),
    "V4L2_PIX_FMT_YUYV": v4l2.fourcc("YUYV"),
    **v4l2.REQUESTS,
}


def ours() -> dict[str, int]:
    values = dict(CONSTANTS)
    for name, (structure, fields) in STRUCTURES.items():
        values[f"sizeof(struct {name})"] = ctypes.sizeof(structure)
        for entry in fields:
            field, _, member = entry.partition("=")
            offset = getattr(structure, field).offset
            values[f"offsetof(struct {name}, {member or field})"] = offset
    return values


def test_layouts_and_numbers_are_the_kernels(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("needs a C compiler and linux/videodev2.h")
    expected = ours()
    lines = [f'printf("%llu\\n", (unsigned long long)({name}));' for name in expected]
    source = tmp_path / "layout.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n#include <linux/videodev2.h>\n"
        f"int main(void) {{ {' '.join(lines)} }}\n"
    )
    subprocess.run([compiler, "-o", tmp_path / "layout", source], check=True)
    printed = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True)
    kernels = dict(zip(expected, map(int, printed.stdout.split()), strict=True))
    assert kernels == expected
