"""How well a CLIP tells right texts from wrong ones on scenes that it has not seen.

In: a folder that open_clip loads as `local-dir:`, and a number of scenes of the `held_out` split.
Out: similarities by kind of text, and the area under the ROC curve of right against each other kind.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_jobs.world.captions import boilerplate, caption, vague
from beam_jobs.world.drawing import draw
from beam_jobs.world.encoding import encode
from beam_jobs.world.languages import LANGUAGES, translated
from beam_jobs.world.lessons import ATTRIBUTES, core
from beam_jobs.world.rows import stored_somehow
from beam_jobs.world.scenes import Scene, altered, scene, seed_of

Floats = NDArray[np.float32]


def auc(higher: Floats, lower: Floats) -> float:
    """The share of (higher, lower) pairs in the right order; ties count half."""
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, side="left")
    not_above = np.searchsorted(ordered, higher, side="right")
    return float((below + not_above).mean() / 2 / len(lower))


def similarities(model_folder: Path, *, scenes: int, seed: int) -> Mapping[str, Floats]:
    """Cosines of held-out pictures with a right text and with texts of each other kind, through open_clip alone.

    Pictures have the sizes and formats that they have in the embedded web.
    """
    import open_clip
    import torch
    from PIL import Image

    name = f"local-dir:{model_folder}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    model.eval()
    shown = [scene("measure", seed, number, split="held_out") for number in range(scenes)]
    texts: dict[str, list[str]] = {}
    for number, one in enumerate(shown):
        for kind, text in _texts(one, shown, number, random.Random(seed_of("measure", seed, number))).items():
            texts.setdefault(kind, []).append(text)
    with torch.no_grad():
        seen = []
        for start in range(0, scenes, 64):
            stored = [_stored(one, seed, start + place) for place, one in enumerate(shown[start : start + 64])]
            batch = [preprocess(Image.open(io.BytesIO(data)).convert("RGB")) for data in stored]
            seen.append(model.encode_image(torch.stack(batch), normalize=True))
        images = torch.cat(seen)
        return {
            kind: (images * model.encode_text(tokenizer(said), normalize=True)).sum(dim=1).numpy()
            for kind, said in texts.items()
        }


def _stored(shown: Scene, seed: int, number: int) -> bytes:
    stored = stored_somehow(random.Random(seed_of("measure stored", seed, number)), small=False)
    return encode(draw(shown, stored.longer), stored)


def _texts(one: Scene, shown: Sequence[Scene], number: int, rng: random.Random) -> dict[str, str]:
    following = (shown[(number + step) % len(shown)] for step in range(1, len(shown)))
    other = next(candidate for candidate in following if core(candidate) != core(one))
    return {
        "right": caption(one, rng),
        "other_scene": caption(other, rng),
        **{f"hard_{attribute}": caption(altered(one, attribute, rng), rng) for attribute in ATTRIBUTES},
        "vague": vague(rng),
        "boilerplate": boilerplate(rng),
        "non_english": translated(one, rng.choice(tuple(LANGUAGES)), rng),
    }


def summary(found: Mapping[str, Floats], *, threshold: float) -> dict[str, dict[str, float]]:
    """By kind: mean and percentiles of the similarity, share at the threshold or above, AUC of right against it."""
    return {
        kind: {
            "mean": round(float(values.mean()), 4),
            "p5": round(float(np.percentile(values, 5)), 4),
            "p95": round(float(np.percentile(values, 95)), 4),
            "kept": round(float((values >= threshold).mean()), 4),
            **({} if kind == "right" else {"auc": round(auc(found["right"], values), 4)}),
        }
        for kind, values in found.items()
    }


def main(arguments: list[str]) -> None:
    """The command line: prints the summary of a model folder, a kind of text a line."""
    parser = argparse.ArgumentParser(prog="measures", description="measures a CLIP on held-out scenes")
    parser.add_argument("model", type=Path)
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threshold", type=float, default=0.5)
    options = parser.parse_args(arguments)
    found = similarities(options.model, scenes=options.scenes, seed=options.seed)
    for kind, figures in summary(found, threshold=options.threshold).items():
        print(f"{kind:12}", json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
