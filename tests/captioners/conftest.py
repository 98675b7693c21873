"""Small models with drawn weights, pictures for them, and a loop to ask engines in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from captioners.captioner import Answer, Request
from captioners.engines import make_engine
from schemas.recaption import EngineOptions

PIXELS, PATCH = 28, 14
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<image>{% endif %}{% endfor %}{% endif %}{{ '\\n' }}{% endfor %}"
)


@pytest.fixture(scope="session")
def random_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA of a few thousand weights, drawn widely so that other pictures get other answers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    letters = ["<pad>", "<s>", "</s>", "<image>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<image>"],
    )
    side = {"height": PIXELS, "width": PIXELS}
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=PIXELS,
        patch_size=PATCH,
    )
    text = LlamaConfig(
        vocab_size=len(wrapped), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=160, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=3,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(PIXELS // PATCH) ** 2,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config).float()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.normal_(0, 0.4)
    # Folders recommend how to decode; requests alone say it.
    model.generation_config.update(repetition_penalty=5.0)
    folder = tmp_path_factory.mktemp("llava")
    model.save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessor(size=side, crop_size=side, do_center_crop=False),
        tokenizer=wrapped,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def random_coca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CoCa in open_clip's own format, of three small towers with drawn weights."""
    import open_clip
    from safetensors.torch import save_file

    config: dict[str, Any] = {
        "embed_dim": 32,
        "vision_cfg": {
            "image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16,
            "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True,
        },
        "text_cfg": {
            "context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1,
            "embed_cls": True, "output_tokens": True,
        },
        "multimodal_cfg": {
            "context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1, "attn_pooler_heads": 2,
        },
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("coca")
    torch.manual_seed(0)
    towers = {name: value for name, value in config.items() if name != "embed_dim"}
    model = open_clip.CoCa(embed_dim=config["embed_dim"], **towers)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.normal_(0, 0.3)
    save_file(model.state_dict(), str(folder / "open_clip_model.safetensors"))
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": {**config, "custom_text": True}}))
    return folder


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    """Six JPEGs of six colours."""
    made = []
    for number in range(6):
        image = Image.new("RGB", (40 + number, 30), (40 * number, 255 - 40 * number, 90))
        image.paste((250, 250, 250), (5 * number, 5, 5 * number + 10, 20))
        file = BytesIO()
        image.save(file, "JPEG", quality=95)
        made.append(file.getvalue())
    return made


Asked = Callable[[EngineOptions, Sequence[Request]], list[Any]]


@pytest.fixture(scope="session")
def ask_all() -> Asked:
    """The answers of an engine to requests that are all in flight at once; what one raises stands in its place."""

    def ask(options: EngineOptions, requests: Sequence[Request]) -> list[Answer | BaseException]:
        async def run() -> list[Answer | BaseException]:
            async with make_engine(options) as engine:
                return await asyncio.gather(*(engine.answer(each) for each in requests), return_exceptions=True)

        return asyncio.run(run())

    return ask
