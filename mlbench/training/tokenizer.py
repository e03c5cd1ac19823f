"""A tokenizer made of the training text, for static embeddings that begin from nothing."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.files import alone, cache_folder, write_atomically
from mlbench.data.task import IMAGE

if TYPE_CHECKING:
    from mlbench.training.judged_pairs import TrainingSet

MOST_TEXTS = 500_000
"""Texts that a tokenizer is trained on; of more, evenly spread ones."""
LONGEST_TOKEN = 16
UNKNOWN = "[UNK]"
_METHOD = "byte pairs 1"
"""Changes whenever the same text would give another tokenizer."""


def make_tokenizer(data: TrainingSet, languages: Sequence[str], vocabulary: int) -> Any:
    """Return a tokenizer (byte pair encoding over lower-case text) of the texts in some languages.

    The same text gives the same tokenizer. It is kept in the cache under the digest of the data.
    Raises EnvironmentFault where the cache cannot be written.
    """
    from tokenizers import Tokenizer

    path = _place(data, languages, vocabulary)
    with alone(path):
        if path.is_file():
            return Tokenizer.from_file(str(path))
        made = _train([*_texts(data, languages)], vocabulary)
        write_atomically(path, made.to_str().encode(), "MLBENCH_CACHE")
    return made


def _place(data: TrainingSet, languages: Sequence[str], vocabulary: int) -> Path:
    key = [
        *(_METHOD, importlib.metadata.version("tokenizers"), data.digest),
        *(sorted(languages), vocabulary, MOST_TEXTS, LONGEST_TOKEN),
    ]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    return cache_folder() / "tokenizers" / f"{name}.json"


def _texts(data: TrainingSet, languages: Sequence[str]) -> Iterator[str]:
    """Yield the questions and passages in some languages, each language's from the first pair of
    languages that has them."""
    spoken = sorted(set(languages) - {IMAGE})
    most = MOST_TEXTS // (2 * len(spoken)) + 1
    for language in spoken:
        for role in (0, 1):
            for other in (language, *sorted(languages)):
                pair = (language, other) if role == 0 else (other, language)
                rows = data.rows(*pair)
                numbers = rows.query if role == 0 else rows.passage
                first = np.unique(numbers, return_index=True)[1]
                if len(first):
                    spread = np.linspace(0, len(first) - 1, min(most, len(first))).astype(np.int64)
                    yield from data.texts(*pair, np.sort(first)[spread])[role]
                    break


def _train(texts: Sequence[str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token=UNKNOWN))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[UNKNOWN],
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer, length=len(texts))
    return made
