"""``mlbench explain``: the most biased queries of a report, the worst of a setting, or one in full,
with the passages that outrank the relevant ones."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlbench.commands.options import add_model_options, model_options, positive, shared
from mlbench.commands.output import print_json
from mlbench.common.counts import plural
from mlbench.common.errors import Fault, UsageError
from mlbench.common.terminal import WIDTH, fill
from mlbench.data.locator import Locator
from mlbench.data.texts import Name, Texts
from mlbench.models.neural.options import OPTIONS
from mlbench.reports.explain import (
    Explanation,
    biased_line,
    chosen_languages,
    explain_query,
    languages_table,
    most_biased,
    outranking_languages,
    passages_table,
    versions_table,
    worst,
)
from mlbench.reports.report import Report, read_report
from mlbench.reports.rivals import Rival, Rivals
from mlbench.reports.texts import cleaned, find_texts, is_streamed, read_data, task_of, wrapped
from mlbench.reports.words import number
from mlbench.runs.rivals import rivals_in_runs, run_files

IN_FULL, IN_A_LIST = 5, 1
"""Passages of each language that are shown above the relevant ones of one query, or of several."""
MOST_LINES = 2
"""Lines of a text."""
UNNAMED = (
    "The report counts the passages that are not relevant and rank above, and does not name them. "
    "This command does, with the vectors that are in the cache, and encodes the others:"
)
STREAMED = "The passages that rank above are not named, because the task is streamed."
OF_A_PROGRAM = ("object", "vectors")
"""Kinds of model that no command can load."""
NAMELESS = (
    "The report counts the passages that are not relevant and rank above, and does not name them. "
    "Its model was an object of a program: to see them, evaluate it with the options folder and "
    "save_run=100."
)
NO_MODEL = "After `mlbench run --save-run 100`, no model is needed."


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `explain`."""
    shared(parser, "report")
    parser.add_argument(
        "--query", metavar="ID", help="the id of a query (default: list the most biased queries)"
    )
    parser.add_argument(
        "--query-language", "--language", metavar="CODE", help="the query's language (default: all)"
    )
    parser.add_argument(
        "--passage-language", metavar="CODE",
        help="search only the passages in this language (default: the multilingual pool); without "
        "--query, the worst queries of --query-language are listed",
    )  # fmt: skip
    shared(
        parser, "--model",
        help="the model of the report: find the passages that rank above the relevant ones by its "
        "scores (default: from the run files of --save-run, where the report has them)",
    )  # fmt: skip
    parser.add_argument(
        "--passages", type=positive, metavar="N",
        help="how many of these passages to show of each language (default: "
        f"{IN_FULL}, and {IN_A_LIST} in a list of queries)",
    )  # fmt: skip
    shared(parser, "--task", help="the report's task file, if its task is not a built-in one")
    shared(
        parser, "--data-dir",
        help="the folder with the task's data, for showing texts (default: $MLBENCH_DATA, then the "
        "cache)",
    )  # fmt: skip
    parser.add_argument(
        "--top", type=positive, default=10, metavar="N",
        help="how many queries to list (default: %(default)s)",
    )  # fmt: skip
    shared(parser, "--offline", "--no-cache", "--threads", "--json", "--quiet")
    add_model_options(parser)


@dataclass(frozen=True)
class Shown:
    """What is known of some queries in one pool: their ``rivals``, one a query, or None with the
    ``command`` that finds them; and the texts."""

    texts: Texts
    rivals: Sequence[Rivals] | None = None
    command: str = ""
    notes: tuple[str, ...] = field(default=())


def explain(args: Namespace) -> int:
    """Show where a query's relevant passages rank, or the queries that fare worst."""
    report = read_report(args.report)
    args.query_language, args.passage_language = chosen_languages(
        report.table, args.query_language, args.passage_language
    )
    if args.query is not None:
        return _query(report, args)
    if args.passage_language is None and report.task.pairs:
        found = "given without --query" if args.query_language else "pairs share no pool"
        expected = "--query, or --query-language and --passage-language of a pair"
        raise UsageError(Fault(str(args.report), found, expected))
    if args.passage_language is None:
        return _overview(report, args)
    if args.query_language is None:
        expected = "also --query-language, or --query"
        raise UsageError(Fault("--passage-language", "given alone", expected))
    return _pair(report, args)


