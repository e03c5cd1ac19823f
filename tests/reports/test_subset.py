"""A report cut to some languages: the smaller task's scores, never in the whole one's place."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from mlbench.commands.cli import main
from mlbench.common.errors import UsageError
from mlbench.data.task import Kind
from mlbench.reports.report import read_report, write_report
from mlbench.reports.subset import choose_languages, cut_report
from tests.support.reports import collection_of, example, languages, pair, report_of, vectors

pytestmark = pytest.mark.usefixtures("no_plots")


def saved(tmp_path):
    report, ranks = example(4)
    write_report(tmp_path / "whole", report, ranks, {})
    return tmp_path / "whole"


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main(["report", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("chosen", [("ar", "el"), ("de",), ("ar", "de", "en")])
def test_scores_are_those_of_a_run_on_the_smaller_task(chosen):
    codes = languages(4)
    collection = collection_of(codes)
    queries, passages = vectors(collection)
    report, ranks = report_of(collection, (queries, passages))
    found, cut = pair(cut_report(replace(report, ranks=ranks), chosen, "mlbench report"))
    smaller = collection_of(chosen)
    kept = [
        [codes[code] in chosen for code in entries.language]
        for entries in (collection.queries, collection.passages)
    ]
    kinds = [kind for kind in Kind if len(chosen) > 1 or kind is not Kind.MULTILINGUAL]
    expected, table = report_of(smaller, (queries[kept[0]], passages[kept[1]]), kinds)
    assert asdict(found.scores) == asdict(expected.scores)
    assert (cut.above == table.above).all()
    assert (cut.passage_ids, cut.query_ids) == (table.passage_ids, table.query_ids)
    for name in ("languages", "queries", "passages", "relevant_pairs"):
        assert getattr(found.task, name) == getattr(expected.task, name)


def test_the_digest_is_its_own_and_the_same_by_any_way():
    report, ranks = example(4)
    report = replace(report, ranks=ranks)
    once = cut_report(report, ("ar", "de"), "")
    twice = cut_report(cut_report(report, ("ar", "de", "el"), ""), ("ar", "de"), "")
    other = cut_report(report, ("ar", "el"), "")
    assert once.task.digest == twice.task.digest
    assert len({report.task.digest, once.task.digest, other.task.digest}) == 3
    assert once.task.subset_of == twice.task.subset_of == report.task.digest
    assert "only ar, de" in once.task.title
    assert "cut to 2 of 4 languages" in once.warnings[-1]


def test_it_lies_beside_the_whole_one_and_is_read_like_any(tmp_path, capsys):
    folder = saved(tmp_path)
    before = (folder / "report.json").read_bytes()
    code, out, _ = run(capsys, folder, "--languages", "de,ar")
    assert code == 0
    assert (folder / "report.json").read_bytes() == before
    found = read_report(folder / "languages-ar-de")
    assert found.task.languages == ("ar", "de")
    assert "cut to 2 of 4 languages" in " ".join(out.split())
    code, out, _ = run(capsys, folder, "--json")
    assert code == 0
    assert [each["languages"] for each in json.loads(out)] == [list(languages(4)), ["ar", "de"]]


def test_the_whole_report_is_never_overwritten(tmp_path, capsys):
    folder = saved(tmp_path)
    code, _, err = run(capsys, folder, "--languages", "ar,de", "--output", folder)
    assert code == 2
    assert "other languages" in err
    assert run(capsys, folder, "--languages", "ar,de", "--output", tmp_path / "cut")[0] == 0
    assert run(capsys, folder, "--languages", "ar,de", "--output", tmp_path / "cut")[0] == 0
    assert run(capsys, folder, "--languages", "ar,el", "--output", tmp_path / "cut")[0] == 2
    other = replace(example(4)[0], model=replace(example(4)[0].model, identity="cd" * 32))
    write_report(tmp_path / "other", other, example(4)[1], {})
    code, _, err = run(
        capsys, tmp_path / "other", "--languages", "ar,de", "--output", tmp_path / "cut"
    )
    assert code == 2
    assert "another model" in err


def test_bad_languages_are_all_named():
    with pytest.raises(UsageError) as caught:
        choose_languages("ar,dee,ar,", ("ar", "de", "el"), "--languages")
    message = str(caught.value)
    assert "did you mean 'de'" in message
    assert "'ar' is named twice" in message
    assert "an empty name" in message
    with pytest.raises(UsageError, match="all of its languages"):
        choose_languages("el,de,ar", ("ar", "de", "el"), "--languages")
    assert choose_languages("el, ar", ("ar", "de", "el"), "--languages") == ("ar", "el")


SETS = {"mine-2": ("ar", "el"), "all-3": ("ar", "de", "el")}


def test_a_set_of_languages_can_be_named():
    known = ("ar", "de", "el")
    assert choose_languages("mine-2", known, "--languages", SETS) == ("ar", "el")
    with pytest.raises(UsageError, match="names all of its languages"):
        choose_languages("all-3", known, "--languages", SETS)
    with pytest.raises(UsageError, match=r"or one of the sets mine-2, all-3.*\n.*'mine-2'"):
        choose_languages("mine-3", known, "--languages", SETS)
    with pytest.raises(UsageError) as refused:
        choose_languages("xx", known, "--languages", {})
    assert str(refused.value).count("ar, de, el") == 1  # told once
    with pytest.raises(UsageError, match="'el' is not one of its languages"):
        choose_languages("mine-2", ("ar", "de"), "--languages", SETS)


def test_a_report_says_which_set_is_averaged_and_what_must_be_known(tmp_path, capsys):
    report, ranks = example(3)
    codes = report.task.languages
    sets = {"all-3": codes, "mine-2": (codes[0], codes[2])}
    task = replace(report.task, language_sets=sets, notes=("judged by nobody",))
    write_report(tmp_path / "whole", replace(report, task=task), ranks, {})
    code, out, _ = run(capsys, tmp_path / "whole", "--verbose")
    assert code == 0
    assert "macro scores average over all-3, which is 3 languages" in " ".join(out.split())
    assert "judged by nobody" in out
    code, out, _ = run(capsys, tmp_path / "whole", "--languages", "mine-2", "--verbose")
    assert code == 0
    words = " ".join(out.split())
    assert "macro scores average over mine-2, which is 2 languages" in words
    assert "all-3" not in words
    assert f"(mine-2: {codes[0]}, {codes[2]})" in words
    place = next((tmp_path / "whole").glob("languages-*"))
    cut = read_report(place)
    assert cut.task.averaged == "mine-2"
    assert cut.task.title.endswith("only mine-2")
    for page in ("report.md", "report.html"):
        assert "judged by nobody" in (place / page).read_text(encoding="utf-8")


def test_output_needs_languages(tmp_path, capsys):
    assert run(capsys, saved(tmp_path), "--output", tmp_path / "x")[0] == 2


def test_a_language_may_be_spelled_otherwise():
    known = ("ar", "deu-Latn", "zh-CN")
    assert choose_languages("zh_cn, deu_Latn", known, "--languages") == ("deu-Latn", "zh-CN")
    with pytest.raises(UsageError, match="'deu-Latn' is named twice"):
        choose_languages("deu_Latn,deu-Latn", known, "--languages")


def test_a_run_on_some_languages_is_the_report_cut_to_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["--model", "char-ngram", "--task", "sample", "--quiet"]
    assert main(["run", *given]) == main(["run", *given, "--languages", "zh,ar,en"]) == 0
    folder = tmp_path / "results" / "char-ngram" / "sample"
    assert main(["report", str(folder), "--languages", "ar,en,zh", "--output", "cut"]) == 0
    own, cut = read_report(folder / "languages-ar-en-zh"), read_report(tmp_path / "cut")
    assert own.task == cut.task
    assert own.scores == cut.scores
    tables = [path / "ranks.parquet" for path in (folder / "languages-ar-en-zh", tmp_path / "cut")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_a_run_on_a_sample_does_not_replace_one_on_the_whole_and_says_why(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    given = ["run", "--model", "char-ngram", "--task", "sample", "--quiet"]
    assert main(given) == 0
    assert main([*given, "--sample-questions", "9", "--sample-passages", "5"]) == 2
    found = capsys.readouterr().err
    assert "a report on the whole task, and this run is on a sample of 9 questions and 5" in found
