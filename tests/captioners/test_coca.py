"""open_clip's own CoCa, small and with drawn weights: what it says, and how its answers are drawn and cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from captioners.captioner import Decoding, Request
from captioners.coca import find_coca
from captioners.drawn_tokens import DrawnTokens
from schemas.reasons import Failed
from schemas.recaption import EngineOptions

Ask = Callable[[EngineOptions, Sequence[Request]], list[Any]]
FIVE = Decoding(max_tokens=8, temperature=1.0, top_p=0.9, n=5, seed=0)


def asked(pictures: Sequence[bytes], decoding: Decoding = FIVE) -> list[Request]:
    return [Request("coca", "", decoding, picture) for picture in pictures]


def options(folder: Path, batch: int = 8) -> EngineOptions:
    return EngineOptions("coca", f"local-dir:{folder}", {"device": "cpu", "batch": batch})


def test_five_captions_a_picture_whatever_the_batch(random_coca: Path, pictures: list[bytes], ask_all: Ask) -> None:
    together = ask_all(options(random_coca), asked(pictures))
    assert [len(answer.texts) for answer in together] == [5] * 6
    assert len({text for answer in together for text in answer.texts}) == 30
    assert ask_all(options(random_coca, batch=1), asked(pictures[::-1]))[::-1] == together


def test_greedy_captions_are_those_of_open_clips_model_itself(
    random_coca: Path, pictures: list[bytes], ask_all: Ask
) -> None:
    """Token by token, one picture at a time. open_clip's own `generate` wants parts that transformers 5 lacks."""
    import open_clip

    from captioners.in_process import read_picture

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{random_coca}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{random_coca}")
    model.eval()
    expected = []
    for picture in pictures:
        tokens = torch.tensor([[tokenizer.sot_token_id]])
        with torch.no_grad():
            for _ in range(10):
                logits = model(preprocess(read_picture(picture))[None], tokens, output_labels=False)["logits"]
                tokens = torch.cat([tokens, logits[:, -1].argmax(-1, keepdim=True)], dim=1)
        assert tokenizer.eot_token_id not in tokens
        expected.append(tokenizer.decode(tokens[0, 1:].tolist()).strip())
    greedy = Decoding(max_tokens=10, stop=("never said",))
    assert [answer.texts[0] for answer in ask_all(options(random_coca), asked(pictures, greedy))] == expected


def test_an_answer_ends_before_its_first_stop(random_coca: Path, pictures: list[bytes], ask_all: Ask) -> None:
    whole = ask_all(options(random_coca), asked(pictures[:1], Decoding(max_tokens=10)))[0].texts[0]
    letter = whole[6]
    cut = ask_all(options(random_coca), asked(pictures[:1], Decoding(max_tokens=10, stop=(letter,))))[0]
    assert cut.texts == (whole[: whole.index(letter)].strip(),)
    assert cut.finishes == ("stop",)


def test_no_picture_no_caption(random_coca: Path, ask_all: Ask) -> None:
    (failed,) = ask_all(options(random_coca), [Request("coca", "", FIVE)])
    assert isinstance(failed, Failed) and failed.reason == "caption_refused"


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("coca_ViT-L-14/mscoco_finetuned_laion2B-s13B-b90k", ("coca_ViT-L-14", "mscoco_finetuned_laion2B-s13B-b90k")),
        ("coca_ViT-B-32", ("coca_ViT-B-32", None)),
        ("local-dir:/m", ("local-dir:/m", None)),
    ],
)
def test_a_model_is_a_name_with_its_weights_or_a_folder(model: str, found: tuple[str, str | None]) -> None:
    weights = find_coca(model)
    assert (weights.model, weights.pretrained) == found


def test_draws_follow_the_chances_within_the_nucleus() -> None:
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    rows = [(Request("m", str(number), Decoding(temperature=1.0, top_p=0.9)), 0) for number in range(4000)]
    drawn = Counter(DrawnTokens(rows)(None, chances.expand(4000, 4)).argmax(-1).tolist())
    # The last one stands outside of the nucleus; the others share what is left in proportion.
    assert set(drawn) == {0, 1, 2}
    for token, share in enumerate((0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95)):
        assert drawn[token] / 4000 == pytest.approx(share, abs=0.03)


def test_a_low_temperature_takes_the_likeliest_and_none_takes_it_always() -> None:
    logits = torch.tensor([[1.0, 1.2, 0.9]])
    cold = [(Request("m", str(number), Decoding(temperature=0.01)), 0) for number in range(50)]
    assert DrawnTokens(cold)(None, logits.expand(50, 3)).argmax(-1).tolist() == [1] * 50
    still = DrawnTokens([(Request("m", "", Decoding()), 0)])
    assert still(None, logits) is logits
