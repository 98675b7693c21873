"""Identities: of a pair (uid), of its place (order, shard key), of a configuration (fingerprint).

All are functions of their arguments alone: no process, machine or clock changes them.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

ORDER_BITS = 64


def uid(text: str, url: str) -> str:
    """The identity of a pair: md5(text + url) as 32 lowercase hex digits, as cc2dataset writes it.

    Lone surrogates, which UTF-8 cannot hold, count as the replacement character.
    """
    joined = (text + url).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()


def uid_order(uid: str) -> int:
    """A uniform 64-bit place for a uid: rows of a run are laid out in this order, so shards are shuffled."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big")


def sample_key(shard: int, index: int, *, rows_per_shard: int, width: int = 5) -> str:
    """img2dataset's key of row `index` of image shard `shard`: 9 digits for 10,000 rows a shard.

    It changes with the settings, and is never an identity.
    """
    digits = math.ceil(math.log10(rows_per_shard)) if rows_per_shard > 1 else 1
    return f"{10**digits * shard + index:0{width + digits}d}"


def fingerprint(configuration: Any) -> str:
    """SHA-256, in hex, of a JSON-like value in canonical form (sorted keys, no spaces)."""
    canonical = json.dumps(configuration, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
