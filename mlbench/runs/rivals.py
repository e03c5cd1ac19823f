"""The passages that outrank the relevant ones, from the run files that a report was saved with.

These are in the order of the exact scores, and at equal scores with relevant passages last, so the
table's counts say which of them are above a relevant passage and which tie with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlbench.data.texts import Name
from mlbench.reports.explain import Explanation
from mlbench.reports.rivals import Rival, Rivals, ranked_rivals
from mlbench.runs.patterns import ALL_LANGUAGES, EXAMPLE, PASSAGE, QUERY, filled
from mlbench.runs.reading import RunFile, read_run

Ordered = dict[str, list[tuple[str, float]]]
"""Passage language -> (id, score), best first."""


def run_files(folder: Path, language: str, pool: Sequence[str]) -> dict[str, Path]:
    """Return the run files beside a report that hold the queries of a language in a pool: one of
    each passage language, or else, under "", that of all; empty where there are none."""

    def path(of: str) -> Path:
        return folder / filled(EXAMPLE, {QUERY: language, PASSAGE: of})

    alone = {code: path(code) for code in pool}
    if all(file.is_file() for file in alone.values()):
        return alone
    together = path(ALL_LANGUAGES)
    return {"": together} if together.is_file() else {}


def rivals_in_runs(folder: Path, explained: Sequence[Explanation], most: int) -> list[Rivals]:
    """Return the first ``most`` rivals, by language, of queries that have one pool a language, as
    far as the run files reach; none for queries that have no file.

    Raises DataError where a file is no run.
    """
    pools = {each.language: list(each.passages[0].above) for each in explained}
    of_language = {
        language: _read(run_files(folder, language, pool), explained)
        for language, pool in pools.items()
    }
    return [
        _of_query(each, of_language[each.language].get(each.query_id, {}), most)
        for each in explained
    ]


def _read(files: dict[str, Path], explained: Sequence[Explanation]) -> dict[str, Ordered]:
    """Return what the files hold of the queries."""
    wanted = {each.query_id for each in explained}
    found: dict[str, Ordered] = {}
    for language, path in files.items():
        for query, passage, score in _lines(read_run(path), wanted):
            code, id_ = (language, passage) if language else passage.split(":", 1)
            found.setdefault(query, {}).setdefault(code, []).append((id_, score))
    for ordered in found.values():
        for ranking in ordered.values():
            ranking.sort(key=lambda entry: -entry[1])
    return found


def _lines(run: RunFile, wanted: set[str]) -> list[tuple[str, str, float]]:
    rows = zip(run.query.tolist(), run.passage.tolist(), run.score.tolist(), strict=True)
    names = [name.id for name in run.queries]
    return [(names[q], run.passages[p].id, score) for q, p, score in rows if names[q] in wanted]


def _of_query(each: Explanation, ordered: Ordered, most: int) -> Rivals:
    relevant: set[Name] = {(p.language, p.passage_id) for p in each.passages}
    of: dict[str, tuple[Rival, ...]] = {}
    scores: dict[Name, float] = {}
    short = []
    for language in each.passages[0].above:
        ranking = ordered.get(language, [])
        scores |= {(language, id_): s for id_, s in ranking if (language, id_) in relevant}
        others = [entry for entry in ranking if (language, entry[0]) not in relevant]
        counts = {
            (p.language, p.passage_id): (p.above[language], p.tied[language]) for p in each.passages
        }
        of[language] = ranked_rivals(language, others, counts, most)
        if len(of[language]) < min(most, max(sum(pair) for pair in counts.values())):
            short.append(language)
    return Rivals(of, scores, tuple(short))
