"""Task files: what they say, and how all their faults are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.common.errors import DataError, EnvironmentFault
from mlbench.data.task import Kind, Setting, Task, language_among, language_code
from mlbench.data.task_file import parse_task

SOUND = """
name = "small"
version = "1"
title = "Small"
languages = ["de", "en", "zh-Hans"]
licence = "CC0-1.0"
citation = '''
Somebody, 2025
'''

[source]
reader = "lines"
url = "https://example.org/{path}"

[source.files]
text = "{language}.txt"
all = "all.txt"

[source.sha256]
"de.txt" = "0000000000000000000000000000000000000000000000000000000000000000"

[source.options]
key = "value"
"""


def parse(folder: Path, text: str | bytes) -> Task:
    path = folder / "small.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return parse_task(path)


def faults(folder: Path, old: str, new: str) -> list[str]:
    """Return the faults of the sound task file with ``old`` replaced."""
    assert old in SOUND
    with pytest.raises(DataError) as caught:
        parse(folder, SOUND.replace(old, new, 1))
    return [str(fault) for fault in caught.value.faults]


def test_what_a_task_file_says(tmp_path: Path) -> None:
    task = parse(tmp_path, SOUND)
    assert (task.name, task.version, task.title) == ("small", "1", "Small")
    assert task.languages == ("de", "en", "zh-Hans")
    assert task.citation == "Somebody, 2025"
    assert task.path == tmp_path / "small.toml"
    assert task.source.reader == "lines"
    assert task.source.options == {"key": "value"}
    assert task.source.url("text") == "https://example.org/{path}"
    assert task.source.files == {"text": "{language}.txt", "all": "all.txt"}


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("de", "de"), ("EN", "en"), ("deu_Latn", "deu-Latn"), ("zho_hans", "zho-Hans"),
        ("zh_CN", "zh-CN"), ("zh-cn", "zh-CN"), ("ZH-HANT-hk", "zh-Hant-HK"), ("es_419", "es-419"),
        ("sl-rozaj-biske", "sl-rozaj-biske"), ("de-1996", "de-1996"),
        ("en-A-Bb-X-Yyyy", "en-a-bb-x-yyyy"),
    ],
)  # fmt: skip
def test_a_language_has_one_spelling(spelling: str, code: str) -> None:
    assert language_code(spelling) == code
    assert language_code(code) == code
    assert language_among(spelling, ("xx", code)) == code
    assert language_among(code, ("xx", spelling)) == spelling


@pytest.mark.parametrize(
    "wrong", ["", "d", "de_", "de__CH", "de CH", "de_DE.UTF-8", "sr@latin", "_"]
)
def test_what_is_no_language_code(wrong: str) -> None:
    with pytest.raises(ValueError, match="no language code"):
        language_code(wrong)
    assert language_among(wrong, ("de", "en")) == wrong


def test_codes_as_flores_spells_them_are_taken(tmp_path: Path) -> None:
    old = 'languages = ["de", "en", "zh-Hans"]'
    task = parse(tmp_path, SOUND.replace(old, 'languages = ["deu_Latn", "EN", "zh-Hans"]'))
    assert task.languages == ("deu-Latn", "en", "zh-Hans")
    assert task.source.spelled == {"deu-Latn": "deu_Latn", "en": "EN"}


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        ('"de", "de"', "'de' given more than once"),
        ('"deu_Latn", "en", "deu-Latn"', "'deu_Latn' and 'deu-Latn' given more than once"),
        ('"EN", "en"', "'EN' and 'en' given more than once"),
        (
            '"de", "zh Hans"',
            "'zh Hans'\n  expected: language codes such as 'ar', 'zh-Hans' or 'deu_",
        ),
    ],
)
def test_one_language_in_two_spellings_is_a_fault(tmp_path: Path, codes: str, found: str) -> None:
    (fault,) = faults(tmp_path, '"de", "en", "zh-Hans"', codes)
    assert fault.startswith(f"{tmp_path}/small.toml, field languages: {found}")


def test_what_may_be_left_out(tmp_path: Path) -> None:
    task = parse(tmp_path, SOUND[: SOUND.index("[source.sha256]")].replace("url", "# url"))
    assert task.kinds == tuple(Kind)
    assert task.measures == ("AP", "RR", "nDCG@10", "R@1", "R@10")
    assert task.text == ""
    assert (task.source.urls, task.source.sha256, task.source.options) == ({}, {}, {})


def test_settings_by_kind_then_query_language_then_pool(tmp_path: Path) -> None:
    task = parse(tmp_path, SOUND.replace(', "zh-Hans"', ""))
    assert task.settings() == (
        Setting(Kind.MONOLINGUAL, "de", ("de",)),
        Setting(Kind.MONOLINGUAL, "en", ("en",)),
        Setting(Kind.CROSSLINGUAL, "de", ("en",)),
        Setting(Kind.CROSSLINGUAL, "en", ("de",)),
        Setting(Kind.MULTILINGUAL, "de", ("de", "en")),
        Setting(Kind.MULTILINGUAL, "en", ("de", "en")),
    )


def test_one_language_has_a_monolingual_setting_alone(tmp_path: Path) -> None:
    task = parse(tmp_path, SOUND.replace('"de", "en", "zh-Hans"', '"de"'))
    assert task.settings() == (Setting(Kind.MONOLINGUAL, "de", ("de",)),)


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        ("name = ", "nmae = ", "nmae", "unknown field\n  to fix: did you mean 'name'?"),
        ("version", "#", "version", "missing\n  expected: a string"),
        ('"1"', "1", "version", "1\n  expected: a string"),
        ('"small"', '"Small Task"', "name", "'Small Task'\n  expected: lower-case letters"),
        ('"Small"', '" "', "title", "' '\n  expected: a string that is not empty"),
        ('["de", "en", "zh-Hans"]', '"de"', "languages", "'de'\n  expected: a list of strings"),
        ('["de", "en", "zh-Hans"]', "[]", "languages", "an empty list"),
        ('"de", ', '"en", ', "languages", "'en' given more than once"),
        ('"de", ', '"../de", ', "languages", "'../de'\n  expected: language codes"),
        ('"de", ', "3, ", "languages", "3\n  expected: language codes"),
        ("title", 'settings = ["multilingal"]\ntitle', "settings", "did you mean 'multilingual'"),
        ("title", "measures = []\ntitle", "measures", "an empty list"),
        ("reader =", "raeder =", "source.raeder", "did you mean 'reader'?"),
        ('"lines"', "true", "source.reader", "True\n  expected: a string"),
        ('"all.txt"', "[]", "source.files.all", "[]\n  expected: a string that is not empty"),
        ('"value"', "1", "source.options.key", "1\n  expected: a string that is not empty"),
        ('"0000', '"zzzz', "source.sha256.de.txt", "expected: 64 lower-case hex digits"),
    ],
)
def test_a_fault_names_its_field(
    tmp_path: Path, old: str, new: str, where: str, expected: str
) -> None:
    prefix = f"{tmp_path / 'small.toml'}, field {where}: "
    (fault,) = [fault for fault in faults(tmp_path, old, new) if fault.startswith(prefix)]
    assert expected in fault


def test_all_faults_are_told_at_once_and_in_the_same_order(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        parse(tmp_path, 'nane = "x"\nzzz = 1\naaa = 2\nlanguages = ["d", "d"]\n')
    where = [fault.where.split("field ")[1] for fault in caught.value.faults]
    assert where == [
        *("aaa", "nane", "zzz"),
        *("name", "version", "title", "licence", "citation", "source"),
        *("languages", "languages", "languages"),
    ]


@pytest.mark.parametrize("source", ['source = "lines"', ""])
def test_a_source_that_is_no_table_is_one_fault(tmp_path: Path, source: str) -> None:
    text = f"{source}\n{SOUND[: SOUND.index('[source]')]}"
    with pytest.raises(DataError) as caught:
        parse(tmp_path, text)
    (fault,) = caught.value.faults
    assert fault.where.endswith("field source")


def test_broken_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"small\.toml: broken TOML: .*line 3"):
        parse(tmp_path, 'name = "x"\nversion = "1"\ntitle = Small\n')
    with pytest.raises(DataError, match="broken TOML"):
        parse(tmp_path, "a = " + "[" * 100_000)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="byte 8: not UTF-8"):
        parse(tmp_path, b'name = "\xff"')
    with pytest.raises(DataError, match=r"none\.toml: no such file"):
        parse_task(tmp_path / "none.toml")
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        parse_task(tmp_path)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert parse(tmp_path, b"\xef\xbb\xbf" + SOUND.encode()).name == "small"
