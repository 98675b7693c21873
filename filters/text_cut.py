"""Cutting tokenised texts to the longest of them, where that leaves a text tower's embeddings as they are.

In: an open_clip model. Out: where each text ends for this model, and its text tower run on shorter rows. In a causal
tower that reads its result at the end-of-text token, nothing behind that token has any effect; towers that look both
ways, append a class token or read the last position are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MASK = "attn_mask"


@dataclass(frozen=True)
class TextCut:
    """A causal text tower: `module` makes embeddings of tokens, with its buffers in `per_position` shortened."""

    module: Any
    per_position: Mapping[str, Any]
    pool: str
    eos_id: int | None

    def ends(self, tokens: Any) -> Any:
        """How many tokens of each row the tower's result depends on."""
        import torch

        if self.pool == "first":
            return torch.ones(len(tokens), dtype=torch.long)
        read_at = tokens if self.pool == "argmax" else (tokens == self.eos_id).int()
        return read_at.argmax(dim=-1) + 1

    def encode(self, tokens: Any) -> Any:
        """Embeddings of rows cut to a common length."""
        from torch.func import functional_call

        length = tokens.shape[1]
        shortened = {name: _head(name, each, length) for name, each in self.per_position.items()}
        made = functional_call(self.module, shortened, (), {"text": tokens})
        return _text_features(made)


def find_text_cut(model: Any) -> TextCut | None:
    """How to cut texts for an open_clip model; None where it would change the embeddings."""
    from open_clip.model import CLIP, CustomTextCLIP
    from open_clip.transformer import TextTransformer

    if type(model) is CLIP and model.attn_mask is not None:
        whole = {"positional_embedding": model.positional_embedding, _MASK: model.attn_mask}
        return _cut(model, whole, model.text_pool_type, model.text_eos_id)
    if type(model) is CustomTextCLIP and type(model.text) is TextTransformer:
        tower = model.text
        if tower.attn_mask is not None and tower.cls_emb is None and not tower.use_pad_mask:
            return _cut(tower, {_MASK: tower.attn_mask}, tower.pool_type, tower.eos_id)
    return None


def _cut(module: Any, per_position: Mapping[str, Any], pool: str, eos_id: int | None) -> TextCut | None:
    return TextCut(module, per_position, pool, eos_id) if pool in ("first", "argmax", "eos") else None


def _head(name: str, each: Any, length: int) -> Any:
    return each[:length, :length] if name == _MASK else each[:length]


def _text_features(made: Any) -> Any:
    """The embeddings in what a forward pass gives, whose shape depends on the model's settings."""
    if isinstance(made, dict):
        return made["text_features"]
    if isinstance(made, tuple):
        # CLIP gives (None, features, scale ...), a text tower (features, tokens).
        return made[1] if made[0] is None else made[0]
    return made
