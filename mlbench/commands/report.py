"""``mlbench report``: saved tables scored again, whole or cut to some languages."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict, replace
from pathlib import Path

from mlbench.commands.options import check_columns, shared, write_figures
from mlbench.commands.output import (
    ROOM_FOR_A_REPORT,
    print_json,
    print_report,
    show_suite,
    summary,
)
from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import check_writable, slug, write_atomically
from mlbench.common.terminal import fill
from mlbench.reports.latex import latex_report, latex_tables
from mlbench.reports.paper_figures import paper_figures
from mlbench.reports.per_query import check_table_name, save_table
from mlbench.reports.report import REPORT_FILE, Report, parse_report, read_report, rescored
from mlbench.reports.subset import choose_languages, cut_report, refuse_other_report, subset_folder
from mlbench.reports.suite_report import reports_on, suite_folder, suite_report
from mlbench.reports.texts import find_texts

OF_REPORTS = ("--per-query", "--mteb", "--figures", "--columns", "--latex", "--intervals")
"""What is also written of each report."""
WHOLE = ("FOLDER", "--languages", "--suite", *OF_REPORTS)
"""What has a meaning only where saved reports are named."""


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `report`."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="a report's folder, or a folder with several reports",
    )
    parser.add_argument(
        "--from-card", type=Path, metavar="CARD",
        help="instead of reports: show the figures that a model's card states, a README.md or the "
        "folder with it",
    )  # fmt: skip
    parser.add_argument(
        "--from-mteb", type=Path, metavar="PATH",
        help="instead of reports: read what MTEB wrote, a file of results or a folder with some; "
        "rankings it saved (its prediction_folder) become reports, all else is shown as reported",
    )  # fmt: skip
    shared(parser, "--languages")
    parser.add_argument(
        "--suite", metavar="SUITE",
        help="a suite's name or file: read one model's reports on its tasks together",
    )  # fmt: skip
    shared(
        parser, "--output", default=None,
        help="with --languages: where to write the report (default: FOLDER/languages-<codes>); "
        "with --suite: where to write its page (default: FOLDER/suites/<suite>); "
        "with --from-mteb: where to write the reports (default: results)",
    )  # fmt: skip
    parser.add_argument(
        "--per-query", type=Path, metavar="FILE",
        help="also write what every query scores in every setting, as a table: FILE.csv or "
        "FILE.parquet",
    )  # fmt: skip
    parser.add_argument(
        "--mteb", type=Path, metavar="FOLDER",
        help="also write the report as MTEB's results, into FOLDER/results",
    )  # fmt: skip
    shared(parser, "--figures", "--columns", "--latex", "--intervals")
    shared(
        parser,
        "--task",
        help="the task's file, if it is not a built-in task: to show texts, and for --from-mteb",
    )
    shared(
        parser, "--data-dir",
        help="the folder with the task's data, to show texts and for --from-mteb (default: "
        "$MLBENCH_DATA, then the cache)",
    )  # fmt: skip
    shared(parser, "--verbose", "--json")


def report(args: Namespace) -> int:
    """Score saved tables again, check that report.json says the same, and render."""
    if args.from_card is not None:
        return _show_card(args)
    if args.from_mteb is not None:
        return _read_mteb(args)
    if args.folder is None:
        expected = "a report's folder, --from-card CARD or --from-mteb PATH"
        raise UsageError(Fault("FOLDER", "not given", expected))
    if args.suite is not None:
        return _report_suite(args)
    if args.per_query is not None:
        check_table_name(args.per_query, "--per-query")
    if args.mteb is not None:
        from mlbench.integrations.mteb.names import need_mteb

        need_mteb("mlbench report --mteb")
    check_columns(args)
    if args.intervals and args.latex is None:
        raise UsageError(Fault("--intervals", "given without --latex", "both, or neither"))
    folders = [args.folder] if (args.folder / REPORT_FILE).exists() else []
    folders += sorted(path.parent for path in args.folder.glob(f"*/**/{REPORT_FILE}"))
    if not folders:
        raise DataError(
            Fault(str(args.folder), f"no {REPORT_FILE} in it", "the folder of a report",
                  "make one with `mlbench run`")
        )  # fmt: skip
    folders = [folder for folder in folders if folder == args.folder or _has_table(folder)]
    if args.languages is not None:
        return _report_languages(folders, args)
    if args.output is not None:
        raise UsageError(
            Fault("--output", "given without --languages or --suite", "both, or neither")
        )
    made = {}
    for folder in folders:
        saved = read_report(folder)
        fresh = rescored(saved, saved.table, folder)
        _with_texts(fresh, args).save(folder)
        print_report(fresh, folder, args)
        made[folder] = fresh
    return _end(made, args)


def _refuse(option: str, args: Namespace, *others: str) -> None:
    """Raise UsageError for options that are given and mean nothing together with ``option``."""
    given = [each for each in others if getattr(args, each.strip("-").lower().replace("-", "_"))]
    if given:
        expected = f"{option} without {'it' if len(given) == 1 else 'them'}"
        raise UsageError(Fault(option, f"given with {' and '.join(given)}", expected))


def _show_card(args: Namespace) -> int:
    """Show the figures that a model's card states."""
    from mlbench.integrations.cards.reading import card_text, read_card

    _refuse("--from-card", args, *WHOLE, "--from-mteb", "--output", "--task", "--data-dir")
    found = read_card(args.from_card)
    if args.json:
        figures = {
            key: [asdict(each) for each in getattr(found, key)] for key in ("ours", "others")
        }
        print_json({"card": str(found.path), "level": "reported"} | figures
                   | {"left_out": found.left_out})  # fmt: skip
    else:
        print(card_text(found))
    return 0


