"""A judge's answers read, and captions held against what was detected."""

from __future__ import annotations

import pytest

from captioners.judging import COLUMNS, PROMPT, Judgement, judge_values, judgements, read_judgement
from captioners.objects import Vocabulary, check_objects, plural
from captioners.prompts import find_prompt


def test_the_question_is_clairs() -> None:
    values = judge_values(["a red ring ", ""], ["Ring.", "two rings"])
    assert find_prompt(PROMPT, {}).fill(values) == (
        "You are trying to tell if a candidate set of captions is describing the same image as a reference set of "
        "captions.\nCandidate set:\n- a red ring\nReference set:\n- Ring.\n- two rings\n"
        "On a precise scale from 0 to 100, how likely is it that the candidate set is describing the same image as "
        'the reference set? (JSON format, with a key "score", value between 0 and 100, and a key "reason" with a '
        "string value.)"
    )


@pytest.mark.parametrize(
    ("answer", "score", "reason"),
    [
        ('{"score": 85, "reason": "both name rings"}', 0.85, "both name rings"),
        ('Sure! ```json\n{"score": "40", "reason": "one {brace}"}\n``` Bye.', 0.4, "one {brace}"),
        ('{"thought": {"a": 1}} {"score": 12.5}', 0.125, ""),
        ('{"score": "90%", "reason": 3}', 0.9, ""),
        ('{"score": 70, "reason": "it was cut o', 0.7, ""),
        ('{"score": 0, "reason": "no"}', 0.0, "no"),
    ],
)
def test_a_score_is_found(answer: str, score: float, reason: str) -> None:
    assert read_judgement(answer) == Judgement(pytest.approx(score), reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"score": 101}', "the score is no number from 0 to 100: 101"),
        ('{"score": -1}', "the score is no number from 0 to 100: -1"),
        ('{"score": true}', "the score is no number from 0 to 100: True"),
        ('{"score": "high"}', "the score is no number from 0 to 100: 'high'"),
        ('{"score": NaN}', "the score is no number from 0 to 100: nan"),
        ("Score: 80", "the answer holds no JSON with a score: 'Score: 80'"),
        ('{"reason": "none"}', 'the answer holds no JSON with a score: \'{"reason": "none"}\''),
        ("", "the answer holds no JSON with a score: ''"),
        ("{" * 5000, "the answer holds no JSON with a score: '" + "{" * 79),
    ],
)
def test_what_is_no_judgement_says_so(answer: str, reason: str) -> None:
    assert read_judgement(answer) == Judgement(None, reason)


def test_columns_of_captions_are_empty_where_nothing_was_judged() -> None:
    table = judgements(['{"score": 50, "reason": "half"}', "a red ring", "{no}"])
    assert table.schema.names == list(COLUMNS)
    assert table.to_pylist() == [
        {"caption_score": 0.5, "caption_score_reason": "half"},
        {"caption_score": None, "caption_score_reason": None},
        {"caption_score": None, "caption_score_reason": "the answer holds no JSON with a score: '{no}'"},
    ]


def test_objects_are_named_in_either_number_and_the_longest_name_counts() -> None:
    vocabulary = Vocabulary(["dog", "hot dog", "Bus", "berry", "glass", "glasses", "fire_hydrant"])
    assert vocabulary.of("Two hot-dogs, a DOG and three buses") == ["hot dog", "dog", "bus"]
    assert vocabulary.of("berries beside a fire hydrant; a dogma") == ["berry", "fire hydrant"]
    assert vocabulary.of("a glass") == ["glass"]
    assert Vocabulary([]).of("a dog") == []
    assert [plural(name) for name in ("box", "toy", "city", "cup")] == ["boxes", "toys", "cities", "cups"]


def test_invented_objects_are_those_that_were_not_detected() -> None:
    vocabulary = Vocabulary(["dog", "cat", "ball", "tree"])
    captions = ["A dog and a cat play with balls", "a red kite", "a cat", "a tree"]
    table = check_objects(captions, [["Dog", "ball", "kite", "tree"], "dog, tree", None, []], vocabulary)
    assert table.to_pylist() == [
        {
            "caption_objects": ["dog", "cat", "ball"],
            "caption_invented": ["cat"],
            "caption_invented_share": pytest.approx(1 / 3),
            "caption_missed": ["tree"],
        },
        {
            "caption_objects": [],
            "caption_invented": [],
            "caption_invented_share": 0.0,
            "caption_missed": ["dog", "tree"],
        },
        {
            "caption_objects": ["cat"],
            "caption_invented": None,
            "caption_invented_share": None,
            "caption_missed": None,
        },
        {
            "caption_objects": ["tree"],
            "caption_invented": ["tree"],
            "caption_invented_share": 1.0,
            "caption_missed": [],
        },
    ]
