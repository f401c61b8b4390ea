from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")

from tests.unit.toolkit.results.line_readers import (
    Broker,
    find_mosquitto,
    free_port,
    serving_mqtt,
)
from tests.unit.toolkit.results.test_results import result
from toolkit.errors import InputError, MachineError
from toolkit.results import open_results
from toolkit.results.mqtt import address_from_url

with_broker = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


def indices(text: str) -> list[int]:
    return [json.loads(line)["index"] for line in text.splitlines()]


@with_broker
def test_lines_wait_for_a_broker_that_restarts(tmp_path: Path) -> None:
    with (
        serving_mqtt(tmp_path) as broker,
        open_results(f"mqtt://127.0.0.1:{broker.port}/cam") as sink,
    ):
        with broker.subscribed("cam") as received:
            sink.put(result(0))
            assert indices(Broker.text(received, lines=1)) == [0]
        broker.kill()
        deadline = time.monotonic() + 20.0
        while sink._delivery._client.is_connected() and time.monotonic() < deadline:  # type: ignore[attr-defined]
            time.sleep(0.01)
        began = time.monotonic()
        for i in range(1, 3000):  # more than the queue holds
            sink.put(result(i))
        assert time.monotonic() - began < 2.0
        assert 1900 < sink.lost < 2000  # the queue holds 1024
        broker.start()
        with broker.subscribed("cam") as received:
            waited = indices(Broker.text(received, lines=1))
    assert waited[0] > 0


@with_broker
def test_a_broker_that_asks_for_a_password_gets_it(tmp_path: Path) -> None:
    with (
        serving_mqtt(tmp_path, password="p@ss/word") as broker,
        broker.subscribed("a b/c", user="ann", password="p@ss/word") as received,
    ):
        url = f"mqtt://ann:p%40ss%2Fword@127.0.0.1:{broker.port}/a%20b/c"
        with open_results(url) as sink:
            sink.put(result(5))
        assert indices(Broker.text(received, lines=1)) == [5]
    assert sink.lost == 0


@with_broker
def test_a_wrong_password_is_refused_at_the_start_and_never_printed(tmp_path: Path) -> None:
    with (
        serving_mqtt(tmp_path, password="right") as broker,
        pytest.raises(MachineError, match=r"ann:\*\*\*@.*refuses .*: Not auth") as caught,
    ):
        open_results(f"mqtt://ann:hunter2@127.0.0.1:{broker.port}/cam").__enter__()
    assert "hunter2" not in str(caught.value) + caught.value.next_command


def test_a_broker_that_is_not_there_is_an_error_without_the_password() -> None:
    with pytest.raises(MachineError, match="cannot be reached: Connection refused") as caught:
        open_results(f"mqtt://ann:hunter2@127.0.0.1:{free_port()}/cam").__enter__()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["mqtt://", "mqtt://host", "mqtt://host/", "mqtt:///cam", "mqtt://h/a/#", "mqtt://h/+/b"],
)
def test_a_url_without_host_or_plain_topic_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="topic"):
        address_from_url(url)


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="valid port"):
        address_from_url("mqtt://host:99999/cam")


def test_the_password_is_not_in_the_printed_form() -> None:
    address = address_from_url("mqtt://ann:hunter2@host/cam")
    assert "hunter2" not in repr(address)
    assert (address.port, address.password) == (1883, "hunter2")
