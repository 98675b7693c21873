"""Grouping blobs by key: Beam's own GroupByKey, and through files where the runner keeps what it shuffles in memory.

In: PCollections of (key, bytes). Out: for each key, its blobs, to be read once, in any order. A runner that derives
from `SpillsToFiles` gets only the places of the blobs to shuffle: the bytes lie in a folder of the local disk until
the pipeline has ended, so its memory does not grow with the rows. Every other runner shuffles the bytes themselves.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

Place = tuple[str, int, int]
Grouped = tuple[int, dict[str, Iterable[bytes]]]


class SpillsToFiles:
    """Of a runner that holds shuffled elements in memory: whose pipelines put blobs into files of one folder."""

    _folder: str | None = None

    def spill_folder(self, options: PipelineOptions) -> str | None:
        """The folder, made when it is first asked for; None where workers of such options do not see this disk."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="pairmill-shuffle-")
        return self._folder

    def remove_spilled(self) -> None:
        """Deletes what was spilled; once the pipeline has ended."""
        if self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None


@dataclass(frozen=True)
class SpilledBlobs:
    """Blobs that lie in files; each is read when its turn comes."""

    folder: str
    places: tuple[Place, ...]

    def __iter__(self) -> Iterator[bytes]:
        for name, first, size in self.places:
            with open(os.path.join(self.folder, name), "rb") as file:
                file.seek(first)
                yield file.read(size)


class _Spill(beam.DoFn):
    """(key, blob) to (key, its place): the blobs of a bundle lie in one file."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._name = ""
        self._file: IO[bytes] | None = None

    def start_bundle(self) -> None:
        self._name, self._file = uuid.uuid4().hex, None

    def process(self, element: tuple[int, bytes]) -> Iterator[tuple[int, Place]]:
        key, blob = element
        if self._file is None:
            self._file = open(os.path.join(self._folder, self._name), "wb")  # noqa: SIM115 (closed with its bundle)
        first = self._file.tell()
        self._file.write(blob)
        yield key, (self._name, first, len(blob))

    def finish_bundle(self) -> None:
        if self._file is not None:
            self._file.close()


class GroupBlobs(beam.PTransform):
    """(key, bytes) to (key, iterable of bytes)."""

    def expand(self, blobs: beam.PCollection) -> beam.PCollection:
        folder = _folder_of(blobs)
        if folder is None:
            return blobs | "GroupByKey" >> beam.GroupByKey()
        return (
            blobs
            | "Spill" >> beam.ParDo(_Spill(folder))
            | "GroupByKey" >> beam.GroupByKey()
            | "Spilled" >> beam.Map(_spilled, folder)
        )


class CoGroupBlobs(beam.PTransform):
    """Collections of (key, bytes), each with its tag, to (key, {tag: iterable of bytes})."""

    def expand(self, tagged: Mapping[str, beam.PCollection]) -> beam.PCollection:
        folder = _folder_of(next(iter(tagged.values())))
        if folder is None:
            return tagged | "CoGroupByKey" >> beam.CoGroupByKey()
        spilled = {tag: blobs | f"Spill {tag}" >> beam.ParDo(_Spill(folder)) for tag, blobs in tagged.items()}
        joined = spilled | "CoGroupByKey" >> beam.CoGroupByKey()
        return joined | "Spilled" >> beam.Map(_all_spilled, folder, tuple(tagged))


def _folder_of(blobs: beam.PCollection) -> str | None:
    runner = blobs.pipeline.runner
    return runner.spill_folder(blobs.pipeline.options) if isinstance(runner, SpillsToFiles) else None


def _spilled(grouped: tuple[int, Iterable[Place]], folder: str) -> tuple[int, Iterable[bytes]]:
    key, places = grouped
    return key, SpilledBlobs(folder, tuple(places))


def _all_spilled(grouped: tuple[int, Mapping[str, Iterable[Place]]], folder: str, tags: Sequence[str]) -> Grouped:
    key, places = grouped
    return key, {tag: SpilledBlobs(folder, tuple(places[tag])) for tag in tags}
