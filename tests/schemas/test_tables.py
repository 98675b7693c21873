"""Tables are img2dataset's where they claim to be, and nothing enters them unseen."""

from __future__ import annotations

import pyarrow as pa
import pytest

from schemas.reasons import FAILURES, KEPT, Failed, is_rule_reason
from schemas.tables import IMAGES, IMG2DATASET, SELECTED, conform


def test_the_contract_columns_end_the_images_table_in_img2datasets_order() -> None:
    assert IMAGES.names[-len(IMG2DATASET) :] == [
        "caption",
        "url",
        "key",
        "status",
        "error_message",
        "width",
        "height",
        "original_width",
        "original_height",
        "exif",
        "sha256",
    ]


def test_conform_fills_absent_columns_with_nulls_and_casts() -> None:
    table = conform(pa.table({"keep": [True], "uid": ["a"]}), SELECTED)
    assert table.to_pylist() == [{"uid": "a", "keep": True, "reason": None}]
    assert table.schema == SELECTED


def test_conform_refuses_what_is_not_of_the_schema() -> None:
    with pytest.raises(ValueError, match=r"columns \['extra'\] are not of the schema"):
        conform(pa.table({"uid": ["a"], "extra": [1]}), SELECTED)


def test_a_failure_has_a_class_of_the_closed_list() -> None:
    assert str(Failed("http_404", "Not Found")) == "http_404: Not Found"
    with pytest.raises(KeyError):
        Failed("http_404_not_found", "Not Found")


@pytest.mark.parametrize("name", [KEPT, "dns", "http_503", "Two Words", "", "1st", "x" * 65])
def test_names_that_no_rule_may_bear(name: str) -> None:
    assert not is_rule_reason(name)


def test_every_status_code_from_400_is_a_class() -> None:
    assert {f"http_{code}" for code in range(400, 600)} <= set(FAILURES)
    assert is_rule_reason("text_too_short")
