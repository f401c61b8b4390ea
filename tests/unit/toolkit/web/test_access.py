from __future__ import annotations

import pytest

from toolkit.web.access import Access

TOKEN = "secret-token"


def status(
    host: str = "127.0.0.1:80",
    path: str = f"/{TOKEN}/",
    *,
    bound: str = "127.0.0.1",
    **headers: str,
) -> int:
    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    refusal = Access(TOKEN, host=bound).refusal(path, named)
    return refusal[0] if refusal else 200


def test_the_holder_of_the_token_gets_the_page() -> None:
    assert status() == 200
    assert status(sec_fetch_site="none") == 200
    assert status(origin="http://127.0.0.1:80", sec_fetch_site="same-origin") == 200


@pytest.mark.parametrize(
    "path", ["/", "", "/wrong/", f"/{TOKEN}x/", f"/x/{TOKEN}/", "/secret-tök/"]
)
def test_without_the_token_there_is_no_page(path: str) -> None:
    assert status(path=path) == 404


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9000", "[::1]:80", "127.0.0.1", "127.8.8.8"]
)
def test_this_machine_has_several_names(host: str) -> None:
    assert status(host) == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.7", "["],
)
def test_another_name_that_leads_here_is_refused(host: str) -> None:
    assert status(host) == 421


def test_bound_to_the_network_addresses_are_served_and_foreign_names_are_not() -> None:
    assert status("10.0.0.7:8765", bound="0.0.0.0") == 200
    assert status("evil.example", bound="0.0.0.0") == 421
    assert status("camera-3", bound="camera-3") == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:80", "http://127.0.0.1:81"]
)
def test_a_page_of_another_origin_gets_nothing(origin: str) -> None:
    assert status(origin=origin) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_picture_tag_on_another_site_gets_nothing(site: str) -> None:
    assert status(sec_fetch_site=site) == 403
