"""Which network addresses may be reached, and the `--resolve` rules that are the only way to the others.

In: numeric addresses, host names, `PATTERN=HOST:PORT`. Out: why an address is refused, or None; parsed rules.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.refusal import Refusal

_V4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by carriers",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "cloud metadata",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
# Only 2000::/3 is handed out for use on the Internet; these parts of it, and all else, are not.
_V6 = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::ffff:0:0/96": "IPv4-mapped",
    "::/96": "IPv4-compatible",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "2001::/32": "Teredo",
    "2001::/23": "reserved for protocols",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
_V4_NETWORKS = [(ipaddress.IPv4Network(net), why) for net, why in _V4.items()]
_V6_NETWORKS = [(ipaddress.IPv6Network(net), why) for net, why in _V6.items()]
_V6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_ISATAP = (0x00005EFE, 0x02005EFE)
_RULE = re.compile(r"(?P<pattern>[^=\s]+)=(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:=\s]+)):(?P<port>[0-9]+)")


def why_refused(address: str) -> str | None:
    """Why a numeric address may not be reached, in a word or two; None when it may.

    Raises ValueError when `address` is no numeric address.
    """
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return next((why for net, why in _V4_NETWORKS if ip in net), None)
    for net, why in _V6_NETWORKS:
        if ip in net:
            return why
    if ip not in _V6_GLOBAL:
        return "reserved"
    if (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "ISATAP"
    return None


def is_numeric(host: str) -> bool:
    """Whether a host, as a URL serialises it without brackets, is an address and not a name."""
    try:
        ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class ResolveRule:
    """Hosts that match `pattern` (as a shell's, without case) are reached at `host`:`port`, wherever that is."""

    pattern: str
    host: str
    port: int

    def matches(self, hostname: str) -> bool:
        return fnmatch.fnmatchcase(hostname.lower(), self.pattern)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.pattern}={host}:{self.port}"


def parse_resolve(text: str) -> ResolveRule:
    """A rule from `PATTERN=HOST:PORT`; an IPv6 HOST stands in brackets. Refusal when malformed."""
    found = _RULE.fullmatch(text.strip())
    if found is None:
        raise Refusal(f"--resolve expects PATTERN=HOST:PORT, such as *.test=127.0.0.1:8080; got {text!r}")
    port = int(found["port"])
    if not 1 <= port <= 65535:
        raise Refusal(f"--resolve expects a port of 1 to 65535; got {port} in {text!r}")
    if found["six"] is not None and not is_numeric(found["six"]):
        raise Refusal(f"--resolve expects an IPv6 address in brackets; got {found['six']!r} in {text!r}")
    return ResolveRule(found["pattern"].lower(), (found["six"] or found["host"]).lower(), port)


def rule_for(hostname: str, rules: Iterable[ResolveRule]) -> ResolveRule | None:
    """The first rule that matches, or None."""
    return next((rule for rule in rules if rule.matches(hostname)), None)
