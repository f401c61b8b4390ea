"""Take the picture of the live view that README shows, in a headless Chromium.

python -m benchmarks.web_view_picture model.int8.cpu.onnx --camera 'images://DIR?fps=5&loop=1'
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

from tests.browser.chromium import open_page
from toolkit.camera import open_camera
from toolkit.live import run_live
from toolkit.runtime import open_session
from toolkit.web.server import open_web_view

__all__ = ["main"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engine", type=Path)
    parser.add_argument("--camera", required=True)
    parser.add_argument("--shown-camera", default="", help="what the page says the camera is")
    parser.add_argument("--seconds", type=float, default=31.0, help="until the picture is taken")
    parser.add_argument("--width", type=int, default=1180)
    parser.add_argument("--out", type=Path, default=Path("docs/live-web.png"))
    arguments = parser.parse_args()
    engine: Path = arguments.engine
    shown = arguments.shown_camera or arguments.camera
    stop = threading.Event()
    with (
        open_session(engine, threads=1, spin=False) as session,
        open_web_view("127.0.0.1:0", engine=engine.name, camera=shown) as view,
    ):

        def take() -> None:
            try:
                with tempfile.TemporaryDirectory() as profile, open_page(Path(profile)) as page:
                    page.show(view.url, width=arguments.width)
                    time.sleep(arguments.seconds)
                    page.screenshot(arguments.out)
                # A palette makes it a third as large.
                Image.open(arguments.out).convert("RGB").quantize(256).save(
                    arguments.out, optimize=True
                )
            finally:
                stop.set()

        taking = threading.Thread(target=take)
        taking.start()
        with open_camera(arguments.camera) as camera:
            run_live(session, camera, views=[view.newest], stop=stop)
        taking.join()
    print(arguments.out)


if __name__ == "__main__":
    main()
