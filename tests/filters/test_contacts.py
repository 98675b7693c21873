"""Addresses found and masked in texts, written out."""

from __future__ import annotations

import pyarrow as pa
import pytest

from filters.contacts import Contacts
from filters.recipe_check import check_recipe
from filters.registry import make_scorers
from filters.scorer import Batch
from schemas.recipe import parse_recipe
from schemas.refusal import Refusal


def scored(text: str | None, **options: object) -> dict[str, object]:
    scorer = Contacts(mask=True, **options)  # type: ignore[arg-type]
    found = scorer.score(Batch(pa.table({"text": pa.array([text], pa.string())})), None).columns
    assert found.schema == scorer.schema
    return found.to_pylist()[0]


@pytest.mark.parametrize(
    ("text", "emails", "urls", "phones", "users", "masked"),
    [
        ("", 0, 0, 0, 0, ""),
        (None, 0, 0, 0, 0, None),
        ("a red car, 1984", 0, 0, 0, 0, "a red car, 1984"),
        ("see https://example.org/a?b=c, and www.shop.example/x.", 0, 2, 0, 0, "see <url>, and <url>."),
        ("(http://a.com/b) or travelblog.com/pics/1.jpg", 0, 2, 0, 0, "(<url>) or <url>"),
        ("Jane.Doe+x@mail.example.org or a@b.co!", 2, 0, 0, 0, "<email> or <email>!"),
        ("call +49 30 1234567 or (555) 123-4567", 0, 0, 2, 0, "call <phone> or <phone>"),
        ("photo by @jane_doe and @bob.", 0, 0, 0, 2, "photo by <usr> and <usr>."),
        ("@a @b", 0, 0, 0, 2, "<usr> <usr>"),
        ("写真 @neko https://例え.jp/猫 です", 0, 1, 0, 1, "写真 <usr> <url> です"),
        ("http:// @ version 2.0, 5 @ 3", 0, 0, 0, 0, "http:// @ version 2.0, 5 @ 3"),
        ("a@b.com\x00\nhttp://c.org\x00d", 1, 1, 0, 0, "<email>\x00\n<url>"),
    ],
)
def test_found_and_masked(
    text: str | None, emails: int, urls: int, phones: int, users: int, masked: str | None
) -> None:
    assert scored(text) == {
        "email_count": emails,
        "url_count": urls,
        "phone_count": phones,
        "user_count": users,
        "text_masked": masked,
    }


def test_a_megabyte_is_one_text_like_another() -> None:
    assert scored("x" * 1_000_000)["text_masked"] == "x" * 1_000_000
    assert scored("http://" + "a/" * 500_000 + "b now")["text_masked"] == "<url> now"
    assert scored("@" * 1_000_000)["user_count"] == 0


def test_words_in_their_place_are_a_choice_and_taken_to_the_letter() -> None:
    assert scored("@me a@b.com", user="$1", email="")["text_masked"] == "$1 "


def test_masking_is_on_request() -> None:
    assert list(Contacts(alias="alt").outputs) == [
        "alt_email_count", "alt_url_count", "alt_phone_count", "alt_user_count",
    ]  # fmt: skip
    assert list(Contacts(mask=True).outputs)[-1] == "text_masked"
    with pytest.raises(Refusal, match="`text` must name a column"):
        Contacts(text="")


def test_the_masked_text_can_be_written_as_the_caption() -> None:
    text = "name: a\nscore: [contacts: {mask: MASK}]\nwrite: {caption: text_masked}\n"
    for mask in (True, False):
        recipe = parse_recipe(text.replace("MASK", str(mask).lower()), "a.yaml")
        scorers = make_scorers(recipe.score)
        if mask:
            check_recipe(recipe, scorers=scorers)
        else:
            with pytest.raises(Refusal, match="captions come from no column 'text_masked'"):
                check_recipe(recipe, scorers=scorers)
