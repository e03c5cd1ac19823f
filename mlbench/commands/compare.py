"""``mlbench compare``: saved reports of one task held against each other, paired."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.commands.options import check_columns, shared, write_figures
from mlbench.common.counts import plural
from mlbench.common.errors import DataError, Fault, UsageError
from mlbench.common.files import write_atomically
from mlbench.common.forms import fields_of, fill_form, read_toml
from mlbench.comparing.baseline import Saved, saved_result
from mlbench.comparing.compare import compare as compared
from mlbench.comparing.comparison import (
    Comparison,
    comparison_json,
    csv_comparison,
    latex_comparison,
    markdown_comparison,
    terminal_comparison,
)


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `compare`."""
    parser.add_argument(
        "reports", nargs="+", type=Path, metavar="REPORT",
        help="the folder of a report (of `run` or `score`) or of a leaderboard's entry, or a "
        "baseline file; the others are compared with the first",
    )  # fmt: skip
    shared(
        parser, "--measure",
        help="a measure such as nDCG@10, or rank-distance; may be repeated (default: all measures "
        "that the reports have in common)",
    )  # fmt: skip
    parser.add_argument(
        "--correction", choices=("max-t", "holm"), default="max-t",
        help="how p is corrected for comparing several languages and models (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("text", "markdown", "latex", "csv", "json"), default="text",
        help="what to print (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--x", metavar="NAME=VALUE,...",
        help="an axis and the value of each report on it, in order, or a TOML file with both",
    )  # fmt: skip
    shared(
        parser, "--output", default=None,
        help="write comparison.json, .md, .csv, .tex and plots to FOLDER",
    )  # fmt: skip
    parser.add_argument(
        "--html", type=Path, metavar="FILE",
        help="write a page with charts that answer to the mouse and the keyboard: one file",
    )  # fmt: skip
    shared(parser, "--figures", "--columns", "--latex", "--intervals")


def compare(args: Namespace) -> int:
    """Compare saved reports of one task, paired."""
    check_columns(args)
    if args.figures is not None and args.output is None:
        raise UsageError(Fault("--figures", "given without --output", "a folder for them"))
    if args.intervals and args.latex is None:
        raise UsageError(Fault("--intervals", "given without --latex", "both, or neither"))
    axis, xs = (None, None) if args.x is None else read_axis(args.x, args.reports)
    saved = [saved_result(path) for path in args.reports]
    comparison = compared(saved, args.measure, xs=xs, axis=axis, correction=args.correction)
    others = _write_files(comparison, saved, args)
    if args.output is not None:
        from mlbench.comparing.comparison_plots import comparison_plots

        plots = comparison_plots(comparison)
        for name, (content, _) in plots.items():
            write_atomically(args.output / "plots" / name, content)
        links = [(f"plots/{name}", alt) for name, (_, alt) in plots.items()]
        page = markdown_comparison(comparison, links)
        write_atomically(args.output / "comparison.md", page.encode())
        write_atomically(args.output / "comparison.csv", csv_comparison(comparison).encode())
        write_atomically(args.output / "comparison.tex", latex_comparison(comparison).encode())
        write_atomically(args.output / "comparison.json", comparison_json(comparison).encode())
    write = {
        "text": terminal_comparison,
        "markdown": markdown_comparison,
        "latex": latex_comparison,
        "csv": csv_comparison,
        "json": comparison_json,
    }[args.format]
    print(write(comparison).rstrip("\n"))
    if args.output is not None and args.format == "text":
        print(f"\nwritten: {args.output / 'comparison.json'}, .md, .csv, .tex and plots")
    if args.format == "text":
        for what, path in others.items():
            print(f"\n{what}: {path}")
    return 0


def _write_files(
    comparison: Comparison, saved: Sequence[Saved], args: Namespace
) -> dict[str, Path]:
    """Write what is asked for besides the folder; return what each file is."""
    written: dict[str, Path] = {}
    if args.figures is not None:
        from mlbench.comparing.comparison_figures import comparison_figures

        write_figures(args.output, comparison_figures(comparison, args.figures, args.columns or 1))
        written["figures"] = args.output / "figures"
    if args.html is not None:
        from mlbench.comparing.comparison_page import comparison_page

        write_atomically(args.html, comparison_page(comparison, saved).encode(), "--html")
        written["page"] = args.html
    if args.latex is not None:
        from mlbench.comparing.comparison_latex import latex_tables_of
        from mlbench.reports.latex import latex_tables

        tables = latex_tables_of(comparison, intervals=args.intervals)
        write_atomically(args.latex, latex_tables(tables).encode(), "--latex")
        written["LaTeX tables"] = args.latex
    return written


@dataclass(frozen=True)
class _Series:
    """The file of `compare --x`: the axis' name, and each report's place on it."""

    name: str
    values: dict[str, Any]


def read_axis(text: str, reports: list[Path]) -> tuple[str, list[float]]:
    """Return an axis' name and each report's place on it, from NAME=VALUE,... or a TOML file.

    The file has a ``name`` and a table ``[values]`` of report folder (relative to the file) to
    number. Raises UsageError.
    """
    name, equals, values = text.partition("=")
    if equals:
        found = [_number(value) for value in values.split(",")]
        if not name.strip() or len(found) != len(reports) or None in found:
            expected = (
                f"NAME= and {plural(len(reports), 'number')}, one for each report, such as "
                "mix=0,0.5"
            )
            raise UsageError(Fault("--x", f"{text!r}", expected))
        return name.strip(), [value for value in found if value is not None]
    path = Path(text)
    if not path.is_file():
        expected = "NAME=VALUE,... or a TOML file"
        raise UsageError(Fault("--x", f"{text!r}: no such file", expected))
    table = read_toml(path, "a TOML file", DataError)
    given = table.get("values")
    places = {
        (path.parent / folder).resolve(): _number(value)
        for folder, value in (given.items() if isinstance(given, dict) else ())
    }
    missing = [
        Fault(f"{text}, [values]", f"no number for {report}", f'"{report}" = NUMBER')
        for report in reports
        if places.get(report.resolve()) is None
    ]
    series = fill_form(_Series, table, fields_of(path), DataError, missing)
    return series.name, [places[report.resolve()] or 0.0 for report in reports]


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float, str)) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