def _read_mteb(args: Namespace) -> int:
    """Write reports on the rankings that MTEB saved, and show the figures that it reports."""
    from mlbench.integrations.mteb.reading import read_mteb, reports_from, results_text

    _refuse("--from-mteb", args, *WHOLE)
    found = read_mteb(args.from_mteb)
    made = {}
    for each in reports_from(found, args.task, args.data_dir, args.command_line):
        place = (args.output or Path("results")) / slug(each.model.name) / slug(each.task.name)
        check_writable(place, ROOM_FOR_A_REPORT)
        refuse_other_report(place, each)
        each.save(place)
        print_report(each, place, args)
        made[place] = each
    covered = {(each.model, each.task) for each in found.predictions}
    rest = [each for each in found.results if (each.model, each.task) not in covered]
    if rest and not args.json:
        print(results_text(rest))
    if args.json:
        print_json({
            "reports": [{"folder": str(folder)} | summary(each) for folder, each in made.items()],
            "level": "reported",
            "results": [asdict(each) for each in rest],
        })  # fmt: skip
    return 0


def _report_suite(args: Namespace) -> int:
    """Read the reports on a suite's tasks together, and write the suite's page."""
    from mlbench.evaluation.suites import load_suite

    _refuse("--suite", args, "--languages", *OF_REPORTS)
    suite = load_suite(args.suite)
    reports = reports_on(suite, args.folder)
    if not reports:
        names = ", ".join(each.task.name for each in suite.tasks)
        found, mend = "no report on a task of the suite", f"mlbench run --suite {args.suite}"
        expected = f"a folder with one model's reports on {names}"
        raise DataError(Fault(str(args.folder), found, expected, f"make them with `{mend}`"))
    made = suite_report(suite, reports)
    folder = args.output if args.output is not None else suite_folder(args.folder, suite)
    made.save(folder)
    show_suite(made, folder, args)
    return 0


def _with_texts(report: Report, args: Namespace) -> Report:
    return replace(report, texts=find_texts(report.task, args.data_dir, args.task))


