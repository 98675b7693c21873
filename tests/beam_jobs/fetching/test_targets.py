"""Where a URL leads, read from its serialised form: credentials, ports, brackets, and paths that look like them."""

from __future__ import annotations

import pytest

from beam_jobs.fetching.urls import parse_target
from schemas.reasons import Failed


@pytest.mark.parametrize(
    ("url", "href", "host", "port", "authority", "path"),
    [
        ("http://a.test", "http://a.test/", "a.test", 80, "a.test", "/"),
        ("HTTPS://u:p@B.test:8443/x y?q#f", "https://b.test:8443/x%20y?q", "b.test", 8443, "b.test:8443", "/x%20y?q"),
        ("https://a.test:443/", "https://a.test/", "a.test", 443, "a.test", "/"),
        ("http://a.test?x=1", "http://a.test/?x=1", "a.test", 80, "a.test", "/?x=1"),
        ("http://a.test/p@q:9", "http://a.test/p@q:9", "a.test", 80, "a.test", "/p@q:9"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/", "2606:4700::1111", 80, "[2606:4700::1111]", "/"),
        ("http://[2606:4700::1]:81/", "http://[2606:4700::1]:81/", "2606:4700::1", 81, "[2606:4700::1]:81", "/"),
        ("http://ü.test/ä", "http://xn--tda.test/%C3%A4", "xn--tda.test", 80, "xn--tda.test", "/%C3%A4"),
    ],
)
def test_targets(url, href, host, port, authority, path):
    target = parse_target(url, ())
    assert (target.href, target.host, target.port, target.authority, target.path) == (href, host, port, authority, path)
    assert target.secure == href.startswith("https")


@pytest.mark.parametrize("url", ["ftp://a.test/", "data:image/png;base64,AAAA", "javascript:1", "file:///etc/passwd"])
def test_other_schemes_are_refused(url):
    with pytest.raises(Failed) as caught:
        parse_target(url, ())
    assert caught.value.reason == "unsupported_scheme"
