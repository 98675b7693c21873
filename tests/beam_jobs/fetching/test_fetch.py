"""Every fault of the fault server, with the reason that its row must bear; manners; bounds."""

from __future__ import annotations

import itertools
import time

import pytest

from beam_jobs.fetching.addresses import ResolveRule
from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.fetch import Fetched, FetchOptions, fetch_all

EXPECTED = {
    "/ok": (None, 1),
    "/until-close": (None, 1),
    "/gzip": (None, 1),
    "/deflate": (None, 1),
    "/to-other": (None, 1),
    "/to-relative": (None, 1),
    "/wait-once": (None, 2),
    "/date-once": (None, 2),
    "/fail-once": (None, 2),
    "/tag-other": (None, 1),
    "/long": (None, 1),  # what comes behind the length announced is no part of it
    "/unknown-coding": (None, 1),  # such headers stand on plain images: the decoder tells
    "/bomb-twice": (None, 1),
    "/reset-before": ("connect", 2),
    "/reset-amid": ("connect", 2),
    "/closed": ("connect", 2),
    "/stall-head": ("timeout", 2),
    "/stall-body": ("timeout", 2),
    "/drip": ("timeout", 1),
    "/drip-head": ("timeout", 1),
    "/hints": ("timeout", 1),
    "/short": ("truncated", 2),
    "/chunks-short": ("truncated", 2),
    "/chunks-broken": ("bad_response", 1),
    "/garbage": ("bad_response", 1),
    "/many-headers": ("bad_response", 1),
    "/long-header": ("bad_response", 1),
    "/bad-gzip": ("bad_response", 1),
    "/length-word": ("bad_response", 1),
    "/length-negative": ("bad_response", 1),
    "/length-twice": ("bad_response", 1),
    "/partial": ("bad_response", 1),
    "/to-nowhere": ("bad_response", 1),
    "/endless": ("too_large", 1),
    "/chunks-endless": ("too_large", 1),
    "/announced": ("too_large", 1),
    "/bomb": ("too_large", 1),
    "/empty": ("empty_body", 1),
    "/no-content": ("empty_body", 1),
    "/loop": ("too_many_redirects", 1),
    "/to-private": ("blocked_address", 1),
    "/to-private-name": ("blocked_address", 1),
    "/to-metadata": ("blocked_address", 1),
    "/to-file": ("unsupported_scheme", 1),
    "/wait-long": ("http_429", 1),
    "/fail-500": ("http_500", 2),
    "/400": ("http_400", 1),
    "/403": ("http_403", 1),
    "/missing": ("http_404", 1),
    "/410": ("http_410", 1),
    "/451": ("http_451", 1),
    "/tag-noai": ("blocked_by_tag", 1),
    "/tag-ours": ("blocked_by_tag", 1),
    "/tdm": ("blocked_by_tag", 1),
}


# Long enough for a busy machine to answer what can be answered.
IMPATIENT: dict[str, object] = {"concurrency": 64, "timeout": 1.0, "deadline": 3.0}


def options(port: int, **changes: object) -> FetchOptions:
    chosen: dict[str, object] = {
        "timeout": 5.0,
        "deadline": 15.0,
        "retries": 1,
        "backoff": 0.02,
        "max_bytes": 1_000_000,
        "resolve": (ResolveRule("*.test", "127.0.0.1", port),),
    }
    return FetchOptions(**{**chosen, **changes})  # type: ignore[arg-type]


def fetch(urls: list[str], chosen: FetchOptions, commons: Commons | None = None) -> list[Fetched]:
    found = dict(fetch_all(enumerate(urls), chosen, commons=commons or Commons()))
    assert sorted(found) == list(range(len(urls)))
    return [found[index] for index in range(len(urls))]


def test_each_fault_ends_with_its_reason(server):
    started = time.monotonic()
    fetched = fetch([f"http://faulty.test{path}" for path in EXPECTED], options(server.port, **IMPATIENT))
    ended = {path: (row.reason, row.attempts) for path, row in zip(EXPECTED, fetched, strict=True)}
    assert ended == EXPECTED
    assert all((row.body is None) == (row.reason is not None) for row in fetched)
    assert time.monotonic() - started < 30  # whatever a server does, a URL ends


def test_bodies_are_whole_and_decompressed(server):
    paths = ["/ok", "/gzip", "/deflate", "/until-close"]
    rows = fetch([f"http://a.test{path}" for path in paths], options(server.port))
    assert [row.body == bytes(range(256)) * 16 for row in rows] == [True] * 4
    assert (rows[0].http_status, rows[0].content_type) == (200, "image/jpeg")


def test_what_comes_behind_an_answer_is_no_answer_to_the_next_request(server):
    urls = [f"http://a.test/long?{number}" for number in range(4)]
    rows = fetch(urls, options(server.port, concurrency=1, robots=False))
    assert [row.body for row in rows] == [b"hello"] * 4


def test_messages_are_those_of_img2dataset(server):
    rows = fetch(["http://a.test/missing", "http://a.test/tag-noai"], options(server.port))
    assert [row.message for row in rows] == [
        "HTTP Error 404: Not Found",
        "Use of image disallowed by X-Robots-Tag directive",
    ]
    assert rows[1].headers == {"x-robots-tag": "noai"}


