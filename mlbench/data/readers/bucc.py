"""Sentences with ids and a list of those that translate each other, as in BUCC's shared tasks.

Each pair of languages has a file of sentences for each of the two, whose lines are an id, a tab and
the sentence, and a file of translations, whose lines are an id of the pair's first language, a tab
and an id of its second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path

from mlbench.data.collection import Judgement, Records, TextRecord
from mlbench.data.input_files import Faults, Line, read_lines
from mlbench.data.readers import Files
from mlbench.data.task import Task

Pair = tuple[str, str]
Link = tuple[tuple[TextRecord, TextRecord], str]
"""Sentences that translate each other, and where that is said."""


def read(task: Task, locate: Files) -> Records:
    """Read the ``text`` files and the ``gold`` file of each pair; an id is "de-en/de-000000001".

    Every sentence is a passage. Those with a translation are queries, to which their translations
    are relevant; the others are no queries and join ``unjudged``. Sentences that translate each
    other, directly or by way of others, are of one group.

    Raises DataError for lines without a tab, empty sentences, ids that a file has twice,
    translations of sentences that are not there, and text that is not UTF-8.
    """
    faults, records = Faults(), Records()
    texts, gold = locate.pairs("text"), locate.pairs("gold")
    for pair in task.pairs:
        sides = [_read_sentences(texts[pair][code], code, pair, faults) for code in pair]
        if faults:
            continue
        paths = texts[pair][pair[0]], texts[pair][pair[1]]
        links = list(_read_links(gold[pair][""], paths, sides, faults))
        _add(records, task, pair, sides, links)
    faults.check()
    return records


def _read_sentences(path: Path, code: str, pair: Pair, faults: Faults) -> dict[str, TextRecord]:
    """Read a file of sentences; what is wrong with it is noted."""
    found: dict[str, TextRecord] = {}
    for line, (id_, text) in _read_halves(path, "a sentence", faults):
        if id_ in found:
            first = found[id_].where
            faults.add(line.where, f"the id {id_!r} again, as at {first}", "each id once")
            continue
        name = f"{'-'.join(pair)}/{id_}"
        found[id_] = TextRecord(name, code, text, line.where, pair=pair)
    return found


def _read_links(
    path: Path, paths: tuple[Path, Path], sides: list[dict[str, TextRecord]], faults: Faults
) -> Iterator[Link]:
    """Yield sentences that translate each other, and where that is said."""
    for line, ids in _read_halves(path, "the id of its translation", faults):
        turned = ids[1] in sides[0] and ids[0] in sides[1]
        mend = "the first id is of the pair's first language; change `pairs`" if turned else ""
        unknown = [place for place in (0, 1) if ids[place] not in sides[place]]
        for place in unknown:
            found = f"the id {ids[place]!r}, which is not in {paths[place]}"
            faults.add(line.where, found, "an id of each of the pair's files of sentences", mend)
        if not unknown:
            yield (sides[0][ids[0]], sides[1][ids[1]]), line.where


def _read_halves(path: Path, second: str, faults: Faults) -> Iterator[tuple[Line, tuple[str, str]]]:
    """Yield the lines of a file with what stands before the first tab and after it."""
    for line in read_lines(path, faults):
        id_, tab, rest = line.text.partition("\t")
        if not tab:
            found = f"no tab in {line.text[:60]!r}"
        elif not id_.strip() or not rest.strip():
            found = f"nothing {'before' if not id_.strip() else 'after'} the tab"
        else:
            yield line, (id_, rest)
            continue
        faults.add(line.where, found, f"an id, a tab and {second}")


def _add(
    records: Records,
    task: Task,
    pair: Pair,
    sides: list[dict[str, TextRecord]],
    links: list[Link],
) -> None:
    """Add the sentences of a pair and what is relevant to them, in both directions."""
    questions = _questions(both for both, _ in links)
    for asked, searched in permutations((0, 1)):
        if pair[asked] not in task.roles.queries or pair[searched] not in task.roles.passages:
            continue
        records.passages += sides[searched].values()
        for sentence in sides[asked].values():
            group = questions.get((sentence.language, sentence.id))
            if group is None:
                records.unjudged.append(sentence)
                continue
            query = TextRecord(
                sentence.id, sentence.language, sentence.text, sentence.where, group, pair
            )
            records.queries.append(query)
        records.judgements += [
            Judgement(both[asked].id, pair[asked], both[searched].id, pair[searched], 1, where)
            for both, where in links
        ]


def _questions(links: Iterable[tuple[TextRecord, TextRecord]]) -> dict[tuple[str, str], str]:
    """Return the name of the question that a sentence is, by its language and id: the same for all
    that translate each other, directly or by way of others."""
    above: dict[tuple[str, str], tuple[str, str]] = {}

    def top(key: tuple[str, str]) -> tuple[str, str]:
        while above[key] != key:
            above[key] = key = above[above[key]]
        return key

    for link in links:
        one, other = ((record.language, record.id) for record in link)
        above.setdefault(one, one)
        above.setdefault(other, other)
        above[top(other)] = top(one)
    return {key: top(key)[1] for key in above}
