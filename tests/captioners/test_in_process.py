"""A real LLaVA of transformers: the same answers alone and among others, drawn by seeds, refused where they must be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from captioners.captioner import Answer, Decoding, Request
from schemas.reasons import Failed
from schemas.recaption import EngineOptions
from schemas.refusal import JobFailed

Ask = Callable[[EngineOptions, Sequence[Request]], list[Any]]


def asked(pictures: Sequence[bytes], **decoding: Any) -> list[Request]:
    """One request a picture, of prompts of other lengths."""
    return [
        Request("m", "Say what you see" + "!" * number, Decoding(**{"max_tokens": 12, **decoding}), picture)
        for number, picture in enumerate(pictures)
    ]


def options(folder: Path, **given: Any) -> EngineOptions:
    return EngineOptions("transformers", str(folder), {"device": "cpu", **given})


def test_an_answer_does_not_depend_on_those_beside_it(random_llava: Path, pictures: list[bytes], ask_all: Ask) -> None:
    requests = [*asked(pictures), *asked(pictures, temperature=1.0, top_p=0.9, n=2, seed=3, max_tokens=7)]
    together = ask_all(options(random_llava, batch=12), requests)
    alone = ask_all(options(random_llava, batch=1), list(reversed(requests)))[::-1]
    assert together == alone
    assert len({answer.texts for answer in together}) == len(requests), "other pictures and seeds, other answers"


def test_greedy_answers_are_those_of_the_model_itself(random_llava: Path, pictures: list[bytes], ask_all: Ask) -> None:
    """Token by token, without padding, cache or a generation loop."""
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(random_llava).eval()
    processor = AutoProcessor.from_pretrained(random_llava)
    expected = []
    for request in asked(pictures[:3], max_tokens=5):
        path = random_llava / "seen.jpg.tmp"
        assert request.image is not None
        path.write_bytes(request.image)
        text = f"<s><image>{request.prompt}\n"
        inputs = processor(
            images=Image.open(path).convert("RGB"), text=text, return_tensors="pt", add_special_tokens=False
        )
        path.unlink()
        tokens = inputs.pop("input_ids")
        start = tokens.shape[1]
        with torch.no_grad():
            for _ in range(5):
                inputs["attention_mask"] = torch.ones_like(tokens)
                following = model(input_ids=tokens, **inputs).logits[0, -1].argmax()
                tokens = torch.cat([tokens, following.reshape(1, 1)], dim=1)
        said = processor.tokenizer.decode(tokens[0, start:], skip_special_tokens=True).strip()
        expected.append(Answer((said,), ("length",), start, 5))
    assert ask_all(options(random_llava), asked(pictures[:3], max_tokens=5)) == expected


def test_seeds_draw_and_the_same_seed_draws_the_same(random_llava: Path, pictures: list[bytes], ask_all: Ask) -> None:
    drawn = {
        seed: ask_all(options(random_llava), asked(pictures[:1], temperature=1.0, n=3, seed=seed))[0] for seed in (1, 2)
    }
    assert drawn[1] == ask_all(options(random_llava), asked(pictures[:1], temperature=1.0, n=3, seed=1))[0]
    assert len({*drawn[1].texts, *drawn[2].texts}) == 6


def test_a_text_that_stops_ends_an_answer_and_is_no_part_of_it(
    random_llava: Path, pictures: list[bytes], ask_all: Ask
) -> None:
    whole = ask_all(options(random_llava), asked(pictures[:1]))[0].texts[0]
    stop = whole[4]
    answer = ask_all(options(random_llava), asked(pictures[:1], stop=(stop,)))[0]
    assert answer.texts == (whole[: whole.index(stop)].strip(),)
    assert answer.finishes == ("stop",)
    assert answer.tokens_out < 12


def test_each_request_ends_at_its_own_most_tokens(random_llava: Path, pictures: list[bytes], ask_all: Ask) -> None:
    requests = [asked(pictures[:1], max_tokens=most)[0] for most in (3, 9, 6)]
    answers = ask_all(options(random_llava), requests)
    assert [answer.tokens_out for answer in answers] == [3, 9, 6]
    assert [answer.finishes for answer in answers] == [("length",)] * 3
    assert answers[1].texts[0].startswith(answers[0].texts[0])


def test_questions_on_texts_alone_are_answered_beside_those_on_pictures(
    random_llava: Path, pictures: list[bytes], ask_all: Ask
) -> None:
    requests = [Request("m", "Merge.", Decoding(max_tokens=4)), asked(pictures, max_tokens=4)[0]]
    answers = ask_all(options(random_llava), requests)
    # The start, six letters and the line's end; and four patches and the prompt's 16 letters.
    assert [answer.tokens_in for answer in answers] == [8, 22]


def test_what_does_not_fit_and_what_is_no_picture_are_told_without_touching_others(
    random_llava: Path, pictures: list[bytes], ask_all: Ask
) -> None:
    requests = [
        asked(pictures[:1])[0],
        Request("m", "x" * 150, Decoding(max_tokens=12), pictures[0]),
        Request("m", "Say what you see", Decoding(max_tokens=12), b"no picture"),
    ]
    good, long, broken = ask_all(options(random_llava), requests)
    assert isinstance(good, Answer)
    assert isinstance(long, Failed) and str(long) == (
        "caption_refused: 156 tokens and 12 of an answer are more than the model's 160"
    )
    assert isinstance(broken, Failed) and str(broken) == (
        "caption_failed: the picture cannot be read: UnidentifiedImageError"
    )


def test_half_precision_answers_too(random_llava: Path, pictures: list[bytes], ask_all: Ask) -> None:
    answers = ask_all(options(random_llava, dtype="bfloat16"), asked(pictures[:2], max_tokens=3))
    assert [answer.tokens_out for answer in answers] == [3, 3]


def test_weights_that_are_missing_are_not_drawn(
    random_llava: Path, pictures: list[bytes], ask_all: Ask, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(random_llava, folder)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in sorted(weights) if "multi_modal_projector.linear_1.weight" in name)
    save_file({name: value for name, value in weights.items() if name != gone}, folder / "model.safetensors")
    with pytest.raises(JobFailed, match=r"lack 1, such as .*multi_modal_projector\.linear_1\.weight"):
        ask_all(options(folder), asked(pictures[:1]))


def test_no_code_of_a_models_is_run(random_llava: Path, pictures: list[bytes], ask_all: Ask, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(random_llava, folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "theirs"
    config["auto_map"] = {"AutoConfig": "theirs.Config", "AutoModelForImageTextToText": "theirs.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    ran = tmp_path / "ran"
    (folder / "theirs.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Config: ...\nclass Model: ...\n")
    with pytest.raises(ValueError, match="trust_remote_code"):
        ask_all(options(folder), asked(pictures[:1]))
    assert not ran.exists()
