"""What the tiny MLLM is asked and answers: a scene and a seeded `random.Random` in, a question and its answer out.

A prompt is one of those that the captioners ship, or the same in other words. It may hold an alt-text that is true,
vague or of another picture; the answer is true of the scene. Prompts on texts alone get what the texts say. Groups
are named from left to right and from top to bottom, so that a picture has one answer of each kind.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from beam_jobs.world.captions import NUMBERS, PLACE_WORDS, SHAPE_WORDS, boilerplate, caption, file_name, vague
from beam_jobs.world.scenes import Group, Scene, scene
from captioners.prompts import shipped_prompts

SHORT = (
    "caption_short", "alip", "zerocap", "blip_prefix", "brief_in_words",
)  # fmt: skip
LONG = ("caption_long", "recap_datacomp")
FUSED = ("fuse_realsyn", "fuse_fusecap", "visual_clues", "socratic")
OTHER_SHORT = (
    "What is in this picture?", "Caption this image.", "Describe the picture briefly.", "What do you see?",
    "Write a short caption for the image.", "Give a one-sentence caption.", "Describe this image.",
)  # fmt: skip
OTHER_LONG = (
    "Describe this image in detail.", "Give a detailed description of the picture.", "Describe everything you see.",
    "Write a long caption for the image.", "Explain in detail what the image shows.",
)  # fmt: skip
BACKDROPS_SAID = {
    "plain": "The background is plain {}.",
    "gradient": "The background is {} and fades into the dark.",
    "grainy": "The background is grainy {} paper.",
}
MOST_GRADE = 5


@dataclass(frozen=True)
class Turn:
    """A question and its answer. seen: the question comes with the picture."""

    prompt: str
    answer: str
    seen: bool = True


def short_answer(shown: Scene) -> str:
    """One sentence: count, colour and shape of every group, and the background."""
    said = " and ".join(_phrase(group) for group in in_order(shown))
    return f"{said[0].upper()}{said[1:]} on a {shown.background} background."


def long_answer(shown: Scene) -> str:
    """Several sentences: the groups, then how each looks and where it is, then the background."""
    groups = in_order(shown)
    sentences = ["This picture shows " + " and ".join(_phrase(group) for group in groups) + "."]
    for group in groups:
        size = "" if group.size == "medium" else f"{group.size} and "
        verb = "is" if group.count == 1 else "are"
        stands = "stands" if group.count == 1 else "stand"
        place = PLACE_WORDS[group.place][0]
        sentences.append(f"The {_noun(group)} {verb} {size}{group.texture} and {stands} {place}.")
    sentences.append(BACKDROPS_SAID[shown.backdrop].format(shown.background))
    return " ".join(sentences)


def in_order(shown: Scene) -> list[Group]:
    """Groups from left to right and from top to bottom."""
    return sorted(shown.groups, key=lambda group: group.place in ("right", "bottom"))


def seen_turn(shown: Scene, rng: random.Random) -> Turn:
    """A question on the picture."""
    kind = rng.random()
    if kind < 0.4:
        return Turn(_short_prompt(rng), short_answer(shown))
    if kind < 0.75:
        words = shipped_prompts()[rng.choice(LONG)].text if rng.random() < 0.7 else rng.choice(OTHER_LONG)
        return Turn(words, long_answer(shown))
    if kind < 0.9:
        alts = ", ".join(_alt(shown, rng) for _ in range(rng.choice((1, 1, 2, 3))))
        return Turn(filled("altogether", alt=alts), short_answer(shown))
    neighbours = "; ".join(_alt(shown, rng) for _ in range(rng.randint(1, 3)))
    grade = rng.randint(1, MOST_GRADE)
    answer = long_answer(shown) if grade > MOST_GRADE // 2 else short_answer(shown)
    return Turn(filled("nice_graded", neighbours=neighbours, grade=str(grade)), answer)


def text_turn(shown: Scene, rng: random.Random) -> Turn:
    """A question on texts alone."""
    kind = rng.random()
    if kind < 0.7:
        told = rng.choice((short_answer, long_answer))(shown)
        tags = [word for group in shown.groups for word in (group.colour, group.shape)]
        rng.shuffle(tags)
        ocr = rng.choice(("", "SALE", "abc 12"))
        given = {
            "alt": _alt(shown, rng), "caption": told, "tags": ", ".join(tags), "ocr": ocr,
            "image_type": rng.choice(("picture", "drawing", "photo")),
            "people": rng.choice(("are no people", "is nobody")),
            "places": rng.choice(("studio", "desk, wall, or page")),
        }  # fmt: skip
        name = rng.choice(FUSED)
        if name == "socratic":
            given["tags"] = told.rstrip(".")
        return Turn(filled(name, **given), short_answer(shown), seen=False)
    if kind < 0.9:
        return _judged(shown, rng)
    name = rng.choice([*SHAPE_WORDS])
    prompt = filled("concept_yes_no", name=name, caption=short_answer(shown), definition=f"a {name}")
    return Turn(prompt, "Yes" if any(group.shape == name for group in shown.groups) else "No", seen=False)


def filled(prompt: str, /, **given: str) -> str:
    """A shipped prompt with its placeholders filled."""
    return shipped_prompts()[prompt].fill(given)


def _judged(shown: Scene, rng: random.Random) -> Turn:
    """CLAIR's question, answered by how many groups two texts share."""
    same = rng.random() < 0.5
    other = shown if same else scene("judged", rng.getrandbits(48), split="train")
    first = rng.choice((short_answer, long_answer))(shown)
    second = rng.choice((short_answer, long_answer))(other)
    prompt = filled("judge_clair", candidates=first, references=second)
    score, reason = (95, "both name the same things") if same else (5, "they name different things")
    return Turn(prompt, json.dumps({"score": score, "reason": reason}), seen=False)


def _short_prompt(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return rng.choice(OTHER_SHORT)
    return filled(rng.choice(SHORT), words=rng.choice(("5", "10")))


def _alt(shown: Scene, rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return caption(shown, rng)
    if kind < 0.7:
        return caption(scene("another", rng.getrandbits(48), split="train"), rng)
    return rng.choice((vague, boilerplate, file_name))(rng)


def _phrase(group: Group) -> str:
    return f"{NUMBERS[group.count]} {group.colour} {_noun(group)}"


def _noun(group: Group) -> str:
    return SHAPE_WORDS[group.shape][0][group.count > 1]
