"""The tiny multimodal LLM before it has learned anything: its tokenizer, its processor and its LLaVA.

In: texts to make a vocabulary of. Out: parts of `transformers`, which saves them as one folder that transformers and
vLLM load. The picture is squashed to a square, so that nothing of it is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.needed import require

INSTALL, WANTED_BY = "pairmill[captions]", "the training of the tiny MLLM"
PIXELS = 96
PATCH = 8
GRID = PIXELS // PATCH
WIDTH, LAYERS, HEAD = 128, 5, 32  # of the eyes
TEXT_WIDTH, TEXT_LAYERS, TEXT_HEAD = 192, 2, 64
VOCABULARY = 1024
CONTEXT = 2048
SPECIAL = ("<pad>", "<s>", "</s>", "<image>")
PAD, START, END, IMAGE = range(4)
BEFORE, AFTER = "USER: ", "\nASSISTANT: "
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}"
    "{% for part in message['content'] if part['type'] in ('image', 'image_url') %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ '\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}"
)


def make_tokenizer(texts: Iterable[str]) -> Any:
    """Byte-level BPE over the texts: every text can be written, those of this world in few tokens."""
    parts = require("tokenizers", install=INSTALL, wanted_by=WANTED_BY)
    tokenizer = parts.Tokenizer(parts.models.BPE())
    tokenizer.pre_tokenizer = parts.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = parts.decoders.ByteLevel()
    alphabet = parts.pre_tokenizers.ByteLevel.alphabet()
    trainer = parts.trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _transformers().PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[START],
        eos_token=SPECIAL[END],
        pad_token=SPECIAL[PAD],
        additional_special_tokens=[SPECIAL[IMAGE]],
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
    )


def make_processor(tokenizer: Any) -> Any:
    """The LLaVA processor over the tokenizer: pictures squashed, in the range -2 to 2."""
    parts = _transformers()
    side = {"height": PIXELS, "width": PIXELS}
    pictures = parts.CLIPImageProcessor(
        size=side, crop_size=side, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.25] * 3
    )
    return parts.LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(vocabulary: int) -> Any:
    """A LLaVA in float32, about 2.3 million weights. Its eyes begin by looking near (arXiv:2305.09828)."""
    import torch

    parts = _transformers()
    vision = parts.CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=WIDTH // HEAD,
        image_size=PIXELS,
        patch_size=PATCH,
    )
    text = parts.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        intermediate_size=512,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=TEXT_WIDTH // TEXT_HEAD,
        num_key_value_heads=TEXT_WIDTH // TEXT_HEAD,
        max_position_embeddings=CONTEXT,
        bos_token_id=START,
        eos_token_id=END,
        pad_token_id=PAD,
        tie_word_embeddings=True,
    )
    model = parts.LlavaForConditionalGeneration(
        parts.LlavaConfig(
            vision_config=vision,
            text_config=text,
            image_token_index=IMAGE,
            vision_feature_layer=-1,
            vision_feature_select_strategy="default",
            image_seq_length=GRID * GRID,
            tie_word_embeddings=True,
        )
    )
    eyes = eyes_of(model)
    with torch.no_grad():
        eyes.embeddings.position_embedding.weight[1:] = _places()
        for layer in eyes.encoder.layers:
            attention = layer.self_attn
            attention.k_proj.weight.copy_(attention.q_proj.weight)
            attention.q_proj.weight += 0.3 * torch.eye(WIDTH)
            attention.k_proj.weight += 0.3 * torch.eye(WIDTH)
    return model


def load_model(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model of a folder, in float32."""
    parts = _transformers()
    tokenizer = parts.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    model = parts.LlavaForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype="float32"
    )
    return tokenizer, model


def _transformers() -> Any:
    return require("transformers", install=INSTALL, wanted_by=WANTED_BY)


def eyes_of(model: Any) -> Any:
    """The vision transformer, whose name in the tree differs between versions of transformers."""
    tower = model.model.vision_tower
    return getattr(tower, "vision_model", tower)


def _places() -> Any:
    """Sines of row and column for each patch: GRID * GRID x WIDTH, so that near patches are alike."""
    import torch

    frequencies = torch.exp(-math.log(50.0) * torch.arange(WIDTH // 4) / (WIDTH // 4)) * 2.0
    turns = torch.arange(GRID)[:, None] * frequencies
    one = torch.cat([turns.sin(), turns.cos()], dim=1)
    rows, columns = one[:, None].expand(GRID, GRID, -1), one[None, :].expand(GRID, GRID, -1)
    return 0.3 * torch.cat([rows, columns], dim=2).reshape(GRID * GRID, WIDTH)
