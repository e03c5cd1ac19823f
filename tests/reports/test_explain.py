"""The drill-down: against every score, and what it says where there is nothing to say."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest

from mlbench.commands.cli import main
from mlbench.common.errors import UsageError
from mlbench.measures.bias import rank_distance
from mlbench.measures.rank_measures import parse_measure
from mlbench.ranking.counting import rank_collection
from mlbench.reports.explain import (
    explain_query,
    explain_row,
    most_biased,
    outranking_languages,
    worst,
)
from mlbench.reports.page import report_pages
from mlbench.reports.report import read_report, write_report
from mlbench.reports.texts import columns
from tests.oracles.scores import all_scores
from tests.support.reports import collection_of, equal_vectors, example, languages, vectors

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def folder(tmp_path):
    """A saved report on three languages."""
    report, ranks = example(3)
    write_report(tmp_path / "report", report, ranks, report_pages(report, ranks))
    return tmp_path / "report"


@pytest.mark.parametrize("ties", [False, True])
def test_ranks_and_counts_equal_the_slow_oracle(ties):
    collection = collection_of(languages(3), questions=4)
    queries, passages = vectors(collection)
    if ties:
        queries, passages = np.round(queries * 5), np.round(passages * 5)
    ranks, _ = rank_collection(collection, queries, passages)
    scores = all_scores(queries, passages)
    for query, id_ in enumerate(collection.queries.ids):
        code = collection.languages[collection.queries.language[query]]
        (found,) = explain_query(ranks, id_, code)
        relevant = collection.qrels.passage[collection.qrels.query == query].tolist()
        number = {
            (collection.passages.ids[p], collection.languages[collection.passages.language[p]]): p
            for p in relevant
        }
        order = sorted(relevant, key=lambda p: -scores[query][p])
        assert len(found.passages) == 3
        for i, passage in enumerate(found.passages, 1):
            target = number.pop((passage.passage_id, passage.language))
            assert scores[query][target] == scores[query][order[i - 1]]
            outrank = [
                p
                for p in range(len(passages))
                if p not in relevant and scores[query][p] >= scores[query][target]
            ]
            strictly = [p for p in outrank if scores[query][p] > scores[query][target]]
            assert passage.rank == i + len(outrank)
            assert passage.optimistic == i + len(strictly)
            for counted, those in (
                (passage.above, strictly),
                (passage.tied, set(outrank) - set(strictly)),
            ):
                assert counted == {
                    code: sum(collection.passages.language[p] == k for p in those)
                    for k, code in enumerate(collection.languages)
                }
        assert not number


def test_figures_of_a_query_are_those_of_the_report():
    _, ranks = example(3)
    for language in ranks.languages:
        distance = rank_distance(ranks, language)
        precision = parse_measure("AP").per_query(ranks.ranking(language, ranks.languages))
        for i, query in enumerate(distance.query):
            found = explain_row(ranks, int(query))
            assert found.distance == distance.distance[i]
            assert found.average_precision == pytest.approx(precision[i])
            counts = found.outranked.values()
            assert sum(counts) == sum(
                sum(of.values()) for p in found.passages for of in (p.above, p.tied)
            )
            assert list(counts) == sorted(counts, reverse=True)


def test_the_most_biased_come_first():
    _, ranks = example(3)
    every = [explain_row(ranks, query).distance for query in range(len(ranks.query_ids))]
    assert [each.distance for each in most_biased(ranks, 5)] == sorted(every, reverse=True)[:5]
    assert most_biased(example(1)[1], 5) == []
    of_de = [each.distance for each in most_biased(ranks, 5, "de")]
    assert {each.language for each in most_biased(ranks, 5, "de")} == {"de"}
    every = [e.distance for q in range(len(ranks.query_ids))
             if (e := explain_row(ranks, q)).language == "de"]  # fmt: skip
    assert of_de == sorted(every, reverse=True)[:5]


def test_languages_and_questions_take_turns_where_queries_tie():
    collection = collection_of(languages(3), questions=5)
    ranks, _ = rank_collection(collection, *equal_vectors(collection))
    found = most_biased(ranks, 6)
    assert len({each.distance for each in found}) == 1
    assert [each.language for each in found] == ["ar", "de", "el"] * 2
    assert [each.query_id for each in found] == ["q0", "q1", "q2", "q3", "q4", "q0"]


def test_the_worst_queries_of_a_setting_are_those_of_the_lowest_score():
    report, ranks = example(3)
    for language, pool in (("de", ("el",)), ("ar", ranks.languages)):
        found = worst(ranks, language, pool, 3)
        values = report.per_query(
            "multilingual" if len(pool) > 1 else "crosslingual",
            language,
            None if len(pool) > 1 else pool[0],
            measures="AP",
        ).scores()["AP"]
        assert [each.average_precision for each in found] == pytest.approx(
            sorted(values.values())[:3]
        )
        for each in found:
            assert values[each.query_id] == pytest.approx(each.average_precision)
            assert all(list(p.above) == list(pool) for p in each.passages)


def test_who_outranks_adds_up():
    report, ranks = example(3)
    found = outranking_languages(ranks, report.scores.bias.outranking)
    assert sum(each.share for each in found) == pytest.approx(1)
    assert sum(each.passages for each in found) == ranks.above.sum() + ranks.tied.sum()
    assert [each.passages for each in found] == sorted((e.passages for e in found), reverse=True)
    assert {each.language: each.own for each in found} == {
        code: row[code] for code, row in report.scores.bias.outranking.items()
    }


def test_an_unknown_query_or_language_is_named():
    _, ranks = example(3)
    with pytest.raises(UsageError, match="did you mean 'q1'"):
        explain_query(ranks, "q1x")
    with pytest.raises(UsageError, match="an id such as 'q0'"):
        explain_query(ranks, "something else")
    with pytest.raises(UsageError, match="the report has no query in 'xx'"):
        explain_query(ranks, "q1", "xx")


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main(["explain", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_list_names_queries_and_languages(folder, capsys):
    code, out, _ = run(capsys, folder, "--top", 2)
    worst = most_biased(example(3)[1], 2)
    assert code == 0
    assert all(f"{each.query_id} " in out and f"{each.distance:,}" in out for each in worst)
    code, out, _ = run(capsys, folder, "--top", 2, "--json")
    table = json.loads(out)
    assert [each["rank_distance"] for each in table["queries"]] == [e.distance for e in worst]
    assert {each["language"] for each in table["languages"]} == {"ar", "de", "el"}


def test_a_query_in_all_its_languages_and_in_one(folder, capsys):
    code, out, _ = run(capsys, folder, "--query", "q1")
    assert code == 0
    assert "--query-language ar" in out
    code, out, _ = run(capsys, folder, "--query", "q1", "--query-language", "de")
    (found,) = explain_query(example(3)[1], "q1", "de")
    assert code == 0
    for passage in found.passages:
        assert f"{passage.language} " in out
        assert str(passage.rank) in out
    assert "Texts are not shown" in out
    assert all(len(line) <= 80 for line in out.splitlines() if "--model" not in line)


def test_wrong_usage_ends_with_2(folder, capsys):
    for arguments in (
        ["--query", "nope"],
        ["--passage-language", "de"],
        ["--query-language", "deu"],
        ["--query", "q1", "--language", "x"],
    ):
        code, _, err = run(capsys, folder, *arguments)
        assert code == 2
        assert "expected" in err


def test_texts_are_shown_where_the_data_is_the_same(tmp_path, capsys):
    assert main(["run", "--model", "char-ngram", "--task", "sample", "--quiet",
                 "--output", str(tmp_path)]) == 0  # fmt: skip
    folder = tmp_path / "char-ngram" / "sample"
    capsys.readouterr()
    _, out, _ = run(capsys, folder, "--json", "--top", 1)
    (worst,) = json.loads(out)["queries"]
    arguments = (folder, "--query", worst["query_id"], "--language", worst["language"])
    code, out, _ = run(capsys, *arguments, "--json")
    (found,) = json.loads(out)["queries"]
    assert code == 0
    assert found["text"]
    assert all(passage["text"] for passage in found["passages"])
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert found["text"][:20] in out
    assert "Texts are not shown" not in out


def test_other_data_gives_no_texts(tmp_path, capsys):
    report, ranks = example(3)
    report = replace(report, task=replace(report.task, name="sample"))
    write_report(tmp_path, report, ranks, {})
    code, out, _ = run(capsys, tmp_path, "--query", "q1", "--language", "de")
    assert code == 0
    assert "Texts are not shown" in out


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The folders of two reports of char-ngram on the sample: with run files, and without."""
    folders = []
    for name, more in (("saved", ["--save-run", "3"]), ("plain", [])):
        output = tmp_path_factory.mktemp(name)
        assert main(["run", "--model", "char-ngram", "--task", "sample", "--quiet",
                     "--output", str(output), *more]) == 0  # fmt: skip
        folders.append(output / "char-ngram" / "sample")
    return folders


