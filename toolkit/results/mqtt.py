"""Results to an MQTT broker, a JSON object a message: `mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC`.

Messages have QoS 0 and are not retained. A broker that goes away is waited for, with back-off; the
queue holds lines meanwhile, and loses those beyond its bound.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client
from paho.mqtt.enums import CallbackAPIVersion

from toolkit.camera.uri import camera_uri
from toolkit.errors import InputError, MachineError
from toolkit.results import ResultSink
from toolkit.results.line_writer import LineWriter

__all__ = ["Address", "Broker", "address_from_url", "open_mqtt"]

_EXAMPLE = "edgekit live ENGINE --camera URI --results mqtt://localhost/edgekit"
_FIRST_CONNECT_S = 5.0
_SLICE_S = 0.05
_FIRST_DELAY_S, _LONGEST_DELAY_S = 1, 30  # whole seconds: what the library takes


@dataclass(frozen=True)
class Address:
    """`text` is the URL as it may be printed: without the password."""

    text: str
    host: str
    port: int
    topic: str
    user: str
    password: str = field(repr=False)


class Broker:
    """Delivers lines to one topic; the library's thread connects again when the broker went."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._answered = threading.Event()
        self._refusal = ""
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.connect_timeout = _FIRST_CONNECT_S
        self._client.reconnect_delay_set(_FIRST_DELAY_S, _LONGEST_DELAY_S)
        self._client.on_connect = self._note_answer
        if address.user:
            self._client.username_pw_set(address.user, address.password or None)

    def connect(self) -> None:
        """Wait for the broker's answer. Raises MachineError when it refuses or gives none."""
        try:
            self._client.connect(self._address.host, self._address.port)
        except OSError as error:
            raise self.failure(error) from error
        self._client.loop_start()
        if self._answered.wait(_FIRST_CONNECT_S) and not self._refusal:
            return
        self.close()
        reason = self._refusal or f"no answer in {_FIRST_CONNECT_S:g} s"
        raise MachineError(
            f"The MQTT broker of {self._address.text} refuses the connection: {reason}.",
            next_command=_EXAMPLE,
        )

    def send(self, line: bytes, stop: threading.Event) -> bool:
        """Publish one line; return False if `stop` came before the broker's socket took it."""
        payload = line.rstrip(b"\n")
        while True:
            if self._client.is_connected() and self._published(payload, stop):
                return True
            if stop.wait(_SLICE_S):
                return False

    def close(self) -> None:
        """Take leave of the broker and end the library's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def failure(self, error: OSError) -> MachineError:
        """Return what to tell the user when the broker cannot be reached."""
        return MachineError(
            f"The MQTT broker of {self._address.text} cannot be reached: "
            f"{error.strerror or error}.",
            next_command=_EXAMPLE,
        )

    def _published(self, payload: bytes, stop: threading.Event) -> bool:
        """Publish, and wait until the message left: the library's own queue has no bound."""
        message = self._client.publish(self._address.topic, payload)
        while message.rc == MQTT_ERR_SUCCESS and not message.is_published():
            if stop.is_set() or not self._client.is_connected():
                return False
            time.sleep(0.001)
        return message.rc == MQTT_ERR_SUCCESS

    def _note_answer(self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._refusal = str(reason) if reason.is_failure else ""
        self._answered.set()


def address_from_url(where: str) -> Address:
    """Return the parts of an MQTT URL. Raises InputError when host or topic are missing."""
    shown = camera_uri(where).text
    try:
        parts = urlsplit(where)
        host, port = parts.hostname or "", parts.port or 1883
    except ValueError as error:
        raise InputError(f"{shown!r} is not a URL with a valid port.", next_command=_EXAMPLE) from (
            error
        )
    topic = unquote(parts.path.removeprefix("/"))
    unfit = any(sign in where for sign in "#?") or any(sign in topic for sign in "+#\0")
    if not host or not topic or unfit:
        raise InputError(
            f"{shown!r} is not mqtt://HOST[:PORT]/TOPIC, with a topic without +, # and ?.",
            next_command=_EXAMPLE,
        )
    return Address(
        shown, host, port, topic, unquote(parts.username or ""), unquote(parts.password or "")
    )


@contextmanager
def open_mqtt(where: str) -> Iterator[ResultSink]:
    """Yield a sink that publishes to the broker's topic.

    Raises InputError for a URL that is none, MachineError when the broker cannot be reached or
    refuses the connection at the start.
    """
    broker = Broker(address_from_url(where))
    broker.connect()
    writer = LineWriter(broker)
    try:
        yield writer
    finally:
        writer.close()
