"""Cameras: nvargus and CSI sensors, GStreamer, V4L2, and OpenCV's way of saying it."""

from __future__ import annotations

from toolkit.explain.rule import Rule

__all__ = ["RULES"]

_RESTART = "sudo systemctl restart nvargus-daemon"
_SENSOR = "sudo dmesg | grep -i -e imx -e ov -e tegra-camrtc"

RULES = (
    Rule(
        "argus-no-camera",
        (r"No cameras available",),
        "nvargus knows no sensor: the cable, or the device tree has no entry for this one.",
        "sudo /opt/nvidia/jetson-io/jetson-io.py",
        "Jetson Linux Developer Guide, Configuring the CSI Connector",
    ),
    Rule(
        "argus-daemon-not-there",
        (r"Connecting to nvargus-daemon failed",),
        "The service nvargus-daemon does not answer; in a container its socket must be mounted "
        "(/tmp/argus_socket), again after every restart of the service.",
        _RESTART,
        "NVIDIA developer forum, Connecting to nvargus-daemon failed",
    ),
    Rule(
        "argus-daemon-died",
        (r"Unexpected error in reading socket", r"Failed socket read: Connection reset by peer"),
        "nvargus-daemon crashed while the camera was open.",
        f"{_RESTART} && journalctl -u nvargus-daemon -n 50",
        "ArduCAM/MIPI_Camera issue 73, failed socket read",
    ),
    Rule(
        "argus-session",
        (r"Failed to create CaptureSession",),
        "The sensor is taken: by another program, or by one that was killed and did not let go.",
        _RESTART,
        "NVIDIA-AI-IOT/jetbot issue 1, failed to create CaptureSession",
    ),
    Rule(
        "argus-session-lost",
        (r"Session has suffered a critical failure",),
        "A capture failed and nvargus gave the session up; it repeats this until it is restarted.",
        _RESTART,
        "NVIDIA-AI-IOT/jetbot issue 64, session has suffered a critical failure",
    ),
    Rule(
        "argus-timeout",
        (r"SCF: Error Timeout", r"waitCsiFrameStart timeout", r"ISP Stats timed out"),
        "The sensor sends no frames: its cable, its power, or a mode that its driver lacks.",
        _SENSOR,
        "NVIDIA developer forum, SCF: Error Timeout with CSI cameras",
    ),
    Rule(
        "sensor-silent-on-i2c",
        (r"error during i2c read probe \(-121\)",),
        "The kernel asked the sensor over I2C and nothing answered: the ribbon cable is loose or "
        "turned, or the device tree names another sensor.",
        "sudo /opt/nvidia/jetson-io/jetson-io.py",
        "OE4T/meta-tegra issue 943; Jetson Linux Developer Guide, Configuring the CSI Connector",
    ),
    Rule(
        "sensor-no-frames",
        (r"uncorr_err: request timed out after \d+ ms", r"corr_err: discarding frame"),
        "The sensor answers on I2C and its picture lines stay silent or broken: cable, lane count "
        "or clock in the device tree.",
        _SENSOR,
        "Jetson Linux Developer Guide, Camera Software Development: debugging VI and CSI",
    ),
    Rule(
        "nvmm-buffer",
        (r"dmabuf_fd -?\d+ mapped entry NOT found", r"NvBufSurfaceFromFd [Ff]ailed"),
        "An element was given memory of the wrong kind: between NVIDIA's elements and others the "
        "pipeline needs nvvidconv and caps without (memory:NVMM).",
        "gst-inspect-1.0 nvvidconv",
        "Jetson Linux Developer Guide, Accelerated GStreamer: video format conversion",
    ),
    Rule(
        "gstreamer-element",
        (r"no element \"(?P<element>[\w-]+)\"",),
        "GStreamer has no element {element}: its plugin is not installed, or not in here.",
        "gst-inspect-1.0 {element}",
        "GStreamer documentation, gst-inspect; Jetson Linux Developer Guide, Accelerated GStreamer",
    ),
    Rule(
        "gstreamer-formats",
        (r"reason not-negotiated \(-4\)", r"could not link \S+ to \S+"),
        "Two elements of the pipeline have no format in common: the size, rate or format that was "
        "asked for is none the camera has.",
        "v4l2-ctl --device /dev/video0 --list-formats-ext",
        "GStreamer documentation, Caps negotiation",
    ),
    Rule(
        "network-camera-refuses",
        (r"Unauthorized \(401\)", r"401 Unauthorized"),
        "The camera wants a user name and password, or other ones.",
        "edgekit live ENGINE --camera rtsp://USER:PASSWORD@HOST/STREAM",
        "GStreamer documentation, rtspsrc: user-id and user-pw",
    ),
    Rule(
        "network-camera-away",
        (
            r"Could not connect to server",
            r"Failed to connect\. \(Generic error\)",
            r"Connection to tcp://\S+ failed: ",
        ),
        "Nobody answers at the camera's address: wrong host or port, or a firewall.",
        "ping -c 3 HOST",
        "GStreamer documentation, rtspsrc; FFmpeg documentation, rtsp protocol",
    ),
    Rule(
        "opencv-without-gstreamer",
        (
            r"pattern, (?:got|in file name): \S*src\b.* ! ",
            r"can't find starting number \(in the name of file\): \S*src\b.* ! ",
            r"VIDEOIO\(GSTREAMER\): backend is not available",
        ),
        "OpenCV was built without GStreamer, as the wheels from PyPI are: it takes the pipeline "
        "for a file name.",
        "edgekit live ENGINE --camera csi://0",
        "opencv/opencv issue 22331; JetsonHacksNano/CSI-Camera issue 55",
    ),
    Rule(
        "opencv-pipeline",
        (
            r"GStreamer warning: (?:unable to start pipeline|pipeline have not been created|"
            r"Embedded video playback halted)",
        ),
        "OpenCV has GStreamer, and the pipeline did not start: run it alone, its own message tells "
        "why.",
        "gst-launch-1.0 -v nvarguscamerasrc num-buffers=10 ! fakesink",
        "JetsonHacksNano/CSI-Camera issue 55, pipeline have not been created",
    ),
    Rule(
        "usb-bandwidth",
        (
            r"VIDIOC_STREAMON.{0,60}No space left on device",
            r"error turning on stream: No space left on device",
        ),
        "The USB controller has no bandwidth left for another camera: ask for MJPEG, fewer pixels, "
        "or plug it into another controller.",
        "lsusb -t",
        "Linux documentation, uvcvideo: bandwidth (quirks=128)",
    ),
    Rule(
        "camera-busy",
        (
            r"VIDIOC_[A-Z_]{1,24}\b.{0,60}(?:Device or resource busy|errno=16\b)",
            r"/dev/video\d+.{0,20} is busy",
        ),
        "Another program has the camera open.",
        "fuser -v /dev/video0",
        "Linux documentation, V4L2: VIDIOC_STREAMON and EBUSY",
    ),
    Rule(
        "camera-permission",
        (r"/dev/video\d+.{0,40}Permission denied",),
        "This user may not open the camera: it belongs to the group video.",
        "sudo usermod --append --groups video $USER",
        "Linux documentation, V4L2 open(): EACCES",
    ),
    Rule(
        "camera-metadata-node",
        (
            r"is not a (?:video )?capture device",
            r"VIDIOC_[A-Z_]{1,24}\b.{0,60}Inappropriate ioctl for device",
        ),
        "That node of the camera gives metadata, not pictures: most cameras have two, the first "
        "one gives pictures.",
        "v4l2-ctl --list-devices",
        "Linux documentation, V4L2: querying capabilities",
    ),
    Rule(
        "camera-stalls",
        (r"VIDEOIO\(V4L2:\S+\): select\(\) timeout", r"V4L2: select timeout", r"select timeout\b"),
        "The camera opened and sends nothing: USB power or bandwidth, or an exposure of seconds.",
        "v4l2-ctl --device /dev/video0 --stream-mmap --stream-count=30",
        "Linux documentation, V4L2 select()",
    ),
    Rule(
        "camera-absent",
        (
            r"can't open camera by index",
            r"Cannot identify device '/dev/video\d+'",
            r"Cannot open device /dev/video\d+",
        ),
        "There is no such camera: not plugged in, another number, or not passed to the container.",
        "v4l2-ctl --list-devices",
        "NVIDIA-AI-IOT/jetcam issue 27; Linux documentation, V4L2 open()",
    ),
)
