"""Who may see the live picture: holders of the token, from a page of this server and no other.

The token keeps other users of the machine out. The Host header must name this machine, so that a
foreign name that resolves to it (DNS rebinding) gets nothing; Origin and Sec-Fetch-Site, which
browsers set and pages cannot change, keep pages of other origins out.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["Access", "is_loopback"]

_OWN_PAGES = ("", "same-origin", "none")  # "none": typed, or a bookmark


class Access:
    """`host` is the address that the server is bound to."""

    def __init__(self, token: str, *, host: str) -> None:
        self._token = token
        self._loopback_only = is_loopback(host)
        name = socket.gethostname().lower()
        self._names = {"localhost"}
        if not self._loopback_only:
            self._names |= {host.lower(), name, f"{name}.local"}

    def refusal(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return the HTTP status and the reason to refuse a request; None to grant it."""
        host = headers.get("host", "")
        if not self._names_this_machine(host):
            return 421, "this server does not answer to that name"
        origin = headers.get("origin", "")
        if origin and origin != f"http://{host}":
            return 403, "pages of another origin get nothing"
        if headers.get("sec-fetch-site", "") not in _OWN_PAGES:
            return 403, "pages of another site get nothing"
        given = path.lstrip("/").partition("/")[0]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return 404, "no such page: the address of a run ends with the run"
        return None

    def _names_this_machine(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address cannot be rebound by DNS as a name can.
        return address.is_loopback or not self._loopback_only


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that is bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
