"""robots.txt by RFC 9309, and the tags of answers."""

from __future__ import annotations

import time

import pytest

from beam_jobs.fetching.robots import parse_robots
from beam_jobs.fetching.tags import forbidding_tag, reserves_mining, robots_directives

GROUPS = b"""\xef\xbb\xbf# comment
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-agent: barbot
User-agent: PairMill/1.0
Disallow: /example/page.html

user-agent: quxbot
"""


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/other", False),
        ("foobot", "/robots.txt", True),
        ("barbot", "/example/page.html", False),
        ("barbot", "/example/other", True),
        ("pairmill", "/example/page.html", False),
        ("quxbot", "/example/page.html", True),
        ("nobody", "/example/page.html", False),
        ("nobody", "/publications/x.gif", True),
        ("nobody", "/x.gif", False),
        ("nobody", "/x.gif?y", True),
    ],
)
def test_groups_of_the_rfc(agent, path, allowed):
    assert parse_robots(GROUPS, agent).allows(path) is allowed


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/foo", "/foobar", True),
        ("/foo", "/Foo", False),
        ("/foo$", "/foo", True),
        ("/foo$", "/foobar", False),
        ("/a*c", "/abbbc/d", True),
        ("/a*c$", "/abcbc", True),
        ("/a*c$", "/abcd", False),
        ("/*/x*y$", "/1/2/x3y", True),
        ("*", "/", True),
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-x.html", False),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/a%2Fb", "/a/b", False),
    ],
)
def test_patterns(pattern, path, matches):
    rules = parse_robots(f"User-agent: *\nDisallow: {pattern}\n".encode(), "pairmill")
    assert rules.allows(path) is not matches


def test_groups_of_one_agent_are_merged_and_longer_rules_win():
    rules = parse_robots(b"user-agent: a\ndisallow: /p\n\nuser-agent: a\nallow: /p/q\nallow: /r\ndisallow: /r\n", "A")
    assert [rules.allows(path) for path in ("/p/x", "/p/q/x", "/r")] == [False, True, True]


@pytest.mark.parametrize(
    "data", [b"", b"<html>", bytes(range(256)) * 20, b"disallow: /\n", b"user-agent: *\ndisallow:\n"]
)
def test_files_that_forbid_nothing(data):
    assert parse_robots(data, "pairmill").allows("/x")


def test_a_hostile_pattern_takes_no_time():
    rules = parse_robots(b"user-agent: *\ndisallow: /" + b"*a" * 2000 + b"b\n", "pairmill")
    started = time.monotonic()
    assert rules.allows("/" + "a" * 8000)
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize(
    ("lines", "forbidding"),
    [
        (["noai"], "noai"),
        (["NoImageAI, nofollow"], "noimageai"),
        (["nofollow"], None),
        (["none"], "none"),
        (["noml"], "noml"),
        (["otherbot: noai"], None),
        (["otherbot: noindex, noai"], None),
        (["otherbot: nofollow, pairmill: noindex"], "noindex"),
        (["otherbot: noai", "noimageindex"], "noimageindex"),
        (["pairmill: noai"], "noai"),
        (["*: noai"], "noai"),
        (["noindex: x"], None),
        (["max-snippet: 5, noai"], "noai"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], None),
        ([], None),
        ([", ,:"], None),
    ],
)
def test_tags(lines, forbidding):
    words = ("noai", "noimageai", "noindex", "noimageindex", "noml", "none")
    assert forbidding_tag(lines, "pairmill", words) == forbidding


def test_directives_and_reservations():
    assert robots_directives(["noindex,nofollow"], "x") == ["noindex", "nofollow"]
    assert reserves_mining(["1"])
    assert not reserves_mining(["0", "yes"])
