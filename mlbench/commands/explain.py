"""``mlbench explain``: the most biased queries of a report, or one query in full."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any, NamedTuple

from mlbench.commands.options import positive, shared
from mlbench.commands.output import plain_table, print_json
from mlbench.common.errors import Fault, MlbenchError, UsageError
from mlbench.data.collection import Collection, Entries
from mlbench.data.locator import Locator, MissingData
from mlbench.data.readers import read_collection
from mlbench.data.sampling import sample_questions
from mlbench.data.sources import in_shards
from mlbench.evaluation.tasks import load_task
from mlbench.ranking.ranks import Ranks
from mlbench.reports.explain import (
    Explanation,
    biased_queries_table,
    explain_query,
    languages_table,
    most_biased,
    outranking_languages,
    passages_table,
    versions_table,
)
from mlbench.reports.report import Report, TaskInfo, read_report
from mlbench.reports.words import fill


class Texts(NamedTuple):
    """The texts of a task: role -> (language, id) -> text; or ``why`` there are none."""

    queries: dict[tuple[str, str], str]
    passages: dict[tuple[str, str], str]
    why: str = ""


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `explain`."""
    shared(parser, "report")
    parser.add_argument(
        "--query", metavar="ID", help="the id of a query (default: list the most biased queries)"
    )
    parser.add_argument("--language", metavar="CODE", help="the query's language (default: all)")
    shared(
        parser, "--data-dir",
        help="the folder with the task's data, for showing texts (default: $MLBENCH_DATA, then the "
        "cache)",
    )  # fmt: skip
    parser.add_argument(
        "--top", type=positive, default=10, metavar="N",
        help="how many queries to list (default: %(default)s)",
    )  # fmt: skip
    shared(parser, "--json")


def explain(args: Namespace) -> int:
    """Show where a query's relevant passages rank, or the queries that fare worst."""
    report = read_report(args.report)
    ranks = report.table
    if args.query is None:
        if args.language is not None:
            raise UsageError(Fault("--language", "given without --query", "both, or neither"))
        return _overview(report, ranks, args)
    found = explain_query(ranks, args.query, args.language)
    texts = find_texts(report.task, args)
    if args.json:
        rows = [_as_json(each, texts) for each in found]
        print_json({"queries": rows, "texts_missing": texts.why or None})
        return 0
    print(fill(f"{report.model.name} on {report.task.name}: query {args.query}, multilingual pool"))
    if len(found) == 1:
        print(f"\n{_in_full(found[0], texts)}")
    else:
        print(f"\n{versions_table(found).text()}")
        print(f"\nTo see one of them in full, add for example --language {found[0].language}")
    return 0


def _overview(report: Report, ranks: Ranks, args: Namespace) -> int:
    queries = most_biased(ranks, args.top)
    languages = outranking_languages(ranks, report.scores.bias.outranking)
    if args.json:
        rows = [_as_json(each, Texts({}, {})) for each in queries]
        print_json({"queries": rows, "languages": [asdict(each) for each in languages]})
        return 0
    print(fill(f"{report.model.name} on {report.task.name}, multilingual pool"))
    if not queries:
        print("\nNo query has two relevant passages, so there is no rank distance.")
        return 0
    table = biased_queries_table(queries)
    print("\nThe queries with the highest rank distances\n")
    print(plain_table(table.headers, table.rows))
    print(f"\nHow often passages of each language outrank relevant ones (1 is unbiased)\n\n"
          f"{languages_table(languages).text()}")  # fmt: skip
    print("\nTo see one query in full: mlbench explain REPORT --query ID --language CODE")
    return 0


def _in_full(each: Explanation, texts: Texts) -> str:
    table = passages_table(each)
    blocks = [
        fill(f"{each.language}: {text}")
        if (text := texts.queries.get((each.language, each.query_id)))
        else "",
        fill(
            f"Asked in {each.language}: rank distance {each.distance:,} in a pool of "
            f"{each.pool_size:,} passages, AP {each.average_precision:.4f}. Each row is a relevant "
            "passage: its language, its rank, and the number of passages of each language that "
            "rank above it or tie with it."
        ),
        table.text(),
        *(
            fill(f"{passage.rank:,} {passage.language} {passage.passage_id}: {text}")
            for passage in each.passages
            if (text := texts.passages.get((passage.language, passage.passage_id)))
        ),
        fill(f"Texts are not shown: {texts.why}") if texts.why else "",
    ]
    return "\n\n".join(block for block in blocks if block)


def find_texts(task: TaskInfo, args: Namespace) -> Texts:
    """Return the texts of the task that a report is on, if its data is here and the same.

    Never raises: a report is explained without texts where they cannot be had, and says why.
    """
    try:
        known = load_task(task.name)
        if in_shards(known):
            return Texts({}, {}, f"the data of {task.name} is streamed and too large to search")
        data = read_collection(known, Locator(args.data_dir, offline=True).of(known))
        collection = sample_questions(data, task.sample)
    except MissingData:
        return Texts(
            {}, {}, f"the data of {task.name} was not found; name its folder with --data-dir"
        )
    except MlbenchError as error:
        fault = error.faults[0]
        return Texts({}, {}, f"{fault.where}: {fault.found}")
    if collection.digest != (task.subset_of or task.digest):
        return Texts({}, {}, f"the data of {task.name} has changed since the evaluation")
    return Texts(_by_id(collection, collection.queries), _by_id(collection, collection.passages))


def _by_id(collection: Collection, entries: Entries) -> dict[tuple[str, str], str]:
    codes = [collection.languages[language] for language in entries.language]
    return dict(zip(zip(codes, entries.ids, strict=True), entries.texts, strict=True))


def _as_json(each: Explanation, texts: Texts) -> dict[str, Any]:
    table = asdict(each)
    table["rank_distance"] = each.distance
    table["text"] = texts.queries.get((each.language, each.query_id))
    for passage in table["passages"]:
        passage["text"] = texts.passages.get((passage["language"], passage["passage_id"]))
    return table
