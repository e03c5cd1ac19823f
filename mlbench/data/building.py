"""Records laid out by language and checked: what a reader yields becomes a collection.

What is inconsistent is refused: ids given twice, judgements without a query or a passage, languages
without queries or passages, empty texts, no relevant passage at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mlbench.common.errors import DataError, Fault, first_faults
from mlbench.data.absent import Absent, Lost, present_and_lost, qrels_of
from mlbench.data.collection import Collection, Entries, Judgement, Qrels, Records, TextRecord
from mlbench.data.task import IMAGE, Roles


def build_collection(
    languages: Sequence[str], records: Records, roles: Roles | None = None, *, lenient: bool = False
) -> Collection:
    """Check ``records`` and lay them out by language.

    ``roles`` say which languages queries and passages have, where it is not all.

    If ``lenient``, judgements that name passages which were not read are left out (see ``absent``)
    as long as something relevant is left. Raises DataError with every fault found (the first 20 of
    many).
    """
    faults: list[Fault] = []
    roles = roles or Roles(tuple(languages), tuple(languages))
    spoken = Spoken("query", languages, roles.queries, roles.pairs)
    queries, query_index = build_entries(spoken, records.queries, faults)
    spoken = Spoken("passage", languages, roles.passages, roles.pairs)
    passages, passage_index = build_entries(spoken, records.passages, faults)
    judgements: Sequence[Judgement] = records.judgements
    lost: list[Lost] = []
    if lenient:
        present, lost = present_and_lost(languages, judgements, query_index, passage_index, faults)
        judgements = judgements if not lost else present
    rows = qrels_of(judgements, query_index, passage_index, faults)
    if IMAGE in languages:
        faults += wrong_images(records)
        faults += within_a_modality(judgements) if roles.between_modalities else []
    raise_faults(faults)
    return Collection(
        languages=tuple(languages),
        queries=queries,
        passages=passages,
        qrels=Qrels(*rows),
        absent=Absent.of(lost),
        unjudged=names_of(records.unjudged),
        pairs=roles.pairs,
        images=records.images,
    )


def wrong_images(records: Records) -> Iterator[Fault]:
    """Find entries of the language of images that refer to no image that was read."""
    known = records.images or ()
    for role, entries in (("query", records.queries), ("passage", records.passages)):
        for record in entries:
            if record.language == IMAGE and record.text not in known:
                found = f"{role} {record.id!r} has language {IMAGE!r} and is no image"
                expected = "an image, or another language for texts"
                yield Fault(record.where, found, expected)


def within_a_modality(judgements: Iterable[Judgement]) -> Iterator[Fault]:
    """Find judgements of a text by a text, or an image by an image, where each searches the
    other."""
    for row in judgements:
        if (row.query_language == IMAGE) is (row.passage_language == IMAGE):
            both = "images" if row.query_language == IMAGE else "texts"
            found = (
                f"query {row.query_id!r} ({row.query_language}) and passage {row.passage_id!r} "
                f"({row.passage_language}) are both {both}"
            )
            expected = "an image and a text: where each searches the other, no pool has both"
            yield Fault(row.where, found, expected)


def names_of(records: Iterable[TextRecord]) -> frozenset[tuple[str, str]]:
    """Return the language and id of each record."""
    return frozenset((record.language, record.id) for record in records)


def raise_faults(faults: Sequence[Fault]) -> None:
    """Raise DataError with the first faults, if there is any, and the number of the rest.

    What is wrong with one line in several languages is said once.
    """
    if faults:
        raise DataError(*first_faults([*dict.fromkeys(faults)]))


class Spoken(NamedTuple):
    """The languages of a task, and those ``own`` to the texts of a role, "query" or "passage"."""

    role: str
    languages: Sequence[str]
    own: Sequence[str]
    pairs: Sequence[tuple[str, str]] = ()


def build_entries(
    spoken: Spoken, records: Iterable[TextRecord], faults: list[Fault]
) -> tuple[Entries, dict[tuple[str, str], int]]:
    """Lay the records of a role out by language and check them; what is wrong joins ``faults``.

    Also returns (language, id) -> index. Faulty records are there, too, so that what names them is
    no further fault.
    """
    role, own = spoken.role, spoken.own
    by_language: dict[str, list[TextRecord]] = {language: [] for language in spoken.languages}
    known = frozenset(own)
    numbers: dict[tuple[str, str] | None, int] = {p: i for i, p in enumerate(spoken.pairs)}
    seen: dict[tuple[str, str], str] = {}
    for record in records:
        first = seen.get((record.language, record.id))
        seen.setdefault((record.language, record.id), record.where)
        if record.language not in known:
            found = f"{role} {record.id!r} has language {record.language!r}"
            faults.append(Fault(record.where, found, "one of " + ", ".join(own)))
        elif first is not None:
            found = f"{role} {record.id!r} ({record.language}) given again; first at {first}"
            faults.append(Fault(record.where, found, f"each {role} id once in a language"))
        elif wrong := wrong_text(role, record.id, record.text):
            faults.append(Fault(record.where, *wrong))
        if first is None:
            by_language.setdefault(record.language, []).append(record)
    for language, group in by_language.items():
        if not group and language in known:
            faults.append(none_of(role, language))
    if numbers:
        for group in by_language.values():
            group.sort(key=lambda record: numbers[record.pair])
    ordered = [record for group in by_language.values() for record in group]
    sizes = [len(group) for group in by_language.values()]
    entries = Entries(
        ids=tuple(r.id for r in ordered),
        texts=tuple(r.text for r in ordered),
        groups=tuple(r.group for r in ordered),
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        pair=np.array([numbers[r.pair] for r in ordered], np.int16) if numbers else None,
    )
    return entries, {(r.language, r.id): i for i, r in enumerate(ordered)}


def none_of(role: str, language: str, kind: str = "") -> Fault:
    """Say that a language of a role has no text, or nothing of that ``kind``."""
    expected = f"at least one {kind or role} in every language of the task"
    mend = f"if no {role} is in {language!r}, name the languages of the others in {role}-languages"
    return Fault(f"language {language!r}", f"no {kind or role} at all", expected, mend)


def wrong_text(role: str, id_: str, text: str) -> tuple[str, str] | None:
    """Return what is wrong with a text and what was expected, None where nothing is."""
    if not text.strip():
        return f"{role} {id_!r} has no text", "some text"
    if not is_unicode(id_ + text):
        return f"{role} {id_!r} holds half of a surrogate pair", "Unicode text"
    return None


def is_unicode(text: str) -> bool:
    """Whether a string can be encoded; JSON can escape surrogates that are no character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
