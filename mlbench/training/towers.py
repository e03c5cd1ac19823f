"""Two towers made anew, one for images and one for texts: a small CLIP, with random weights."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.training.tokenizer import UNKNOWN

if TYPE_CHECKING:
    from mlbench.training.config import TrainConfig

SIDE, PATCH = 64, 8
"""Pixels of the side of an image as the model sees it, and of a patch of it."""
TOKENS = 48
"""Tokens that the text tower reads of a text, with those at its beginning and end."""
LAYERS = {"text": 1, "image": 2}
HEAD = 32
"""Numbers of an attention head, at least."""
PAD, BEGIN, END = "[PAD]", "[BEGIN]", "[END]"


def new_towers(config: TrainConfig, tokenizer: Any) -> tuple[Any, str]:
    """Return a new CLIP as a SentenceTransformer, and the SHA-256 (hex) of what it begins as.

    Both towers have ``config.dimension`` numbers in their hidden states and in the vectors; the
    text tower's tokens are those of ``tokenizer``. The same configuration gives the same weights.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import CLIPModel, CLIPProcessor

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        words = _words(tokenizer)
        model = CLIPModel(_form(config.dimension, words))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        CLIPProcessor(_eye(), words).save_pretrained(folder)
        loaded = SentenceTransformer(folder, device="cpu", similarity_fn_name="cosine")
        total = hashlib.sha256()
        for path in sorted(Path(folder).iterdir()):
            total.update(path.name.encode() + b"\n" + path.read_bytes())
    loaded.model_card_data.base_model = None
    return loaded, total.hexdigest()


def _words(tokenizer: Any) -> Any:
    """Return a tokenizer for the text tower; the token that ends a text has the highest number,
    as CLIP expects."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    own = Tokenizer.from_str(tokenizer.to_str())
    own.add_special_tokens([PAD, BEGIN, END])
    ends = [(name, own.token_to_id(name)) for name in (BEGIN, END)]
    own.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=own,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=TOKENS,
    )


def _form(width: int, words: Any) -> Any:
    from transformers import CLIPConfig

    shared = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_attention_heads": _heads(width),
        "projection_dim": width,
    }
    text = {
        "vocab_size": len(words),
        "max_position_embeddings": TOKENS,
        "num_hidden_layers": LAYERS["text"],
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
    }
    image = {"image_size": SIDE, "patch_size": PATCH, "num_hidden_layers": LAYERS["image"]}
    return CLIPConfig(text_config=shared | text, vision_config=shared | image, projection_dim=width)


def _heads(width: int) -> int:
    """Return how many heads share ``width`` numbers evenly: as many as have HEAD each, or fewer."""
    most = max(1, width // HEAD)
    return next(count for count in range(most, 0, -1) if width % count == 0)


def _eye() -> Any:
    """Return what prepares an image: RGB, and as large as the image tower sees it."""
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
