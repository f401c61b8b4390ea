"""Serve the live view from a thread that gives way to the engine."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from targets.conditions import Conditions, read_conditions
from toolkit.clock import MONOTONIC
from toolkit.errors import InputError, MachineError
from toolkit.live.newest_answer import NewestAnswer
from toolkit.live.threads import Workers
from toolkit.preprocess import Preprocess
from toolkit.web.access import Access, is_loopback
from toolkit.web.pages import live_app
from toolkit.web.updates import Updates

__all__ = ["WebView", "open_web_view"]

_MACHINE_EVERY_S = 5.0


@dataclass(frozen=True)
class WebView:
    """`url` is the page, with its token; hand `newest` to the loop as a view.

    `exposed` says that other machines can reach it, without encryption.
    """

    url: str
    exposed: bool
    newest: NewestAnswer


class _Machine:
    """The machine's conditions, read every few seconds in a thread of its own."""

    def __init__(self) -> None:
        self.newest: Conditions | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            self.newest = read_conditions()
            self.stop.wait(_MACHINE_EVERY_S)


@contextmanager
def open_web_view(
    address: str,
    *,
    engine: str,
    camera: str,
    token: str = "",
    newest: NewestAnswer | None = None,
    preprocess: Preprocess | None = None,
) -> Iterator[WebView]:
    """Yield a view that is served at `address`, HOST:PORT; port 0 takes a free one.

    `engine` and `camera` are shown. The `token` in the address is random unless given. `preprocess`
    is the engine's, which tells where in the frame an activation map lies. Raises
    InputError when the address is none, MachineError when it cannot be bound.
    """
    host, port = _host_and_port(address)
    bound = _bound(host, port)
    token = token or secrets.token_urlsafe(16)
    newest = newest or NewestAnswer()
    machine = _Machine()
    updates = Updates(
        newest,
        engine=engine,
        camera=camera,
        conditions=lambda: machine.newest,
        preprocess=preprocess,
    )
    config = uvicorn.Config(
        live_app(updates, Access(token, host=host)),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    workers = Workers(MONOTONIC, yielding=True)
    workers.start(lambda: server.run(sockets=[bound]), "web view", at_end=bound.close)
    workers.start(machine.run, "conditions", at_end=lambda: None)
    url = f"http://{_shown_host(host)}:{bound.getsockname()[1]}/{token}/"
    try:
        yield WebView(url, not is_loopback(host), newest)
    finally:
        server.should_exit = True
        machine.stop.set()
        workers.join()
    workers.check()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(
            f"{address!r} is not HOST:PORT.",
            next_command="edgekit live ENGINE --camera URI --view web --view-address 127.0.0.1:0",
        )
    return host.strip("[]"), int(port)


def _shown_host(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # every address of this machine: show a name for it
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[
            0
        ]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(place)
            opened.listen(128)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise MachineError(
            f"The live view cannot be served at {host}:{port}: {error.strerror or error}.",
            next_command="edgekit live ENGINE --camera URI --view web --view-address 127.0.0.1:0",
        ) from error
    return opened
