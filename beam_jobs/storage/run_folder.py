"""Where everything of a run stands: the paths below WORK, and nothing else.

In: the folder's URL. Out: URLs of tables, shards, sidecars and ledgers; no file is touched here.
"""

from __future__ import annotations

from dataclasses import dataclass

from beam_jobs.storage.files import join

SHARD_DIGITS = 5


def shard_name(shard: int) -> str:
    """A shard's number as its files bear it: `00012`."""
    return f"{shard:0{SHARD_DIGITS}d}"


@dataclass(frozen=True)
class RunFolder:
    """Paths below a run folder, any fsspec URL."""

    work: str

    def pairs(self, part: int) -> str:
        return join(self.work, "pairs", f"part-{shard_name(part)}.parquet")

    def corpus(self, label: str, part: int) -> str:
        return join(self.work, "corpus", label, f"part-{shard_name(part)}.parquet")

    def corpus_counts(self, label: str) -> str:
        return join(self.work, "corpus", label, "counts.parquet")

    def preselected(self, part: int) -> str:
        return join(self.work, "preselected", f"part-{shard_name(part)}.parquet")

    def planned(self, shard: int) -> str:
        return join(self.work, "planned", f"{shard_name(shard)}.parquet")

    def image_tar(self, shard: int) -> str:
        return join(self.work, "images", f"{shard_name(shard)}.tar")

    def image_table(self, shard: int) -> str:
        return join(self.work, "images", f"{shard_name(shard)}.parquet")

    def image_stats(self, shard: int) -> str:
        return join(self.work, "images", f"{shard_name(shard)}_stats.json")

    def score_folder(self, label: str) -> str:
        return join(self.work, "scores", label)

    def scores(self, label: str, shard: int) -> str:
        return join(self.score_folder(label), f"{shard_name(shard)}.parquet")

    def embeddings(self, label: str) -> str:
        return join(self.work, "embeddings", label)

    def image_embeddings(self, label: str, shard: int) -> str:
        return join(self.embeddings(label), "img_emb", f"img_emb_{shard_name(shard)}.npy")

    def text_embeddings(self, label: str, shard: int) -> str:
        return join(self.embeddings(label), "text_emb", f"text_emb_{shard_name(shard)}.npy")

    def embedding_table(self, label: str, shard: int) -> str:
        return join(self.embeddings(label), "metadata", f"metadata_{shard_name(shard)}.parquet")

    def group_folder(self, label: str) -> str:
        return join(self.work, "groups", label)

    def groups(self, label: str, shard: int) -> str:
        return join(self.group_folder(label), f"{shard_name(shard)}.parquet")

    def clusters(self, label: str, bucket: int) -> str:
        """A part of the table of a grouper's clusters."""
        return join(self.group_folder(label), "clusters", f"part-{shard_name(bucket)}.parquet")

    def group_counts(self, label: str) -> str:
        return join(self.group_folder(label), "counts.parquet")

    def centroids(self, label: str) -> str:
        return join(self.group_folder(label), "centroids.npy")

    def selection(self, recipe: str) -> str:
        return join(self.work, "selected", recipe)

    def selected(self, recipe: str, shard: int) -> str:
        return join(self.selection(recipe), f"{shard_name(shard)}.parquet")

    def made_columns(self, recipe: str) -> str:
        """What the columns were made with that a recipe makes of the rows it keeps: edges of bins, means."""
        return join(self.selection(recipe), "columns.json")

    def caption_folder(self, recipe: str, label: str) -> str:
        return join(self.work, "captions", recipe, label)

    def captions(self, recipe: str, label: str, shard: int) -> str:
        return join(self.caption_folder(recipe, label), f"{shard_name(shard)}.parquet")

    def answers(self) -> str:
        """The captioners' answers that the run asked for, where no other place was named for them."""
        return join(self.work, "answers")

    def shards(self, recipe: str) -> str:
        return join(self.work, "shards", recipe)

    def shard_tar(self, recipe: str, number: int) -> str:
        return join(self.shards(recipe), f"{shard_name(number)}.tar")

    def shard_table(self, recipe: str, number: int) -> str:
        return join(self.shards(recipe), f"{shard_name(number)}.parquet")

    def shard_stats(self, recipe: str, number: int) -> str:
        return join(self.shards(recipe), f"{shard_name(number)}_stats.json")

    def manifest(self, recipe: str) -> str:
        """What training reads beside the shards; in a folder of its own, since img2dataset's tools read every
        `*.json` beside shards as statistics."""
        return join(self.shards(recipe), "dataset", "manifest.json")

    def reading(self, recipe: str) -> str:
        """How a loader makes texts of a sample, where the recipe leaves that to it."""
        return join(self.shards(recipe), "dataset", "texts.json")

    def card(self, recipe: str) -> str:
        return join(self.shards(recipe), "dataset", "README.md")

    def report_folder(self, recipe: str) -> str:
        return join(self.work, "report", recipe)

    def report(self, recipe: str) -> str:
        return join(self.report_folder(recipe), "index.html")

    def whatif_plot(self, recipe: str) -> str:
        return join(self.report_folder(recipe), "whatif.svg")

    def ledger(self, stage: str) -> str:
        """The ledger of a stage: `download`, `score/clip`, `select/base` ..."""
        return join(self.work, "ledger", stage)

    def launch(self) -> str:
        """What the last launch is, and whether it is at work."""
        return join(self.work, "ledger", "launch.json")

    def marker(self, stage: str, shard: int) -> str:
        return join(self.ledger(stage), f"{shard_name(shard)}.json")