def _query(report: Report, args: Namespace) -> int:
    language, other = args.query_language, args.passage_language
    found = explain_query(report.table, args.query, language, other)
    shown = _shown(report, found, args.passages or IN_FULL, args)
    if args.json:
        print_json({"queries": _as_json(found, shown), "texts_missing": shown.texts.why or None,
                    "command_for_passages": shown.command or None})  # fmt: skip
        return 0
    whole = "passages of its pair" if report.task.pairs else "multilingual pool"
    pool = f"passages in {other}" if other else whole
    print(fill(f"{report.model.name} on {report.task.name}: query {args.query}, {pool}"))
    if len(found) == 1:
        print("\n" + "\n\n".join(_in_full(found[0], shown)))
    else:
        print(f"\n{versions_table(found).text()}")
        print(f"\nTo see one of them in full, add for example --query-language {found[0].language}")
    return 0


def _pair(report: Report, args: Namespace) -> int:
    """List the worst queries of a query language and a passage language."""
    language, other = args.query_language, args.passage_language
    found = worst(report.table, language, [other], args.top)
    shown = _shown(report, found, args.passages or IN_A_LIST, args) if found else None
    if args.json:
        rows = _as_json(found, shown) if shown else []
        missing = (shown.texts.why, shown.command) if shown else ("", "")
        print_json({"queries": rows, "texts_missing": missing[0] or None,
                    "command_for_passages": missing[1] or None})  # fmt: skip
        return 0
    print(fill(f"{report.model.name} on {report.task.name}: queries in {language}, passages in "
               f"{other}"))  # fmt: skip
    if shown is None:
        print(f"\nNo query in {language} has a relevant passage in {other}.")
        return 0
    every = report.table.ranking(language, [other])
    print(fill(f"The {plural(len(found), 'query', 'queries')} with the lowest AP, of "
               f"{len(every.query):,}"))  # fmt: skip
    for place, each in enumerate(found):
        print("\n" + "\n".join(_in_short(place, each, shown)))
    ends = [*_why(shown), "To see a query in full, add --query ID."]
    print("\n" + "\n\n".join(ends))
    return 0


def _overview(report: Report, args: Namespace) -> int:
    ranks = report.table
    queries = most_biased(ranks, args.top, args.query_language)
    languages = outranking_languages(ranks, report.scores.bias.outranking)
    shown = Shown(find_texts(report.task, args.data_dir, args.task))
    if args.json:
        rows = _as_json(queries, shown)
        print_json({"queries": rows, "languages": [asdict(each) for each in languages],
                    "texts_missing": shown.texts.why or None})  # fmt: skip
        return 0
    print(fill(f"{report.model.name} on {report.task.name}, multilingual pool"))
    if not queries:
        print("\nNo query has two relevant passages, so there is no rank distance.")
        return 0
    print("\nThe queries with the highest rank distances\n")
    for place, each in enumerate(queries, 1):
        print(fill(f"{place}. {biased_line(each)}"))
        print("".join(f"{line}\n" for line in _indented(_text(each, shown))), end="")
    print("".join(f"\n{line}\n" for line in _why(shown)), end="")
    print(f"\nHow often passages of each language outrank relevant ones (1 is unbiased)\n\n"
          f"{languages_table(languages).text()}")  # fmt: skip
    print("\nTo see one query in full: mlbench explain REPORT --query ID --query-language CODE\n"
          "To see the worst queries of a pair of languages:\n"
          "  mlbench explain REPORT --query-language CODE --passage-language CODE")  # fmt: skip
    return 0


