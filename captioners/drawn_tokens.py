"""The next token of several answers at once, each drawn by its own decoding and its own seed.

In: logits, a row an answer. Out: logits whose largest value is the token to take, so that any code that takes the
likeliest token draws. A row's draws depend on its seed alone, never on the rows beside it or on the device: the
largest of log-probabilities with Gumbel noise added is a sample of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from captioners.captioner import Request


class DrawnTokens:
    """Called once a token, with the tokens so far (which play no part) and the logits; as transformers calls its
    logits processors."""

    def __init__(self, rows: Sequence[tuple[Request, int]]) -> None:
        """rows: requests, each with the number of the answer among its n."""
        import torch

        self._drawn = [
            (place, request.decoding, torch.Generator().manual_seed(_seed(request, number)))
            for place, (request, number) in enumerate(rows)
            if request.decoding.temperature > 0
        ]

    def __call__(self, tokens: Any, logits: Any) -> Any:
        import torch

        if not self._drawn:
            return logits
        logits = logits.float().clone()
        for place, decoding, generator in self._drawn:
            chances = _nucleus((logits[place] / decoding.temperature).log_softmax(-1), decoding.top_p)
            uniform = torch.rand(chances.shape[-1], generator=generator, dtype=torch.float64)
            noise = -(-uniform.clamp(1e-300, 1 - 1e-16).log()).log()
            logits[place] = chances + noise.to(chances.device, chances.dtype)
        return logits


def _nucleus(chances: Any, top_p: float) -> Any:
    """Log-probabilities without those behind the likeliest tokens that make up `top_p`; the likeliest stays."""
    if top_p >= 1:
        return chances
    ordered, order = chances.sort(descending=True, stable=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()
    return chances.index_fill(0, order[before >= top_p], float("-inf"))


def _seed(request: Request, number: int) -> int:
    stated = f"{request.decoding.seed}\x1f{request.digest}\x1f{number}"
    return int.from_bytes(hashlib.sha256(stated.encode()).digest()[:8], "big") >> 1
