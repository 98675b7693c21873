from __future__ import annotations

import pyarrow as pa
import pytest

from filters.clean_text import clean
from filters.registry import make_scorer
from filters.scorer import Batch
from schemas.refusal import Refusal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My Dog [OC] (1920x1080) at the beach", "my dog at the beach"),
        ("Mountains 4000 x 3000 seen from Gruy\u00e8res", "mountains seen from gruyeres"),
        ("Thanks @some_user.1 for   the\n cake", "thanks <usr> for the cake"),
        ("mail me@home.org", "mail me@home.org"),
        ("sch\u00c3\u00b6n &amp; gut", "schon & gut"),
        ("\u732b \u2764", ""),
        ("open (bracket stays", "open (bracket stays"),
        ("", ""),
    ],
)
def test_the_chain_of_redcaps(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_steps_may_be_left_out_and_null_stays_null() -> None:
    scorer = make_scorer({"clean_text": {"steps": ["spaces", "lower"]}})
    found = scorer.score(Batch(pa.table({"uid": ["a", "b"], "text": ["A  (b)\tC", None]})), None).columns
    assert found.to_pydict() == {"text_clean": ["a (b) c", None]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"steps": ["upper"]}, "scorer 'clean_text': unknown step 'upper'; known: ascii, brackets, lower, repair"),
        ({"steps": []}, "scorer 'clean_text': steps: expected at least one; given none"),
        ({"text": ""}, "scorer 'clean_text': `text` must name a column of texts; given ''"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], expected: str) -> None:
    with pytest.raises(Refusal) as caught:
        make_scorer({"clean_text": options})
    assert str(caught.value).startswith(expected)
