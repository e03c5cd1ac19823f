"""Parallel plain text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlbench.common.errors import DataError
from mlbench.data.collection import Collection
from tests.data.readers.building import load, make_task, qrels_set, write


def lines(folder: Path, de: str | bytes, en: str | bytes) -> Collection:
    write(folder, {"de.txt": de, "en.txt": en})
    return load(make_task(folder, "lines", {"text": "{language}.txt"}))


def test_every_line_is_query_and_passage_and_relevant_to_its_translations(tmp_path: Path) -> None:
    data = lines(tmp_path, "eins\nzwei\n", "one\ntwo")
    assert data.queries.texts == data.passages.texts == ("eins", "zwei", "one", "two")
    assert data.queries.ids == data.passages.ids == ("1", "2", "1", "2")
    languages = ("de", "en")
    assert qrels_set(data) == {(q, n, p, n, 1) for q in languages for p in languages for n in "12"}


def test_files_of_different_length_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        lines(tmp_path, "eins\nzwei\n", "one\n")
    assert f"{tmp_path}/en.txt: 1 line, but 2 in {tmp_path}/de.txt" in str(caught.value)


def test_empty_lines_are_refused_by_number(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        lines(tmp_path, "eins\n\n \nvier\n", "one\ntwo\n\xa0\nfour\n")
    message = str(caught.value)
    assert message.count("an empty line") == 3
    for place in ("de.txt:2", "de.txt:3", "en.txt:3"):
        assert f"{tmp_path}/{place}: an empty line" in message


def test_invalid_utf8_is_told_with_its_byte(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"en\.txt:2: byte 6 of the file \(0xff\)"):
        lines(tmp_path, "eins\nzwei\n", b"one\ntw\xff\n")


def test_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="language 'de': no query at all"):
        lines(tmp_path, "", "")


line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), min_size=1)
line = line.filter(lambda text: text.strip() and not text.startswith("\ufeff"))


@given(st.lists(st.tuples(line, line), min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, pairs: list[tuple[str, str]], end: str) -> None:
    de, en = ("".join(text + end for text in column) for column in zip(*pairs, strict=True))
    data = lines(tmp_path, de, en)
    assert data.passages.texts == tuple(pair[i] for i in (0, 1) for pair in pairs)
    assert (data.relevant_by_language == 1).all()
