"""DataComp's own filter code and our recipes, on the same metadata: which pairs each keeps.

In: a checkout of mlfoundations/datacomp, and how many pairs to draw. Out: a line a baseline, with the pairs that
DataComp keeps, those that the recipe keeps, and how many differ; exit status 1 when any does.

    python -m bench.compare_datacomp CHECKOUT [--pairs 20000]

The metadata is drawn in DataComp's form (Parquet and npz), with values at every edge of the rules. DataComp's code runs
as it stands; what it would download or ask a GPU for is put in its place: fastText's model is the one that we ship,
gcld3 answers the same, WordNet is a small one of our own, and centroids are assigned on the CPU.
"""

from __future__ import annotations

import argparse
import queue
import sys
import tempfile
import types
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from beam_jobs.recipes import load_recipe
from beam_jobs.whatif import judge_table
from filters.language import load_language_model
from filters.rules import columns_read
from filters.text_columns import add_text_columns

FILES, DIMENSION, CENTROIDS = 3, 16, 40
# Word to the offset of its first synset; those of IMAGENET are in the entity set.
SYNSETS = {"dog": 1, "dogs": 1, "beach": 2, "harbour": 3, "run": 9, "quietly": 8}
IMAGENET = frozenset({1, 3})
WORDS = [*SYNSETS, "the", "a", "of", "old", "Hund", "Strand", "alten", "vieille", "maison", "and", "seven", "dog,"]


def draw(pairs: int, seed: int) -> tuple[pd.DataFrame, dict[str, np.ndarray], np.ndarray]:
    """Metadata, image embeddings and centroids, with ties and edges among the values."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, size=rng.integers(1, 9))) for _ in range(pairs)]
    for number in range(0, pairs, 50):
        texts[number] = ("I am o", "am oak", "a\tdog\nruns", "a dog\u00a0here", "dog  dog")[number // 50 % 5]
    sides = rng.choice([100, 199, 200, 201, 300, 599, 600, 601, 602, 640, 1024], size=(pairs, 2))
    frame = pd.DataFrame(
        {
            "uid": [f"{int(high):016x}{int(low):016x}" for high, low in rng.integers(0, 2**63, size=(pairs, 2))],
            "url": [f"https://a.org/{number}" for number in range(pairs)],
            "text": texts,
            "original_width": sides[:, 0],
            "original_height": sides[:, 1],
            "clip_b32_similarity_score": np.round(rng.normal(0.24, 0.05, pairs), 3).astype(np.float32),
            "clip_l14_similarity_score": np.round(rng.normal(0.20, 0.05, pairs), 3).astype(np.float32),
        }
    )
    embeddings, centroids = (rng.normal(size=(rows, DIMENSION)).astype(np.float32) for rows in (pairs, CENTROIDS))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return frame, {"l14_img": embeddings}, centroids


def write_metadata(folder: Path, frame: pd.DataFrame, embeddings: Mapping[str, np.ndarray]) -> None:
    for number, rows in enumerate(np.array_split(np.arange(len(frame)), FILES)):
        frame.iloc[rows].reset_index(drop=True).to_parquet(folder / f"{number:032x}.parquet")
        np.savez(folder / f"{number:032x}.npz", **{name: values[rows] for name, values in embeddings.items()})


def theirs(checkout: Path) -> Any:
    """DataComp's module of filters, with stand-ins for what it would fetch."""
    model = load_language_model()

    class Model:
        def predict(self, text: str | list[str], k: int = 1) -> tuple[list[Any], list[Any]]:
            if isinstance(text, list):
                return [self.predict(each)[0] for each in text], []
            return [label for _, label in model.f.predict(f"{text}\n", k, 0.0, "strict")], []

    class Identifier:
        def __init__(self, **_: Any) -> None:
            self._model = Model()

        def FindLanguage(self, text: str) -> Any:  # noqa: N802
            return types.SimpleNamespace(language=self._model.predict(text)[0][0].removeprefix("__label__"))

    class Synset(types.SimpleNamespace):
        def offset(self) -> int:
            return int(self.number)

    def synsets(word: str) -> list[Synset]:
        found = SYNSETS.get(word.lower())
        return [] if found is None else [Synset(number=found)]

    stand_ins: dict[str, dict[str, Any]] = {
        "fasttext": {
            "load_model": lambda _: Model(),
            "tokenize": lambda text: text.split(),
            "FastText": types.SimpleNamespace(),
        },
        "gcld3": {"NNetLanguageIdentifier": Identifier},
        "nltk": {},
        "nltk.corpus": {"wordnet": types.SimpleNamespace(synsets=synsets)},
    }
    before = {name: sys.modules.get(name) for name in stand_ins}
    for name, members in stand_ins.items():
        module = types.ModuleType(name)
        module.__dict__.update(members)
        sys.modules[name] = module
    sys.path.insert(0, str(checkout))
    from baselines import apply_filter

    sys.modules.update({name: module for name, module in before.items() if module is not None})
    apply_filter.download = lambda name, root=None: name
    apply_filter.worker_threadpool = lambda worker, concat, paths, _: concat([worker(path) for path in paths])
    return apply_filter


