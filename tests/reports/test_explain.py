"""The drill-down: against every score, and what it says where there is nothing to say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mlbench.commands.cli import main
from mlbench.common.errors import UsageError
from mlbench.measures.bias import rank_distance
from mlbench.measures.rank_measures import parse_measure
from mlbench.ranking.counting import rank_collection
from mlbench.reports.explain import explain_query, explain_row, most_biased, outranking_languages
from mlbench.reports.page import report_pages
from mlbench.reports.report import write_report
from tests.oracles.scores import all_scores
from tests.support.reports import collection_of, example, languages, vectors


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
            assert passage.above == {
                code: sum(collection.passages.language[p] == k for p in outrank)
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
            assert sum(found.above.values()) == sum(sum(p.above.values()) for p in found.passages)
            assert list(found.above.values()) == sorted(found.above.values(), reverse=True)


def test_the_most_biased_come_first():
    _, ranks = example(3)
    every = [explain_row(ranks, query).distance for query in range(len(ranks.query_ids))]
    assert [each.distance for each in most_biased(ranks, 5)] == sorted(every, reverse=True)[:5]
    assert most_biased(example(1)[1], 5) == []


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
    with pytest.raises(UsageError, match="'xx' is not in the report"):
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
    assert "--language ar" in out
    code, out, _ = run(capsys, folder, "--query", "q1", "--language", "de")
    (found,) = explain_query(example(3)[1], "q1", "de")
    assert code == 0
    for passage in found.passages:
        assert f"{passage.language} " in out
        assert str(passage.rank) in out
    assert "Texts are not shown" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_wrong_usage_ends_with_2(folder, capsys):
    for arguments in (
        ["--query", "nope"],
        ["--language", "de"],
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
    from dataclasses import replace

    report, ranks = example(3)
    report = replace(report, task=replace(report.task, name="sample"))
    write_report(tmp_path, report, ranks, {})
    code, out, _ = run(capsys, tmp_path, "--query", "q1", "--language", "de")
    assert code == 0
    assert "Texts are not shown" in out
