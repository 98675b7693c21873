"""Texts that are drawn to be told apart: each with what is true of it, for measuring scorers of texts.

In: a seed and a count. Out: texts with their language and a set of marks, half of them lures that look like something
that they are not: version numbers beside URLs, dates beside telephone numbers, place names beside rude words. They
belong to no picture; the alt-texts of the embedded web are in `captions.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from beam_jobs.world.captions import boilerplate, file_name

# What may be true of a text.
MARKS = (
    "url", "email", "phone", "user", "repeated", "rude", "listed", "file_name", "boilerplate", "action", "described",
    "visible",
)  # fmt: skip
LISTED = ("Acme", "Globex Corporation", "blue widget")

_THINGS = (
    "car", "table", "house", "cat", "boat", "bridge", "flower", "bottle", "lamp", "horse", "bicycle", "tower", "apple",
    "jacket", "guitar", "statue",
)  # fmt: skip
_PROPERTIES = ("red", "small", "wooden", "old", "broken", "striped", "golden", "tall")
_PLACES = ("on a table", "in the garden", "near the river", "behind a fence", "under the bridge", "at the beach")
_DEEDS = (
    "A man riding a horse", "Two children are playing with a ball", "The chef cuts bread", "A boy climbing a tree",
    "A dog runs across the field", "Woman painting a wall", "A girl is eating an apple in the park",
    "Cat asleep, yawning", "Workers carry boxes into the house", "The bird flies over the lake",
    "People dance in the street", "surfing at dawn",
)  # fmt: skip
# Verbs, or words that look like them, and nothing is done in the picture.
_STILL = (
    "This picture shows a red car", "A parked car", "There is a cat on the table", "new running shoes",
    "the old building", "a painting of a horse", "Buy a wooden lamp now", "a well-known singer",
    "Click to see the tall tower", "swimming pool",
)  # fmt: skip
# What is thought, and whether something is said of it; the last ones borrow their words from things.
_THOUGHTS = (
    ("Our commitment to quality", True), ("Terms and conditions of service", True), ("Freedom and democracy", False),
    ("An introduction to economics", True), ("Reasons for success", True), ("Privacy policy and security", False),
    ("Why strategy matters", True), ("A bright future", True), ("The heart of the matter", True),
    ("Table of contents", True), ("Big ideas, small budgets", True), ("Cutting costs", False),
)  # fmt: skip
# The last ones are disguised.
_RUDE = (
    "what a load of bullshit", "shut up asshole", "a fucking mess", "shit happens", "you stupid bitch", "sh1t happens",
    "f*ck off", "what a b!tch",
)  # fmt: skip
_NOT_RUDE = (
    "a map of Scunthorpe", "the classical assassin", "a white cockatoo", "cocktail glasses in Essex", "grass and class",
    "shiitake mushrooms", "analysis of a canal",
)  # fmt: skip
_ADDRESSES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "url": (
        (
            "see https://example.org/a?b=c",
            "photo from www.example.net",
            "more at shop.example.com/red",
            "http://a.io",
            "visit example.shop",
            "ftp.example.de/pub",
        ),
        ("version 2.0.1 of it", "either/or", "a T.S. Eliot poem", "the end.Start again", "file.name.v2"),
    ),
    "email": (
        ("write to jane.doe@example.org", "MAIL: info@shop.example.com", "a+b@example.co", "jane (at) example.org"),
        ("3 kg @ 2 euros", "meet @ noon", "version@2"),
    ),
    "phone": (
        (
            "call +49 30 1234567",
            "(555) 123-4567",
            "Tel. 030 / 901820",
            "555-123-4567 now",
            "+1 (212) 555 0123",
            "01 23 45 67 89",
            "0800 123 456",
        ),
        (
            "2019-03-04",
            "1,299.00 euros",
            "1920 x 1080 pixels",
            "from 1995 to 2005",
            "10.000.000 people",
            "ISO 9001",
            "ISBN 978-3-16-148410-0",
        ),
    ),
    "user": (
        ("photo by @jane_doe", "@bob and friends", "thanks, @studio.north"),
        ("5 @ 3", "jane@example.org", "an @ sign", "a@", "@ 10.30"),
    ),
}
_LISTS: tuple[tuple[str, ...], tuple[str, ...]] = (
    ("the ACME anvil", "a Blue-Widget", "blue widgets and a blue widget", "by Globex Corporation."),
    ("pacmen", "Globex", "a blue and a widget", "acmes"),
)
_FOREIGN: Mapping[str, tuple[str, ...]] = {
    "de": (
        "Rote Handtasche aus Leder",
        "Blick aus dem Hotelzimmer",
        "Die alte Mühle im Winter",
        "Küchentisch aus Holz",
    ),
    "fr": (
        "Coucher de soleil sur le port",
        "Le vieux moulin en hiver",
        "Table de cuisine en bois",
        "Sac en cuir rouge",
    ),
    "es": ("Puesta de sol sobre el puerto", "El viejo molino en invierno", "Mesa de cocina de madera"),
    "it": ("Tramonto sul porto", "Vista dalla camera d'albergo", "Tavolo da cucina in legno"),
    "pt": ("Pôr do sol sobre o porto", "O velho moinho no inverno", "Mesa de cozinha de madeira"),
    "nl": ("Zonsondergang boven de haven", "De oude molen in de winter", "Houten keukentafel met vier stoelen"),
    "pl": ("Zachód słońca nad portem", "Stary młyn zimą", "Widok z pokoju hotelowego"),
    "tr": ("Liman üzerinde gün batımı", "Kışın eski değirmen", "Otel odasından manzara"),
    "ru": ("Закат над гаванью", "Старая мельница зимой", "Вид из номера отеля"),
    "uk": ("Захід сонця над гаванню", "Старий млин узимку", "Вид з номера готелю"),
    "el": ("Ηλιοβασίλεμα πάνω από το λιμάνι", "Ο παλιός μύλος τον χειμώνα"),
    "ar": ("غروب الشمس فوق الميناء", "منظر من غرفة الفندق"),
    "hi": ("बंदरगाह पर सूर्यास्त", "होटल के कमरे से दृश्य"),
    "ja": ("港の夕日", "冬の古い水車小屋", "公園で犬と遊ぶ二人の子供"),
    "zh": ("港口的日落", "冬天的老磨坊", "从酒店房间看到的景色"),
    "ko": ("항구의 일몰", "호텔 객실에서 본 전망"),
    "th": ("พระอาทิตย์ตกเหนือท่าเรือ", "วิวจากห้องพักโรงแรม"),
}


@dataclass(frozen=True)
class LabelledText:
    """A text, the code of its language ('' where it is in none), and what is true of it: some of MARKS."""

    text: str
    language: str
    marks: frozenset[str]


def labelled_texts(count: int, seed: int = 0) -> Iterator[LabelledText]:
    """So many texts, of every kind in turn."""
    for number in range(count):
        rng = random.Random(f"text {seed} {number}")
        yield _KINDS[number % len(_KINDS)](rng)


def _english(text: str, *marks: str) -> LabelledText:
    return LabelledText(text, "en", frozenset(marks))


def _described(rng: random.Random) -> LabelledText:
    text = f"a {rng.choice(_PROPERTIES)} {rng.choice(_THINGS)} {rng.choice(_PLACES)}"
    return _english(rng.choice((text, text.capitalize(), f"{text}.")), "described", "visible")


def _named(rng: random.Random) -> LabelledText:
    return _english(f"the {rng.choice(_THINGS)}", "visible")


def _deed(rng: random.Random) -> LabelledText:
    return _english(rng.choice(_DEEDS), "action", "described", "visible")


def _still(rng: random.Random) -> LabelledText:
    text = rng.choice(_STILL)
    return _english(text, "visible", *([] if text == "swimming pool" else ["described"]))


def _thought(rng: random.Random) -> LabelledText:
    text, is_described = rng.choice(_THOUGHTS)
    return _english(text, *(["described"] if is_described else []))


def _foreign(rng: random.Random) -> LabelledText:
    language = rng.choice(tuple(_FOREIGN))
    return LabelledText(rng.choice(_FOREIGN[language]), language, frozenset())


def _addressed(kind: str) -> Callable[[random.Random], LabelledText]:
    def draw(rng: random.Random) -> LabelledText:
        is_true = rng.random() < 0.5
        text = rng.choice(_ADDRESSES[kind][0 if is_true else 1])
        marks = {kind} if is_true else {"email"} if text == "jane@example.org" else set()
        return LabelledText(rng.choice((text, f"A lamp, {text}", f"{text}!")), "", frozenset(marks))

    return draw


def _repeated(rng: random.Random) -> LabelledText:
    if rng.random() < 0.5:
        said = rng.choice((f"cheap {rng.choice(_THINGS)}", rng.choice(_THINGS), f"buy a {rng.choice(_THINGS)} now"))
        return LabelledText(" ".join([said] * rng.randint(5, 9)), "", frozenset({"repeated"}))
    return LabelledText(f"a {rng.choice(_THINGS)} and a {rng.choice(_THINGS)} and a lamp", "", frozenset())


def _rude(rng: random.Random) -> LabelledText:
    is_true = rng.random() < 0.5
    return LabelledText(rng.choice(_RUDE if is_true else _NOT_RUDE), "", frozenset({"rude"} if is_true else ()))


def _listed(rng: random.Random) -> LabelledText:
    is_true = rng.random() < 0.5
    return LabelledText(rng.choice(_LISTS[0 if is_true else 1]), "", frozenset({"listed"} if is_true else ()))


def _file_name(rng: random.Random) -> LabelledText:
    return LabelledText(file_name(rng), "", frozenset({"file_name"}))


def _boilerplate(rng: random.Random) -> LabelledText:
    return LabelledText(boilerplate(rng), "", frozenset({"boilerplate"}))


_KINDS: tuple[Callable[[random.Random], LabelledText], ...] = (
    _described, _named, _deed, _still, _thought, _foreign, *map(_addressed, _ADDRESSES), _repeated, _rude, _listed,
    _file_name, _boilerplate, _foreign, _deed, _described,
)  # fmt: skip
