"""Values as people read them, and texts of the web made harmless to look at."""

from __future__ import annotations

import pytest

from beam_jobs.report.display import compact, duration, file_size, host_of, measure, number, plural, share, tidy


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 7, "0%"),
        (7, 7, "100%"),
        (1, 3, "33.3%"),
        (1, 100_000, "<0.1%"),
        (99_999, 100_000, ">99.9%"),
        (0, 0, "\u2013"),
    ],
)
def test_shares_never_round_something_to_nothing(part: int, whole: int, shown: str) -> None:
    assert share(part, whole) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.30000001, "0.3"),
        (0.28456, "0.2846"),
        (-0.5, "\u22120.5"),
        (12.0, "12"),
        (1234.4, "1,234"),
        (0.00001234, "1.2e-05"),
        (12_500_000.0, "12.5M"),
        (float("nan"), "\u2013"),
    ],
)
def test_measure(value: float, shown: str) -> None:
    assert measure(value) == shown


def test_numbers_with_their_units() -> None:
    assert number(1_234_567) == "1,234,567"
    assert compact(12_500) == "12.5k"
    assert compact(3_000_000) == "3M"
    assert file_size(999) == "999 B"
    assert file_size(1_540_000) == "1.5 MB"
    assert duration(3.25) == "3.2 s"
    assert duration(130) == "2 min 10 s"
    assert duration(4000) == "1 h 7 min"
    assert plural(1, "pair") == "1 pair"
    assert plural(1200, "copy", "copies") == "1,200 copies"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("  two\n\twords\u00a0here ", "two words here"),
        ("\u202egnp.exe\u202c", "\ufffdgnp.exe\ufffd"),
        ("a\x00b\x1b[31mc", "a\ufffdb\ufffd[31mc"),
        ("Z" + "\u0301" * 50 + "algo", "Z" + "\u0301" * 4 + "algo"),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_tidy_keeps_letters_and_shows_controls(text: str | None, shown: str) -> None:
    assert tidy(text) == shown


def test_tidy_cuts_and_says_how_long_the_text_was() -> None:
    assert tidy("word " * 2048, limit=11) == "word word w… (10,240 characters)"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://User:pw@Pictures.Example.org:8443/a.jpg", "pictures.example.org"),
        ("http://[2001:db8::1]/a.jpg", "2001:db8::1"),
        ("http://[broken/a.jpg", ""),
        ("mailto:a@b.c", ""),
        (None, ""),
    ],
)
def test_host_of(url: str | None, host: str) -> None:
    assert host_of(url) == host
