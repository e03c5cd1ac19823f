"""Run by torchrun in test_two_processes: which batches does each process get in a real training?

Then each trains what a file says, as ``mlbench train`` does.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from functools import partial
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, pre_tokenizers

from mlbench.common.errors import Fault, UsageError
from mlbench.training import overlap
from mlbench.training.batches import Proportions
from mlbench.training.processes import Processes
from mlbench.training.samplers import HybridBatchSampler, HybridMultiDatasetBatchSampler

LANGUAGES = ("de", "en", "ru")
ROWS, BATCH, EPOCHS = 24, 4, 2
PAIRS = [(query, passage) for query in LANGUAGES for passage in LANGUAGES]


def texts(pair):
    """A question is ``de7``: its language and its number."""
    query, passage = pair
    return {
        "query": [f"{query}{n}" for n in range(ROWS)],
        "passage": [f"{passage}{n}" for n in range(ROWS)],
    }


def tiny_model():
    words = ["[UNK]", *(f"{language}{n}" for language in LANGUAGES for n in range(ROWS))]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    module = StaticEmbedding(tokenizer, embedding_dim=4)
    return SentenceTransformer(modules=[module], device="cpu"), words


class Seen(torch.nn.Module):
    """A loss that keeps what it is given."""

    def __init__(self, model, words):
        super().__init__()
        self.model, self.words, self.batches = model, words, []

    def forward(self, features, labels):
        self.batches.append(
            [[self.words[token] for token in each["input_ids"].tolist()] for each in features]
        )
        return sum(self.model(each)["sentence_embedding"].mean() for each in features)


def batches(data, folder, **sampling):
    """Train, and return what this process was given in each step."""
    model, words = tiny_model()
    seen = Seen(model, words)
    args = SentenceTransformerTrainingArguments(
        output_dir=folder, num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH, seed=5,
        report_to="none", disable_tqdm=True, save_strategy="no", logging_strategy="no",
        use_cpu=True, **sampling,
    )  # fmt: skip
    SentenceTransformerTrainer(model=model, args=args, train_dataset=data, loss=seen).train()
    return seen.batches


def fail(rank):
    raise UsageError(Fault("data", f"none for {rank}"))


def main(folder):
    rows = {name: [] for name in ("query", "passage")}
    for pair in PAIRS:
        for name, values in texts(pair).items():
            rows[name] += values
    one = partial(
        HybridBatchSampler,
        query_languages=[query for query, _ in PAIRS for _ in range(ROWS)],
        passage_languages=[passage for _, passage in PAIRS for _ in range(ROWS)],
        query_ids=[*range(ROWS)] * len(PAIRS),
        passage_ids=[*range(ROWS)] * len(PAIRS),
        proportions=Proportions(mono=0.3, pair=0.4, mixed=0.3),
    )
    several = partial(
        HybridMultiDatasetBatchSampler, pairs=PAIRS, proportions=Proportions(mono=0.5, pair=0.5)
    )
    sets = DatasetDict({"-".join(pair): Dataset.from_dict(texts(pair)) for pair in PAIRS})
    found = {
        "one": batches(Dataset.from_dict(rows), folder, batch_sampler=one),
        "several": batches(
            sets, folder, multi_dataset_batch_sampler=several, batch_sampler="no_duplicates"
        ),
    }
    rank = os.environ.get("RANK", "0")
    here = Processes.here()
    found["did"] = here.first_does(lambda: f"done by {rank}")
    try:
        here.first_does(partial(fail, rank))
    except UsageError as error:
        found["failed"] = str(error)
    Path(folder, f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
    measured, file = overlap.overlap, Path(sys.argv[2]).with_suffix(".measured")

    def counted(*args, **options):
        with file.open("a", encoding="utf-8") as written:
            written.write(os.environ.get("RANK", "0"))
        return measured(*args, **options)

    overlap.overlap = counted
    sys.argv = ["mlbench", "train", sys.argv[2], "--quiet"]
    runpy.run_module("mlbench", run_name="__main__", alter_sys=False)
