"""Listed words found in texts, written out: whole words, in many scripts, and lists that are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from filters.blocklist import Blocklist, Profanity
from filters.registry import make_scorer
from filters.scorer import Batch, Scorer
from schemas.refusal import Refusal

WORDS = ("bar", "Long Island", "c++", "b@r", "赤", "été", "foo-baz", "O'Neil", "हिन्दी", "รถ", "ﬁre")


def found(scorer: Scorer, texts: list[str | None]) -> list[tuple[int, str | None]]:
    columns = scorer.score(Batch(pa.table({"text": pa.array(texts, pa.string())})), scorer.load()).columns
    assert columns.schema == scorer.schema
    return list(zip(*(columns[name].to_pylist() for name in columns.column_names), strict=True))


@pytest.mark.parametrize(
    ("text", "hits", "entry"),
    [
        ("", 0, None),
        (None, 0, None),
        ("Bar, grill", 1, "bar"),
        ("bar_3.jpg", 1, "bar"),
        ("barn, rebar", 0, None),
        ("ｂａｒ", 1, "bar"),
        ("bar bar BAR", 3, "bar"),
        ("bar\x00bar\n", 2, "bar"),
        ("Long-Island tea at the bar", 2, "long island"),
        ("long islands", 0, None),
        ("written in C++, mostly", 1, "c++"),
        ("c + +", 0, None),
        ("at the b@r!", 1, "b@r"),
        ("jimb@rnet", 0, None),
        ("赤い車", 1, "赤"),
        ("ÉTÉ", 1, "été"),
        ("e\u0301te\u0301", 1, "été"),
        ("Foo Baz", 1, "foo baz"),
        ("the O’Neil brothers", 1, "o neil"),
        ("यह हिन्दी है", 1, "हिन्दी"),
        ("ขับรถสีแดง", 1, "ร ถ"),
        ("camp FIRE", 1, "fire"),
        ("x" * 1_000_000, 0, None),
        ("bar " * 250_000, 250_000, "bar"),
    ],
)
def test_entries_stand_as_whole_words(text: str | None, hits: int, entry: str | None) -> None:
    assert found(Blocklist(words=WORDS), [text]) == [(hits, entry)]


def test_rows_do_not_depend_on_their_neighbours() -> None:
    texts = ["a bar", None, "", "c++", "nothing", "赤 bar"] * 40
    scorer = Blocklist(words=WORDS)
    assert found(scorer, texts) == [found(scorer, [text])[0] for text in texts]
    assert found(scorer, []) == []


def test_a_file_has_an_entry_a_line(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt.gz"
    plain.write_text("\ufeff# brands\n\nAcme\n  Globex Corp \n", encoding="utf-8")
    packed.write_bytes(gzip.compress(b"initech\n"))
    scorer = make_scorer({"blocklist": {"files": [str(plain), str(packed)], "as": "brands"}})
    scorer.check_files({})
    assert list(scorer.outputs) == ["brands_blocklist_hits", "brands_blocklist_entry"]
    assert found(scorer, ["an ACME anvil", "GLOBEX corp.", "Initech Acme", "brands"]) == [
        (1, "acme"), (1, "globex corp"), (2, "initech"), (0, None),
    ]  # fmt: skip
    before = scorer.configuration()
    plain.write_text("acme\n")
    assert scorer.configuration() != before
    moved = tmp_path / "moved.txt"
    moved.write_text("acme\n")
    again = make_scorer({"blocklist": {"files": [str(moved), str(packed)], "as": "brands"}})
    assert again.configuration() == scorer.configuration()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"list\.txt cannot be read as a list of words: No such file"),
        (b"", r"list\.txt lists nothing"),
        (b"# only a comment\n", r"list\.txt lists nothing"),
        (b"\xff\xfe\x00a", r"list\.txt cannot be read as a list of words"),
        (b"PAR1\x00\x01\n", r"list\.txt is no list of words, one a line"),
        (b"x" * 600, r"list\.txt is no list of words, one a line: it holds 'xxx"),
    ],
)
def test_a_file_that_is_no_list_is_refused_at_launch(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "list.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refusal, match=message) as refused:
        make_scorer({"blocklist": {"files": [str(file)]}}).check_files({})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give `files`, paths of lists with an entry a line, or `words`"),
        ({"words": ["!!", " "]}, "`words` holds no letter or digit"),
        ({"words": ["a"], "text": ""}, "`text` must name a column"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        make_scorer({"blocklist": options})


def test_profanity_is_looked_for_in_the_languages_named() -> None:
    texts = [
        "what a load of bullshit",
        "a Bullshit! sign",
        "classical assassin",
        "so ein Arschloch",
        "",
        None,
        "a red car",
    ]
    hits = [count for count, _ in found(Profanity(), texts)]
    assert hits == [1, 1, 0, 0, 0, 0, 0]
    german = make_scorer({"profanity": {"languages": ["de", "en"]}})
    german.check_files({})
    assert [count for count, _ in found(german, texts)] == [1, 1, 0, 1, 0, 0, 0]
    assert german.configuration() != Profanity().configuration()
    with pytest.raises(Refusal, match="unknown language 'xx'; known: ar, cs"):
        Profanity(languages=("xx",))
    with pytest.raises(Refusal, match="`languages` must name at least one"):
        Profanity(languages=())
