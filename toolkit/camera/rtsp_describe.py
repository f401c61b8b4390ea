"""Asks an RTSP server what it sends, so that a refusal has a reason: FFmpeg only says no.

DESCRIBE after RFC 2326, with basic or digest (MD5) authentication after RFC 2617.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
from email.message import Message
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import parse_http_list, parse_keqv_list

from toolkit.camera.uri import CameraUri
from toolkit.errors import CameraError
from toolkit.shell import quoted

__all__ = ["RTSP_PORT", "describe"]

RTSP_PORT = 554
_MOST_BODY_BYTES = 1 << 16


def describe(uri: CameraUri, timeout_s: float) -> str:
    """Return the session description (SDP). Raises CameraError that says why there is none."""
    try:
        pieces = urlsplit(uri.secret)
        address = (pieces.hostname or "", pieces.port or RTSP_PORT)
    except ValueError:
        # Its message could hold a piece of the password.
        raise _error(uri, "is not a URL: write a / in a password as %2F") from None
    host = pieces.netloc.rpartition("@")[2]
    url = urlunsplit((pieces.scheme, host, pieces.path, pieces.query, ""))
    login = (unquote(pieces.username or ""), unquote(pieces.password or ""))
    try:
        with (
            socket.create_connection(address, timeout_s) as connection,
            connection.makefile("rb") as answers,
        ):
            status, headers, body = _ask(connection, answers, url, 1)
            if status.startswith("401") and pieces.username is not None:
                answer = _authorization(headers.get("WWW-Authenticate", ""), login, url)
                status, headers, body = _ask(connection, answers, url, 2, answer)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise _error(uri, f"cannot be reached: {error or type(error).__name__}") from error
    if status.startswith(("401", "403")):
        raise _error(uri, f"refuses the user name or password ({status[:3]})")
    if not status.startswith("200"):
        raise _error(uri, f"answers {status}")
    if "m=video" not in body:
        raise _error(uri, "sends no video")
    return body


def _ask(
    connection: socket.socket, answers: IO[bytes], url: str, number: int, authorization: str = ""
) -> tuple[str, Message, str]:
    lines = [f"DESCRIBE {url} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    version, _, status = answers.readline(1024).decode("latin-1").strip().partition(" ")
    if not version.startswith("RTSP/"):
        raise ConnectionError("it does not speak RTSP")
    headers = http.client.parse_headers(answers)
    length = int(headers.get("Content-Length") or 0) if headers else 0
    if not 0 <= length <= _MOST_BODY_BYTES:
        raise ConnectionError(f"its description claims {length} bytes")
    return status, headers, answers.read(length).decode("utf-8", "replace")


def _authorization(challenge: str, login: tuple[str, str], url: str) -> str:
    kind, _, rest = challenge.partition(" ")
    if kind.lower() == "basic":
        return f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
    asked = parse_keqv_list(parse_http_list(rest))
    realm, nonce = asked.get("realm", ""), asked.get("nonce", "")
    secret = _md5(f"{login[0]}:{realm}:{login[1]}")
    response = _md5(f"{secret}:{nonce}:{_md5(f'DESCRIBE:{url}')}")
    return (
        f'Digest username="{login[0]}", realm="{realm}", nonce="{nonce}", uri="{url}", '
        f'response="{response}"'
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()  # what RFC 2617 asks for


def _error(uri: CameraUri, what: str) -> CameraError:
    return CameraError(
        f"{uri.text} {what}.", next_command=f"ffprobe -rtsp_transport tcp {quoted(uri.text)}"
    )