def _shown(report: Report, found: Sequence[Explanation], most: int, args: Namespace) -> Shown:
    """Find texts, and the passages above the relevant ones where there is a way to."""
    if args.model is not None:
        return _by_model(report, found, most, args)
    texts = find_texts(report.task, args.data_dir, args.task)
    language, pool = found[0].language, list(found[0].passages[0].above)
    if run_files(args.report, language, pool):
        return Shown(texts, rivals_in_runs(args.report, found, most))
    if is_streamed(report.task, args.task):
        return Shown(texts, notes=(STREAMED,))
    if report.model.adapter in OF_A_PROGRAM:
        return Shown(texts, notes=(NAMELESS,))
    return Shown(texts, command=_command(report, args))


def _by_model(report: Report, found: Sequence[Explanation], most: int, args: Namespace) -> Shown:
    from mlbench.evaluation.options import Options
    from mlbench.evaluation.rivals import find_rivals, refuse_other_model
    from mlbench.models.cache import open_cache
    from mlbench.models.objects import load_model

    data_dir: Path | None = args.data_dir and args.data_dir.absolute()
    task = task_of(report.task, args.task)
    collection = read_data(report.task, task, Locator(data_dir, args.offline))
    options = Options(
        model_options=model_options(args),
        cache=None if args.no_cache else open_cache(),
        threads=args.threads,
        progress=not args.quiet,
    )
    model = load_model(args.model, options.model_options, options.cache)
    refuse_other_model(model, report.model)
    rivals, differing = find_rivals(task, collection, model, found, most, options)
    note = (
        "The scores were computed anew and round differently from those of the report: "
        f"{plural(differing, 'count')} above or tied differ from the report's."
    )
    return Shown(Texts.of(collection), rivals, notes=(note,) if differing else ())


def _command(report: Report, args: Namespace) -> str:
    """Return the command that finds the passages above the relevant ones, with the options of the
    model that the run had."""
    try:
        given = _model_arguments(shlex.split(report.run.command))
    except ValueError:
        given = []
    command = ["mlbench", "explain", str(args.report)]
    for name in ("query", "query_language", "passage_language", "task"):
        if (value := getattr(args, name)) is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*command, "--model", report.model.spec or "SPEC", *given])


def _model_arguments(words: Sequence[str]) -> list[str]:
    """Return the options of neural models that are among the words of a command."""
    takes = {option.flag: bool(option.metavar) for option in OPTIONS}
    found: list[str] = []
    for place, word in enumerate(words):
        flag = word.partition("=")[0]
        if flag in takes:
            found += words[place : place + 1 + (takes[flag] and flag == word)]
    return found


def _in_full(each: Explanation, shown: Shown) -> Iterator[str]:
    """Yield the paragraphs of one query."""
    if text := _text(each, shown):
        yield "\n".join([f"{each.language}:", *_indented(text)])
    tied = any(any(passage.tied.values()) for passage in each.passages)
    spread = f"rank distance {each.distance:,}, " if len(each.passages) > 1 else ""
    yield fill(
        f"Asked in {each.language}: {spread}AP {each.average_precision:.4f}, in a pool of "
        f"{plural(each.pool_size, 'passage')}. Each row is a relevant passage: its "
        "language, its rank, and "
        "the number of passages of each language that rank above it"
        + (", then of all that tie with it, which count as above." if tied else ".")
    )
    yield passages_table(each).text()
    rivals = shown.rivals[0] if shown.rivals is not None else None
    if rivals is not None or not shown.texts.why:
        yield "\n".join(["The relevant passages", *_relevant(each, rivals, shown)])
    if rivals is not None:
        for language, of in rivals.of.items():
            if any(p.above[language] + p.tied[language] for p in each.passages):
                yield "\n".join(_of_language(language, of, each, shown, rivals))
    yield from _why(shown)


def _relevant(each: Explanation, rivals: Rivals | None, shown: Shown) -> Iterator[str]:
    for passage in each.passages:
        name = passage.language, passage.passage_id
        score = _score(rivals.scores.get(name)) if rivals is not None else ""
        named = cleaned(f"{passage.language} {passage.passage_id}{score}")
        yield f"  rank {passage.rank:,}: {named}"
        yield from _indented(_passage(name, shown))


