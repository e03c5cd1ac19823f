"""Tiny models of images and texts, made here with random weights, and images for them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE, LENGTH, WIDTH = 32, 16, 32
CAPTIONS = ["a dog", "the lake and the cat and the dog by the lake", "x", "чай"]


def noise(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """An image of many colours, which follow from ``seed``."""
    width, height = size
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def images() -> list[Image.Image]:
    """Images of several sizes, very small and very flat ones among them."""
    sizes = [(40, 30), (30, 40), (64, 64), (1, 1), (3, 5), (5, 3), (90, 4), (33, 32)]
    return [noise(seed, size) for seed, size in enumerate(sizes)]


def _tokenizer(begin: str, end: str, pad: str) -> Any:
    """A tokenizer of bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = [*dict.fromkeys(filter(None, (pad, begin, end)))]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}".strip(),
        special_tokens=[(token, vocabulary[token]) for token in special],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=begin or None,
        eos_token=end,
        pad_token=pad,
        model_max_length=LENGTH,
        # SigLIP has no mask: it attends to padding
        model_input_names=["input_ids", "attention_mask"] if begin else ["input_ids"],
    )


def _sides(tokenizer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configurations of a text tower and of an image tower."""
    both = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    texts = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "projection_size": WIDTH,
    }
    return both | texts, both | {"image_size": SIDE, "patch_size": 8}


def _clip_reader() -> Any:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )


def make_clip(folder: Path, projection: int = 24) -> Path:
    """A transformers folder of a CLIPModel."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor

    tokenizer = _tokenizer("<|startoftext|>", "<|endoftext|>", "<|pad|>")
    texts, pictures = _sides(tokenizer)
    config = CLIPConfig(text_config=texts, vision_config=pictures, projection_dim=projection)
    torch.manual_seed(1)
    with _quietly():
        CLIPModel(config).save_pretrained(folder)
        CLIPProcessor(_clip_reader(), tokenizer).save_pretrained(folder)
    return folder


def make_siglip(folder: Path) -> Path:
    """A transformers folder of a SiglipModel."""
    import torch
    from transformers import SiglipConfig, SiglipModel, SiglipProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    tokenizer = _tokenizer("", "</s>", "<pad>")
    texts, pictures = _sides(tokenizer)
    texts["bos_token_id"] = tokenizer.eos_token_id
    config = SiglipConfig(text_config=texts, vision_config=pictures)
    torch.manual_seed(2)
    with _quietly():
        SiglipModel(config).save_pretrained(folder)
        reader = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
        SiglipProcessor(reader, tokenizer).save_pretrained(folder)
    return folder


def make_vision_tower(folder: Path) -> Path:
    """A transformers folder of a CLIP image tower without a text tower."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModel

    pictures = _sides(_tokenizer("", "</s>", "<pad>"))[1]
    torch.manual_seed(3)
    with _quietly():
        CLIPVisionModel(CLIPVisionConfig(**pictures)).save_pretrained(folder)
        _clip_reader().save_pretrained(folder)
    return folder


CHAT = (
    "{% for m in messages %}{{ m.role }}: {% for c in m.content %}"
    "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}\n{% endfor %}"
)


def make_chat_model(folder: Path) -> Path:
    """A transformers folder of a language model that sees, which gets all in messages (LLaVA)."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaModel,
        LlavaProcessor,
    )

    tokenizer = _tokenizer("<s>", "</s>", "<pad>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.model_max_length, tokenizer.padding_side = 4 * LENGTH, "left"
    texts, pictures = _sides(tokenizer)
    texts |= {"num_key_value_heads": 2, "max_position_embeddings": 8 * LENGTH}
    config = LlavaConfig(
        text_config=LlamaConfig(**texts),
        vision_config=CLIPVisionConfig(**pictures),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    torch.manual_seed(4)
    with _quietly():
        LlavaModel(config).save_pretrained(folder)
        LlavaProcessor(
            _clip_reader(),
            tokenizer,
            patch_size=8,
            vision_feature_select_strategy="default",
            chat_template=CHAT,
            num_additional_image_tokens=1,
        ).save_pretrained(folder)
    return folder


def saved_by_the_library(folder: Path, target: Path) -> Path:
    """A folder of sentence-transformers, made of one of transformers."""
    from sentence_transformers import SentenceTransformer

    with _quietly():
        SentenceTransformer(str(folder), device="cpu").save_pretrained(str(target))
    return target


@contextlib.contextmanager
def _quietly() -> Any:
    """Keep the libraries' bars and warnings, of token ids of other models, to themselves."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
