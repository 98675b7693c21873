"""Whether a URL's store can be reached from here, asked once at launch.

In: a path or an fsspec URL that a user gave. Out: nothing, or a Refusal in one line: a protocol that nobody knows, one
whose client is not installed (with the extra that brings it), or a store that does not answer or lets nobody in.
"""

from __future__ import annotations

from collections.abc import Mapping

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.refusal import Refusal, unknown

# The protocols whose clients come with an extra of ours.
EXTRAS: Mapping[str, str] = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcp",
    "gcs": "gcp",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
_OURS = ("file", "memory", "http", "https", *EXTRAS)
_LONGEST = 200


def check_store(url: str, *, named: str) -> None:
    """Asks the store for the path once. named: the option that gave the URL.

    What lies there, if anything, plays no part.
    """
    protocol = fsspec.core.split_protocol(url)[0] or "file"
    if protocol not in fsspec.available_protocols():
        raise unknown("protocol", protocol, _OURS, where=named)
    try:
        fs, path = fsspec.core.url_to_fs(url)
        if not isinstance(fs, LocalFileSystem):
            fs.exists(path)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        install = f"pip install 'pairmill[{extra}]'" if extra else str(error)
        raise Refusal(f"{named}: the client of {protocol}:// is not installed: {_line(install)}") from error
    except Exception as error:  # each store's client has errors of its own, without a common base
        why = _line(str(error)) or type(error).__name__
        raise Refusal(f"{named}: {protocol}:// cannot be reached with what is configured here: {why}") from error


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]
