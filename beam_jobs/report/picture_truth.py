"""Scorers of pictures against pictures that were drawn with what is true of them: how right each one is.

In: how many pictures to draw, and scorers as a recipe names them. Out: a Finder a rule, each over the pictures of which
it is known whether it should find them. The pictures are `beam_jobs.world.pictures`', stored as a download stores them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import pyarrow as pa
from PIL import Image

from beam_jobs.report.truth import Finder
from beam_jobs.world.pictures import KnownPicture, known_pictures
from beam_jobs.world.scenes import COLOURS, SHAPES
from filters.loading import load_model
from filters.registry import Entry, make_scorers
from filters.rules import where_true
from filters.scorer import Batch, Need, Scorer
from schemas.recipe_steps import Rule
from schemas.recipe_text import Place

PICTURES = 400
_QUALITY = 95
# The tiny CLIP names colours as the drawn world has them.
_TINTS = {colour: [f"a {colour} {shape}" for shape in SHAPES] for colour in COLOURS}
ENTRIES: tuple[Entry, ...] = (
    "image_facts", "graphics", "text_in_image", "faces", "nsfw", {"clip": {"model": "tiny"}},
    {"clip_tags": {"categories": _TINTS, "flagged": []}},
)  # fmt: skip

# Rule, what it seeks, the fact that says so. Nothing that `nsfw` seeks is drawn: what it finds is wrong.
_SOUGHT: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "image_facts": (
        ("sharpness < 100", "blurred pictures", "blurred"),
        ("uniform_share > 0.98", "one colour all over", "plain"),
        ("dark_share > 0.9", "darkness", "dark"),
    ),
    "graphics": (("graphic_likelihood > 0.5", "screenshots and charts", "graphic"),),
    "text_in_image": (
        ("text_boxes > 0", "text in the picture", "text"),
        ("text_overlap > 0.5", "captions written in the picture", "told"),
    ),
    "faces": (("face_count > 0", "faces", "face"),),
    "nsfw": (("nsfw_score > 0.5", "pornography (none drawn)", ""),),
}


def measure_pictures(count: int = PICTURES, seed: int = 0, entries: Sequence[Entry] = ENTRIES) -> list[Finder]:
    """Draws pictures and has the scorers tell of them. Raises Refusal where a scorer lacks what it needs."""
    known = list(known_pictures(count, seed))
    images = [_stored(each.image) for each in known]
    table = pa.table({"uid": [str(row) for row in range(count)], "text": [each.caption for each in known]})
    scorers = {scorer.label: scorer for scorer in make_scorers(entries)}
    embeddings: dict[Need, np.ndarray] = {}
    found: list[Finder] = []
    for scorer in scorers.values():
        needed = {need.label: scorers[need.label] for need in scorer.needs}
        scorer.check_files(needed)
        columns = _columns(scorer, needed, table, images, embeddings)
        found += [_finder(rule, seeks, fact, columns, known) for rule, seeks, fact in _SOUGHT.get(scorer.name, ())]
        if scorer.name == "clip_tags":
            found.append(_colours(columns, known))
    return found


def _stored(image: Image.Image) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return Image.open(file)


def _columns(
    scorer: Scorer,
    needed: Mapping[str, Scorer],
    table: pa.Table,
    images: Sequence[Image.Image],
    embeddings: dict[Need, np.ndarray],
) -> pa.Table:
    """What a scorer says of all pictures; the embeddings that it makes are added to `embeddings`."""
    model = load_model(scorer, "cpu", needed).model
    prepared = [scorer.prepare(image, model) for image in images] if "image" in scorer.inputs else []
    scores = scorer.score(Batch(table, prepared, {need: embeddings[need] for need in scorer.needs}), model)
    if scores.image_embeddings is not None:
        embeddings[Need(scorer.label, "image")] = scores.image_embeddings
    return scores.columns


def _finder(rule: str, seeks: str, fact: str, columns: pa.Table, known: Sequence[KnownPicture]) -> Finder:
    [chosen] = where_true(columns, [Rule("drop", rule, "found", Place("truth"))])
    asked = np.array([not fact or fact in each.facts for each in known])
    is_one = np.array([each.facts.get(fact, False) for each in known])
    chosen = chosen & asked
    return Finder(rule, seeks, int(chosen.sum()), int((chosen & is_one).sum()), int(is_one.sum()))


def _colours(columns: pa.Table, known: Sequence[KnownPicture]) -> Finder:
    told = columns["clip_tags_first"].to_pylist()
    right = [one == each.colour for one, each in zip(told, known, strict=True) if each.colour]
    return Finder("clip_tags_first", "the colour of drawn objects", len(right), sum(right), len(right))
