"""Lists of URLs, domains, uids and hashes: what counts as listed, and which files are no list."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.listed import pinned, where_listed
from filters.rules import judge
from schemas.recipe import parse_recipe
from schemas.recipe_steps import Listed
from schemas.refusal import Refusal


def listed(by: str, file: Path, *, verb: str = "drop_listed", of: str = "") -> Listed:
    column = f", of: {of}" if of else ""
    text = f"name: a\nselect: [{{{verb}: {{by: {by}, file: {file}{column}}}}}]"
    (step,) = pinned(parse_recipe(text, "a.yaml").select)
    assert isinstance(step, Listed)
    return step


def write(folder: Path, text: str, name: str = "list.txt") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/a.jpg", True),
        ("https://EXAMPLE.com./a.jpg", True),
        ("https://img.cdn.example.com:8443/a.jpg", True),
        ("https://user:word@example.com/", True),
        ("//example.com/a.jpg", False),
        ("https://notexample.com/a.jpg", False),
        ("https://example.com.evil.org/a.jpg", False),
        ("https://evil.org/example.com", False),
        ("https://evil.org/?@example.com/", False),
        ("https://a.b.tracker.org/x", True),
        ("https://tracker.org/x", False),
        ("https://m\u00fcnchen.de/x", True),
        ("https://xn--mnchen-3ya.de/x", True),
        ("http://10.0.0.7/x", True),
        ("http://7.10.0.0.7/x", False),
        ("http://[2001:db8::1]:80/x", True),
        ("data:image/png;base64,AA", False),
        (None, False),
    ],
)
def test_a_domain_lists_itself_and_its_subdomains(url: str | None, expected: bool, tmp_path: Path) -> None:
    text = "# blocked\nExample.com\n\n b.tracker.org \nm\u00fcnchen.de\n10.0.0.7\n[2001:db8::1]\n"
    step = listed("domain", write(tmp_path, text))
    assert where_listed(pa.array([url, "https://other.net/"], pa.string()), step).tolist() == [expected, False]


def test_a_url_is_the_same_in_canonical_form(tmp_path: Path) -> None:
    step = listed("url", write(tmp_path, "HTTPS://Example.com:443/a%7eb.jpg#top\n"), verb="keep_listed")
    urls = ["https://example.com/a~b.jpg", "https://example.com/A~b.jpg", "https://example.com/a~b.jpg?x=1", None]
    assert where_listed(pa.array(urls), step).tolist() == [True, False, False, False]
    found = judge(pa.table({"uid": ["a", "b", "c", "d"], "url": urls}), [step]).to_pylist()
    assert found == [None, "not_listed", "not_listed", "not_listed"]


def test_another_column_may_be_looked_up(tmp_path: Path) -> None:
    step = listed("domain", write(tmp_path, "shop.org"), of="page_url")
    pages = pa.table({"uid": ["a", "b"], "page_url": ["https://www.shop.org/1", None]})
    assert judge(pages, [step]).to_pylist() == ["listed", None]


def test_uids_and_hashes_come_as_text_parquet_or_a_subset_of_datacomp(tmp_path: Path) -> None:
    uids = [f"{n * 7919:032x}" for n in range(5)]
    column = pa.chunked_array([uids[:2], uids[2:]])
    pq.write_table(pa.table({"uid": [uids[1], uids[3], uids[3]]}), tmp_path / "kept.parquet")
    pairs = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in (uids[1], uids[3], uids[3])]
    np.save(tmp_path / "kept.npy", np.array(pairs, np.dtype("u8,u8")))
    text = write(tmp_path, f"{uids[1]}\n{uids[3]}\n", "kept.txt.gz")
    for file in (tmp_path / "kept.parquet", tmp_path / "kept.npy", text):
        assert where_listed(column, listed("uid", file)).tolist() == [False, True, False, True, False]
    digest = "AB" * 32
    step = listed("sha256", write(tmp_path, digest))
    assert where_listed(pa.array([digest.lower(), "ab" * 31 + "aa"]), step).tolist() == [True, False]


def test_uids_of_any_form_are_told_apart(tmp_path: Path) -> None:
    uids = ["0123456789abcdef" * 2, "0123456789ABCDEF" * 2, "0123456789abcdeg" * 2, "u1", "0123456789abcdef" * 2 + "0"]
    column = pa.array(uids)
    for number, uid in enumerate(uids):
        found = where_listed(column, listed("uid", write(tmp_path, f"{uid}\n", f"{number}.txt")))
        assert found.tolist() == [each == uid for each in uids]
    listed_all = listed("uid", write(tmp_path, "\n".join(uids[:3]), "three.txt"))
    assert where_listed(column, listed_all).tolist() == [True, True, True, False, False]
    assert where_listed(column[:1], listed_all).tolist() == [True]


def test_a_list_is_known_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    first, second = (listed("uid", write(tmp_path, "u1\n", name)) for name in ("a.txt", "b.txt"))
    assert first.to_json() == second.to_json()
    expected = "2cb5099ffe96f39d30715e945adc2cf2dc5d38f7effda571518d0cd1ab9af276"
    assert first.to_json()["drop_listed"] == {"by": "uid", "of": "uid", "sha256": expected}
    assert listed("uid", write(tmp_path, "u2\n", "a.txt")).sha256 != first.sha256


def test_a_list_that_changes_under_way_is_an_error(tmp_path: Path) -> None:
    step = listed("uid", write(tmp_path, "u1\n"))
    write(tmp_path, "u1\nu2\n")
    with pytest.raises(ValueError, match="has changed since the run was launched"):
        where_listed(pa.array(["u1"]), step)


@pytest.mark.parametrize(
    ("by", "name", "content", "expected"),
    [
        ("uid", "none.txt", None, "none.txt cannot be read as a list: "),
        ("uid", "empty.txt", b"# nothing\n\n", "empty.txt lists nothing"),
        ("uid", "bad.txt", b"\xff\xfe", "bad.txt cannot be read as a list: 'utf-8' codec"),
        (
            "domain",
            "urls.txt",
            b"https://a.org/\n",
            "urls.txt is no list of values of 'domain': it holds 'https://a.org/'",
        ),
        ("url", "hosts.txt", b"a.org\n", "hosts.txt is no list of values of 'url': it holds 'a.org'"),
        ("sha256", "short.txt", b"abcd\n", "short.txt is no list of values of 'sha256': it holds 'abcd'"),
        ("uid", "text.parquet", b"PAR0", "text.parquet cannot be read as a list: "),
        ("uid", "text.npy", b"abcd", "text.npy cannot be read as a list: "),
    ],
)
def test_what_is_no_list_is_refused(by: str, name: str, content: bytes | None, expected: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Refusal) as caught:
        listed(by, tmp_path / name)
    assert str(caught.value).startswith(f"a.yaml: select[0].drop_listed.file: {tmp_path}/{expected}")
    assert "\n" not in str(caught.value)


def test_a_subset_of_other_types_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.arange(3))
    with pytest.raises(Refusal, match="of type u8,u8; this is of int64"):
        listed("uid", tmp_path / "rows.npy")
