"""Addresses that must not be reached, one vector a test; rules; names whose answers change."""

from __future__ import annotations

import asyncio
import socket

import pytest

from beam_jobs.fetching.addresses import ResolveRule, parse_resolve, why_refused
from beam_jobs.fetching.commons import Commons
from beam_jobs.fetching.fetch import FetchOptions, fetch_all
from beam_jobs.fetching.names import Names
from beam_jobs.fetching.urls import parse_target
from schemas.reasons import Failed
from schemas.refusal import Refusal

REFUSED = {
    "0.0.0.0": "this network",
    "10.1.2.3": "private",
    "100.64.0.1": "shared by carriers",
    "100.100.100.200": "shared by carriers",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "cloud metadata",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "reserved for protocols",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.1.1": "private",
    "198.18.0.1": "benchmarking",
    "198.51.100.7": "documentation",
    "203.0.113.9": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:8.8.8.8": "IPv4-mapped",
    "::127.0.0.1": "IPv4-compatible",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "100::1": "reserved",
    "2001::1": "Teredo",
    "2001:0:7f00:1::": "Teredo",
    "2001:10::1": "reserved for protocols",
    "2001:db8::1": "documentation",
    "2002:7f00:1::1": "6to4",
    "2a00:1450::5efe:7f00:1": "ISATAP",
    "2a00:1450::200:5efe:7f00:1": "ISATAP",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
}
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.32.0.1",
    "192.167.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
]

HOSTS_THAT_MEAN_LOOPBACK = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "0x7F.0.0.0x1",
    "%31%32%37.0.0.1",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "me:pw@127.0.0.1",
    "example.org@127.0.0.1",
]


@pytest.mark.parametrize(("address", "why"), REFUSED.items())
def test_refused(address, why):
    assert why_refused(address) == why


@pytest.mark.parametrize("address", ALLOWED)
def test_allowed(address):
    assert why_refused(address) is None


@pytest.mark.parametrize("host", HOSTS_THAT_MEAN_LOOPBACK)
def test_spellings_of_loopback_in_a_url(host):
    with pytest.raises(Failed) as caught:
        parse_target(f"http://{host}/x", ())
    assert caught.value.reason == "blocked_address"


def test_a_private_address_in_a_redirect_relative_to_a_public_page():
    with pytest.raises(Failed) as caught:
        parse_target("//0x7f.1/x", (), base="http://example.org/")
    assert caught.value.reason == "blocked_address"


def test_a_name_of_a_private_address_is_not_connected_to():
    with socket.create_server(("127.0.0.1", 0)) as private:
        private.settimeout(0.1)
        url = f"http://inside.example:{private.getsockname()[1]}/"
        options = FetchOptions(timeout=0.3, deadline=1, retries=0)
        ((_, row),) = fetch_all([(0, url)], options, commons=Commons(lambda host: ["127.0.0.1"]))
        assert row.reason == "blocked_address"
        with pytest.raises(TimeoutError):
            private.accept()


def test_a_name_that_changes_its_address_between_attempts():
    """The first answer is public (and leads nowhere), the second is this machine: nothing must reach it."""
    answers = iter([["2000::1"], ["127.0.0.1"], ["127.0.0.1"]])
    with socket.create_server(("127.0.0.1", 0)) as private:
        private.settimeout(0.1)
        url = f"http://rebind.example:{private.getsockname()[1]}/"
        options = FetchOptions(timeout=0.2, deadline=2, retries=2, backoff=0.01, robots=False, read_tdm_file=False)
        commons = Commons(lambda host: next(answers), keep_names=0)
        ((_, row),) = fetch_all([(0, url)], options, commons=commons)
        assert (row.reason, row.attempts) == ("blocked_address", 2)
        with pytest.raises(TimeoutError):
            private.accept()


def test_of_mixed_answers_only_public_ones_remain():
    asked = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return ["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111"]

    async def ask() -> list[list[str]]:
        names = Names(lookup)
        return [*await asyncio.gather(*(names.addresses("mixed.example") for _ in range(5)))]

    assert asyncio.run(ask()) == [["8.8.8.8", "2606:4700::1111"]] * 5
    assert asked == ["mixed.example"]


def test_a_rule_opens_a_private_address_for_its_hosts_only(server):
    rule = parse_resolve(f"*.test=127.0.0.1:{server.port}")
    options = FetchOptions(timeout=5, deadline=15, retries=0, resolve=(rule,))
    urls = ["http://a.test/ok", f"http://127.0.0.1:{server.port}/ok", f"http://localhost:{server.port}/ok"]
    rows = dict(fetch_all(enumerate(urls), options, commons=Commons()))
    assert [rows[index].reason for index in range(3)] == [None, "blocked_address", "blocked_address"]
    assert rows[0].final_url == "http://a.test/ok"
    assert {header["host"] for header in server.headers} == {"a.test"}


def test_a_rule_for_an_address_itself(server):
    rule = ResolveRule("10.0.0.*", "localhost", server.port)
    options = FetchOptions(timeout=5, deadline=15, retries=0, resolve=(rule,))
    ((_, row),) = fetch_all([(0, "http://10.0.0.7:81/ok")], options, commons=Commons())
    assert row.reason is None
    assert server.headers[-1]["host"] == "10.0.0.7:81"


def test_rules_are_parsed():
    assert parse_resolve("*.Test=127.0.0.1:8080") == ResolveRule("*.test", "127.0.0.1", 8080)
    assert parse_resolve("a=[::1]:80") == ResolveRule("a", "::1", 80)
    assert str(parse_resolve("a=[::1]:80")) == "a=[::1]:80"
    assert parse_resolve("*=proxy.example:3128").matches("Anything.Example")


@pytest.mark.parametrize(
    "text", ["", "a.test", "a.test=host", "=h:1", "a=h:0", "a=h:65536", "a=h:x", "a=[zz]:1", "a=::1:80"]
)
def test_malformed_rules_are_refused(text):
    with pytest.raises(Refusal, match="--resolve expects"):
        parse_resolve(text)
