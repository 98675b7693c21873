"""Each packaged recipe on rows made for it: the good one is kept, and each other falls to the rule it is made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

Row = Mapping[str, Any]
Judge = Callable[[str, Sequence[Row]], list[str | None]]

# Behind the uid of the first row in the order of uids.
LATER = "a"
ENGLISH = "a dog that runs along the beach at noon"
GERMAN = "ein Hund, der mittags am Strand entlang l\u00e4uft"


@pytest.mark.parametrize(
    ("name", "good", "cases"),
    [
        (
            "filip",
            {"images_per_text": 10},
            [
                ({"text": "DSC_0123.JPG"}, "text_without_meaning"),
                ({"text": ""}, "text_without_meaning"),
                ({"text": GERMAN}, "not_english"),
                ({"images_per_text": 11}, "text_too_frequent"),
                ({"original_height": 200}, "image_too_long"),
                ({"original_height": 199}, "image_too_small"),
                ({"original_height": 214}, None),
            ],
        ),
        (
            "laion2b_en",
            {"clip_similarity": 0.28},
            [
                ({"text": "dogs"}, "text_too_short"),
                ({"text": GERMAN}, "not_english"),
                ({"uid": LATER, "url": "https://a.org/0.jpg"}, "duplicate_pair"),
                ({"clip_similarity": 0.2799}, "clip_below_threshold"),
                ({"clip_similarity": None}, "clip_below_threshold"),
            ],
        ),
        (
            "laion_high_resolution",
            {"clip_similarity": 0.28, "original_width": 1024, "original_height": 1024},
            [
                ({"text": "dogs"}, "text_too_short"),
                ({"text": GERMAN}, None),
                ({"original_width": 4000, "original_height": 1023}, "image_too_small"),
                ({"clip_similarity": 0.27}, "clip_below_threshold"),
            ],
        ),
        (
            "laion_art",
            {"clip_similarity": 0.3, "unsafe_score": 0.5, "watermark_score": 0.8, "aesthetic_score": 8.01},
            [
                ({"clip_similarity": 0.27}, "clip_below_threshold"),
                ({"unsafe_score": 0.51}, "unsafe"),
                ({"watermark_score": 0.81}, "watermark"),
                ({"aesthetic_score": 8.0}, "not_aesthetic"),
            ],
        ),
        (
            "datacomp_basic",
            {},
            [
                ({"text": GERMAN}, "not_english"),
                ({"text": "running dogs"}, "too_few_words"),
                ({"text": "I a m"}, "text_too_short"),
                ({"original_width": 600, "original_height": 200}, None),
                ({"original_width": 601, "original_height": 200}, "image_too_long"),
                ({"original_width": 199, "original_height": 300}, "image_too_small"),
            ],
        ),
        (
            "datacomp_laion2b",
            {"clip_b32_similarity": 0.28},
            [({"text": GERMAN}, "not_english"), ({"clip_b32_similarity": 0.2799}, "clip_below_threshold")],
        ),
        ("noc", {}, [({"clip_similarity": -0.5}, None)]),
        (
            "laion400m",
            {"clip_similarity": 0.3, "clip_tags_flags": 0, "age_tags_flags": 2, "animal_tags_flags": 2},
            [
                ({"clip_similarity": 0.29}, "clip_below_threshold"),
                ({"text": "a boy at the beach"}, None),
                ({"clip_tags_flags": 1, "text": "A Boy at the beach"}, "flagged_with_words_of_children"),
                ({"clip_tags_flags": 1, "text": "a boyish haircut"}, "flagged_with_children"),
                ({"clip_tags_flags": 2, "age_tags_flags": 0}, "flagged_with_animals"),
                ({"clip_tags_flags": 2, "age_tags_flags": 0, "animal_tags_flags": 0}, None),
            ],
        ),
        (
            "align",
            {"images_per_text": 10, "texts_per_image": 1000, "rarest_ngram_rank": 100_000_000, "nsfw_score": 0.8},
            [
                ({"images_per_text": 11}, "text_of_too_many_images"),
                ({"texts_per_image": 1001}, "image_of_too_many_texts"),
                ({"text": "two words"}, "too_few_words"),
                ({"text": " ".join("abcdefghijklmnopqrstu")}, "too_many_words"),
                ({"text": " ".join("abcdefghijklmnopqrst")}, None),
                ({"text": GERMAN}, None),
                ({"rarest_ngram_rank": 100_000_001}, "rare_words"),
                ({"original_height": 200, "original_width": 300}, "image_too_small"),
                ({"original_height": 201, "original_width": 603}, "image_too_long"),
                ({"original_height": 201, "original_width": 602}, None),
                ({"nsfw_score": 0.81}, "pornography"),
                ({"evaluation_duplicate_of": "coco/1"}, "evaluation_image"),
            ],
        ),
        (
            "redcaps",
            {"url": "https://i.redd.it/a.jpg", "text_clean": "a dog", "nsfw_score": 0.9, "face_count": 0},
            [
                ({"url": "https://i.redd.it.evil.org/b.jpg"}, "other_host"),
                ({"url": "https://live.staticflickr.com/c.jpg"}, None),
                ({"uid": LATER}, "duplicate_pair"),
                ({"url": "https://i.imgur.com/d.jpg", "text": " "}, "no_text"),
                ({"url": "https://i.imgur.com/e.jpg", "text_clean": ""}, "nothing_left_of_text"),
                ({"url": "https://i.imgur.com/f.jpg", "profanity_hits": 1}, "block_word"),
                ({"url": "https://i.imgur.com/g.jpg", "nsfw_score": 0.91}, "nsfw"),
                ({"url": "https://i.imgur.com/h.jpg", "face_count": 1}, "face"),
            ],
        ),
        (
            "metaclip",
            {"concept_number": 1, "stored_concept_draw": 19_999.9},
            [
                ({"concept_number": 0}, "no_entry"),
                ({"stored_concept_draw": 20_000.0}, "not_drawn"),
            ],
        ),
        ("concept_frequency", {"stored_aligned": True}, [({"stored_aligned": False}, None)]),
        ("mlcd", {}, [({"clusters_top": [1, 2]}, None)]),
        (
            "datacomp_text_based",
            {"concept_number": 2},
            [({"text": GERMAN}, "not_english"), ({"concept_number": 0}, "no_word_of_imagenet21k")],
        ),
        (
            "datacomp_image_based",
            {"clusters_label": "imagenet1k"},
            [
                ({"text": GERMAN}, "not_english"),
                ({"text": "dog"}, "too_few_words"),
                ({"clusters_label": "other"}, "far_from_imagenet"),
                ({"clusters_label": None}, "far_from_imagenet"),
            ],
        ),
        (
            "cat",
            {
                **{"clip_similarity": 0.28, "unsafe_score": 0.5, "watermark_score": 0.5},
                **{"complexity": 1, "has_action": True, "text_overlap": 0.2},
            },
            [
                ({"text": GERMAN}, "not_english"),
                ({"clip_similarity": 0.27}, "clip_below_threshold"),
                ({"unsafe_score": 0.51}, "unsafe"),
                ({"watermark_score": 0.51}, "watermark"),
                ({"complexity": 0}, "text_too_simple"),
                ({"has_action": False}, "no_action"),
                ({"text_overlap": 0.21}, "text_written_in_image"),
            ],
        ),
        (
            "visualness",
            {"concreteness": 0.5},
            [({"concreteness": 0.49}, "text_not_visual"), ({"concreteness": None}, "text_not_visual")],
        ),
        (
            "laion80m",
            {"clip_similarity": 0.3},
            [({"text": "dogs"}, "text_too_short"), ({"clip_similarity": 0.29}, "clip_below_threshold")],
        ),
        ("alip", {"clip_similarity": 0.3}, [({"clip_similarity": None}, "no_similarity")]),
    ],
)
def test_each_rule_has_its_victims(name: str, good: Row, cases: Sequence[tuple[Row, str | None]], judge: Judge) -> None:
    rows = [good, *({**good, **change} for change, _ in cases)]
    assert judge(name, rows) == [None, *(reason for _, reason in cases)]


@pytest.mark.parametrize(
    ("name", "column", "kept"),
    [
        # The value at place int(0.3 * 10) and all that reach it, as DataComp's code has it.
        ("datacomp_clip_score", "clip_similarity", [9, 8, 7, 6]),
        ("datacomp_clip_score_b32", "clip_similarity", [9, 8, 7, 6]),
        ("compress_align", "reward", [9]),
    ],
)
def test_the_best_share_is_kept(name: str, column: str, kept: list[int], judge: Judge) -> None:
    found = judge(name, [{column: number / 10} for number in range(10)])
    assert [number for number, reason in enumerate(found) if reason is None] == sorted(kept)


@pytest.mark.parametrize(
    ("close", "expected"),
    [
        (10, 10),  # more than the least share: what exceeds the threshold
        (2, 3),  # fewer than int(0.003 * 1000): that many
        (0, 3),
    ],
)
def test_cit_keeps_what_is_close_to_a_task_and_a_least_share(close: int, expected: int, judge: Judge) -> None:
    similarities = [0.56 + number / 1000 if number < close else 0.55 - number / 10_000 for number in range(1_000)]
    found = judge("cit", [{"task_similarity": value} for value in similarities])
    assert [number for number, reason in enumerate(found) if reason is None] == list(range(expected))


def test_datacomp_1b_takes_its_share_of_the_whole_pool(judge: Judge) -> None:
    rows: list[Row] = [{"clip_similarity": number / 10, "clusters_label": "imagenet1k"} for number in range(10)]
    rows[9] = {**rows[9], "text": GERMAN}
    rows[8] = {**rows[8], "clusters_label": None}
    assert judge("datacomp_1b", rows)[5:] == ["below_top_30_percent", None, None, "far_from_imagenet", "not_english"]


def test_real_keeps_the_best_of_a_draw_for_each_concept(judge: Judge) -> None:
    many: list[Row] = [
        {"concept_number": 1, "rarest_concept": "dog", "clip_similarity": number / 2_000} for number in range(1_200)
    ]
    few: list[Row] = [{"concept_number": 2, "rarest_concept": "axolotl", "clip_similarity": 0.1}] * 20
    others: list[Row] = [
        {"concept_number": 0},
        {"concept_number": 1, "rarest_concept": "eel", "nsfw_score": 0.81},
        {"concept_number": 1, "rarest_concept": "eel", "original_width": 80, "original_height": 60},
    ]
    found = judge("real", [*many, *few, *others])
    assert found[1_220:] == ["no_concept", "nsfw", "image_too_small"]
    assert found[1_200:1_220] == [None] * 20
    assert {reason: found[:1_200].count(reason) for reason in set(found[:1_200])} == {
        None: 500,
        "beyond_cap_of_concept": 200,
        "beyond_best_of_concept": 500,
    }
    kept = [number for number in range(1_200) if found[number] is None]
    beaten = [number for number in range(1_200) if found[number] == "beyond_best_of_concept"]
    assert min(kept) > max(beaten)


def test_siglip2_keeps_nine_of_ten_from_english_pages(judge: Judge) -> None:
    pages: list[Row] = [{"page_language": "en-US"}] * 30 + [{"page_language": "de"}] * 2
    pages += [{"page_language": None, "text": ENGLISH}] * 6 + [{"page_language": None, "text": GERMAN}] * 2
    found = judge("siglip2_mix", [{"text": ENGLISH, **page} for page in pages])
    kept = [number for number, reason in enumerate(found) if reason is None]
    english = [number for number in kept if number < 30 or 32 <= number < 38]
    # 36 English pairs allow 40 in all, of which 4 are others: all of both.
    assert len(english) == 36 and len(kept) == 40
    found = judge("siglip2_mix", [{"text": ENGLISH, **page} for page in [*pages, *pages[30:32], *pages[38:]]])
    assert sum(reason is None for reason in found) == 40
