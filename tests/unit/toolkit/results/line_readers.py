"""Programs that read the results of a live run: a socket's listener, and a real MQTT broker."""

from __future__ import annotations

import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Broker", "Listener", "find_mosquitto", "listening", "serving_mqtt"]

PATIENCE_S = 20.0
Received = queue.Queue[bytes]


class Listener:
    """Listens on a Unix socket and reads one connection at a time."""

    def __init__(self, path: Path) -> None:
        self.received = b""
        self.ended = False
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(0.05)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self, *, lines: int) -> str:
        """Return what came, as soon as it is so many lines."""
        deadline = time.monotonic() + PATIENCE_S
        while self.received.count(b"\n") < lines and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.received.decode()

    def close(self) -> None:
        """Go away, the file of the socket too."""
        self.ended = True
        self._thread.join()
        self._listener.close()
        self._path.unlink()

    def _read(self) -> None:
        while not self.ended:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(0.05)
                self._read_connection(connection)

    def _read_connection(self, connection: socket.socket) -> None:
        while not self.ended:
            try:
                piece = connection.recv(1 << 16)
            except TimeoutError:
                continue
            if not piece:
                return
            self.received += piece


@contextmanager
def listening(path: Path) -> Iterator[Listener]:
    listener = Listener(path)
    try:
        yield listener
    finally:
        listener.close()


def find_mosquitto() -> str | None:
    """Return the path of the broker, which Debian installs where users do not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Broker:
    """A mosquitto of our own on a free port of the loopback interface."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        self._folder = folder
        self.port = free_port()
        config = [f"listener {self.port} 127.0.0.1", "persistence false"]
        if password:
            file = folder / "passwords"
            subprocess.run(
                ["mosquitto_passwd", "-c", "-b", str(file), "ann", password],
                check=True,
                capture_output=True,
            )
            file.chmod(0o644)  # mosquitto started by root reads it as another user
            config.append(f"password_file {file}")
        config.append(f"allow_anonymous {'false' if password else 'true'}")
        if folder.owner() == "root":
            config.append("user root")  # pytest's folders are closed to others
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join(config) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        program = find_mosquitto()
        assert program
        self._process = subprocess.Popen(
            [program, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError("mosquitto did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def subscribed(self, topic: str, **credentials: str) -> Iterator[Received]:
        """Yield a queue of the payloads that arrive on `topic`, also after a restart."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        received: Received = queue.Queue()
        ready = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2)
        if credentials:
            client.username_pw_set(credentials["user"], credentials["password"])
        client.reconnect_delay_set(1, 1)

        def subscribe(*_: object) -> None:
            client.subscribe(topic)

        client.on_connect = subscribe
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = lambda _client, _data, message: received.put(bytes(message.payload))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        try:
            assert ready.wait(PATIENCE_S)
            yield received
        finally:
            client.disconnect()
            client.loop_stop()

    @staticmethod
    def text(received: Received, *, lines: int) -> str:
        """Return the next messages as lines."""
        return "".join(received.get(timeout=PATIENCE_S).decode() + "\n" for _ in range(lines))


@contextmanager
def serving_mqtt(folder: Path, *, password: str = "") -> Iterator[Broker]:
    broker = Broker(folder, password=password)
    try:
        yield broker
    finally:
        broker.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