def test_what_outranks_is_named_by_run_files_and_by_the_model(sample, capsys):
    saved, plain = sample
    asked = ["--query", "q-bees-2", "--query-language", "ar", "--json", "--passages", "2"]
    tables = []
    for arguments in ([saved], [plain, "--model", "char-ngram", "--quiet"]):
        code, out, _ = run(capsys, *arguments, *asked)
        (query,) = json.loads(out)["queries"]
        assert code == 0
        tables.append(query["outranking"])
    for language, of in tables[1].items():
        assert len(of) <= 2
        same = ("passage_id", "above", "tied", "text")
        assert [[one[key] for key in same] for one in of] == [
            [one[key] for key in same] for one in tables[0][language]
        ]
        assert all(one["text"] for one in of)


def test_without_either_the_command_that_names_them_is_told(sample, capsys):
    _, plain = sample
    asked = [plain, "--query", "q-bees-2", "--query-language", "ar", "--passage-language", "en"]
    code, out, _ = run(capsys, *asked)
    assert code == 0
    (command,) = (line.strip() for line in out.splitlines() if "--model" in line)
    assert main([*shlex.split(command)[1:], "--quiet"]) == 0
    assert "In en, not relevant" in capsys.readouterr().out


def test_the_options_of_the_model_are_part_of_that_command(tmp_path, capsys):
    report, ranks = example(3)
    said = "mlbench run --model e5 --task x --query-prompt 'query: ' --threads 2 --dtype=float16"
    report = replace(report, run=replace(report.run, command=said))
    write_report(tmp_path, report, ranks, {})
    _, out, _ = run(capsys, tmp_path, "--query", "q1", "--query-language", "de")
    assert "--query-prompt 'query: ' --dtype=float16" in out


