"""URLs as browsers read them (WHATWG), and where each would really be reached.

In: a URL in any spelling. Out: a Target (serialised, without credentials and fragment), or Failed.
"""

from __future__ import annotations

from dataclasses import dataclass

import ada_url

from beam_jobs.fetching.addresses import ResolveRule, is_numeric, rule_for, why_refused
from schemas.reasons import Failed

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Target:
    """One request's destination. `host` is lower case, without brackets; `authority` is the Host header."""

    href: str
    secure: bool
    host: str
    port: int
    authority: str
    path: str
    rule: ResolveRule | None

    @property
    def origin(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}"


def parse_target(url: str, rules: tuple[ResolveRule, ...], *, base: str | None = None) -> Target:
    """Parses, strips credentials and fragment, and refuses forbidden schemes and numeric addresses."""
    try:
        parsed = ada_url.URL(url.strip(), base=base) if base is not None else ada_url.URL(url.strip())
    except (ValueError, UnicodeError) as error:
        raise Failed("invalid_url", f"not a URL: {url[:200]!r}") from error
    href = parsed.href
    if not href.startswith(("http://", "https://")):
        raise Failed("unsupported_scheme", f"scheme {parsed.protocol[:40]!r} is neither http nor https")
    if "@" in href or "#" in href:
        parsed.username = parsed.password = parsed.hash = ""
        href = parsed.href
    scheme, _, rest = href.partition("://")
    authority, slash, path = rest.partition("/")
    host, port = _split(authority)
    rule = rule_for(host, rules)
    if rule is None and is_numeric(host):
        why = why_refused(host)
        if why is not None:
            raise Failed("blocked_address", f"{host} is not a public address: {why}")
    return Target(
        href=href,
        secure=scheme == "https",
        host=host,
        port=port or _DEFAULT_PORTS[scheme],
        authority=authority,
        path=slash + path,
        rule=rule,
    )


def _split(authority: str) -> tuple[str, int]:
    """The host without brackets, and the port, 0 where it is the scheme's own, of a serialised URL."""
    host, _, port = authority.rpartition(":")
    if not host or port.endswith("]"):
        return authority.strip("[]"), 0
    return host.strip("[]"), int(port)