def _of_language(
    language: str, of: Sequence[Rival], each: Explanation, shown: Shown, rivals: Rivals
) -> Iterator[str]:
    """Yield the lines on the passages of a language that outrank relevant ones."""
    most = max(p.above[language] + p.tied[language] for p in each.passages)
    first = f"the first {len(of)} of {most:,}" if len(of) < most else f"{most:,}"
    reach = "; the run files reach no further" if language in rivals.short else ""
    yield fill(f"In {language}, not relevant and above or tied: {first}{reach}")
    for rival in of:
        named = cleaned(f"{rival.language} {rival.passage_id}{_score(rival.score)}")
        yield f"  {named}: {_beats(rival, each)}"
        yield from _indented(_passage((language, rival.passage_id), shown))


def _beats(rival: Rival, each: Explanation) -> str:
    count = len(each.passages)
    above = f"above {rival.above} of {count}" if count > 1 else "above"
    tied = f"tied with {rival.tied} of {count}" if count > 1 else "tied"
    return ", ".join([above] * bool(rival.above) + [tied] * bool(rival.tied))


def _in_short(place: int, each: Explanation, shown: Shown) -> Iterator[str]:
    """Yield the lines on one query of a list: its best passage, and what is first above it."""
    best = each.passages[0]
    above, tied = sum(best.above.values()), sum(best.tied.values())
    yield f"{place + 1}. {cleaned(each.query_id)}: AP {number(each.average_precision)}"
    yield from _indented(_text(each, shown))
    rivals = shown.rivals[place] if shown.rivals is not None else None
    name = best.language, best.passage_id
    score = _score(rivals.scores.get(name)) if rivals is not None else ""
    counts = f"{above:,} above" + (f", {tied:,} tied" if tied else "")
    yield fill(f"  relevant: {best.passage_id}{score}, rank {best.rank:,} ({counts})")
    yield from _indented(_passage(name, shown))
    for of in rivals.of.values() if rivals is not None else ():
        for rival in of:
            named = cleaned(f"{rival.passage_id}{_score(rival.score)}")
            yield f"  {_beats(rival, each)}: {named}"
            yield from _indented(_passage((rival.language, rival.passage_id), shown))


def _score(score: float | None) -> str:
    return "" if score is None else f" (score {score:.4f})"


def _text(each: Explanation, shown: Shown) -> str:
    name = each.language, each.query_id
    return shown.texts.queries.get(name) or shown.texts.place(name)


def _passage(name: Name, shown: Shown) -> str:
    """Return the text of a passage, or where its image lies; "" where neither is known."""
    return shown.texts.passages.get(name) or shown.texts.place(name)


def _indented(text: str | None) -> list[str]:
    """Return a text on lines of its own, so that one written from right to left moves no number."""
    return [f"    {line}" for line in wrapped(text or "", WIDTH - 4, MOST_LINES)]


def _why(shown: Shown) -> list[str]:
    """Return what is missing, and why; the command stays on one line, for copying."""
    missing = [f"Texts are not shown: {shown.texts.why}."] if shown.texts.why else []
    command = cleaned(shown.command)
    named = [f"{fill(UNNAMED)}\n  {command}\n{NO_MODEL}"] if command else []
    return [*map(fill, (*missing, *shown.notes)), *named]


def _as_json(found: Sequence[Explanation], shown: Shown) -> list[dict[str, Any]]:
    rows = []
    for place, each in enumerate(found):
        table = asdict(each)
        table["rank_distance"] = each.distance
        table["average_precision"] = each.average_precision
        table["text"] = _text(each, shown) or None
        rivals = shown.rivals[place] if shown.rivals is not None else None
        for passage in table["passages"]:
            name = passage["language"], passage["passage_id"]
            passage["text"] = _passage(name, shown) or None
            passage["score"] = rivals.scores.get(name) if rivals is not None else None
        if rivals is not None:
            table["outranking"] = {
                language: [_rival_json(rival, shown.texts) for rival in of]
                for language, of in rivals.of.items()
            }
        rows.append(table)
    return rows


def _rival_json(rival: Rival, texts: Texts) -> dict[str, Any]:
    name = rival.language, rival.passage_id
    return asdict(rival) | {"text": texts.passages.get(name) or texts.place(name) or None}
