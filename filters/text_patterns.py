"""What a text looks like: a file name, boilerplate, or something that holds a URL, an e-mail or a phone number.

In: a column of texts. Out: one boolean each. The patterns run in Rust's regex engine, in time linear in the text;
they are meant for alt-texts and know nothing of context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Pattern:
    """A regular expression searched for anywhere in the text, case ignored."""

    meaning: str
    alternatives: tuple[str, ...]

    @property
    def expression(self) -> str:
        return "(?i)(?:" + "|".join(self.alternatives) + ")"


_SUFFIXES = "jpe?g|jfif|png|gif|webp|svg|bmp|tiff?|avif|heic|ico|psd|cr2|nef|eps|pdf"
_CAMERAS = (
    "img|image|imagen|dscn?|dscf|picture|pict?|photo|foto|bild|screenshot|screen shot|scan|mvi|pxl|vlcsnap|wp|gopr"
)
_GENERIC = (
    "image|images|img|picture|pic|photo|photograph|foto|bild|imagen|logo|icon|banner|avatar|thumbnail|thumb|"
    "placeholder|untitled|undefined|null|none|nan|spacer|blank|default|header|footer|background|button|arrow|"
    "facebook|twitter|instagram|pinterest|youtube|linkedin|loading|close|menu|search|share|download|print|home|back|"
    "previous|next|ads?|advertisement|alt text|read more|learn more|see more|click here|click to (?:enlarge|zoom)|"
    "click (?:image to enlarge|for larger image)|enlarge image|view (?:full size|larger image)|full size image|"
    "no (?:image|photo)(?: available)?|image (?:not (?:found|available)|may contain|description|result)|"
    "(?:profile|cover|header|featured|hero|main|product|article|post|blog|related|default|background|loading|stock) "
    "(?:image|picture|photo)|(?:user|profile) avatar|(?:site|company|brand) logo|"
    "share on (?:facebook|twitter|social media)|all rights reserved|(?:next|previous) page|log in|"
    "subscribe|free shipping|photo of the day|"
    "close (?:window|dialog)|zoom(?: (?:in|out))?|sign (?:in|up)(?: (?:for|to) (?:our|the) newsletter)?|"
    "(?:buy|shop|order) now(?:[\\W_]+free (?:shipping|delivery))?|add to (?:cart|basket|wishlist)|"
    "skip to (?:main )?content|zum vergrö(?:ß|ss)ern (?:bitte )?klicken|kein bild(?: vorhanden)?|"
    "cliquez pour agrandir|haga clic para ampliar|clicca per ingrandire|klik om te vergroten"
)

# A word's edge in ASCII letters and digits; Unicode's would make the engine many times slower on other scripts.
EDGE = r"(?-u:\b)"

PATTERNS: Mapping[str, Pattern] = {
    "is_file_name": Pattern(
        "whether the text is a file name, a camera's or a content system's number, or a hash",
        (
            rf"^\s*(?:\S+\s){{0,3}}\S+\.(?:{_SUFFIXES})\s*$",
            rf"^\s*(?:{_CAMERAS})[\s_#()\-]*\d[\d\s_()\-]*$",
            r"^\s*[0-9a-f]{16,}\s*$",
            r"^\s*[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\s*$",
            r"^\s*\d[\d_.x\-]{4,}\s*$",
            r"^\s*[a-z0-9]+(?:_[a-z0-9]+){2,}\s*$",
        ),
    ),
    "is_boilerplate": Pattern(
        "whether the text is nothing but a page's furniture (image, logo, click to enlarge ...), in English mostly",
        (rf"^[\W_]*(?:{_GENERIC})[\W\d_]*$",),
    ),
    "has_url": Pattern(
        "whether the text holds a URL or a bare .com, .net, .org, .edu, .gov, .info or .io name",
        (
            rf"{EDGE}(?:https?|ftp)://\S",
            rf"{EDGE}www\.[a-z0-9]",
            # Not what stands behind the @ of an e-mail address.
            rf"(?:^|[^a-z0-9@._%+\-])[a-z0-9][a-z0-9\-]*(?:\.[a-z0-9\-]+)*\.(?:com|net|org|edu|gov|info|io){EDGE}",
        ),
    ),
    "has_email": Pattern(
        "whether the text holds an e-mail address",
        (r"[a-z0-9._%+\-]+@[a-z0-9\-]+(?:\.[a-z0-9\-]+)*\.[a-z]{2,}",),
    ),
    "has_phone": Pattern(
        "whether the text holds a telephone number: international with +, or in North American or 0-prefixed form",
        (
            rf"\+\d(?:[\s.()\-]{{0,2}}\d){{7,14}}{EDGE}",
            rf"\(\d{{3}}\)\s?\d{{3}}[\s.\-]\d{{4}}{EDGE}",
            rf"{EDGE}\d{{3}}[.\- ]\d{{3}}[.\- ]\d{{4}}{EDGE}",
            rf"{EDGE}0\d{{2,4}}\s?[\s/\-]\s?\d{{3,4}}[\s\-]?\d{{3,5}}{EDGE}",
        ),
    ),
}


def matches(texts: pa.Array, pattern: Pattern) -> pa.BooleanArray:
    """Whether each text holds the pattern."""
    import polars as pl

    return pl.Series("text", texts).str.contains(pattern.expression).to_arrow()
