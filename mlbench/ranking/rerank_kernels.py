"""The compiled loop of reranking: counts of a first stage turned into those after reranking."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlbench.ranking.kernels import jit


@jit
def rerank(
    rows: Any, relevant: Any, threshold: Any, cuts: Any, passage: Any, language: Any, first: Any,
    again: Any, place: Any, above: Any, tied: Any,
) -> None:  # fmt: skip
    """Turn the counts of a first stage into those after its candidates were scored again.

    Query i owns the relevant passages ``relevant[rows[i]:rows[i + 1]]``, which the first stage
    scores ``threshold``, and the candidates ``passage[cuts[i]:cuts[i + 1]]`` of ``language``, which
    the first stage scores ``first`` and the reranker ``again``. ``above`` and ``tied``
    (relevant, languages) int32 are those of the first stage, and are altered; ``place`` is set.
    """
    for i in range(rows.shape[0] - 1):
        own = range(rows[i], rows[i + 1])
        chosen = range(cuts[i], cuts[i + 1])
        candidate = np.full(len(own), -1, np.int64)
        judged = np.zeros(len(chosen), np.bool_)
        for r in own:
            for c in chosen:
                if passage[c] == relevant[r]:
                    candidate[r - rows[i]] = c
                    judged[c - cuts[i]] = True
        for r in own:
            mine = candidate[r - rows[i]]
            if mine >= 0:
                above[r, :] = 0
                tied[r, :] = 0
            for c in chosen:
                if judged[c - cuts[i]]:
                    continue
                if mine >= 0:
                    above[r, language[c]] += np.int32(again[c] > again[mine])
                    tied[r, language[c]] += np.int32(again[c] == again[mine])
                else:
                    above[r, language[c]] += np.int32(first[c] <= threshold[r])
                    tied[r, language[c]] -= np.int32(first[c] == threshold[r])
            place[r] = 1
            for other in own:
                theirs = candidate[other - rows[i]]
                if mine >= 0 and theirs >= 0:
                    place[r] += np.int32(again[theirs] > again[mine])
                elif mine < 0 and theirs < 0:
                    place[r] += np.int32(threshold[other] > threshold[r])
                else:
                    place[r] += np.int32(mine < 0)