def test_a_redirect_is_followed_without_credentials_or_fragment(server):
    rows = fetch(["http://me:pw@a.test/to-other", "http://a.test/to-relative"], options(server.port))
    assert [row.final_url for row in rows] == ["http://other.test/ok", "http://a.test/ok?moved"]
    assert {header["host"] for header in server.headers} == {"a.test", "other.test"}
    assert not [header for header in server.headers if "authorization" in header or "referer" in header]


def test_cookies_are_not_kept_and_the_agent_says_who_it_is(server):
    fetch(["http://a.test/cookie"], options(server.port, contact="crawl@example.org"))
    fetch(["http://a.test/ok"], options(server.port, contact="crawl@example.org"))
    assert not [header for header in server.headers if "cookie" in header]
    agents = {header["user-agent"] for header in server.headers}
    assert len(agents) == 1
    assert agents.pop().startswith("pairmill/")
    assert server.headers[0]["user-agent"].endswith("+crawl@example.org)")


def test_a_closed_port_and_an_unknown_name(server):
    dead = ResolveRule("dead.test", "127.0.0.1", 1)
    rows = fetch(["http://dead.test/", "http://nowhere.invalid/"], options(server.port, resolve=(dead,), retries=0))
    assert [row.reason for row in rows] == ["connect", "dns"]


def test_urls_that_are_none(server):
    urls = [
        "",
        "zz",
        "ftp://a.test/x",
        "file:///etc/passwd",
        "data:image/png;base64,xx",
        "http://a b/",
        "http://\ud800/",
    ]
    assert [row.reason for row in fetch(urls, options(server.port))] == [
        "invalid_url",
        "invalid_url",
        "unsupported_scheme",
        "unsupported_scheme",
        "unsupported_scheme",
        "invalid_url",
        "invalid_url",
    ]


def test_robots_txt_is_obeyed_per_host(server):
    urls = [
        "http://closed.test/ok",
        "http://partly.test/ok",
        "http://partly.test/private/x",
        "http://broken.test/ok",
        "http://absent.test/ok",
    ]
    rows = fetch(urls * 2, options(server.port))
    expected = ["blocked_by_robots", None, "blocked_by_robots", "blocked_by_robots", None]
    assert [row.reason for row in rows] == expected * 2
    asked = [header["host"] for header in server.headers if header[":path"] == "/robots.txt"]
    assert sorted(set(asked)) == ["absent.test", "broken.test", "closed.test", "partly.test"]
    assert asked.count("partly.test") == 1
    assert fetch(["http://closed.test/ok"], options(server.port, robots=False))[0].reason is None


def test_a_host_is_asked_for_a_few_things_at_once_and_in_time(server):
    rows = fetch([f"http://a.test/slow?{n}" for n in range(24)], options(server.port, per_host=3))
    assert [row.reason for row in rows] == [None] * 24
    assert server.most["a.test"] == 3

    server.times.clear()
    fetch(
        [f"http://b.test/ok?{n}" for n in range(5)],
        options(server.port, host_delay=0.05, robots=False, read_tdm_file=False),
    )
    gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(server.times))]
    assert len(gaps) == 4
    assert min(gaps) > 0.03


def test_a_host_that_keeps_failing_is_left_alone(server):
    dead = (ResolveRule("dead.test", "127.0.0.1", 1), ResolveRule("*.test", "127.0.0.1", server.port))
    chosen = options(server.port, resolve=dead, retries=0, concurrency=1, host_failures=3, host_probe=4)
    commons = Commons()
    reasons = []
    for number in range(9):
        (row,) = fetch([f"http://dead.test/{number}"], chosen, commons)
        reasons.append(row.reason)
    given_up = "host_given_up"
    assert reasons == ["connect"] * 3 + [given_up] * 3 + ["connect"] + [given_up] * 2
    assert fetch(["http://alive.test/ok"], chosen, commons)[0].reason is None


def test_retry_after_pauses_the_whole_host_but_never_past_the_deadline(server):
    started = time.monotonic()
    (row,) = fetch(["http://a.test/wait-long"], options(server.port, deadline=30.0, retries=5))
    assert (row.reason, row.attempts) == ("http_429", 1)
    assert time.monotonic() - started < 1


def test_urls_are_pulled_as_room_becomes_free_and_stopping_early_leaves_nothing(server):
    pulled = itertools.count()
    urls = ((index, f"http://a.test/ok?{next(pulled)}") for index in itertools.count())
    stream = fetch_all(urls, options(server.port, concurrency=4), commons=Commons())
    assert len([row for _, row in itertools.islice(stream, 10) if row.reason is None]) == 10
    stream.close()
    assert next(pulled) <= 10 + 8 * 4
    time.sleep(0.3)  # what was on its way when the stream was closed arrives
    asked = sum(server.asked.values())
    time.sleep(0.1)
    assert sum(server.asked.values()) == asked


def test_large_bodies_are_held_within_their_budget(server):
    chosen = options(server.port, large_bytes=1000, held_bytes=10_000, max_bytes=8_000, concurrency=16)
    rows = fetch([f"http://a.test/ok?{n}" for n in range(40)], chosen)
    assert [len(row.body or b"") for row in rows] == [4096] * 40


@pytest.mark.parametrize("name", ["timeout", "deadline", "concurrency"])
def test_options_are_checked_at_construction(name):
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        FetchOptions(**{name: 0})
