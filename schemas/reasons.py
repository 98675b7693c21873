"""The closed list of reasons: where every row ends.

A row is `kept`, dropped by a rule that its recipe names, or failed with one of the classes here.
The same names stand in tables, ledgers, Beam counters and the report; counts by reason add up to the rows given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KEPT = "kept"

_HTTP: Mapping[str, str] = {f"http_{code}": f"the server answered with status {code}" for code in range(400, 600)}

FAILURES: Mapping[str, str] = {
    "no_image_url": "the element names no image",
    "invalid_url": "the reference is no valid URL",
    "unsupported_scheme": "neither http nor https",
    "opted_out": "the page or its owner reserves the image",
    "bad_record": "a record of an archive could not be read",
    "bad_row": "a row of a table lacks what it must hold",
    "page_failed": "the page that holds the row could not be read",
    "dns": "the host name has no address",
    "connect": "no connection to the server",
    "tls": "no trusted encrypted connection",
    "timeout": "no complete answer in time",
    **_HTTP,
    "bad_response": "the answer is not valid HTTP",
    "empty_body": "the answer holds no bytes",
    "too_large": "more bytes than the cap",
    "too_many_redirects": "more redirects than the cap",
    "blocked_address": "the host has a private or reserved address",
    "blocked_by_robots": "robots.txt disallows it",
    "blocked_by_tag": "an X-Robots-Tag or TDM header disallows it",
    "host_given_up": "the host failed too often and is left alone",
    "hash_mismatch": "the bytes are not those expected",
    "not_an_image": "the bytes are no image that is read here",
    "svg": "a vector image; only rasters are taken",
    "truncated": "the image ends early",
    "decode_error": "the image is damaged",
    "decoder_crash": "the decoder died of this image",
    "decoder_timeout": "the decoder did not end in time",
    "too_small": "fewer pixels or bytes than asked for",
    "too_many_pixels": "more pixels than the cap",
    "aspect_ratio": "longer and thinner than asked for",
    "score_failed": "a scorer could not read the stored image",
    "blocked_by_list": "its hash stands in a list of what must not be stored",
    "taken_down": "its removal was asked for",
    "caption_failed": "the captioner gave no answer that could be read",
    "caption_refused": "the captioner's server refused the request",
    "caption_timeout": "the captioner did not answer in time",
    "caption_empty": "the captioner said nothing",
    "caption_without_input": "an earlier captioner, whose caption its prompt asks for, gave none",
}

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Failed(Exception):
    """A row's failure: its class, of FAILURES, and a message for people."""

    def __init__(self, reason: str, message: str) -> None:
        if reason not in FAILURES:
            raise KeyError(f"{reason!r} is not a failure class")
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def is_rule_reason(name: str) -> bool:
    """Whether a recipe's rule may bear this name: lower-case words joined by `_`, and no failure class."""
    return bool(_NAME.fullmatch(name)) and name != KEPT and name not in FAILURES
