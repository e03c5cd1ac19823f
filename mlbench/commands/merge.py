"""``mlbench merge``: the parts of a streamed run added up."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.commands.options import shared
from mlbench.commands.output import (
    ROOM_FOR_A_REPORT,
    print_json,
    print_report,
    refuse_other_configuration,
    refuse_other_data,
    summary,
)
from mlbench.common.errors import DataError, Fault, IntegrityError
from mlbench.common.files import check_writable, slug

if TYPE_CHECKING:
    from mlbench.evaluation.partial import Partial


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `merge`."""
    parser.add_argument(
        "partials", nargs="+", type=Path, metavar="PARTIAL",
        help="the file of a part, or a folder with such files",
    )  # fmt: skip
    shared(parser, "--output")
    shared(
        parser, "--measure",
        help="a measure such as nDCG@10; may be repeated (default: those of the parts)",
    )  # fmt: skip
    shared(parser, "--overwrite", "--verbose", "--json", "--quiet")


def merge(args: Namespace) -> int:
    """Add up partial results, and write and print the report."""
    from mlbench.evaluation.results import finish
    from mlbench.evaluation.results import merge as added_up

    partial = added_up(_read(_files(args.partials)))
    report = finish(partial, args.measure, args.command_line, quiet=args.quiet)
    folder = args.output / slug(report.model.name) / slug(report.task.name)
    check_writable(folder, ROOM_FOR_A_REPORT)
    refuse_other_configuration(folder, report.task, report.model, report.measures, args)
    refuse_other_data(folder, report.task, args)
    report.save(folder)
    print_report(report, folder, args)
    if args.json:
        print_json([{"folder": str(folder)} | summary(report)])
    return 0


def _files(given: Iterable[Path]) -> Iterator[Path]:
    """Yield the files given, and those in the folders given."""
    from mlbench.evaluation.partial import SUFFIX

    for path in dict.fromkeys(given):
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            found = f"no file {SUFFIX} in it" if path.is_dir() else "no such file"
            raise DataError(Fault(str(path), found, "the result of `mlbench run --shard I/N`"))
        yield from inside


def _read(paths: Iterable[Path]) -> dict[Path, Partial]:
    """Read all files, and say of all at once which are damaged."""
    from mlbench.evaluation.partial import read_partial

    found: dict[Path, Partial] = {}
    faults: list[Fault] = []
    for path in paths:
        try:
            found[path] = read_partial(path)
        except IntegrityError as error:
            faults += error.faults
    if faults:
        raise IntegrityError(*faults)
    return found
