from __future__ import annotations

import sys

import pytest

from toolkit.errors import InputError, MissingDependencyError
from toolkit.live.newest_answer import NewestAnswer
from toolkit.live.view import open_view
from toolkit.results import open_results


def opened(name: str) -> None:
    open_view(name, engine="net.onnx", camera="csi://0", address="127.0.0.1:0").__enter__()


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(InputError, match="Unknown view 'tv': it is one of web, terminal"):
        opened("tv")


def test_a_missing_web_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "toolkit.web.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match="'uvicorn'") as caught:
        opened("web")
    assert caught.value.next_command == "pip install 'edgekit[web]'"


def test_a_missing_mqtt_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "toolkit.results.mqtt", raising=False)
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingDependencyError, match="'paho'") as caught:
        open_results("mqtt://host/topic").__enter__()
    assert caught.value.next_command == "pip install 'edgekit[mqtt]'"


def test_the_terminal_has_no_address() -> None:
    with open_view("terminal", engine="net.onnx", camera="csi://0", address="") as (view, url):
        assert isinstance(view, NewestAnswer)
        assert url == ""