@pytest.mark.parametrize("language", ["zh", "ar", "th"])
def test_a_pair_of_languages_in_lines_that_fit(sample, capsys, language):
    saved, _ = sample
    pair = ["--query-language", language, "--passage-language", "hi"]
    code, out, _ = run(capsys, saved, *pair, "--top", 4)
    assert code == 0
    found = worst(read_report(saved).table, language, ("hi",), 4)
    for place, each in enumerate(found, 1):
        assert f"{place}. {each.query_id}: AP {each.average_precision:.4f}" in out
        assert f"rank {each.passages[0].rank:,}" in out
    assert all(columns(line) <= 80 for line in out.splitlines())
    code, out, _ = run(capsys, saved, *pair, "--top", 4, "--json")
    assert [each["query_id"] for each in json.loads(out)["queries"]] == [
        each.query_id for each in found
    ]


def test_another_model_than_the_report_s_is_refused(sample, capsys):
    code, _, err = run(capsys, sample[1], "--query", "q-bees-2", "--model", "random:1")
    assert code == 2
    assert "is not the model of the report" in err


def test_a_task_of_a_file_has_texts_when_it_is_named(tmp_path, capsys):
    for code in ("en", "de"):
        lines = "".join(f"{code} line {i} {'x' * i}\n" for i in range(1, 5))
        (tmp_path / f"{code}.txt").write_text(lines, encoding="utf-8")
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nversion = "1"\ntitle = "Mine"\nlanguages = ["en", "de"]\n'
        'licence = "CC0-1.0"\ncitation = "none"\n'
        '[source]\nreader = "lines"\n[source.files]\ntext = "{language}.txt"\n'
    )
    output = str(tmp_path / "out")
    arguments = ["--model", "char-ngram", "--task", str(file), "--quiet", "--output", output]
    assert main(["run", *arguments]) == 0
    pair = ["--query-language", "en", "--passage-language", "de"]
    folder = tmp_path / "out" / "char-ngram" / "mine"
    capsys.readouterr()
    _, out, _ = run(capsys, folder, *pair)
    assert "name its file with --task" in " ".join(out.split())
    _, out, _ = run(capsys, folder, *pair, "--task", file)
    assert "en line 1" in out
    assert "Texts are not shown" not in out


def test_a_model_of_a_program_is_not_named_in_a_command(tmp_path, capsys):
    report, ranks = example(3)
    report = replace(report, model=replace(report.model, adapter="object"))
    write_report(tmp_path, report, ranks, {})
    _, out, _ = run(capsys, tmp_path, "--query", "q1", "--query-language", "de")
    assert "--model" not in out
    assert "save_run=100" in " ".join(out.split())
