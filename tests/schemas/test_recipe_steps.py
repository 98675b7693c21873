from __future__ import annotations

import pytest

from schemas.recipe import parse_recipe
from schemas.refusal import Refusal


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("drop", "select[0]: expected a mapping of keys to values; given 'drop'"),
        (
            "{reason: a}",
            "select[0]: expected a step with one of keep, drop, keep_listed, drop_listed, balance, unique, "
            "top_fraction, top_k, sample, mix; "
            "given keys: reason",
        ),
        (
            "{keep: a, drop: b, reason: c}",
            (
                "select[0]: expected a step with one of keep, drop, keep_listed, drop_listed, balance, unique, "
                "top_fraction, top_k, sample, mix; "
                "given keys: keep, drop, reason"
            ),
        ),
        ("{keep: a > 1}", "select[0]: a 'keep' rule needs a reason: a name that its counts bear"),
        ("{keep: a > 1, reason: b, prefer: [a]}", "select[0]: unknown key 'prefer'; known: keep, reason"),
        ("{keep: true, reason: b}", "select[0].keep: expected a text; given true"),
        ("{keep: a > 1, reason: ''}", "select[0].reason: expected a text; given ''"),
        (
            "{keep: a > 1, reason: Too Short}",
            (
                "select[0].reason: expected a reason of lower-case words joined by `_`, at most 64 letters; "
                "given 'Too Short'"
            ),
        ),
        (
            "{keep: a > 1, reason: kept}",
            "select[0].reason: 'kept' is a reason of our own, not a rule's; name what the rule finds, such as no_text",
        ),
        (
            "{keep: a > 1, reason: http_404}",
            (
                "select[0].reason: 'http_404' is a reason of our own, not a rule's; "
                "name what the rule finds, such as no_text"
            ),
        ),
        ("{unique: url}", "select[0].unique: expected a list of at least one; given 'url'"),
        ("{unique: []}", "select[0].unique: expected a list of at least one; given a list of 0"),
        ("{unique: [url, url]}", "select[0].unique[1]: the column 'url' is named twice"),
        ("{unique: [length(url)]}", "select[0].unique[0]: expected the name of a column; given 'length(url)'"),
        (
            "{unique: [url], prefer: [width desc]}",
            "select[0].prefer[0]: expected a column, with `-` before it for highest first; given 'width desc'",
        ),
        ("{unique: [url], prefer: [width, -width]}", "select[0].prefer[1]: the column 'width' is named twice"),
        ("{top_k: 5}", "select[0]: 'top_k' needs `by`: the columns to order rows by, such as [-clip_similarity]"),
        ("{top_k: 0, by: [a]}", "select[0].top_k: expected a whole number of at least 1; given 0"),
        ("{top_k: 0.5, by: [a]}", "select[0].top_k: expected a whole number of at least 1; given 0.5"),
        ("{top_fraction: 30, by: [a]}", "select[0].top_fraction: expected a share above 0 and up to 1; given 30"),
        ("{top_fraction: true, by: [a]}", "select[0].top_fraction: expected a share above 0 and up to 1; given True"),
        ("{top_k: 5, by: [a], cut: ties}", "select[0].cut: expected one of places, value; given 'ties'"),
        ("{sample: 0}", "select[0].sample: expected a whole number of at least 1; given 0"),
        ("{sample: 1.5}", "select[0].sample: expected a share above 0 and up to 1; given 1.5"),
        ("{sample: half}", "select[0].sample: expected a share above 0 and up to 1; given 'half'"),
        ("{sample: 5, seed: now}", "select[0].seed: expected a whole number; given 'now'"),
        ("{sample: 5, by: [a]}", "select[0]: unknown key 'by'; known: sample, seed, per, reason"),
        (
            "{drop_listed: blocked.txt}",
            "select[0].drop_listed: expected a mapping of keys to values; given 'blocked.txt'",
        ),
        ("{drop_listed: {by: url}}", "select[0].drop_listed: expected `file`: the list, such as given:blocked"),
        (
            "{drop_listed: {by: host, file: a}}",
            "select[0].drop_listed.by: expected one of url, domain, uid, sha256; given 'host'",
        ),
        ("{keep_listed: {by: url, path: a}}", "select[0].keep_listed: unknown key 'path'; known: by, of, file"),
        ("{balance: 0.5}", "select[0].balance: expected a text; given 0.5"),
        ("{balance: a / 2, per: [b]}", "select[0]: unknown key 'per'; known: balance, seed, reason"),
        ("{mix: {en: 0.9}}", "select[0].mix: expected a list of at least one; given a mapping of en"),
        (
            "{mix: [{share: 1}]}",
            "select[0].mix[0]: expected a part as {share: 0.9, where: language = 'en'}; given share",
        ),
        (
            "{mix: [{share: 0.9, where: a > 1}, {share: 0.2, where: a < 1}]}",
            "select[0].mix: expected shares that add up to 1; given 1.1",
        ),
        (
            "{keep: a > 1, reason: same}, {drop: b > 1, reason: same}",
            "select[1]: the reason 'same' is already that of select[0]; name another",
        ),
        (
            "{unique: [a]}, {unique: [b]}",
            "select[1]: the reason 'duplicate' is already that of select[0]; name another",
        ),
    ],
)
def test_a_step_that_is_wrong_is_refused_at_its_place(step: str, expected: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_recipe(f"name: a\nselect: [{step}]", "a.yaml")
    assert str(caught.value) == f"a.yaml: {expected}"


def test_steps_of_preselect_have_its_place() -> None:
    with pytest.raises(Refusal, match=r"^a\.yaml: preselect\[0\]\.unique: expected a list of at least one; given 3$"):
        parse_recipe("name: a\npreselect: [{unique: 3}]", "a.yaml")
