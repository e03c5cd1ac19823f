"""What two benchmarks make of published files, step by step as they publish it.

XTREME-R (https://arxiv.org/abs/2104.07412, ``utils_lareqa.py``, ``utils_mewslix.py`` and
``evaluate_retrieval.py`` of google-research/xtreme): LAReQA with all languages' sentences in one
pool, mean AP@20; Mewsli-X with all languages' entities in one pool, mean over languages of MRR@20.
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


Span = Mapping[str, int]


def mewslix_query(text: str, sentences: Sequence[Span], mention: Mapping[str, Any]) -> str:
    """The text of a mention: one sentence of context, marked, with the mention in front."""
    focus = None
    for sentence in sentences:
        begins = sentence["start"] <= mention["start"] < sentence["end"]
        ends = sentence["start"] < mention["end"] <= sentence["end"]
        if begins and ends:
            focus = sentence
            break
    assert focus is not None
    context = text[focus["start"] : focus["end"]]
    offset = focus["start"]
    left = context[: mention["start"] - offset]
    right = context[mention["end"] - offset :]
    marked = f"{_escaped(left)} {{ {mention['text']} }} {_escaped(right)}"
    return _normalised(f"{mention['text']}: {marked}")


def _escaped(text: str) -> str:
    """Braces that belong together on one line become parentheses, from the left."""
    found = ""
    while text:
        opening = text.find("{")
        closing = text.find("}", opening)
        if opening < 0 or closing < 0:
            return found + text
        inside = text[opening + 1 : closing]
        if "\n" in inside:
            found, text = found + text[: opening + 1], text[opening + 1 :]
        else:
            found, text = f"{found}{text[:opening]}({inside})", text[closing + 1 :]
    return found


def mewslix_passage(entity: Mapping[str, Any]) -> str:
    """The text of an entity: the sentences of its description."""
    spans = entity["sentence_spans"]
    return _normalised(" ".join(entity["description"][s["start"] : s["end"]] for s in spans))


def _normalised(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def mewslix_mrr(gold: Mapping[str, str], predictions: Mapping[str, Sequence[str]], k: int) -> float:
    """The mean over mentions of the reciprocal rank of their entity among the first k."""
    total = 0.0
    for example, entity in gold.items():
        for rank, predicted in enumerate(predictions[example][:k], 1):
            if predicted == entity:
                total += 1 / rank
                break
    return total / len(gold)
