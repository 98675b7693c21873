"""From long captions to the texts that training reads: splitting, sub-captions, shearing, reductions.

In: captions, the original text, draws. Out: texts, never empty ones. Pure functions: what a loader may do at read
time is what a job does offline. A token here is a word between spaces unless a tokenizer is given: a function from
a text to its tokens, each of which is a piece of the text with the space before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from captioners.draws import Draws

Tokens = Callable[[str], list[str]]

# What DreamLIP and FLAIR split at.
_BREAKS = re.compile(r"\n|</s>|[.]")
_WORD = re.compile(r"\s*\S+")
_SENTENCE = re.compile(r".*?[.!?]+(?=\s|$)", re.DOTALL)
_JOINT = ". "
# CLIPS keeps nouns before adjectives before verbs before all others (Penn Treebank's tags).
_SYNTAX_ORDER = ("NN", "JJ", "VB")


def words(text: str) -> list[str]:
    """The words of a text, each with the space before it."""
    return _WORD.findall(text)


def sub_captions(caption: str) -> list[str]:
    """The parts of a caption between line ends, `</s>` and full stops (DreamLIP, arXiv:2403.17007), stripped."""
    return [part for part in (piece.strip() for piece in _BREAKS.split(caption)) if part]


def first_sentence(caption: str) -> str:
    """Up to the first end of a sentence, or the whole (Long-CLIP's short caption, arXiv:2403.15378)."""
    stripped = caption.strip()
    found = _SENTENCE.match(stripped)
    return found.group().strip() if found else stripped


def cut_at_full_stop(caption: str) -> str:
    """Up to the first full stop, without it (MobileCLIP's synthetic captions, arXiv:2311.17049)."""
    return caption.partition(".")[0].strip()


def sample_sub_captions(parts: Sequence[str], draws: Draws, *, count: int) -> list[str]:
    """`count` parts at random: different ones while there are enough, else each and some again (DreamLIP)."""
    if not parts:
        return []
    if len(parts) >= count:
        return draws.sample(parts, count)
    return [*draws.sample(parts, len(parts)), *(draws.choice(parts) for _ in range(count - len(parts)))]


def merged_sub_captions(
    parts: Sequence[str], draws: Draws, *, count: int, most: int = 3, consecutive: float = 0.5
) -> list[str]:
    """`count` texts, each of 1 to `most` parts joined by ". " (FLAIR, arXiv:2412.03561).

    Where several are joined they follow each other in the caption with the probability `consecutive`, and are any
    in a drawn order otherwise.
    """
    if not parts:
        return []
    made = []
    for _ in range(count):
        size = min(len(parts), 1 + draws.below(most))
        if size == 1:
            chosen = [draws.choice(parts)]
        elif draws.share() < consecutive:
            first = draws.below(len(parts) - size + 1)
            chosen = list(parts[first : first + size])
        else:
            chosen = draws.sample(parts, size)
        made.append(_JOINT.join(chosen))
    return made


def shear(caption: str, original: str, *, tokens: Tokens = words) -> str:
    """The caption cut to as many tokens as the original text has (text shearing, arXiv:2311.18765).

    An original without tokens shears nothing.
    """
    length = len(tokens(original))
    return truncated(caption, length, tokens=tokens) if length else caption.strip()


def truncated(caption: str, most: int, *, tokens: Tokens = words) -> str:
    """The first `most` tokens."""
    return "".join(tokens(caption)[:most]).strip()


def random_tokens(caption: str, draws: Draws, most: int, *, tokens: Tokens = words) -> str:
    """`most` tokens at random, in their order (CLIPS' random mask, arXiv:2411.16828)."""
    pieces = tokens(caption)
    if len(pieces) > most:
        pieces = [pieces[place] for place in sorted(draws.sample(range(len(pieces)), most))]
    return "".join(pieces).strip()


def block(caption: str, draws: Draws, most: int, *, tokens: Tokens = words) -> str:
    """`most` tokens that follow each other, from a random place on (CLIPS' block mask)."""
    pieces = tokens(caption)
    first = draws.below(len(pieces) - most + 1) if len(pieces) > most else 0
    return "".join(pieces[first : first + most]).strip()


def by_syntax(caption: str, tags: Sequence[str], most: int, *, tokens: Tokens = words) -> str:
    """`most` tokens, nouns before adjectives before verbs before others, in their order (CLIPS' syntax mask).

    tags: the Penn Treebank part of speech of each token. Among equals the earlier stays.
    """
    pieces = tokens(caption)
    if len(tags) != len(pieces):
        raise ValueError(f"expected a tag for each of {len(pieces)} tokens; given {len(tags)}")

    def rank(place: int) -> tuple[int, int]:
        kinds = [number for number, kind in enumerate(_SYNTAX_ORDER) if tags[place].startswith(kind)]
        return (kinds[0] if kinds else len(_SYNTAX_ORDER), place)

    kept = sorted(sorted(range(len(pieces)), key=rank)[:most])
    return "".join(pieces[place] for place in kept).strip()


def one_sentence(caption: str, draws: Draws) -> str:
    """One sub-caption at random (CLIPS' sub-caption); empty of a caption without one."""
    parts = sub_captions(caption)
    return draws.choice(parts) if parts else ""


def joined_alts(alts: Sequence[str], most: int = 128, *, tokens: Tokens = words) -> str:
    """All different alt-texts joined by "; ", cut to `most` tokens: what Altogether's captioner re-aligns
    (arXiv:2410.17251)."""
    return truncated("; ".join(dict.fromkeys(alt.strip() for alt in alts if alt.strip())), most, tokens=tokens)
