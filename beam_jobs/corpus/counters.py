"""What makes the keys of each counter, and what a fingerprint and a reader of its columns must know of it.

In: a counter's options. Out: its keying; its configuration, in which a vocabulary stands by the hash of its bytes and
not by its place; and, with the spectrum of the corpus, how exact its columns are.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from beam_jobs.corpus.concepts import ConceptKeys
from beam_jobs.corpus.hosts import HostKeys
from beam_jobs.corpus.keying import Keying
from beam_jobs.corpus.ngrams import NgramKeys
from beam_jobs.corpus.repeats import RepeatKeys
from beam_jobs.corpus.tallies import Spectrum
from beam_jobs.corpus.vocabulary import read_vocabulary
from schemas.corpus import ConceptsOptions, Counter, HostsOptions, NgramsOptions

# Raised when a counter would give other values for the same texts and options.
VERSIONS = {"repeats": 1, "hosts": 1, "ngrams": 1, "concepts": 1}


def configuration(counter: Counter) -> dict[str, Any]:
    """All that decides a counter's columns. Reads its vocabulary; a Refusal when there is something wrong with it."""
    options = asdict(counter)
    if isinstance(counter, ConceptsOptions):
        found = read_vocabulary(options.pop("vocabulary"), fold_case=counter.fold_case)
        options |= {"vocabulary_sha256": found.sha256, "vocabulary_entries": len(found)}
    return {"counter": counter.KIND, "version": VERSIONS[counter.KIND], "options": options}


def make_keying(counter: Counter, made: dict[str, Any]) -> Keying:
    """What makes the keys of a counter of this configuration."""
    if isinstance(counter, ConceptsOptions):
        return ConceptKeys(counter, made["options"]["vocabulary_sha256"])
    if isinstance(counter, NgramsOptions):
        return NgramKeys(counter)
    return HostKeys(counter) if isinstance(counter, HostsOptions) else RepeatKeys(counter)


def provenance(counter: Counter, made: dict[str, Any], spectrum: Spectrum) -> dict[str, Any]:
    """The configuration, how many different keys were counted, and how far a count may be off.

    keys_taken_for_another: how many pairs of different keys are expected to have met, each counted as one key; all
    other counts are exact.
    """
    keys = int(spectrum.keys.sum())
    return {**made, "different_keys": keys, "keys_taken_for_another": float(f"{keys**2 / 2**65:.3g}")}
