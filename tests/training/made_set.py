"""A training set made in a test: parallel questions with some passages each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MadeRows:
    query: np.ndarray
    passage: np.ndarray


NOTHING = MadeRows(np.zeros(0, np.int64), np.zeros(0, np.int64))


class MadeSet:
    """``count`` questions of ``each`` passages in every language; the words of a text tell its
    question, so that what belongs together can be learnt."""

    name, digest = "made", "made-1"

    def __init__(self, languages=("de", "en", "ru"), count=40, each=1, without=()):
        self.languages = tuple(languages)
        numbers = np.arange(count * each, dtype=np.int64)
        self._all = MadeRows(numbers // each, numbers)
        self._without = set(without)

    def rows(self, query_language, passage_language):
        return NOTHING if (query_language, passage_language) in self._without else self._all

    def texts(self, query_language, passage_language, rows):
        chosen = self.rows(query_language, passage_language)
        queries = [f"{query_language}q{n} ask{n % 7}" for n in chosen.query[rows]]
        passages = [f"{passage_language}p{n} say{n % 7}" for n in chosen.passage[rows]]
        return queries, passages

    def negatives(self, query_language, passage_language, rows):
        return None
