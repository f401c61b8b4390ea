"""Runs a GStreamer pipeline in a Python that has its bindings, and hands frames over a pipe.

    /usr/bin/python3 gstreamer_process.py PIPELINE LIVE_OR_PACED

Needs only that Python and `gi`: no package of ours is imported. On standard output each frame is
FRAME (width, height, stride, index, time in nanoseconds, origin) and its BGR rows; a last FRAME of
width 0 says why the stream ended, in the origin's place and as the text that follows.
"""

from __future__ import annotations

import struct
import sys
from typing import Any, BinaryIO

__all__ = ["ENDED", "FAILED", "FRAME", "GSTREAMER_TIME", "READ_TIME", "UNPLUGGED", "main"]

FRAME = struct.Struct("<IIIIqI")
READ_TIME, GSTREAMER_TIME = 0, 1
ENDED, FAILED, UNPLUGGED = 0, 1, 2
_NANOSECONDS = 1_000_000_000
_SINK = (
    " ! videoconvert ! video/x-raw,format=BGR"
    " ! appsink name=edgekit_sink max-buffers=1 drop={drop} sync={sync}"
)


def main() -> None:
    """Run until the pipeline ends or nobody reads any more."""
    out = sys.stdout.buffer
    pipeline_text, paced = sys.argv[1], sys.argv[2] == "paced"
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstVideo", "1.0")
        from gi.repository import Gst, GstVideo
    except (ImportError, ValueError) as error:
        _end(out, FAILED, f"no bindings: {error}")
        return
    Gst.init(None)
    try:
        _Pipeline(Gst, GstVideo, pipeline_text, paced).run(out)
    except BrokenPipeError:
        return  # the reader closed its camera


class _Pipeline:
    def __init__(self, gst: Any, gst_video: Any, text: str, paced: bool) -> None:
        self._gst, self._gst_video = gst, gst_video
        self._text = text
        self._paced = paced
        self._index = 0

    def run(self, out: BinaryIO) -> None:
        gst = self._gst
        try:
            # Recorded frames are all wanted when they need not keep time; a camera's newest is.
            sink = _SINK.format(drop=str(self._paced).lower(), sync=str(self._paced).lower())
            pipeline = gst.parse_launch(self._text + sink)
        except Exception as error:  # GLib.Error, known only once gi is
            _end(out, FAILED, str(getattr(error, "message", error)))
            return
        pipeline.use_clock(gst.SystemClock.obtain())  # CLOCK_MONOTONIC, as ours
        sink = pipeline.get_by_name("edgekit_sink")
        live = pipeline.set_state(gst.State.PAUSED) == gst.StateChangeReturn.NO_PREROLL
        if live:
            sink.set_property("sync", False)
            sink.set_property("drop", True)
        pipeline.set_state(gst.State.PLAYING)
        try:
            while (ended := self._reason(pipeline, sink)) is None:
                sample = sink.emit("try-pull-sample", gst.SECOND // 10)
                if sample is not None:
                    self._give(out, pipeline, sample, live)
            _end(out, *ended)
        finally:
            pipeline.set_state(gst.State.NULL)

    def _reason(self, pipeline: Any, sink: Any) -> tuple[int, str] | None:
        message = pipeline.get_bus().pop_filtered(self._gst.MessageType.ERROR)
        if message is not None:
            error, _ = message.parse_error()
            gone = self._index and error.domain == "gst-resource-error-quark"
            return (UNPLUGGED if gone else FAILED), error.message
        return (ENDED, "") if sink.get_property("eos") else None

    def _give(self, out: BinaryIO, pipeline: Any, sample: Any, live: bool) -> None:
        gst, buffer, caps = self._gst, sample.get_buffer(), sample.get_caps().get_structure(0)
        width, height = caps.get_value("width"), caps.get_value("height")
        now = gst.SystemClock.obtain().get_time()
        time, origin = now, READ_TIME
        if live and buffer.pts != gst.CLOCK_TIME_NONE:
            running = sample.get_segment().to_running_time(gst.Format.TIME, buffer.pts)
            if running != gst.CLOCK_TIME_NONE:
                time, origin = pipeline.get_base_time() + running, GSTREAMER_TIME
        meta = self._gst_video.buffer_get_video_meta(buffer)
        stride = meta.stride[0] if meta else (width * 3 + 3) // 4 * 4
        start = meta.offset[0] if meta else 0
        given, mapped = buffer.map(gst.MapFlags.READ)
        if not given:
            return
        try:
            out.write(FRAME.pack(width, height, stride, self._index, time, origin))
            whole = bytes(mapped.data[start : start + stride * height])
            out.write(whole.ljust(stride * height, b"\0"))
            out.flush()
        finally:
            buffer.unmap(mapped)
        self._index += 1


def _end(out: BinaryIO, why: int, text: str) -> None:
    words = text.encode()
    out.write(FRAME.pack(0, 0, len(words), 0, 0, why) + words)
    out.flush()


if __name__ == "__main__":
    main()
