"""The real server on the loopback interface."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="the extra web is not installed")
pytest.importorskip("starlette", reason="the extra web is not installed")

from tests.unit.toolkit.live.view_parts import show
from toolkit.errors import InputError, MachineError
from toolkit.web.server import WebView, open_web_view


@pytest.fixture(scope="module")
def view() -> Iterator[WebView]:
    with open_web_view("127.0.0.1:0", engine="net.onnx", camera="csi://0") as opened:
        show(opened.newest, 0)
        yield opened


def got(view: WebView, path: str = "", *, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    parts = urlsplit(view.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(
            method, path if path.startswith("/") else parts.path + path, headers=named
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_address_is_local_and_holds_a_long_random_token(view: WebView) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{22}/", view.url)
    with open_web_view("127.0.0.1:0", engine="", camera="") as other:
        assert urlsplit(other.url).path != urlsplit(view.url).path


@pytest.mark.parametrize("path", ["", "live.js", "live.css", "update"])
def test_the_page_and_its_parts_are_served(view: WebView, path: str) -> None:
    status, content = got(view, path)
    assert status == 200
    assert len(content) > 500


@pytest.mark.parametrize("path", ["/", "/live.js", "/wrong/update", "/favicon.ico"])
def test_nothing_is_served_without_the_token(view: WebView, path: str) -> None:
    assert got(view, path)[0] == 404


def test_another_host_name_is_refused(view: WebView) -> None:
    assert got(view, "update", Host="evil.example")[0] == 421


def test_another_origin_is_refused(view: WebView) -> None:
    assert got(view, "update", Origin="http://evil.example")[0] == 403
    own = view.url.split("/")[2]
    assert got(view, "update", Origin=f"http://{own}")[0] == 200
    assert got(view, "update", Sec_Fetch_Site="cross-site")[0] == 403


def test_nothing_can_be_sent_to_it(view: WebView) -> None:
    assert got(view, "update", method="POST")[0] == 405


def test_numbers_that_are_none_are_refused(view: WebView) -> None:
    assert got(view, "update?after=x")[0] == 400
    assert got(view, "update?picture=1e99")[0] == 400


def test_a_port_that_is_taken_is_an_error_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(MachineError, match="in use") as caught:
            open_web_view(f"127.0.0.1:{taken.getsockname()[1]}", engine="", camera="").__enter__()
    assert "--view-address 127.0.0.1:0" in caught.value.next_command


@pytest.mark.parametrize("address", ["", "8765", "127.0.0.1", "127.0.0.1:http", "::1:99999"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is not HOST:PORT"):
        open_web_view(address, engine="", camera="").__enter__()


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    with pytest.raises(MachineError, match="cannot be served"):
        open_web_view("192.0.2.1:0", engine="", camera="").__enter__()


def test_bound_to_every_address_it_says_so_and_names_the_machine() -> None:
    with open_web_view("0.0.0.0:0", engine="", camera="") as everywhere:
        assert everywhere.exposed
        port = urlsplit(everywhere.url).port
        assert everywhere.url.startswith(f"http://{socket.gethostname()}:{port}/")
        path = urlsplit(everywhere.url).path
        local = WebView(f"http://127.0.0.1:{port}{path}", everywhere.exposed, everywhere.newest)
        assert got(local)[0] == 200
        assert got(local, Host="evil.example")[0] == 421


def test_the_port_is_free_again_at_the_end() -> None:
    with open_web_view("127.0.0.1:0", engine="", camera="") as first:
        address = first.url.split("/")[2]
        assert got(first)[0] == 200
    with open_web_view(address, engine="", camera="") as second:
        assert got(second)[0] == 200
