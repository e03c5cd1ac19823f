"""Small models of which many give a text another vector where a batch is padded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.models.neural.conftest import edit

WIDTH, POSITIONS = 32, 64


def _bare(network: Any, bare_folder: Path, folder: Path, side: str) -> Path:
    """Save a network with the tokenizer of ``bare_folder``, padded on that side."""
    shutil.copytree(
        bare_folder, folder, ignore=shutil.ignore_patterns("config.json", "*.safetens*")
    )
    network.save_pretrained(folder)
    edit(folder / "tokenizer_config.json", padding_side=side, tokenizer_class="BertTokenizerFast")
    return folder


def bert(bare_folder: Path, folder: Path, side: str = "left", **given: Any) -> Path:
    """A BERT: it counts positions from the first token of a batch, padding or not."""
    import transformers

    network = transformers.BertModel.from_pretrained(bare_folder, **given)
    return _bare(network, bare_folder, folder, side)


def _of(kind: str, **sizes: Any) -> Callable[[Path, Path], Path]:
    def made(bare_folder: Path, folder: Path) -> Path:
        import torch
        import transformers

        vocabulary = transformers.AutoConfig.from_pretrained(bare_folder).vocab_size
        torch.manual_seed(5)
        config = getattr(transformers, f"{kind}Config")(vocab_size=vocabulary, **sizes)
        network = getattr(transformers, f"{kind}Model")(config)
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.3)
        return _bare(network, bare_folder, folder, "left")

    return made


gpt2 = _of(
    "GPT2", n_embd=WIDTH, n_layer=2, n_head=4, n_positions=POSITIONS,
    bos_token_id=2, eos_token_id=3, pad_token_id=0,
)  # fmt: skip
opt = _of(
    "OPT", hidden_size=WIDTH, word_embed_proj_dim=WIDTH, num_hidden_layers=2, ffn_dim=64,
    num_attention_heads=4, max_position_embeddings=POSITIONS,
    bos_token_id=2, eos_token_id=3, pad_token_id=0,
)  # fmt: skip
bloom = _of("Bloom", hidden_size=WIDTH, n_layer=2, n_head=4, bos_token_id=2, eos_token_id=3)
llama = _of(
    "Llama", hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=POSITIONS, bos_token_id=2, eos_token_id=3, pad_token_id=0,
)  # fmt: skip
fnet = _of(
    "FNet", hidden_size=WIDTH, num_hidden_layers=2, intermediate_size=64,
    max_position_embeddings=POSITIONS, pad_token_id=0,
)  # fmt: skip
xlnet = _of("XLNet", d_model=WIDTH, n_layer=2, n_head=4, d_inner=64)


def convolved(bare_folder: Path, folder: Path, **sizes: Any) -> Path:
    """A BERT below a convolution, which runs over padding."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as modules

    torch.manual_seed(4)
    layers = modules.CNN(WIDTH, out_channels=8, **sizes)
    for weight in layers.parameters():
        torch.nn.init.normal_(weight)
    pooling = modules.Pooling(layers.get_embedding_dimension())
    model = SentenceTransformer(
        modules=[modules.Transformer(str(bare_folder)), layers, pooling], device="cpu"
    )
    model.save(str(folder), create_model_card=False)
    return folder
