"""What two benchmarks make of SQuAD's JSON, step by step as they publish it.

XTREME-R (https://arxiv.org/abs/2104.07412, ``utils_lareqa.py`` and ``evaluate_retrieval.py`` of
google-research/xtreme): LAReQA with all languages' sentences in one pool, mean AP@20.
MTEB (https://arxiv.org/abs/2210.07316, ``XQuADRetrieval``): the distinct questions and paragraphs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Squad = Mapping[str, Any]


@dataclass
class XtremePool:
    """Candidates of all languages in their order, and which of them answer a question's versions.

    Questions are named by language and id.
    """

    texts: list[str] = field(default_factory=list)
    questions: dict[tuple[str, str], str] = field(default_factory=dict)
    answers: dict[str, set[int]] = field(default_factory=dict)

    def add(self, language: str, squad: Squad) -> None:
        for article in squad["data"]:
            for paragraph in article["paragraphs"]:
                context, breaks = paragraph["context"], paragraph["sentence_breaks"]
                sentences = [context[start:end] for start, end in breaks]
                first = len(self.texts)
                self.texts += [(s + context).replace("\n", "") for s in sentences]
                for question in paragraph["qas"]:
                    self.questions[language, question["id"]] = question["question"]
                    (answer,) = question["answers"]
                    holding = None
                    for start, end in breaks:
                        if start <= answer["answer_start"] < end:
                            holding = context[start:end]
                            break
                    for position, sentence in enumerate(sentences):
                        if sentence == holding:
                            found = self.answers.setdefault(question["id"], set())
                            found.add(first + position)


def xtreme_average_precision(targets: Collection[int], ranked: Sequence[int], k: int) -> float:
    """AP@k with the divisor of XTREME-R: the number of targets or k, whichever is less."""
    score, hits = 0.0, 0
    for place, candidate in enumerate(ranked[:k], 1):
        if candidate in targets:
            hits += 1
            score += hits / place
    return score / min(len(targets), k)


@dataclass
class MtebRetrieval:
    """Queries by id, documents by text, and the documents relevant to each query."""

    queries: dict[str, str]
    documents: set[str]
    relevant: dict[str, set[str]]


def mteb_retrieval(squad: Squad) -> MtebRetrieval:
    rows = [
        (question["id"], question["question"].strip(), paragraph["context"].strip())
        for article in squad["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    last_id = {}
    for id_, question, _ in rows:
        last_id[question] = id_
    found = MtebRetrieval({}, set(), {})
    for _, question, context in rows:
        found.queries[last_id[question]] = question
        found.documents.add(context)
        found.relevant.setdefault(last_id[question], set()).add(context)
    return found
