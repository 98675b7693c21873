"""From an HTTP client's exceptions to our closed list of reasons.

In: an exception raised while a URL was fetched. Out: Failed, with a message for people.
"""

from __future__ import annotations

import asyncio
import http
import ssl

import aiohttp
from aiohttp import http_exceptions

from schemas.reasons import Failed


class MayPass(Failed):
    """A failure that another attempt may not meet, whatever its class; `wait` is what the server asked for."""

    def __init__(self, reason: str, message: str, *, wait: float | None = None) -> None:
        super().__init__(reason, message)
        self.wait = wait


TAG_MESSAGE = "Use of image disallowed by X-Robots-Tag directive"


def http_failure(status: int, phrase: str | None) -> Failed:
    """The failure of an answer that is no success: img2dataset's wording for 4xx and 5xx."""
    if 400 <= status <= 599:
        return Failed(f"http_{status}", f"HTTP Error {status}: {phrase or _phrase(status)}")
    if status in (204, 205):
        return Failed("empty_body", f"status {status} carries no body")
    return Failed("bad_response", f"status {status} carries no content to keep")


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def failure_of(error: BaseException, *, timeout: float) -> Failed:
    """The class of an exception; those that no network can cause are raised again."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return Failed("tls", f"no trusted encrypted connection: {_cause(error)}")
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return Failed("timeout", f"no answer within {timeout:g} s")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Failed("connect", "the server closed the connection without an answer")
    if isinstance(error, aiohttp.ClientPayloadError):
        return _payload_failure(error)
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
        return Failed("invalid_url", str(error))
    if isinstance(error, (aiohttp.ClientResponseError, http_exceptions.HttpProcessingError)):
        return Failed("bad_response", f"the answer is not valid HTTP: {_first_line(error)}")
    if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
        return Failed("connect", f"no connection: {_cause(error)}")
    raise error


def _payload_failure(error: aiohttp.ClientPayloadError) -> Failed:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, http_exceptions.ContentEncodingError):
        return Failed("bad_response", "the body is not encoded as its header says")
    if isinstance(cause, OSError) or "ConnectionResetError" in str(error):
        return Failed("connect", "the connection broke amid the body")
    if "Content-Encoding" in str(error) or "decode" in str(error).lower():
        return Failed("bad_response", "the body is not encoded as its header says")
    return Failed("truncated", "the body ended before the length that the server announced")


def _cause(error: BaseException) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return _first_line(inner)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    return (lines[0] or type(error).__name__)[:300]
