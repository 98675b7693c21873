"""The grouper that marks placeholders: one content that stands under many URLs and texts that have nothing in common.

"Image not available", a hotlink warning, an empty advertisement: the bytes are the same, the pairs are all wrong. In:
the section's plain values. Out: frozen options, and the columns that they make. No row is dropped or joined.

    group:
      - placeholders                                         # the columns of the defaults
      - placeholders: {urls: 50, texts: 50, hosts: 3}
    select:
      - drop: placeholder
        reason: placeholder
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.grouping_checks import check_label, check_whole


@dataclass(frozen=True)
class PlaceholdersOptions:
    """Contents, by the SHA-256 of the bytes as fetched, that stand under too many URLs to be a picture of something.

    urls, texts, hosts: a content is a placeholder once it stands under at least so many different URLs, with at least
    so many different texts, at at least so many hosts. A logo has one URL on all pages; a picture that went round the
    web has many URLs but few texts, unless it went very far: the counts are columns, for a rule of the recipe's own.
    """

    urls: int = 20
    texts: int = 10
    hosts: int = 1
    label: str = "placeholder"

    def __post_init__(self) -> None:
        for name in ("urls", "texts", "hosts"):
            value = getattr(self, name)
            check_whole(name, value)
            if value == 0:
                raise ValueError(f"{name}: expected a whole number of at least 1; given 0")
        if self.urls < 2:
            raise ValueError(f"urls: expected at least 2, since every image has one; given {self.urls}")
        check_label(self.label)

    @property
    def keep(self) -> tuple[str, ...]:
        """Preferences among copies: none."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The score columns that it compares: none."""
        return ()

    @property
    def columns(self) -> dict[str, str]:
        """What the sidecar holds beside uid: column name to Arrow type name."""
        return {
            self.label: "bool",
            f"{self.label}_urls": "int32",
            f"{self.label}_texts": "int32",
            f"{self.label}_hosts": "int32",
        }