def _end(made: dict[Path, Report], args: Namespace) -> int:
    """Write the values of all queries if they are asked for, and print JSON if that is."""
    if args.per_query is not None:
        _save_per_query(list(made.values()), args)
    if args.figures is not None:
        for folder, each in made.items():
            write_figures(folder, paper_figures(each, args.figures, check_columns(args)))
            if not args.json:
                print(f"figures: {folder / 'figures'}")
    if args.latex is not None:
        tables = [latex_report(each, intervals=args.intervals) for each in made.values()]
        write_atomically(args.latex, latex_tables(tables).encode(), "--latex")
        if not args.json:
            print(f"LaTeX tables: {args.latex}")
    if args.mteb is not None:
        _save_for_mteb(made, args)
    if args.json:
        print_json([{"folder": str(folder)} | summary(report) for folder, report in made.items()])
    return 0


def _save_for_mteb(made: dict[Path, Report], args: Namespace) -> None:
    """Write reports as MTEB's results; where two would be the same file, the one that has all
    languages of the other. Raises UsageError where neither has."""
    from mlbench.integrations.mteb.writing import mteb_model, save_task_results

    first: dict[tuple[str, ...], Path] = {}
    for folder, each in sorted(made.items(), key=lambda item: -len(item[1].task.languages)):
        other = first.setdefault((*mteb_model(each), each.task.name), folder)
        if other != folder and not {*each.task.languages} < {*made[other].task.languages}:
            found = f"{other} and {folder} are of one model and task, which MTEB keeps once"
            raise UsageError(Fault("--mteb", found, "the folder of one of them"))
    for folder in first.values():
        files = save_task_results(made[folder], args.mteb)
        if not args.json:
            print("\n".join(f"MTEB's results: {file}" for file in files))


def _save_per_query(reports: list[Report], args: Namespace) -> None:
    """Write one table of all reports, which names the model and the task of each row."""
    import pyarrow as pa

    values = [report.per_query() for report in reports]
    tables = [
        each.to_arrow(model=report.model.name, task=report.task.name)
        for each, report in zip(values, reports, strict=True)
    ]
    save_table(args.per_query, pa.concat_tables(tables, promote_options="default"))
    if args.json:
        return
    settings = plural(sum(len(each.settings) for each in values), "setting")
    rows = plural(sum(len(each) for each in values), "row")
    print(f"per-query values: {args.per_query}")
    said = f"It has {rows}, one for each query in each of {settings}."
    if excluded := sum(each.excluded for each in values):
        said += (
            " Judged queries left out, because the pool of their setting has no passage that is "
            f"relevant to them: {excluded:,}."
        )
    print(fill(said))


def _has_table(folder: Path) -> bool:
    """Whether a report has a table to compute from; says so where it was made from run files."""
    saved, _ = parse_report(folder / REPORT_FILE)
    if saved.retrieved is not None:
        print(
            f"{folder}: this report was made from run files by `mlbench score`, and is not changed",
            file=sys.stderr,
        )
    return saved.retrieved is None


def _report_languages(folders: list[Path], args: Namespace) -> int:
    """Write the reports cut down to some languages, beside the whole ones or to --output."""
    saved = {folder: read_report(folder) for folder in folders}
    cuts = {
        folder: choose_languages(
            args.languages,
            report.task.languages,
            "--languages",
            report.task.language_sets,
            roles=report.task.roles,
        )
        for folder, report in saved.items()
        if folder == args.folder or report.task.subset_of is None
    }
    made = {}
    for folder, languages in cuts.items():
        report = cut_report(saved[folder], languages, args.command_line)
        place = subset_folder(folder, languages, report.task.language_sets)
        if args.output is not None:
            place = args.output / folder.relative_to(args.folder)
        refuse_other_report(place, report)
        check_writable(place, ROOM_FOR_A_REPORT)
        _with_texts(report, args).save(place)
        print_report(report, place, args)
        made[place] = report
    return _end(made, args)