def nearest(features: torch.Tensor, centroids: torch.Tensor, *_: Any) -> torch.Tensor:
    return (features.float() @ centroids.T).argmax(dim=1)


def image_based(module: Any, folder: Path, centroids: np.ndarray, targets: Sequence[int], **options: Any) -> np.ndarray:
    """Their worker of the image-based filter, its queues served in this process."""
    module.get_centroid_ids_gpu = nearest
    waiting: Any = queue.Queue()
    found: Any = queue.Queue()
    fs, url = module.fsspec.core.url_to_fs(str(folder))
    for path in sorted(str(each) for each in fs.ls(url) if ".parquet" in each):
        waiting.put((fs, path.removesuffix(".parquet")))
    pool, wanted = torch.from_numpy(centroids), torch.tensor(list(targets))
    module.image_filter_helper(pool, wanted, 1024, 0, waiting, found, **options)
    return np.concatenate([found.get() for _ in range(found.qsize())])


def ours(recipe: str, table: pa.Table) -> np.ndarray:
    """The uids that a recipe's steps keep, in DataComp's form."""
    loaded = load_recipe(recipe)
    steps = [*loaded.preselect, *loaded.select]
    whole = add_text_columns(table, [name for name in columns_read(steps) if name not in table.column_names])
    codes = judge_table(whole, np.ones(table.num_rows, dtype=bool), steps)
    uids = np.array(table["uid"].to_pylist())[codes == -1]
    return np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids], np.dtype("u8,u8"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # of their code
    frame, embeddings, centroids = draw(arguments.pairs, arguments.seed)
    targets = range(0, CENTROIDS, 3)
    words = {word for word, offset in SYNSETS.items() if offset in IMAGENET}
    label = nearest(torch.from_numpy(embeddings["l14_img"]), torch.from_numpy(centroids)).tolist()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.append_column("clip_similarity", table["clip_l14_similarity_score"])
    table = table.append_column("clip_b32_similarity", table["clip_b32_similarity_score"])
    kinds = ["imagenet1k" if each in targets else None for each in label]
    table = table.append_column("clusters_label", pa.array(kinds, pa.string()))
    found = [len(words & set(text.lower().split())) for text in frame["text"]]
    table = table.append_column("concept_number", pa.array(found, pa.int32()))
    b32 = table.set_column(
        table.schema.get_field_index("clip_similarity"), "clip_similarity", table["clip_b32_similarity"]
    )
    module = theirs(arguments.checkout)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_metadata(folder, frame, embeddings)
        place = str(folder)
        score, words_of = module.load_uids_with_clip_score, module.load_uids_with_text_entity_helper
        top = module.get_threshold(place, "clip_l14_similarity_score", 0.3, 1)
        parquets = [module.fsspec.core.url_to_fs(str(path)) for path in sorted(folder.glob("*.parquet"))]
        compared: list[tuple[str, np.ndarray, pa.Table]] = [
            ("datacomp_basic", module.load_uids_with_basic_filter(place, 1), table),
            ("datacomp_laion2b", score(place, "b32", 0.28, None, 1, gcld3_en_filter=True), table),
            ("datacomp_clip_score", score(place, "l14", None, 0.3, 1), table),
            ("datacomp_clip_score_b32", score(place, "b32", None, 0.3, 1), b32),
            ("datacomp_text_based", np.concatenate([words_of(path, IMAGENET) for path in parquets]), table),
            ("datacomp_image_based", image_based(module, folder, centroids, targets), table),
            ("datacomp_1b", image_based(module, folder, centroids, targets, arch="l14", threshold=top), table),
        ]
    print(f"{len(frame):,} pairs\n{'recipe':<26}{'DataComp':>10}{'pairmill':>10}{'differ':>8}")
    differ = 0
    for recipe, kept, rows in compared:
        mine = ours(recipe, rows)
        different = len(np.setxor1d(np.sort(kept), np.sort(mine)))
        differ += different
        print(f"{recipe:<26}{len(kept):>10,}{len(mine):>10,}{different:>8,}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
